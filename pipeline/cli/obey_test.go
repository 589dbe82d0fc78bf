//go:build unix

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A steeredRunner is a fake that notes how it is steered.
type steeredRunner struct {
	*fakeRunner
	mu   sync.Mutex
	told []string
}

func (s *steeredRunner) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, fmt.Sprintf(format, args...))
}

func (s *steeredRunner) taken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := strings.Join(s.told, ", ")
	s.told = nil
	return all
}

func (s *steeredRunner) Pause()  { s.note("pause") }
func (s *steeredRunner) Resume() { s.note("resume") }

func (s *steeredRunner) PauseLane(lane string) error {
	s.note("pause %s", lane)
	return laneError(lane)
}
func (s *steeredRunner) ResumeLane(lane string) error {
	s.note("resume %s", lane)
	return laneError(lane)
}

func laneError(lane string) error {
	if lane != "t/3" {
		return fmt.Errorf("lane %q: %w", lane, engine.ErrNoLane)
	}
	return nil
}

func (s *steeredRunner) SetWorkers(step string, n int) error {
	s.note("%s %d workers", step, n)
	switch {
	case step != "weather":
		return fmt.Errorf("step %q: %w", step, engine.ErrNoStep)
	case n > 64:
		return errors.New("the window has 64 places")
	}
	return nil
}

func (s *steeredRunner) Skip(key []byte) error {
	s.note("skip %x", key)
	if len(key) == 0 {
		return errors.New("the key is empty")
	}
	return nil
}
func (s *steeredRunner) Unskip(key []byte)                 { s.note("unskip %x", key) }
func (s *steeredRunner) UnskipRecord(at pipeline.Position) { s.note("unskip %v", at) }
func (s *steeredRunner) SkipRecord(at pipeline.Position) error {
	s.note("skip %v", at)
	return laneError(fmt.Sprintf("%s/%d", at.Topic, at.Partition))
}

// steer runs a process of steered runners, which has a rate.
func steer(runners ...*steeredRunner) (*supervised, func(admin.Command) string) {
	return steerAll(runners...)
}

func steerAll[R engine.Runner](runners ...R) (*supervised, func(admin.Command) string) {
	s := superviseAs(func(p *process) {
		p.commands.rates = calls.NewShared(map[string]calls.RateSettings{"api": {Rate: settings.Rate{N: 100, Per: time.Second}, Burst: 10, Per: "process"}})
	}, runners...)
	synctest.Wait()
	return s, func(c admin.Command) string {
		c.By, c.From = "ada", "uid 7"
		done, err := steered{s.process}.Do(context.Background(), c)
		var refused *admin.RefusedError
		switch {
		case errors.As(err, &refused):
			return fmt.Sprintf("%d %v", refused.Status, err)
		case err != nil:
			return fmt.Sprintf("failed: %v", err)
		}
		return strings.TrimSpace(done.Was + " > " + done.Is)
	}
}

func newSteered(f *fakeRunner) *steeredRunner {
	f = newFake(f)
	f.state.Steps = []engine.StepSnapshot{{Name: "filter"}, {Name: "weather", Workers: 8}}
	f.state.Source.Partitions = []pipeline.PartitionReport{{Topic: "t", Partition: 3}}
	return &steeredRunner{fakeRunner: f}
}

