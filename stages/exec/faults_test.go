//go:build unix

package execstage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

func record(offset int64, value string) *pipeline.Record {
	rec := new(pipeline.Record)
	rec.Init(pipeline.Position{Topic: "t", Offset: offset}, nil, []byte(value), nil, pipeline.NoTime)
	return rec
}

// tried makes one attempt at a value, within a time.
func tried(t testing.TB, st *Stage, value string, within time.Duration) (*pipeline.Record, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	rec := record(1, value)
	return rec, st.Process(ctx, rec)
}

const long = time.Minute // never the cause of a failure by itself

// good makes sure that the next record is answered, and gives the number of the process.
func good(t testing.TB, st *Stage) (pid int) {
	t.Helper()
	rec, err := tried(t, st, `{"n":42}`, long)
	if err != nil {
		t.Fatalf("the next record: %v", err)
	}
	var v struct{ Got struct{ N, Pid int } }
	if err := json.Unmarshal(rec.Value(), &v); err != nil || v.Got.N != 42 {
		t.Fatalf("the next record has become %s, %v", rec.Value(), err)
	}
	return v.Got.Pid
}

func typeOf(err error) string {
	typ, _ := event.TypeOf(err)
	return typ
}

func detailOf(err error) string {
	var d pipeline.Detailer
	if !errors.As(err, &d) {
		return ""
	}
	return d.Detail()
}

// Whatever a process does with a record costs that record an attempt, and nothing else: the next is answered
// by another process.
func TestFaults(t *testing.T) {
	tests := map[string]struct {
		within time.Duration
		typ    string
		text   string
		detail string
	}{
		"exit":          {long, "child_died", "it has ended: exit status 3", "canary-8: no way out"},
		"done":          {long, "child_died", "it has ended: exit status 0", ""},
		"kill":          {long, "child_died", "it has ended: signal: killed", ""},
		"panic":         {long, "child_died", "it has ended: exit status 2", "panic: oh"},
		"junk":          {long, "bad_answer", "no JSON object", "canary-9"},
		"no id":         {long, "bad_answer", "without an id", ""},
		"no word":       {long, "bad_answer", "none of value", ""},
		"unknown id":    {long, "bad_answer", "an id that it was not asked about", ""},
		"endless line":  {long, "bad_answer", "longer than max_line, 64KiB", ""},
		"close input":   {200 * time.Millisecond, "timeout", "no answer within the timeout", ""}, // which nobody notices before the next line
		"close output":  {long, "child_died", "it has closed its output", ""},
		"hang":          {200 * time.Millisecond, "timeout", "no answer within the timeout", ""},
		"loop":          {200 * time.Millisecond, "timeout", "no answer within the timeout", ""},
		"hang for good": {200 * time.Millisecond, "timeout", "no answer within the timeout", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := testSettings(t, "protocol")
			s.MaxLine, s.StopTimeout = 64<<10, 50*time.Millisecond
			st := testStage(t, s)
			defer st.Close()
			before := good(t, st)
			rec, err := tried(t, st, fmt.Sprintf(`{"do":%q,"secret":"canary-1"}`, name), tt.within)
			switch _, permanent := pipeline.IsPermanent(err); {
			case err == nil, permanent, pipeline.IsFatal(err):
				t.Fatalf("%s: %v", rec.Value(), err)
			case typeOf(err) != tt.typ || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "canary"):
				t.Errorf("%s: %v", typeOf(err), err)
			case !strings.Contains(detailOf(err), tt.detail):
				t.Errorf("the detail is %q, want %q in it", detailOf(err), tt.detail)
			case len(detailOf(err)) > 1<<10:
				t.Errorf("a detail of %d bytes", len(detailOf(err)))
			}
			if after := good(t, st); after == before {
				t.Error("the same process answers the next record")
			}
		})
	}
}

// What a process says of a record is no fault of its own.
func TestVerdicts(t *testing.T) {
	s := testSettings(t, "protocol")
	st := testStage(t, s)
	defer st.Close()
	pid := good(t, st)
	for do, want := range map[string]struct{ value, reason, typ, detail string }{
		"double": {value: `{"n":4,"do":"double","got":8}`},
		"text":   {value: `{"n":4,"do":"text","got":"so be it"}`},
		"reject": {reason: ReasonRejected, typ: "child_rejected", detail: "of no use: canary-7"},
		"retry":  {typ: "child_retry", detail: "not now"},
	} {
		rec, err := tried(t, st, fmt.Sprintf(`{"n":4,"do":%q}`, do), long)
		reason, _ := pipeline.IsPermanent(err)
		if (err == nil) != (want.value != "") || reason != want.reason || typeOf(err) != want.typ || detailOf(err) != want.detail {
			t.Errorf("%s: %v, reason %q, type %q, detail %q", do, err, reason, typeOf(err), detailOf(err))
		}
		if err == nil && string(rec.Value()) != want.value {
			t.Errorf("%s: %s", do, rec.Value())
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", do, err)
		}
	}
	if _, err := tried(t, st, `{"do":"filter"}`, long); !errors.Is(err, pipeline.Filtered) {
		t.Errorf("filter: %v", err)
	}
	if again := good(t, st); again != pid {
		t.Error("another process answers")
	}
}

