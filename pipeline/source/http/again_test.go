package http

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/settings"
)

// fill takes all room of the pipeline, until the function it gives is called.
func (r *rig) fill() func() {
	r.t.Helper()
	var all []pipeline.Charge
	for _, l := range r.src.lines { // each may always take one
		c, err := l.lane.Take(r.t.Context(), 64<<10)
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, c)
	}
	return func() {
		for _, c := range all {
			c.Release()
		}
	}
}

// TestAKnownKeyNeedsNoRoomAndNoRate: nothing of a request is taken whose key was answered, so it has its answer when others are refused; and who
// cannot be compared is not told that nothing was taken.
func TestAKnownKeyNeedsNoRoomAndNoRate(t *testing.T) {
	hour := settings.Rate{N: 1, Per: time.Hour}
	r := newRig(t, func(s *Settings) {
		remembering("")(s)
		s.Rate, s.Burst, s.Lanes, s.Wait = &hour, 2, 1, time.Millisecond
	})
	r.budget = engine.NewBudget(100, 64<<10)
	r.start()
	r.post("[1,2]", "Idempotency-Key", "a").want(t, 200)
	a := r.post("[1,2]", "Idempotency-Key", "a")
	a.want(t, 200, `{"records":2}`)
	if a.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("header %v", a.header)
	}
	r.post("[1,2]", "Idempotency-Key", "b").want(t, 429, `"rate"`, `"stored":"no"`)
	r.src.giveBack(2)
	waitFor(t, "the room of the first is free", func() bool { n, _ := r.budget.Use(); return n == 0 })
	free := r.fill()
	r.post("[1,2]", "Idempotency-Key", "a").want(t, 200, `{"records":2}`)
	r.post("[1,3]", "Idempotency-Key", "a").want(t, 422, `"key_reused"`)
	r.post("[1,2]", "Idempotency-Key", "b").want(t, 429, `"no_room"`, `"stored":"no"`)
	squeezed := packed(t, "gzip", "[1,2]")
	r.post(squeezed, "Idempotency-Key", "a", "Content-Encoding", "gzip").want(t, 429, `"no_room"`, `"stored":"maybe"`)
	free()
	r.post(squeezed, "Idempotency-Key", "a", "Content-Encoding", "gzip").want(t, 200, `{"records":2}`)
	if got := r.values(); len(got) != 2 {
		t.Errorf("stored %q", got)
	}
}

// TestAKeyUnderWayIsNoLackOfRoom: who sends a request again while the first is under way is not told that nothing of it was taken.
func TestAKeyUnderWayIsNoLackOfRoom(t *testing.T) {
	r := newRig(t, func(s *Settings) {
		remembering("")(s)
		s.Lanes, s.Wait = 1, time.Millisecond
	})
	r.budget = engine.NewBudget(100, 64<<10)
	g := r.gated()
	r.start()
	first := r.later(`"`+strings.Repeat("x", 60<<10)+`"`, "Idempotency-Key", "a")
	waitFor(t, "it is under way", func() bool { return g.arrived.Load() == 1 })
	r.post(`"`+strings.Repeat("x", 60<<10)+`"`, "Idempotency-Key", "a").want(t, 429, `"no_room"`, `"stored":"maybe"`)
	close(g.open)
	soon(t, first).want(t, 200)
}

// TestAKnownKeyIsAnsweredAtAStop: who comes back while the pipeline stops hears what became of the records: at once, or when they have their end.
func TestAKnownKeyIsAnsweredAtAStop(t *testing.T) {
	r := newRig(t, remembering(""))
	r.drain = time.Minute
	g := r.gated()
	r.start()
	first := r.later("1", "Idempotency-Key", "a")
	waitFor(t, "it is under way", func() bool { return g.arrived.Load() == 1 })
	r.stop()
	waitFor(t, "the source stops", func() bool { return r.src.stopping.Err() != nil })
	again := r.later("1", "Idempotency-Key", "a")
	waitFor(t, "the second waits, or is refused", func() bool {
		rep := r.src.Report()
		return rep.RequestsWaiting == 2 || rep.Refusals["stopping"] > 0
	})
	r.post("2", "Idempotency-Key", "a").want(t, 422)
	r.post("1", "Idempotency-Key", "b").want(t, 503, `"stopping"`, `"stored":"no"`)
	r.post(packed(t, "gzip", "1"), "Idempotency-Key", "a", "Content-Encoding", "gzip").want(t, 503, `"stopping"`, `"stored":"maybe"`)
	close(g.open)
	soon(t, first).want(t, 200)
	soon(t, again).want(t, 200, `{"records":1}`)
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if got := r.values(); len(got) != 1 {
		t.Errorf("stored %q", got)
	}
}

// TestTheSecondHasTheAnswerOfTheFirst: also when the pipeline ends while the key of the first is on its way to the disk.
func TestTheSecondHasTheAnswerOfTheFirst(t *testing.T) {
	r := newRig(t, remembering(filepath.Join(t.TempDir(), "keys.jsonl")))
	g := r.gated()
	r.start()
	f := r.src.memory.file
	f.mu.Lock() // the disk is slow
	first := r.later("1", "Idempotency-Key", "a")
	waitFor(t, "the first waits", func() bool { return r.src.Report().RequestsWaiting == 1 })
	again := r.later("1", "Idempotency-Key", "a")
	waitFor(t, "both wait", func() bool { return r.src.Report().RequestsWaiting == 2 })
	close(g.open)
	waitFor(t, "the record comes", func() bool { return len(r.values()) == 1 })
	r.stop()
	<-r.src.closed
	time.Sleep(100 * time.Millisecond) // long enough for one that does not wait
	f.mu.Unlock()
	soon(t, first).want(t, 200, `{"records":1}`)
	soon(t, again).want(t, 200, `{"records":1}`)
}