// TestEachCommandDoesWhatItSays: the pipeline that is named is steered and no other, what there is not is 404 with the names that there are, what does not fit is 422, and
// each is an event with who has asked.
func TestEachCommandDoesWhatItSays(t *testing.T) {
	at := &pipeline.Position{Topic: "t", Partition: 3, Offset: 9}
	for _, tt := range []struct {
		c            admin.Command
		said, steers string
		event        string // some of its members
	}{
		{admin.Command{Verb: "pause"}, "running > paused", "pause", `"is":"paused"`},
		{admin.Command{Verb: "resume"}, "running > running", "resume", `"is":"running"`},
		{admin.Command{Verb: "pause", Lane: "t/3"}, "running > paused", "pause t/3", `"lane":"t/3"`},
		{admin.Command{Verb: "resume", Lane: "t/3"}, "running > running", "resume t/3", `"lane":"t/3"`},
		{admin.Command{Verb: "pause", Lane: "t/4"}, `404 there is no lane "t/4" in the pipeline p1: there is t/3`, "pause t/4", `"outcome":"refused"`},
		{admin.Command{Verb: "workers", Step: "weather", Workers: 32}, "8 > 32", "weather 32 workers", `"step":"weather"`},
		{admin.Command{Verb: "workers", Step: "wether", Workers: 32}, `404 there is no step "wether" in the pipeline p1: there is filter, weather`, "wether 32 workers", `"outcome":"refused"`},
		{admin.Command{Verb: "workers", Step: "weather", Workers: 65}, "422 the window has 64 places", "weather 65 workers", `"error_message":"the window has 64 places"`},
		{admin.Command{Verb: "skip", Key: []byte("canary")}, "> skipped", "skip 63616e617279", `"key_hash":"` + engine.KeyHash([]byte("canary")) + `"`},
		{admin.Command{Verb: "unskip", Key: []byte("canary")}, "> not skipped", "unskip 63616e617279", `"key_hash":"` + engine.KeyHash([]byte("canary")) + `"`},
		{admin.Command{Verb: "skip", Key: []byte{}}, "422 the key is empty", "skip ", `"outcome":"refused"`},
		{admin.Command{Verb: "skip", Record: at}, "> skipped", "skip t/3@9", `"topic":"t","partition":3,"offset":9`},
		{admin.Command{Verb: "skip", Record: &pipeline.Position{Topic: "t", Partition: 4}}, "404 there is no lane of the record t/4@0 in the pipeline p1: there is t/3", "skip t/4@0", `"outcome":"refused"`},
		{admin.Command{Verb: "unskip", Record: at}, "> not skipped", "unskip t/3@9", `"offset":9`},
		{admin.Command{Verb: "rate", Rate: "api", Per: settings.Rate{N: 5, Per: time.Second}}, "100/s, burst 10 > 5/s, burst 10", "", `"limit":"api"`},
		{admin.Command{Verb: "rate", Rate: "api", Burst: 1}, "100/s, burst 10 > 100/s", "", `"is":"100/s"`},
		{admin.Command{Verb: "rate", Rate: "ap"}, `404 there is no rate "ap": there is api`, "", `"outcome":"refused"`},
		{admin.Command{Verb: "loglevel", Level: "loud"}, `422 there is no level "loud"`, "", `"outcome":"refused"`},
		{admin.Command{Verb: "pause", Pipeline: "p9"}, `404 there is no pipeline "p9" here: there is p0, p1`, "", `"outcome":"refused"`},
	} {
		synctest.Test(t, func(t *testing.T) {
			runners := []*steeredRunner{newSteered(&fakeRunner{}), newSteered(&fakeRunner{})}
			s, do := steer(runners...)
			if tt.c.Pipeline == "" && tt.c.Verb != "rate" && tt.c.Verb != "loglevel" {
				tt.c.Pipeline = "p1"
			}
			if said := do(tt.c); said != tt.said {
				t.Errorf("%+v: %s, want %s", tt.c, said, tt.said)
			}
			if got := runners[1].taken(); got != tt.steers || runners[0].taken() != "" {
				t.Errorf("%+v steers %s, want %s", tt.c, got, tt.steers)
			}
			s.signals <- syscall.SIGTERM
			s.end()
			s.log.lines(t)
			line := ""
			for l := range strings.Lines(s.log.b.String()) {
				if strings.Contains(l, `"event_name":"command.done"`) {
					line += l
				}
			}
			for _, want := range []string{tt.event, `"command":"` + string(tt.c.Verb) + `"`, `"asked_by":"ada","asked_from":"uid 7"`} {
				if !strings.Contains(line, want) {
					t.Errorf("%+v: no %s in %s", tt.c, want, line)
				}
			}
			if strings.Contains(s.log.b.String(), "canary") || strings.Count(line, "\n") != 1 || strings.Contains(line, `"pipeline":"p1"`) != (tt.c.Pipeline == "p1") {
				t.Errorf("%+v: %s", tt.c, line)
			}
		})
	}
}

