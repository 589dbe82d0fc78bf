package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
)

// logBuffer keeps log lines and checks each against the contract.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// lines gives the lines so far, each valid.
func (l *logBuffer) lines(t *testing.T) (all []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := event.ValidateAll(l.b.Bytes()); err != nil {
		t.Error(err)
	}
	for text := range bytes.Lines(l.b.Bytes()) {
		m := map[string]any{}
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// events gives the names of the events so far, and the messages of free lines.
func (l *logBuffer) events(t *testing.T) string {
	t.Helper()
	var names []string
	for _, m := range l.lines(t) {
		name := fmt.Sprint(m["event_name"])
		if name == event.Free {
			name = fmt.Sprintf("log(%v)", m["message"])
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// A fakeRunner is a pipeline that ends as its fields say.
type fakeRunner struct {
	neverStarted // nobody steers it

	after        time.Duration // until it ends by itself; 0: never
	err          error         // of that end
	drains       time.Duration // from the cancelled ctx to the end
	drained      error
	hangs        bool // Run does not even return after Abort
	slowSnapshot bool // its snapshot takes longer than anybody waits
	aborted      chan struct{}
	once         sync.Once

	mu    sync.Mutex
	state engine.Snapshot

	asked int // how many calls of Snapshot have not returned,
	most  int // and at most
}

func newFake(f *fakeRunner) *fakeRunner {
	f.aborted = make(chan struct{})
	f.state = engine.Snapshot{State: "running", Counts: engine.Counts{In: 10, Out: 7, Filtered: 1, InFlight: 2},
		Source: pipeline.Report{Connected: true}}
	return f
}

func (f *fakeRunner) Run(ctx context.Context) error {
	var end <-chan time.Time
	if f.after > 0 {
		end = time.After(f.after)
	}
	select {
	case <-end:
		return f.err
	case <-ctx.Done():
	}
	select {
	case <-time.After(f.drains):
		return f.drained
	case <-f.aborted:
	}
	if f.hangs {
		time.Sleep(24 * time.Hour)
	}
	return &engine.AbandonedError{Abandoned: 2, Forced: true}
}

func (f *fakeRunner) Abort() { f.once.Do(func() { close(f.aborted) }) }

func (f *fakeRunner) Snapshot() engine.Snapshot {
	f.mu.Lock()
	f.asked++
	f.most = max(f.most, f.asked)
	f.mu.Unlock()
	if f.slowSnapshot {
		time.Sleep(time.Minute)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked--
	return f.state
}

func (f *fakeRunner) connected(yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Source.Connected = yes
}

// finish has n more records finished.
func (f *fakeRunner) finish(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Out += n
}

func (f *fakeRunner) Why() []engine.Hold         { return nil }
func (f *fakeRunner) Latency() engine.RunLatency { return engine.RunLatency{} }
func (f *fakeRunner) InFlight() []engine.InFlight {
	var all []engine.InFlight
	for i := range mostDumped + 50 {
		all = append(all, engine.InFlight{Position: pipeline.Position{Topic: "flights", Offset: int64(i)}, Lane: "flights/0",
			Where: "weather", State: "running", Attempt: 1, Age: time.Duration(i) * time.Millisecond})
	}
	return all
}

// supervised is a process over fakes inside a bubble.
type supervised struct {
	*process
	log     logBuffer
	signals chan os.Signal
	code    chan int
}

func supervise(fakes ...*fakeRunner) *supervised { return superviseAs(func(*process) {}, fakes...) }

// superviseAs is supervise with settings of the process.
func superviseAs[R engine.Runner](set func(*process), fakes ...R) *supervised {
	s := &supervised{signals: make(chan os.Signal, 8), code: make(chan int, 1)}
	events := event.New(&s.log, event.Options{Instance: "test"})
	s.process = &process{events: events, drain: 25 * time.Second, signals: s.signals, started: time.Now()}
	set(s.process)
	for i, f := range fakes {
		name := fmt.Sprintf("p%d", i)
		s.pipelines = append(s.pipelines, &managedPipeline{name: name, runner: f, events: events.Pipeline(name), reports: true,
			locate: func(err error) string { return name + ".yaml:3:5: " + err.Error() }})
	}
	go func() { s.code <- s.run(context.Background()) }()
	return s
}

// end waits for the exit code, and says how long that took.
func (s *supervised) end() (int, time.Duration) {
	from := time.Now()
	return <-s.code, time.Since(from)
}

func (s *supervised) last(t *testing.T) map[string]any {
	all := s.log.lines(t)
	return all[len(all)-1]
}

func TestFiniteSourcesEndWithZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := supervise(newFake(&fakeRunner{after: time.Millisecond}), newFake(&fakeRunner{after: time.Second}))
		if code, took := s.end(); code != exitDone || took != time.Second {
			t.Errorf("exit code %d after %v", code, took)
		}
		if got := s.log.events(t); got != "pipeline.stopped process.ready pipeline.stopped process.stopping process.stopped" {
			t.Errorf("events: %s", got)
		}
		last := s.last(t)
		if last["reason"] != "completed" || last["records_in_total"] != 20.0 || last["uptime_ms"] != 1000.0 {
			t.Errorf("last line: %v", last)
		}
	})
}

// TestReadyIsSaidOfARunOfAnInstant: a run that ends before anybody looked was ready.
func TestReadyIsSaidOfARunOfAnInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := supervise(newFake(&fakeRunner{after: time.Millisecond}))
		s.end()
		if got := s.log.events(t); got != "process.ready process.stopping process.stopped" {
			t.Errorf("events: %s", got)
		}
	})
}