// TestTheSecondHearsThatTheFirstWasGivenUp: what is known of the records is known of both.
func TestTheSecondHearsThatTheFirstWasGivenUp(t *testing.T) {
	r := newRig(t, remembering(""))
	r.drain = 200 * time.Millisecond
	g := r.gated() // and never opened
	r.start()
	first := r.later("1", "Idempotency-Key", "a")
	waitFor(t, "the sink is asked", func() bool { return g.arrived.Load() == 1 })
	again := r.later("1", "Idempotency-Key", "a")
	waitFor(t, "both wait", func() bool { return r.src.Report().RequestsWaiting == 2 })
	var abandoned *engine.AbandonedError
	if err := r.end(); !errors.As(err, &abandoned) {
		t.Errorf("ended with %v", err)
	}
	soon(t, first).want(t, 503, `"given_up"`, `"stored":"maybe"`, "0 of 1")
	soon(t, again).want(t, 503, `"given_up"`, `"stored":"maybe"`, "0 of 1")
}

// TestAnAcceptedKeyThatWasGivenUp: records that were answered 202 and came to nothing are taken when they are sent again, also behind a restart.
func TestAnAcceptedKeyThatWasGivenUp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.jsonl")
	change := func(s *Settings) {
		remembering(file)(s)
		s.Answer = Accepted
	}
	r := newRig(t, change)
	r.drain = 200 * time.Millisecond
	g := r.gated() // and never opened
	r.start()
	r.post("1", "Idempotency-Key", "a").want(t, 202)
	waitFor(t, "the sink is asked", func() bool { return g.arrived.Load() == 1 })
	var abandoned *engine.AbandonedError
	if err := r.end(); !errors.As(err, &abandoned) || !strings.Contains(err.Error(), "cannot be read again, so they are lost") {
		t.Errorf("ended with %v", err)
	}
	r = newRig(t, change).start()
	r.post("1", "Idempotency-Key", "a").want(t, 202)
	if err := r.end(); err != nil || len(r.values()) != 1 {
		t.Errorf("%v: stored %q", err, r.values())
	}
	r = newRig(t, change).start()
	r.post("1", "Idempotency-Key", "a").want(t, 202)
	if err := r.end(); err != nil || len(r.values()) != 0 {
		t.Errorf("%v: stored once more: %q", err, r.values())
	}
}

// TestNobodyHasLookedForTheKey: a request that is refused before its key is looked up is not told that its records are nowhere.
func TestNobodyHasLookedForTheKey(t *testing.T) {
	r := newRig(t, remembering("")).start()
	r.post("1", "Idempotency-Key", "a").want(t, 200)
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	for key, stored := range map[string]string{"a": "maybe", "": "no"} {
		req, w := httptest.NewRequest("POST", "/records", strings.NewReader("1")), httptest.NewRecorder()
		if key != "" {
			req.Header.Set("Idempotency-Key", key)
		}
		r.src.serve(w, req)
		answer{w.Code, w.Header(), w.Body.String()}.want(t, 503, `"stopping"`, `"stored":"`+stored+`"`)
	}
}

// TestAFileOfKeysThatIsTakenAway is written anew, with all keys.
func TestAFileOfKeysThatIsTakenAway(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.jsonl")
	r := newRig(t, remembering(file)).start()
	r.post("1", "Idempotency-Key", "a").want(t, 200)
	if err := os.Remove(file); runtime.GOOS == "windows" && err != nil {
		t.Skip("Windows keeps files that are open: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
	r.post("2", "Idempotency-Key", "b").want(t, 200)
	text, err := os.ReadFile(file)
	if err != nil || strings.Count(string(text), `"key":"a"`) != 1 || !strings.Contains(string(text), `"key":"b"`) {
		t.Errorf("%v: %s", err, text)
	}
}

// TestOneMessageOfMany: a disk that is full is told of once in a while, with how many were not.
func TestOneMessageOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l seldom
		var got []string
		for range 40 {
			if left, ok := l.turn(time.Now()); ok {
				got = append(got, fmt.Sprint(time.Now().Unix()%1000, " ", left))
			}
			time.Sleep(time.Second)
		}
		if len(got) != 4 || !strings.HasSuffix(got[0], " 0") || !strings.HasSuffix(got[3], " 9") {
			t.Errorf("%q", got)
		}
	})
}

// TestSlowCallersHoldNoDecoder: decoders are few, and bodies that trickle in keep none from others.
func TestSlowCallersHoldNoDecoder(t *testing.T) {
	r := newRig(t, func(s *Settings) { s.Wait = 50 * time.Millisecond }).start()
	whole := packed(t, "zstd", "[1,2]")
	for range 2 * mostDecoders {
		r.say(beginsAsJSON + fmt.Sprintf("Content-Encoding: zstd\r\nContent-Length: %d\r\n\r\n", len(whole)) + whole[:4])
	}
	waitFor(t, "they have room", func() bool { _, bytes := r.budget.Use(); return bytes > int64(2*mostDecoders)*overhead })
	for range 20 {
		r.post(whole, "Content-Encoding", "zstd").want(t, 200, `{"records":2}`)
	}
}
