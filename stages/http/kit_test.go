package httpstage

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

func TestConforms(t *testing.T) {
	for name, change := range map[string]func(*Settings){
		"get": nil,
		"post": func(s *Settings) {
			body := template(t, `{{"id": {n}}}`)
			s.Method, s.Body = "POST", &body
		},
	} {
		t.Run(name, func(t *testing.T) {
			pipelinetest.Stage(t, func(t *testing.T) pipelinetest.StageUnderTest {
				var stuck, free atomic.Pointer[chan struct{}]
				var once sync.Once
				h := newStage(t, func(w http.ResponseWriter, r *http.Request) {
					if f := free.Load(); f != nil {
						once.Do(func() { close(*stuck.Load()) })
						<-*f
					}
					if strings.HasSuffix(r.URL.Path, "/refused") {
						w.WriteHeader(http.StatusForbidden)
						return
					}
					w.Header().Set("Content-Type", "application/json")
					fmt.Fprintf(w, `{"path":%q}`, r.URL.Path)
				}, "/{n}", change)
				return pipelinetest.StageUnderTest{
					Stage:  h,
					Hit:    func(n int) []byte { return fmt.Appendf(nil, `{"n":%d,"got":"before"}`, n) },
					Reject: []byte(`{"n":"refused"}`),
					Hang: func() (<-chan struct{}, func()) {
						s, f := make(chan struct{}), make(chan struct{})
						stuck.Store(&s)
						free.Store(&f)
						return s, func() { free.Store(nil); close(f) }
					},
				}
			})
		})
	}
}
