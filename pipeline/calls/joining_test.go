package calls

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// TestAJoinerThatHasToAsk has those who waited for a leader that was given up not begin before their host lets
// them in: the first of them waits there as who asks, and the others for it.
func TestAJoinerThatHasToAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := newCalls(t, func(s *Settings) { s.MaxPerHost = 1 })
		defer calls.Close()
		s, none := &oracle{t: t}, func() {}
		s.reply = func(_ context.Context, key string, _ int, _ *string) (Reply[string], error) { return reply(key), nil }
		busy := calls.Admit(s.question("busy", new(string)), 1)
		if _, ok := busy.Enter(none); !ok {
			t.Fatal("it was not let in")
		}
		leader := calls.Admit(s.question("k", new(string)), 1)
		if _, ok := leader.Enter(none); ok {
			t.Fatal("it was let in where there is no place")
		}
		var got [3]string
		var all []pipeline.Call
		for i := range got {
			j := calls.Admit(s.question("k", &got[i]), 1)
			j.Enter(none)
			if j.(pipeline.Joiner).Joins() {
				t.Error("it says that no limit holds it back, and its leader waits for a place")
			}
			all = append(all, j)
		}
		host, old := leader.Gate(), all[0].Gate()
		leader.Leave(pipeline.CallResult{})
		for i, j := range all {
			wait, ok := j.Enter(none)
			if ok || wait != 0 || (j.Gate() == host) != (i == 0) || j.Gate() == old {
				t.Errorf("joiner %d: let in %v, at the gate of its host %v, at the old one %v", i, ok, j.Gate() == host, j.Gate() == old)
			}
			j.Enter(none)
		}
		if w := all[0].Waits(); w != "a place at api.example" {
			t.Errorf("it waits for %q", w)
		}
		busy.Leave(pipeline.CallResult{Begun: true, Err: busy.Do(t.Context(), nil)})
		for i, j := range all {
			if _, ok := j.Enter(none); !ok {
				t.Fatalf("joiner %d was not let in", i)
			}
			if i == 0 {
				all[1].Enter(none)
				if !all[1].(pipeline.Joiner).Joins() {
					t.Error("an equal call is under way, and it says that it is a limit")
				}
			}
			if !j.Leave(pipeline.CallResult{Begun: true, Err: j.Do(t.Context(), nil)}) || got[i] != answerOf("k") {
				t.Errorf("joiner %d has %q", i, got[i])
			}
		}
		if n := s.count("k"); n != 1 || len(calls.flights) != 0 || calls.Report().CallsJoined != 2 {
			t.Errorf("asked %d times, %d flights are left, %d joined", n, len(calls.flights), calls.Report().CallsJoined)
		}
	})
}

// TestWhoWaitsIsToldThatTheCallIsUnderWay wakes those who came before it was, and nobody twice.
func TestWhoWaitsIsToldThatTheCallIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := newCalls(t, nil)
		defer calls.Close()
		s := &oracle{t: t}
		leader, j := calls.Admit(s.question("k", new(string)), 1), calls.Admit(s.question("k", new(string)), 1)
		woken := 0
		wake := func() { woken++ }
		j.Enter(wake)
		leader.Enter(nil)
		if j.Enter(wake); woken != 1 || !j.(pipeline.Joiner).Joins() {
			t.Errorf("woken %d times, joins %v", woken, j.(pipeline.Joiner).Joins())
		}
		leader.Leave(pipeline.CallResult{})
		if woken != 2 {
			t.Errorf("woken %d times", woken)
		}
		j.Leave(pipeline.CallResult{})
	})
}

// TestWhoYieldsKeepsNothing has one that waits for a rate give up its turn there: another has it.
func TestWhoYieldsKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared(map[string]RateSettings{"api": {Rate: settings.Rate{N: 1, Per: time.Hour}, Burst: 1, Per: "host"}})
		set := Defaults()
		set.Limit = []string{"api"}
		calls, err := New[string](Env{Shared: shared, Settings: set, Workers: 4})
		if err != nil {
			t.Fatal(err)
		}
		defer calls.Close()
		s := &oracle{t: t}
		var all [3]pipeline.Call
		for i := range all {
			all[i] = calls.Admit(s.question(fmt.Sprint("k", i), new(string)), 1)
		}
		if _, ok := all[2].Enter(func() {}); !ok {
			t.Fatal("it was not let in")
		}
		if wait, ok := all[1].Enter(func() {}); ok || wait > time.Hour+time.Second {
			t.Fatalf("let in %v, waits %v", ok, wait)
		}
		time.Sleep(time.Hour - time.Second)
		all[1].(pipeline.Yielder).Yield()
		if wait, ok := all[0].Enter(func() {}); ok || wait > 2*time.Second {
			t.Errorf("let in %v, waits %v", ok, wait)
		}
		for _, c := range all {
			c.Leave(pipeline.CallResult{})
		}
	})
}
