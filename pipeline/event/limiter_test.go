package event

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lines is a writer that can be read while it is written to.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take gives what was written since the last take.
func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.b.String()
	l.b.Reset()
	return s
}

func count(s, event string) int { return strings.Count(s, `"event_name":"`+event+`"`) }

func TestRepeatedErrorsAreHeldBackAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lines
		e := New(&out, Options{}).Pipeline("p").Step("weather")
		burst := func(n int) string {
			for range n {
				e.Emit(RecordRejected{Reason: "attempts", ErrorType: "timeout", ErrorMessage: "a"}, "")
			}
			return out.take()
		}
		if got := count(burst(100), "record.rejected"); got != 5 {
			t.Errorf("%d of the first 100 lines were written, want 5", got)
		}
		time.Sleep(limitWindow + time.Second)
		reported := out.take()
		if count(reported, "log.suppressed") != 1 || !strings.Contains(reported, `"count":95`) {
			t.Errorf("after the window: %s", reported)
		}
		for _, want := range []string{`"pipeline":"p"`, `"step":"weather"`, `"error_type":"timeout"`, `"suppressed_event":"record.rejected"`,
			"records unaffected, counters exact"} {
			if !strings.Contains(reported, want) {
				t.Errorf("%s is missing in %s", want, reported)
			}
		}
		if got := count(burst(100), "record.rejected"); got != 1 {
			t.Errorf("%d lines in the second window, want 1", got)
		}
		e.Emit(RecordRejected{Step: "other", Reason: "attempts"}, "")
		if got := count(out.take(), "record.rejected"); got != 1 {
			t.Errorf("another step got %d lines, want 1", got)
		}
		time.Sleep(3 * limitWindow)
		if s := out.take(); !strings.Contains(s, `"count":99`) {
			t.Errorf("the second window reported %s", s)
		}
		if got := count(burst(7), "record.rejected"); got != 5 {
			t.Errorf("%d lines after a quiet time, want 5", got)
		}
		e.Flush()
		if s := out.take(); !strings.Contains(s, `"count":2`) {
			t.Errorf("Flush wrote %s", s)
		}
		time.Sleep(time.Hour)
		if s := out.take(); s != "" {
			t.Errorf("after Flush the timer wrote %s", s)
		}
		burst(9)
		e.Close()
		if s := out.take(); count(s, "log.suppressed") != 1 {
			t.Errorf("Close wrote %s", s)
		}
		if got := count(burst(20), "record.rejected"); got != 20 {
			t.Errorf("%d of 20 lines after Close", got)
		}
	})
}

// TestNoTimerWhileIdle: a bubble whose only goroutine is blocked for good must be
// seen as deadlocked, which a ticker would hide.
func TestNoTimerWhileIdle(t *testing.T) {
	e := New(&lines{}, Options{})
	for range 5 {
		e.Emit(PanicRecovered{Step: "s"}, "")
	}
	if e.out.limit.timer != nil {
		t.Error("a timer is armed although nothing is held back")
	}
	e.Emit(PanicRecovered{Step: "s"}, "")
	if e.out.limit.timer == nil {
		t.Error("no timer is armed although a line is held back")
	}
	e.Close()
	if e.out.limit.timer != nil {
		t.Error("a timer is armed after Close")
	}
}

func TestKeysAreCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lines
		e := New(&out, Options{})
		for i := range 3 * limitKeys {
			e.Emit(RecordRejected{Step: fmt.Sprintf("s%d", i), Reason: "attempts"}, "")
		}
		if n := len(e.out.limit.keys); n > limitKeys+len(Registry) {
			t.Errorf("%d keys are kept", n)
		}
		if got := count(out.take(), "record.rejected"); got != limitKeys+limitBurst {
			t.Errorf("%d lines, want %d", got, limitKeys+limitBurst)
		}
		time.Sleep(limitWindow + time.Second)
		if s := out.take(); !strings.Contains(s, `"step":"_other"`) || !strings.Contains(s, fmt.Sprintf(`"count":%d`, 2*limitKeys-limitBurst)) {
			t.Errorf("reported %s", s)
		}
		time.Sleep(2 * limitWindow)
		e.Emit(RecordRejected{Step: "new", Reason: "attempts"}, "")
		if n := len(e.out.limit.keys); n > 2 {
			t.Errorf("%d keys are kept after a quiet time", n)
		}
	})
}
