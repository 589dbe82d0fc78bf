package pipelinetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// host is an Admitter whose host answers few calls at a time. What breaks is set by mutants.
type host struct {
	forgets bool // a call that was let in and not made keeps its place
	edits   bool // Admit edits the record
	silent  bool // a call does not say what it waits for
	odd     any  // the gate
	differs bool // from Process

	mu     sync.Mutex
	places int
	wake   func()
}

func newHost() *host { return &host{places: 2} }

func (h *host) Process(_ context.Context, r *pipeline.Record) error { return r.SetInt("asked", 1) }

func (h *host) Admit(r *pipeline.Record, _ int) (pipeline.Call, error) {
	if h.edits {
		r.SetKey([]byte("edited"))
	}
	return &callOf{h: h}, nil
}

type callOf struct {
	h       *host
	in      bool
	further bool
}

func (c *callOf) Gate() any {
	if c.h.odd != nil {
		return c.h.odd
	}
	return c.h
}

func (c *callOf) Enter(wake func()) (time.Duration, bool) {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	if c.h.places == 0 {
		c.h.wake = wake
		return 0, false
	}
	c.h.places--
	c.in = true
	return 0, true
}

func (c *callOf) Waits() string {
	if c.h.silent {
		return ""
	}
	return "a place"
}

func (c *callOf) Do(ctx context.Context, r *pipeline.Record) error {
	if !c.further {
		return pipeline.Next(&callOf{h: c.h, further: true})
	}
	if c.h.differs {
		return r.SetInt("asked", 2)
	}
	return c.h.Process(ctx, r)
}

func (c *callOf) Leave(r pipeline.CallResult) bool {
	c.h.mu.Lock()
	wake := c.h.wake
	if c.in && (r.Begun || !c.h.forgets) {
		c.h.places++
		c.h.wake = nil
	}
	c.h.mu.Unlock()
	if wake != nil {
		wake()
	}
	return true
}

func TestAdmitter(t *testing.T) {
	Stage(t, func(*testing.T) StageUnderTest {
		return StageUnderTest{Stage: newHost(), Hit: func(int) []byte { return []byte(`{"a":1}`) }}
	})
}

func TestAdmitKitNotices(t *testing.T) {
	defer func(d time.Duration) { patience = d }(patience)
	patience = 50 * time.Millisecond
	for name, mutants := range map[string][]func(h *host){
		"like Process": {func(h *host) { h.differs = true }, func(h *host) { h.edits = true }},
		"given up":     {func(h *host) { h.forgets = true }, func(h *host) { h.odd = []int{1} }},
		"nobody waits for ever": {
			func(h *host) { h.places = 0 }, func(h *host) { h.places, h.silent = 0, true },
		},
	} {
		i := slices.IndexFunc(admitChecks, func(c stageCheck) bool { return c.name == name })
		for n, mutate := range mutants {
			err := admitChecks[i].run(t.Context(), func() StageUnderTest {
				h := newHost()
				mutate(h)
				return StageUnderTest{Stage: h, Hit: func(int) []byte { return []byte(`{"a":1}`) }}
			})
			if err == nil {
				t.Errorf("%s: mutant %d was not noticed", name, n)
			}
		}
	}
}

// The kit asks for the entrance again when it is woken, and not before.
func TestTheKitIsWoken(t *testing.T) {
	h := newHost()
	h.places = 0
	rec := new(slab).record(at(0), nil, []byte(`{}`))
	done := make(chan error, 1)
	go func() { done <- admitted(t.Context(), h, rec) }()
	for {
		h.mu.Lock()
		waits := h.wake != nil
		h.mu.Unlock()
		if waits {
			break
		}
		select {
		case err := <-done:
			t.Fatal(err)
		case <-time.After(time.Millisecond):
		}
	}
	other := &callOf{h: h, in: true}
	other.Leave(pipeline.CallResult{})
	if err := <-done; err != nil || errors.Is(err, pipeline.Filtered) {
		t.Fatal(err)
	}
}