func TestASignalDrains(t *testing.T) {
	for sig, name := range map[os.Signal]string{syscall.SIGTERM: "SIGTERM", os.Interrupt: "SIGINT"} {
		synctest.Test(t, func(t *testing.T) {
			s := supervise(newFake(&fakeRunner{drains: 3 * time.Second}), newFake(&fakeRunner{drains: time.Second, drained: context.Canceled}))
			time.Sleep(time.Minute)
			s.signals <- sig
			code, took := s.end()
			if code != exitDone || took != 3*time.Second {
				t.Errorf("exit code %d after %v", code, took)
			}
			if last := s.last(t); last["reason"] != "signal" || last["drain_ms"] != 3000.0 {
				t.Errorf("last line: %v", last)
			}
			for _, l := range s.log.lines(t) {
				if l["event_name"] == "process.stopping" && (l["signal"] != name || l["inflight"] != 4.0 || l["drain_timeout_ms"] != 25000.0) {
					t.Errorf("stopping: %v", l)
				}
			}
		})
	}
}

func TestASecondSignalForces(t *testing.T) {
	for sig, want := range map[os.Signal]int{syscall.SIGTERM: exitTerminate, os.Interrupt: exitInterrupt} {
		synctest.Test(t, func(t *testing.T) {
			s := supervise(newFake(&fakeRunner{drains: time.Hour}), newFake(&fakeRunner{drains: time.Hour}))
			s.signals <- syscall.SIGTERM
			time.Sleep(time.Second)
			s.signals <- sig
			if code, took := s.end(); code != want || took != 0 {
				t.Errorf("exit code %d after %v, want %d", code, took, want)
			}
			if last := s.last(t); last["reason"] != "forced" {
				t.Errorf("last line: %v", last)
			}
		})
	}
}

