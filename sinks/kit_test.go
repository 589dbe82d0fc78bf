package sinks

import (
	"bytes"
	"sync"
	"testing"

	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// A gate is a writer that can be shut.
type gate struct {
	mu    sync.Mutex
	text  bytes.Buffer
	stuck chan struct{} // not nil: shut; closed by who finds it so
	open  chan struct{}
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	stuck, open := g.stuck, g.open
	g.mu.Unlock()
	if stuck != nil {
		close(stuck)
		<-open
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(p)
}

func (g *gate) shut() (<-chan struct{}, func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stuck, g.open = make(chan struct{}), make(chan struct{})
	open := g.open
	return g.stuck, func() {
		g.mu.Lock()
		g.stuck = nil
		g.mu.Unlock()
		close(open)
	}
}

func split(text []byte) [][]byte {
	return bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
}

func TestStdoutConforms(t *testing.T) {
	pipelinetest.Sink(t, func(t *testing.T) pipelinetest.SinkUnderTest {
		g := new(gate)
		s, err := NewStdout(StdoutSettings{}, g, "")
		if err != nil {
			t.Fatal(err)
		}
		return pipelinetest.SinkUnderTest{
			Sink: s,
			Stored: func() ([][]byte, error) {
				g.mu.Lock()
				defer g.mu.Unlock()
				return split(bytes.Clone(g.text.Bytes())), nil
			},
			Reject: []byte("two\nlines"),
			Hang:   g.shut,
		}
	})
}
