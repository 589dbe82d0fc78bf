package websocketsink

import (
	"context"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// shown collects what a client sees.
type shown struct {
	mu  sync.Mutex
	all [][]byte
}

func (s *shown) watch(c *websocket.Conn) {
	for {
		_, b, err := c.Read(context.Background())
		if err != nil {
			return
		}
		s.mu.Lock()
		s.all = append(s.all, b)
		s.mu.Unlock()
	}
}

// TestConforms: the sink keeps the promises of a sink, as a client sees it.
func TestConforms(t *testing.T) {
	pipelinetest.Sink(t, func(t *testing.T) pipelinetest.SinkUnderTest {
		s, err := New(settingsOf(func(s *Settings) { s.CatchUp = 10_000; s.CatchUpBytes = 64 << 20 }))
		if err != nil {
			t.Fatal(err)
		}
		return pipelinetest.SinkUnderTest{
			Sink: s,
			Stored: func() ([][]byte, error) {
				var seen shown
				c, err := tryDial(s, "?last=10000", nil)
				if err != nil {
					return nil, err
				}
				var watching sync.WaitGroup
				watching.Go(func() { seen.watch(c) })
				_, next, _ := s.shelf.ends()
				until(t, "all messages are seen", func() bool {
					seen.mu.Lock()
					defer seen.mu.Unlock()
					return len(seen.all) == int(next-1)
				})
				_ = c.CloseNow()
				watching.Wait()
				return seen.all, nil
			},
		}
	})
}