// Two signals at once are one: the drain goes on. A third, later, forces the end.
func TestTwoSignalsAtOnceAreOne(t *testing.T) {
	for _, pause := range []time.Duration{0, sameSignal - 1} {
		synctest.Test(t, func(t *testing.T) {
			s := supervise(newFake(&fakeRunner{drains: 3 * time.Second}))
			s.signals <- syscall.SIGTERM
			time.Sleep(pause)
			s.signals <- os.Interrupt
			if code, took := s.end(); code != exitDone || took != 3*time.Second-pause {
				t.Errorf("exit code %d after %v", code, took)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // although the first takes a second to handle
		s := supervise(newFake(&fakeRunner{drains: 3 * time.Second, slowSnapshot: true}))
		s.signals <- syscall.SIGTERM
		s.signals <- os.Interrupt
		if code, _ := s.end(); code != exitDone {
			t.Errorf("exit code %d", code)
		}
		time.Sleep(time.Hour)
	})
	synctest.Test(t, func(t *testing.T) {
		s := supervise(newFake(&fakeRunner{drains: time.Hour}))
		s.signals <- syscall.SIGTERM
		s.signals <- syscall.SIGTERM
		time.Sleep(sameSignal)
		s.signals <- syscall.SIGTERM
		if code, took := s.end(); code != exitTerminate || took != 0 {
			t.Errorf("exit code %d after %v", code, took)
		}
	})
}

// A hangingLog takes no line before its gate is closed.
type hangingLog struct{ gate chan struct{} }

func (d hangingLog) Write(p []byte) (int, error) { <-d.gate; return len(p), nil }

// TestALogThatHangsHoldsUpNothing: a process takes as long as with a log that is read,
// and the bound of closing it.
func TestALogThatHangsHoldsUpNothing(t *testing.T) {
	tests := []struct {
		fake    *fakeRunner
		signals int
		code    int
		took    time.Duration
	}{
		{&fakeRunner{after: time.Minute}, 0, exitDone, time.Minute},
		{&fakeRunner{after: time.Minute, err: errors.New("broken")}, 0, exitFailed, time.Minute},
		{&fakeRunner{drains: 3 * time.Second}, 1, exitDone, 3 * time.Second},
		{&fakeRunner{drains: time.Hour}, 2, exitTerminate, sameSignal},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			d := hangingLog{make(chan struct{})}
			signals, code := make(chan os.Signal, 8), 0
			from := time.Now()
			err := withLogQueue(d, func(log *event.Queue) error {
				events := event.New(log, event.Options{Instance: "test"})
				p := &process{events: events, log: log, drain: 25 * time.Second, signals: signals, started: time.Now()}
				p.pipelines = []*managedPipeline{{name: "p", runner: newFake(tt.fake), events: events, locate: error.Error}}
				go func() {
					for range tt.signals {
						signals <- syscall.SIGTERM
						time.Sleep(sameSignal)
					}
				}()
				code = p.run(context.Background())
				return endedWith(code)
			})
			if took := time.Since(from); code != tt.code || exitCode(err) != tt.code || took != tt.took+logPatience {
				t.Errorf("exit code %d, %v after %v; want %d after %v", code, err, took, tt.code, tt.took+logPatience)
			}
			close(d.gate)
		})
	}
}

// TestLoadingIsInterrupted: what dev loads ends with a signal, drained, and with the second
// at once.
func TestLoadingIsInterrupted(t *testing.T) {
	failed := errors.New("failed")
	tests := []struct {
		signals int
		takes   time.Duration // of the work, after its ctx has ended
		took    time.Duration
		stopped bool
		err     error
	}{
		{0, 0, time.Minute, false, failed},
		{1, time.Second, time.Second, true, nil},
		{1, 24 * time.Hour, loadDrain + abortAfter, true, nil},
		{2, 24 * time.Hour, 0, true, nil},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			signals := make(chan os.Signal, 8)
			signals <- syscall.SIGHUP
			for range tt.signals {
				signals <- syscall.SIGTERM
			}
			from := time.Now()
			stopped, err := interrupted(context.Background(), signals, false, loadDrain+abortAfter, func(ctx context.Context) error {
				select {
				case <-time.After(time.Minute):
				case <-ctx.Done():
					time.Sleep(tt.takes)
				}
				return failed
			})
			if took := time.Since(from); stopped != tt.stopped || !errors.Is(err, tt.err) || took != tt.took {
				t.Errorf("%+v: %v, %v after %v", tt, stopped, err, took)
			}
			time.Sleep(48 * time.Hour)
		})
	}
}

