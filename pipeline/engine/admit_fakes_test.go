package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// desk is an Admitter made of functions. It checks what the engine promises its calls: each has one
// goroutine at a time, comes in order, and is left once.
type desk struct {
	t     testing.TB
	admit func(r *pipeline.Record, attempt int) (*visit, error)

	mu      sync.Mutex
	given   int
	left    int
	running int
	most    int
	yields  int
	results []pipeline.CallResult
}

// A visit is a call of a desk. What is nil in it does nothing.
type visit struct {
	gate  any
	enter func(wake func()) (time.Duration, bool)
	waits string
	do    func(ctx context.Context, r *pipeline.Record) error
	leave func(pipeline.CallResult) bool
	next  func() any  // the gate once it was asked for at the first; nil: that stays
	joins func() bool // nil: no

	d    *desk
	mu   sync.Mutex // held by who has the call
	in   bool
	done bool
	gone bool

	asked bool
}

func (d *desk) Process(context.Context, *pipeline.Record) error {
	return pipeline.Fatal(errors.New("the engine calls Admit"))
}

func (d *desk) Admit(r *pipeline.Record, attempt int) (pipeline.Call, error) {
	v, err := d.admit(r, attempt)
	if err != nil || v == nil {
		return nil, err
	}
	return d.take(v), nil
}

// take counts a visit as given.
func (d *desk) take(v *visit) *visit {
	v.d = d
	d.mu.Lock()
	d.given++
	d.mu.Unlock()
	return v
}

// have checks that nobody else has the call, and that it has not been left.
func (v *visit) have(what string) (release func()) {
	if !v.mu.TryLock() {
		v.d.t.Errorf("%s while somebody else has the call", what)
		v.mu.Lock()
	}
	if v.gone {
		v.d.t.Errorf("%s of a call that was left", what)
	}
	return v.mu.Unlock
}

func (v *visit) Gate() any {
	defer v.have("Gate")()
	if v.asked && v.next != nil {
		return v.next()
	}
	return v.gate
}

func (v *visit) Yield() {
	defer v.have("Yield")()
	v.d.mu.Lock()
	v.d.yields++
	v.d.mu.Unlock()
	if v.in {
		v.d.t.Error("Yield of a call that was let in")
	}
}

func (v *visit) Joins() bool {
	defer v.have("Joins")()
	return v.joins != nil && v.joins()
}

func (v *visit) Enter(wake func()) (time.Duration, bool) {
	defer v.have("Enter")()
	if v.in {
		v.d.t.Error("Enter of a call that was let in")
	}
	v.asked = true
	if v.enter == nil {
		v.in = true
		return 0, true
	}
	wait, ok := v.enter(wake)
	v.in = ok
	return wait, ok
}

func (v *visit) Waits() string {
	defer v.have("Waits")()
	return v.waits
}

func (v *visit) Do(ctx context.Context, r *pipeline.Record) error {
	defer v.have("Do")()
	if v.gate != nil && !v.in || v.done {
		v.d.t.Errorf("Do of a call that was not let in, or for the second time")
	}
	v.done = true
	v.d.mu.Lock()
	v.d.running++
	v.d.most = max(v.d.most, v.d.running)
	v.d.mu.Unlock()
	defer func() {
		v.d.mu.Lock()
		v.d.running--
		v.d.mu.Unlock()
	}()
	if v.do == nil {
		return nil
	}
	return v.do(ctx, r)
}

func (v *visit) Leave(r pipeline.CallResult) bool {
	defer v.have("Leave")()
	v.gone = true
	if r.Begun != v.done {
		v.d.t.Errorf("Leave says begun %v, and Do was called: %v", r.Begun, v.done)
	}
	v.d.mu.Lock()
	v.d.left++
	v.d.results = append(v.d.results, r)
	v.d.mu.Unlock()
	if v.leave == nil {
		return true
	}
	return v.leave(r)
}

// settled checks that every call was left.
func (d *desk) settled() {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.given != d.left {
		d.t.Errorf("%d calls were given, %d left", d.given, d.left)
	}
}

// rateGate lets one call in each time.
type rateGate struct {
	every time.Duration

	mu    sync.Mutex
	next  time.Time
	asked int
}

func (s *rateGate) enter(func()) (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	now := time.Now()
	if wait := s.next.Sub(now); wait > 0 {
		return wait, false
	}
	s.next = now.Add(s.every)
	return 0, true
}

// door is shut until it is opened, and wakes who waits then.
type door struct {
	mu    sync.Mutex
	open  bool
	wakes []func()
	asked int
}

func (d *door) enter(wake func()) (time.Duration, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if !d.open {
		d.wakes = append(d.wakes, wake)
	}
	return 0, d.open
}

func (d *door) set(open bool) {
	d.mu.Lock()
	d.open = open
	wakes := d.wakes
	d.wakes = nil
	d.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
}

func (d *door) asks() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}