// A flood of standard error takes no memory, and costs no record anything.
func TestFlood(t *testing.T) {
	st := testStage(t, testSettings(t, "protocol"))
	defer st.Close()
	pid := good(t, st)
	if _, err := tried(t, st, `{"do":"flood"}`, long); err != nil {
		t.Error(err)
	}
	if again := good(t, st); again != pid {
		t.Error("another process answers")
	}
}

// A line that nobody has asked for ends the process. If it has another record by then, that one is tried again:
// whose line it was is not known.
func TestLineOfNoRecord(t *testing.T) {
	st := testStage(t, testSettings(t, "protocol"))
	defer st.Close()
	pid := good(t, st)
	if rec, err := tried(t, st, `{"do":"twice"}`, long); err != nil || !strings.Contains(string(rec.Value()), `"got":1`) {
		t.Errorf("%s, %v", rec.Value(), err)
	}
	if _, err := tried(t, st, `{}`, long); err != nil && typeOf(err) != "bad_answer" {
		t.Error(err)
	}
	until(t, "another process answers", func() bool { return good(t, st) != pid })
}

// A process that ends while it has no record costs none an attempt.
func TestIdleEnd(t *testing.T) {
	st := testStage(t, testSettings(t, "protocol"))
	defer st.Close()
	for range 20 {
		proc := st.pool.only(t)
		proc.kill()
		<-proc.ended()
		good(t, st)
	}
}

// only gives the process of a pool that has one, which answers.
func (p *pool) only(t *testing.T) (proc process) {
	until(t, "there is a process", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.children) == 1 {
			proc = p.children[0].proc
			return true
		}
		p.startMissing()
		return false
	})
	return proc
}

// A process that answers without having read costs the record no more than its time.
func TestAnswersUnread(t *testing.T) {
	s := testSettings(t, "")
	s.Command, s.As = []string{"sh", "-c", "while :; do echo 1; sleep 0.01; done"}, "value"
	s.StopTimeout = 50 * time.Millisecond
	st := testStage(t, s)
	defer st.Close()
	large := `{"x":"` + strings.Repeat("x", 1<<16) + `"}` // nobody reads it, so the pipe is full
	for range 10 {
		// It returns: that it had to wait for another process is well.
		if _, err := tried(t, st, large, 2*time.Second); err != nil && typeOf(err) == "" && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
}

// Many records, among them some that do the worst, of which each comes to what is its own.
func TestManyRecords(t *testing.T) {
	for _, inFlight := range []int{1, 5} {
		t.Run(fmt.Sprint(inFlight), func(t *testing.T) {
			t.Parallel()
			s := testSettings(t, "protocol")
			s.Processes, s.InFlight, s.StopTimeout = 3, inFlight, 50*time.Millisecond
			st := testStage(t, s)
			defer st.Close()
			faults := []string{"exit", "kill", "junk", "unknown id", "hang", "no word"}
			type outcome struct {
				n        int
				do       string
				value    string
				attempts int
				err      error
			}
			results := make(chan outcome)
			const n = 300
			next := make(chan int)
			for range s.Slots() * 2 {
				go func() {
					for i := range next {
						o := outcome{n: i}
						if i%30 == 29 {
							o.do = faults[i/30%len(faults)]
						}
						for o.attempts = 1; o.attempts <= 3; o.attempts++ {
							rec := record(int64(i), fmt.Sprintf(`{"n":%d,"do":%q}`, i, o.do))
							within := long
							if inFlight > 1 { // the child works on one after another: those behind one that hangs are late too
								within = 2 * time.Second
							}
							if o.do == "hang" {
								within = 200 * time.Millisecond
							}
							ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), within)
							o.err = attempt(ctx, st, rec, o.attempts)
							cancel()
							if o.value = string(rec.Value()); o.err == nil {
								break
							}
						}
						results <- o
					}
				}()
			}
			go func() {
				defer close(next)
				for i := range n {
					next <- i
				}
			}()
			for range n {
				o := <-results
				if o.do == "" && (o.err != nil || !strings.Contains(o.value, fmt.Sprintf(`"got":{"n":%d,`, o.n))) {
					t.Errorf("record %d has become %s in %d attempts: %v", o.n, o.value, o.attempts, o.err)
				}
				if o.do == "" && inFlight == 1 && o.attempts > 1 {
					t.Errorf("record %d has paid for another: %d attempts", o.n, o.attempts)
				}
				if o.do != "" && (o.err == nil || strings.Contains(o.value, "got")) {
					t.Errorf("record %d (%s) has become %s: %v", o.n, o.do, o.value, o.err)
				}
			}
		})
	}
}

// A line that is a value is UTF-8 too: what comes behind the step takes it for JSON.
func TestValueOfNoCharacters(t *testing.T) {
	s := testSettings(t, "")
	s.Command, s.As = []string{"sh", "-c", `while read -r line; do printf '"\377\376"\n'; done`}, asValue
	st := testStage(t, s)
	defer st.Close()
	if rec, err := tried(t, st, `{"n":1}`, long); typeOf(err) != "bad_answer" || !strings.Contains(err.Error(), "no UTF-8") {
		t.Errorf("%q, %v", rec.Value(), err)
	}
}
