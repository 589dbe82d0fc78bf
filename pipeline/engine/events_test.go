package engine

import (
	"bytes"
	"encoding/json"
	"sync"
	"testing"

	"github.com/penstockio/penstock/pipeline/event"
)

// lines collects the events of a run.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) emitter(t testing.TB) *event.Emitter {
	e := event.New(l, event.Options{Service: "test", Instance: "test"})
	t.Cleanup(func() { e.Close() })
	return e
}

// all gives every line, decoded.
func (l *lines) all() []map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []map[string]any
	for _, line := range bytes.Split(l.buf.Bytes(), []byte("\n")) {
		var m map[string]any
		if len(line) > 0 && json.Unmarshal(line, &m) == nil {
			out = append(out, m)
		}
	}
	return out
}

func (l *lines) named(name string) []map[string]any {
	var out []map[string]any
	for _, m := range l.all() {
		if m["event_name"] == name {
			out = append(out, m)
		}
	}
	return out
}
