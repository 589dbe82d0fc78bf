package script

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// wild is a script that does what a record asks for.
const wild = `
def process(record):
    do = record.get("do")
    if do == "loop":
        while True:
            pass
    if do == "gigabyte":
        return "a" * (1 << 30)
    if do == "double":
        s = [0]
        while True:
            s += s
    if do == "recurse":
        return process(record)
    if do == "tree":
        t = ["a"]
        for i in range(100):
            t = [t, t]
        return str(t)
    record["sum"] = record["n"] + len(record["text"])
`

func run(t *testing.T, o engine.Options, s *Stage, w engine.Wait) (*engine.Pipeline, *pipelinetest.Memory, *pipelinetest.Memory) {
	t.Helper()
	out, dead := new(pipelinetest.Memory), new(pipelinetest.Memory)
	o.Name, o.Sinks, o.DeadLetter.Sink = "wild", []engine.Output{{Name: "out", Sink: out}}, dead
	o.Steps = []engine.Step{{Name: "script", Stage: s, Workers: 2, Wait: &w}}
	p, err := engine.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p, out, dead
}

// TestWildRecords: records at which the script does what it must not are rejected, and nothing happens to any other.
func TestWildRecords(t *testing.T) {
	wilds := []string{"loop", "gigabyte", "double", "recurse", "tree"}
	lanes, want, bad := make([][]string, 3), make([][]string, 3), 0
	for l := range lanes {
		for n := range 1500 {
			in := fmt.Sprintf(`{"lane":%d,"n":%d,"text":"0123456789"}`, l, n)
			if n%100 == 50 {
				in = fmt.Sprintf(`{"lane":%d,"n":%d,"do":%q}`, l, n, wilds[n/100%len(wilds)])
				bad++
			} else {
				want[l] = append(want[l], fmt.Sprintf(`{"lane":%d,"n":%d,"text":"0123456789","sum":%d}`, l, n, n+10))
			}
			lanes[l] = append(lanes[l], in)
		}
	}
	s := stage(t, wild, func(s *Settings) { s.Steps, s.Memory = 50_000, 1<<20 })
	p, out, dead := run(t, engine.Options{Source: pipelinetest.NewLanes(lanes...)}, s, engine.Wait{Retry: engine.Retry{Attempts: 1}})
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := make([][]string, len(lanes))
	for _, v := range out.Values() {
		l := gjson.GetBytes(v, "lane").Int()
		got[l] = append(got[l], string(v))
	}
	for l := range lanes {
		if strings.Join(got[l], "\n") != strings.Join(want[l], "\n") {
			t.Errorf("lane %d has other records, or in another order: %d of %d", l, len(got[l]), len(want[l]))
		}
	}
	reasons := map[string]int{}
	for _, rec := range dead.Records() {
		for _, h := range rec.Headers() {
			if h.Name == "penstock-reason" {
				reasons[string(h.Value)]++
			}
		}
	}
	// loop and tree end by steps or memory, whichever comes first; recurse is an error of the language.
	if n := len(dead.Records()); n != bad || reasons[ReasonSteps]+reasons[ReasonMemory] != bad-reasons[ReasonFailed] || reasons[ReasonFailed] != bad/len(wilds) {
		t.Errorf("%d letters of %d: %v", n, bad, reasons)
	}
}

// TestALongScriptHoldsItsLaneAlone: while the script is at work on one record for as long as it likes, other lanes go on.
func TestALongScriptHoldsItsLaneAlone(t *testing.T) {
	const good = 5000
	long := []string{`{"do":"loop"}`}
	var others []string
	for n := range good {
		long = append(long, fmt.Sprintf(`{"n":%d,"text":"behind it"}`, n))
		others = append(others, fmt.Sprintf(`{"n":%d,"text":"other"}`, n))
	}
	s := stage(t, wild, func(s *Settings) { s.Steps = 1 << 36 })
	o := engine.Options{Source: pipelinetest.NewLanes(long, others), Drain: time.Millisecond}
	p, out, dead := run(t, o, s, engine.Wait{Timeout: time.Hour, Deadline: time.Hour, Window: 128})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.Run(ctx) }()
	for deadline := time.Now().Add(time.Minute); len(out.Records()) < good; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d records of the other lane came through", len(out.Records()), good)
		}
	}
	cancel()
	var abandoned *engine.AbandonedError
	if err := <-ended; !errors.As(err, &abandoned) {
		t.Errorf("the record at work was not abandoned: %v", err)
	}
	if len(out.Records()) != good || len(dead.Records()) != 0 {
		t.Errorf("%d records came out, and %d letters", len(out.Records()), len(dead.Records()))
	}
}

// TestMemoryInUseIsTold: what scripts hold counts in the budget while they run, and is given back.
func TestMemoryInUseIsTold(t *testing.T) {
	for _, end := range []string{"return None", "filter()", "reject('x')", "while True: pass", "return [0] * 100000000"} {
		var most, now int64
		s := stage(t, "def process(record):\n  s = 'a' * 3000000\n  "+end)
		s.Account(func(n int64) {
			now += n
			most = max(most, now)
		})
		rec := value(`{}`)
		_ = s.Process(t.Context(), rec)
		if now != 0 || most < 3_000_000 || most > 4_000_000 {
			t.Errorf("%s: %d bytes were told at the most, and %d are left", end, most, now)
		}
	}
}
