package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
)

// TestPipelinesEndOnTheirOwn: what the exit code, the last line and pipeline.stopped say of
// every mix of ends.
func TestPipelinesEndOnTheirOwn(t *testing.T) {
	broken := errors.New("writing: the disk is full")
	noBroker := fmt.Errorf("opening: %w", &pipeline.EnvironmentError{Err: errors.New("no broker")})
	spent := &engine.AbandonedError{Abandoned: 2}
	ends := func(after time.Duration, err error) *fakeRunner { return &fakeRunner{after: after, err: err} }
	tests := map[string]struct {
		fakes      []*fakeRunner
		term       time.Duration // when SIGTERM comes; 0: never
		secondTerm time.Duration // when another one comes
		code       int
		reason     string
		failed     string
		reasons    string // of pipeline.stopped, in order
		took       time.Duration
	}{
		"one fails, the others end well": {
			fakes: []*fakeRunner{ends(time.Second, nil), ends(2*time.Second, broken), ends(time.Hour, nil)},
			code:  exitFailed, reason: "failed", failed: "p1", reasons: "p0 completed, p1 failed, p2 completed", took: time.Hour},
		"its environment fails one": {
			fakes: []*fakeRunner{ends(time.Second, noBroker), ends(time.Hour, nil)},
			code:  exitFailed, reason: "failed", failed: "p0", reasons: "p0 environment, p1 completed", took: time.Hour},
		"all fail: the code of the first": {
			fakes: []*fakeRunner{ends(2*time.Second, broken), ends(time.Second, noBroker)},
			code:  exitEnvironment, reason: "environment", failed: "p0,p1", reasons: "p1 environment, p0 failed", took: 2 * time.Second},
		"all fail, the other way round": {
			fakes: []*fakeRunner{ends(time.Second, broken), ends(2*time.Second, noBroker)},
			code:  exitFailed, reason: "failed", failed: "p0,p1", reasons: "p0 failed, p1 environment", took: 2 * time.Second},
		"one fails, then SIGTERM": {
			fakes: []*fakeRunner{ends(time.Second, broken), {drains: 3 * time.Second}}, term: time.Minute,
			code: exitFailed, reason: "failed", failed: "p0", reasons: "p0 failed, p1 stopping", took: time.Minute + 3*time.Second},
		"one fails while it drains": {
			fakes: []*fakeRunner{{drains: time.Second, drained: broken}, {drains: 3 * time.Second}}, term: time.Minute,
			code: exitFailed, reason: "failed", failed: "p0", reasons: "p0 failed, p1 stopping", took: time.Minute + 3*time.Second},
		"the drain budget runs out in one": {
			fakes: []*fakeRunner{{drains: 25 * time.Second, drained: spent}, {drains: time.Second}}, term: time.Minute,
			code: exitAbandoned, reason: "drain_timeout", reasons: "p1 stopping, p0 drain_timeout", took: time.Minute + 25*time.Second},
		"one fails, and the drain budget runs out in another": {
			fakes: []*fakeRunner{ends(time.Second, broken), {drains: 25 * time.Second, drained: spent}, {drains: time.Second}}, term: time.Minute,
			code: exitFailed, reason: "failed", failed: "p0", reasons: "p0 failed, p2 stopping, p1 drain_timeout", took: time.Minute + 25*time.Second},
		"one fails, the rest is forced": {
			fakes: []*fakeRunner{ends(time.Second, broken), {drains: time.Hour}}, term: time.Minute, secondTerm: time.Minute + 10*time.Second,
			code: exitTerminate, reason: "forced", failed: "p0", reasons: "p0 failed, p1 forced", took: time.Minute + 10*time.Second},
		"one fails, another hangs": {
			fakes: []*fakeRunner{ends(time.Second, broken), {drains: 24 * time.Hour, hangs: true}}, term: time.Minute,
			code: exitFailed, reason: "failed", failed: "p0", reasons: "p0 failed, p1 drain_timeout", took: time.Minute + 25*time.Second + abortAfter + forceAfter},
		"a single one says all in the last line": {
			fakes: []*fakeRunner{ends(time.Second, noBroker)},
			code:  exitEnvironment, reason: "environment", failed: "p0", took: time.Second},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, f := range c.fakes {
					newFake(f)
				}
				from := time.Now()
				s := supervise(c.fakes...)
				for _, at := range []time.Duration{c.term, c.secondTerm} {
					if at > 0 {
						time.Sleep(at - time.Since(from))
						s.signals <- syscall.SIGTERM
					}
				}
				code, _ := s.end()
				if took := time.Since(from); code != c.code || took != c.took {
					t.Errorf("exit code %d after %v, want %d after %v", code, took, c.code, c.took)
				}
				last := s.last(t)
				if last["reason"] != c.reason || fmt.Sprint(last["failed_pipelines"]) != orNil(c.failed) {
					t.Errorf("the last line: %v", last)
				}
				var reasons []string
				for _, l := range s.log.lines(t) {
					if l["event_name"] == "pipeline.stopped" {
						reasons = append(reasons, fmt.Sprint(l["pipeline"], " ", l["reason"]))
					}
				}
				if got := strings.Join(reasons, ", "); got != c.reasons {
					t.Errorf("got  %s\nwant %s", got, c.reasons)
				}
				time.Sleep(48 * time.Hour) // for the one that hangs
			})
		})
	}
}

func orNil(s string) string {
	if s == "" {
		return "<nil>"
	}
	return s
}

// TestAFailureIsSeenWhileTheOthersRun: the process is not ready any more, and says why.
func TestAFailureIsSeenWhileTheOthersRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := supervise(newFake(&fakeRunner{}), newFake(&fakeRunner{after: time.Minute, err: errors.New("writing: the disk is full")}))
		time.Sleep(2 * time.Minute)
		want := "process.ready log(p1.yaml:3:5: writing: the disk is full) pipeline.stopped process.unready"
		if got := s.log.events(t); got != want || s.last(t)["reason"] != "failed" {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if err := s.readiness(); err == nil || err.Error() != "pipeline p1 has failed: writing: the disk is full" {
			t.Errorf("/readyz: %v", err)
		}
		s.signals <- os.Interrupt
		if code, _ := s.end(); code != exitFailed {
			t.Errorf("exit code %d", code)
		}
	})
}

// TestTheFirstFailureSaysTheCode: with --fail-fast what fails in the drain behind it is no
// cause.
func TestTheFirstFailureSaysTheCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		noBroker := fmt.Errorf("opening: %w", &pipeline.EnvironmentError{Err: errors.New("no broker")})
		s := superviseAs(func(p *process) { p.failFast = true },
			newFake(&fakeRunner{drains: time.Second, drained: errors.New("writing: the disk is full")}),
			newFake(&fakeRunner{after: time.Minute, err: noBroker}))
		code, _ := s.end()
		last := s.last(t)
		if code != exitEnvironment || last["error_message"] != noBroker.Error() || last["failed_pipelines"] != "p0,p1" {
			t.Errorf("exit code %d, %v", code, last)
		}
	})
}
