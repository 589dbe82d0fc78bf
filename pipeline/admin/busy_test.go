package admin

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
)

// Callers that ask for all that is in flight and do not read it have one list made between them, and keep
// nobody from the health of the process.
func TestInFlightUnread(t *testing.T) {
	var made atomic.Int64
	o := healthy()
	o.InFlight = func() []PipelineInFlight {
		made.Add(1)
		all := make([]engine.InFlight, 20_000)
		for i := range all {
			all[i] = engine.InFlight{Position: pipeline.Position{Topic: "orders", Offset: int64(i)}, Lane: "orders/0", Where: "weather"}
		}
		return []PipelineInFlight{{"orders", all}}
	}
	inMemory(t, o, func(t *testing.T, s *Server, l *memoryListener) {
		for range 2 * mostConnections {
			conn := l.dial(t)
			go fmt.Fprint(conn, "GET /api/v1/inflight?limit=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
		}
		time.Sleep(time.Second) // the places go by who came first
		synctest.Wait()
		if n := made.Load(); n != 1 {
			t.Errorf("%d lists are made at once", n)
		}
		for _, path := range []string{"/livez", "/readyz"} {
			if status, body := l.get(t, path); status != 200 {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
		if status, body := l.get(t, "/api/v1/inflight"); status != 503 || !strings.Contains(body, "ask again later") {
			t.Errorf("beside an answer under way: %d %s", status, body)
		}
		time.Sleep(31 * time.Second) // those who do not read have been cut
		if status, body := l.get(t, "/api/v1/inflight"); status != 200 || !strings.Contains(body, `"inflight":20000`) || !strings.HasSuffix(body, `"left_off":19000}]}`+"\n") {
			t.Errorf("afterwards: %d %.100s", status, body)
		}
	})
}

// Requests that are not answered for long leave places for probes, and those too many are told.
func TestPlacesForProbes(t *testing.T) {
	var hold chan struct{}
	var held atomic.Int64
	o := healthy()
	o.Metrics = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { held.Add(1); <-hold })
	inMemory(t, o, func(t *testing.T, s *Server, l *memoryListener) {
		hold = make(chan struct{}) // of the bubble
		defer close(hold)
		for range mostConnections {
			conn := l.dial(t)
			go fmt.Fprint(conn, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
		}
		time.Sleep(time.Second) // the places go by who came first
		synctest.Wait()
		if n := held.Load(); n != mostConnections-probePlaces {
			t.Errorf("%d requests are being answered", n)
		}
		if status, body := l.get(t, "/livez"); status != 200 {
			t.Errorf("/livez: %d %s", status, body)
		}
		if status, body := l.get(t, "/version"); status != 503 {
			t.Errorf("/version: %d %s", status, body)
		}
	})
}