func TestASpentDrainBudgetIsFive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := supervise(newFake(&fakeRunner{drains: 25 * time.Second, drained: &engine.AbandonedError{Abandoned: 2}}))
		s.signals <- syscall.SIGTERM
		if code, _ := s.end(); code != exitAbandoned {
			t.Errorf("exit code %d", code)
		}
		if last := s.last(t); last["reason"] != "drain_timeout" {
			t.Errorf("last line: %v", last)
		}
	})
}

// TestTheProcessEndsAlthoughAPipelineHangs: even one that ignores Abort.
func TestTheProcessEndsAlthoughAPipelineHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := supervise(newFake(&fakeRunner{drains: 24 * time.Hour, hangs: true}))
		s.signals <- syscall.SIGTERM
		if code, took := s.end(); code != exitAbandoned || took != 25*time.Second+abortAfter+forceAfter {
			t.Errorf("exit code %d after %v", code, took)
		}
		time.Sleep(48 * time.Hour) // the bubble wants all goroutines to end
	})
	synctest.Test(t, func(t *testing.T) {
		s := supervise(newFake(&fakeRunner{drains: 24 * time.Hour, hangs: true}))
		s.signals <- syscall.SIGTERM
		time.Sleep(sameSignal)
		s.signals <- syscall.SIGTERM
		if code, took := s.end(); code != exitTerminate || took != forceAfter {
			t.Errorf("forced: exit code %d after %v", code, took)
		}
		time.Sleep(48 * time.Hour)
	})
}

// With --fail-fast.
func TestOneFailureStopsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := superviseAs(func(p *process) { p.failFast = true }, newFake(&fakeRunner{drains: time.Second}),
			newFake(&fakeRunner{after: time.Minute, err: errors.New("writing: the disk is full")}),
			newFake(&fakeRunner{drains: 2 * time.Second, drained: &engine.AbandonedError{Abandoned: 1}}))
		code, took := s.end()
		if code != exitFailed || took != time.Minute+2*time.Second {
			t.Errorf("exit code %d after %v", code, took)
		}
		want := "process.ready log(p1.yaml:3:5: writing: the disk is full) pipeline.stopped process.stopping pipeline.stopped " +
			"log(p2.yaml:3:5: abandoned 1 records in flight; they are uncommitted and will be read again) pipeline.stopped process.stopped"
		if got := s.log.events(t); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if last := s.last(t); last["reason"] != "failed" || last["error_message"] != "writing: the disk is full" || last["failed_pipelines"] != "p1" {
			t.Errorf("last line: %v", last)
		}
	})
}

func TestTheEnvironmentIsThree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := supervise(newFake(&fakeRunner{after: time.Second, err: fmt.Errorf("opening: %w", &pipeline.EnvironmentError{Err: errors.New("no broker")})}))
		if code, _ := s.end(); code != exitEnvironment {
			t.Errorf("exit code %d", code)
		}
	})
}

func rejectedOne() error { return &exitError{exitExpectation, errors.New("1 record was rejected")} }

func TestAnExpectationThatIsNotMetIsFour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := superviseAs(func(p *process) { p.expect = rejectedOne }, newFake(&fakeRunner{after: time.Second}))
		if code, _ := s.end(); code != exitExpectation {
			t.Errorf("exit code %d", code)
		}
		if last := s.last(t); last["reason"] != "expectation" {
			t.Errorf("last line: %v", last)
		}
	})
}

