package redis

import (
	"fmt"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

func TestConforms(t *testing.T) {
	for command, change := range map[string]func(*Settings){
		"get": nil,
		"hgetall": func(s *Settings) {
			s.Command, s.Key = "hgetall", template(t, "h:{n}")
		},
	} {
		t.Run(command, func(t *testing.T) {
			pipelinetest.Stage(t, func(t *testing.T) pipelinetest.StageUnderTest {
				m := miniredis.RunT(t)
				for n := range 100 {
					if err := m.Set(fmt.Sprintf("k:%d", n), fmt.Sprint(n)); err != nil {
						t.Fatal(err)
					}
					m.HSet(fmt.Sprintf("h:%d", n), "n", fmt.Sprint(n))
				}
				s := Default()
				s.Server.Address, s.Into, s.Key, s.OnMiss = m.Addr(), "got", template(t, "k:{n}"), client.MissReject
				if change != nil {
					change(&s)
				}
				st, err := New(s, env(8))
				if err != nil {
					t.Fatal(err)
				}
				return pipelinetest.StageUnderTest{
					Stage:  st,
					Hit:    func(n int) []byte { return fmt.Appendf(nil, `{"n":%d,"got":"before"}`, n%100) },
					Reject: []byte(`{"n":1000}`),
					Hang:   func() (<-chan struct{}, func()) { return hang(m) },
				}
			})
		})
	}
}

// hang has the server answer nothing until restore is called.
func hang(m *miniredis.Miniredis) (stuck <-chan struct{}, restore func()) {
	first, open := make(chan struct{}), make(chan struct{})
	var once sync.Once
	m.Server().SetPreHook(func(*server.Peer, string, ...string) bool {
		once.Do(func() { close(first) })
		<-open
		return false
	})
	return first, func() {
		close(open)
		m.Server().SetPreHook(nil)
	}
}