// TestARedactedKeyHasNoHash: where dead letters take the key out, no event has a hash of it.
func TestARedactedKeyHasNoHash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, do := steer(newSteered(&fakeRunner{}))
		s.pipelines[0].hidesKeys.Store(true)
		if said := do(admin.Command{Verb: "skip", Pipeline: "p0", Key: []byte("canary")}); said != "> skipped" {
			t.Error(said)
		}
		s.signals <- syscall.SIGTERM
		s.end()
		if strings.Contains(s.log.b.String(), "key_hash") {
			t.Error(s.log.b.String())
		}
	})
}

// TestDrainOneOfTwo: a pipeline ends as by a signal and the process goes on; with the last one the process ends, with 0, and what
// the command has come to stands in front of the last line.
func TestDrainOneOfTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, do := steer(newSteered(&fakeRunner{drains: 3 * time.Second, drained: context.Canceled}), newSteered(&fakeRunner{drains: time.Second}))
		from := time.Now()
		first := make(chan string, 1)
		go func() { first <- do(admin.Command{Verb: "drain", Pipeline: "p0"}) }()
		time.Sleep(time.Second)
		if said := do(admin.Command{Verb: "drain", Pipeline: "p0"}); said != "409 the pipeline p0 is draining" {
			t.Error(said)
		}
		if said := do(admin.Command{Verb: "pause", Pipeline: "p0"}); said != "409 the pipeline p0 is draining: no record of it begins" {
			t.Error(said)
		}
		if said := do(admin.Command{Verb: "skip", Pipeline: "p0", Key: []byte("k")}); said != "> skipped" {
			t.Errorf("what a drain waits for: %s", said)
		}
		if said := <-first; said != "> stopped" || time.Since(from) != 3*time.Second {
			t.Errorf("%s after %v", said, time.Since(from))
		}
		for _, c := range []admin.Command{{Verb: "drain", Pipeline: "p0"}, {Verb: "pause", Pipeline: "p0"}} {
			if said := do(c); said != "409 the pipeline p0 has ended" {
				t.Errorf("%s: %s", c.Verb, said)
			}
		}
		if err := s.readiness(); err != nil || len(s.failed.all()) > 0 {
			t.Errorf("the other one: %v", err)
		}
		time.Sleep(time.Hour)
		if said := do(admin.Command{Verb: "drain", Pipeline: "p1"}); said != "> stopped" {
			t.Error(said)
		}
		if code, _ := s.end(); code != exitDone {
			t.Errorf("exit code %d", code)
		}
		if last := s.last(t); last["event_name"] != "process.stopped" || last["reason"] != "completed" {
			t.Errorf("last line: %v", last)
		}
		if got := s.log.events(t); strings.Count(got, "command.done") != 7 || !strings.HasSuffix(got, " process.stopped") {
			t.Errorf("events: %s", got)
		}
		for _, l := range s.log.lines(t) {
			if l["event_name"] == "pipeline.stopped" && l["reason"] != "stopping" {
				t.Errorf("%v", l)
			}
		}
	})
}

// TestADrainThatLeavesWork is none that has failed: its exit code is that of a signal. The command says so.
func TestADrainThatLeavesWork(t *testing.T) {
	for name, f := range map[string]*fakeRunner{
		"over its budget": {drains: 25 * time.Second, drained: &engine.AbandonedError{Abandoned: 2}},
		"hangs":           {drains: 24 * time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, do := steer(newSteered(f))
			if said := do(admin.Command{Verb: "drain", Pipeline: "p0"}); !strings.HasPrefix(said, "failed: draining p0: ") {
				t.Errorf("%s: %s", name, said)
			}
			if code, took := s.end(); code != exitAbandoned || took > time.Second {
				t.Errorf("%s: exit code %d after %v", name, code, took)
			}
			if last := s.last(t); last["reason"] != "drain_timeout" {
				t.Errorf("%s: %v", name, last)
			}
			for _, l := range s.log.lines(t) {
				if l["event_name"] == "process.stopping" && l["reason"] != "drain_timeout" {
					t.Errorf("%s: %v", name, l)
				}
			}
		})
	}
}