// TestWhatHangsIsNotAskedAgain: a component that does not say how it is has one goroutine wait for it, for each thing that the
// process looks at, and not one more each second.
func TestWhatHangsIsNotAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(&fakeRunner{slowSnapshot: true})
		s := superviseAs(func(p *process) { p.checkProgress = func() error { p.snapshots(); return nil } }, f)
		time.Sleep(time.Hour)
		f.mu.Lock()
		most := f.most
		f.mu.Unlock()
		if most != 2 {
			t.Errorf("%d calls at once, want one of readiness and one of progress", most)
		}
		if !s.process.ready.Load() {
			t.Error("what answers late is not heard")
		}
		s.signals <- syscall.SIGTERM
		if code, _ := s.end(); code != exitDone {
			t.Errorf("exit code %d", code)
		}
		time.Sleep(time.Minute) // what was asked last returns
	})
}

// TestReadiness: a source is to be connected once, and may be away for connectGrace from then on, as it is when a connection was cut.
func TestReadiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(&fakeRunner{})
		f.connected(false)
		s := supervise(f)
		time.Sleep(20 * time.Second)
		if got, err := s.log.events(t), s.readiness(); got != "" || err == nil || err.Error() != "not_connected" {
			t.Errorf("before it is connected: %s, %v", got, err)
		}
		for range 2 {
			f.connected(true)
			time.Sleep(10 * time.Second)
			f.connected(false)
			time.Sleep(20 * time.Second)
			if err := s.readiness(); err == nil || err.Error() != "not_connected" {
				t.Errorf("away for twenty seconds: %v", err)
			}
		}
		if got := s.log.events(t); got != "process.ready process.unready process.ready process.unready" {
			t.Errorf("got %s", got)
		}
		s.signals <- syscall.SIGTERM
		s.end()
	})
}

// TestACutConnectionIsNoReason: a source that comes back as soon as it tries again, however often, leaves the process ready, and alive.
func TestACutConnectionIsNoReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(&fakeRunner{})
		watch := admin.NewWatch(0)
		s := superviseAs(func(p *process) {
			p.checkProgress = func() error { return watch.Check(p.snapshots(), p.holdsOf) }
		}, f)
		time.Sleep(time.Second)
		for cut := range 100 {
			f.connected(false)
			for range 8 {
				time.Sleep(time.Second)
				if err := errors.Join(s.readiness(), s.checkProgress()); err != nil {
					t.Errorf("after cut %d: %v", cut, err)
				}
			}
			f.connected(true)
			f.finish(1)
			time.Sleep(2 * time.Second)
		}
		if got := s.log.events(t); got != "process.ready" {
			t.Errorf("got %s", got)
		}
		s.signals <- syscall.SIGTERM
		s.end()
	})
}

func TestMemoryLimit(t *testing.T) {
	for _, c := range []struct{ budget, cgroup, want int64 }{
		{256 << 20, 0, 296 << 20},
		{256 << 20, 8 << 30, 296 << 20},
		{256 << 20, 100_000_000, 90_000_000},
		{1<<63 - 1, 0, 1<<63 - 1},
	} {
		if got := memoryLimit(c.budget, c.cgroup); got != c.want {
			t.Errorf("budget %d, cgroup %d: %d, want %d", c.budget, c.cgroup, got, c.want)
		}
	}
}

func TestCgroupLimit(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"none":      {nil, 0},
		"version 2": {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "500\n"}, 500},
		"lowest":    {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "400\n", "sys/fs/cgroup/a/memory.max": "500\n"}, 400},
		"namespace": {map[string]string{"proc/self/cgroup": "0::/../x\n", "sys/fs/cgroup/memory.max": "300\n"}, 300},
		"version 1": {map[string]string{"proc/self/cgroup": "4:memory:/d\n3:cpu:/d\n", "sys/fs/cgroup/memory/d/memory.limit_in_bytes": "700\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 700},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range c.files {
				path := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got := cgroupLimit(root); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}
