package calls

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A desk does what the engine does with calls: of those at one gate only the first asks to enter, and
// a call that does not count is made anew without backoff.
type desk struct {
	attempts int                                         // 0: 1
	backoff  func(attempt int, record int) time.Duration // nil: 100ms

	mu    sync.Mutex
	lines map[any][]chan struct{}
}

// enter waits at the gate of a call, and gives it up when ctx ends.
func (d *desk) enter(ctx context.Context, call pipeline.Call) error {
	for gate := call.Gate(); gate != nil; gate = call.Gate() {
		if in, err := d.enterAt(ctx, call, gate); in || err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (d *desk) enterAt(ctx context.Context, call pipeline.Call, gate any) (in bool, err error) {
	turn := make(chan struct{}, 1)
	d.mu.Lock()
	if d.lines == nil {
		d.lines = map[any][]chan struct{}{}
	}
	d.lines[gate] = append(d.lines[gate], turn)
	if len(d.lines[gate]) == 1 {
		turn <- struct{}{}
	}
	d.mu.Unlock()
	defer d.next(gate, turn)
	select {
	case <-turn:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	return enterAt(ctx, call, gate)
}

// next takes one out of the line of a gate, and has the first of the others ask.
func (d *desk) next(gate any, turn chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	line := d.lines[gate]
	for i := range line {
		if line[i] == turn {
			line = append(line[:i:i], line[i+1:]...)
			if i == 0 && len(line) > 0 {
				line[0] <- struct{}{}
			}
			break
		}
	}
	if d.lines[gate] = line; len(line) == 0 {
		delete(d.lines, gate)
	}
}

// run has a record be done, and gives how many attempts were counted and the error of the last.
func (d *desk) run(ctx context.Context, c *Calls[string], q Question[string], record int) (attempts int, err error) {
	for attempt := 1; ; {
		counts, err := d.attempt(ctx, c.Admit(q, attempt))
		if counts {
			attempts++
		}
		_, refused := pipeline.IsPermanent(err)
		if err == nil || refused || errors.Is(err, pipeline.Filtered) || ctx.Err() != nil {
			return attempts, err
		}
		if !counts {
			continue
		}
		if attempt++; attempt > max(d.attempts, 1) {
			return attempts, err
		}
		wait := 100 * time.Millisecond
		if d.backoff != nil {
			wait = d.backoff(attempt, record)
		}
		time.Sleep(wait)
	}
}

func (d *desk) attempt(ctx context.Context, call pipeline.Call) (counts bool, err error) {
	for {
		if err := d.enter(ctx, call); err != nil {
			call.Leave(pipeline.CallResult{})
			return false, err
		}
		began := time.Now()
		err = safely(func() error { return call.Do(ctx, nil) })
		counts = call.Leave(pipeline.CallResult{Begun: true, Err: err, Took: time.Since(began)})
		next, more := pipeline.NextCall(err)
		if !more {
			return counts, err
		}
		call = next
	}
}

// safely turns a panic, or Goexit, into an error, as the engine does.
func safely(f func() error) (err error) {
	done := make(chan error, 1)
	go func() {
		err := error(&pipeline.PanicError{})
		defer func() {
			if v := recover(); v != nil {
				err = &pipeline.PanicError{Value: v}
			}
			done <- err
		}()
		err = f()
	}()
	return <-done
}

// An oracle is who is asked: it counts, and checks that no question is asked twice at once.
type oracle struct {
	t     *testing.T
	reply func(ctx context.Context, key string, n int, known *string) (Reply[string], error) // n counts the calls of the key from 1

	twice bool // the same question may be asked twice at once
	all   atomic.Int64
	mu    sync.Mutex
	asked map[string]int
	now   map[string]int
}

func (s *oracle) ask(ctx context.Context, key string, known *string) (Reply[string], error) {
	s.all.Add(1)
	s.mu.Lock()
	if s.asked == nil {
		s.asked, s.now = map[string]int{}, map[string]int{}
	}
	s.asked[key]++
	n := s.asked[key]
	if s.now[key]++; s.now[key] > 1 && !s.twice {
		s.t.Errorf("%q is asked twice at once", key)
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.now[key]--
		s.mu.Unlock()
	}()
	return s.reply(ctx, key, n, known)
}

func (s *oracle) count(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[key]
}

// question makes one that puts the answer into *into.
func (s *oracle) question(key string, into *string) Question[string] {
	return Question[string]{
		Host: "api.example", Key: key,
		Ask: func(ctx context.Context, _ *pipeline.Record, known *string) (Reply[string], error) {
			return s.ask(ctx, key, known)
		},
		Use: func(_ *pipeline.Record, answer string) error {
			*into = answer
			return nil
		},
	}
}

func answerOf(key string) string { return "the answer to " + key }

func reply(key string) Reply[string] {
	return Reply[string]{Answer: answerOf(key), Bytes: len(answerOf(key))}
}

// sleep is a call that takes d.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("asking: %w", ctx.Err())
	}
}

func newCalls(t *testing.T, change func(*Settings)) *Calls[string] {
	t.Helper()
	s := Defaults()
	if change != nil {
		change(&s)
	}
	c, err := New[string](Env{Settings: s, Workers: 64})
	if err != nil {
		t.Fatal(err)
	}
	c.gates.random = func() float64 { return 0.5 } // no jitter
	return c
}

// waitsToo is the error of a host that asks to wait for a second.
var waitsToo = pipeline.RetryAfter(time.Second, tooMany{})

type tooMany struct{}

func (tooMany) Error() string    { return "too many requests" }
func (tooMany) AsksToWait() bool { return true }

var errDown = errors.New("the host is down")