// TestADrainThatLeavesWorkEndsNoOther: with --fail-fast the first failure ends all, and a drain that leaves work is none.
func TestADrainThatLeavesWorkEndsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSteered(&fakeRunner{drains: time.Second, drained: &engine.AbandonedError{Abandoned: 2}})
		s, do := steer(r, newSteered(&fakeRunner{drains: time.Second}))
		s.failFast = true
		if said := do(admin.Command{Verb: "drain", Pipeline: "p0"}); !strings.HasPrefix(said, "failed: draining p0: ") {
			t.Error(said)
		}
		if said := do(admin.Command{Verb: "pause", Pipeline: "p1"}); said != "running > paused" && said != "> paused" {
			t.Errorf("the other one: %s", said)
		}
		if said := do(admin.Command{Verb: "drain", Pipeline: "p1"}); said != "> stopped" {
			t.Error(said)
		}
		if code, _ := s.end(); code != exitAbandoned {
			t.Errorf("exit code %d", code)
		}
		for _, l := range s.log.lines(t) {
			if l["event_name"] == "process.stopping" && l["reason"] != "drain_timeout" {
				t.Errorf("%v", l)
			}
		}
	})
}

// TestCommandsAtTheWrongTime: before the pipelines run, and from a signal on, nothing is taken; a command that is under way holds up the end for a second at
// most, and is not heard of behind the last line.
func TestCommandsAtTheWrongTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		early := &process{events: event.New(&logBuffer{}, event.Options{})}
		if _, err := (steered{early}).Do(context.Background(), admin.Command{Verb: "reload"}); err == nil || err.Error() != "the process is starting" {
			t.Error(err)
		}
		r := newSteered(&fakeRunner{drains: 3 * time.Second})
		s, do := steer(r)
		if said := do(admin.Command{Verb: "reload"}); !strings.HasPrefix(said, "501 ") {
			t.Error(said)
		}
		s.signals <- syscall.SIGTERM
		time.Sleep(time.Second)
		for _, verb := range []admin.Verb{"drain", "pause"} {
			if said := do(admin.Command{Verb: verb, Pipeline: "p0"}); said != "409 the process is stopping" {
				t.Errorf("%s: %s", verb, said)
			}
		}
		if code, _ := s.end(); code != exitDone {
			t.Errorf("exit code %d", code)
		}
		if said := do(admin.Command{Verb: "pause", Pipeline: "p0"}); said != "409 the process is stopping" || r.taken() != "" {
			t.Error(said)
		}
		if last := s.last(t); last["event_name"] != "process.stopped" {
			t.Errorf("behind the last line: %v", last)
		}
	})
}

// TestALevelHoldsForAWhile: then it is what it was; one that is set meanwhile stays, and two in a row end at what was before both.
func TestALevelHoldsForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, do := steer(newSteered(&fakeRunner{}))
		set := func(level string, hold time.Duration, want string) {
			t.Helper()
			if said := do(admin.Command{Verb: "loglevel", Level: level, For: hold}); said != want {
				t.Errorf("%s: %s, want %s", level, said, want)
			}
		}
		is := func(want string) {
			t.Helper()
			synctest.Wait()
			if got := s.events.Level().String(); got != want {
				t.Errorf("it is %s, want %s", got, want)
			}
		}
		set("warn", 0, "debug > warn")
		set("debug", time.Minute, "warn > debug")
		time.Sleep(30 * time.Second)
		set("error", time.Minute, "debug > error")
		time.Sleep(time.Minute - 1)
		is("error")
		time.Sleep(time.Nanosecond)
		is("warn")
		set("debug", time.Minute, "warn > debug")
		set("info", 0, "debug > info")
		time.Sleep(time.Hour)
		is("info")
		s.signals <- debugSignal // begins anew with each
		time.Sleep(time.Minute)
		s.signals <- debugSignal
		time.Sleep(debugFor - 1)
		is("debug")
		time.Sleep(time.Nanosecond)
		is("info")
		set("debug", time.Minute, "info > debug")
		s.signals <- syscall.SIGTERM
		s.end()
		time.Sleep(time.Hour)
		if last := s.last(t); last["event_name"] != "process.stopped" {
			t.Errorf("behind the last line: %v", last)
		}
		signals := 0
		for _, l := range s.log.lines(t) {
			if l["asked_from"] == "signal" && l["asked_by"] == "SIGUSR2" && l["for_ms"] == 600000.0 {
				signals++
			}
		}
		if signals != 2 {
			t.Errorf("%d events of the signal", signals)
		}
	})
}
