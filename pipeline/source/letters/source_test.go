package letters

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/fixture"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
	"github.com/penstockio/penstock/pipeline/settings"
)

// letterLine is a dead letter of a record of partition 0, in a file.
func letterLine(offset int64, value string) string {
	rec := new(pipeline.Record)
	h := func(name, value string) pipeline.Header { return pipeline.Header{Name: name, Value: []byte(value)} }
	rec.Init(pipeline.Position{Topic: "flights", Offset: offset}, []byte("k"), []byte(value), []pipeline.Header{
		h(deadletter.Pipeline, "late"), h(deadletter.Step, "weather"), h(deadletter.Reason, "attempts"), h(deadletter.Attempts, "2"),
		h(deadletter.Topic, "flights"), h(deadletter.Partition, "0"), h(deadletter.Offset, fmt.Sprint(offset)),
	}, 5)
	return string(fixture.Append(nil, rec, ""))
}

func letterFile(t *testing.T, lines ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "dead.jsonl")
	if err := os.WriteFile(name, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// numbered are n letters with the values 0, 1, ….
func numbered(n int) (lines []string) {
	for i := range n {
		lines = append(lines, letterLine(int64(i), fmt.Sprint(i)))
	}
	return lines
}

// chooseAll sends back every letter.
func chooseAll(rec *pipeline.Record, at pipeline.Position) (Choice, error) {
	l, err := deadletter.Read(rec, at)
	if err != nil {
		return Choice{Verdict: Pass}, nil
	}
	return Choice{Letter: l}, nil
}

// run takes what a source gives through a pipeline.
func run(ctx context.Context, t *testing.T, s *Source, sink pipeline.Sink, steps ...engine.Step) error {
	t.Helper()
	p, err := engine.New(engine.Options{
		Name: "p", Source: s, Steps: steps, CommitEvery: time.Millisecond,
		Sinks: []engine.Output{{Name: "m", Kind: "memory", Sink: sink, Retry: engine.Retry{Backoff: time.Millisecond, MaxBackoff: time.Millisecond}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p.Run(ctx)
}

func values(m *pipelinetest.Memory) string { return string(bytes.Join(m.Values(), []byte(" "))) }

func TestSourceConforms(t *testing.T) {
	pipelinetest.Source(t, func(t *testing.T) pipelinetest.SourceUnderTest {
		var lines, want []string
		for i := range 3000 {
			v := fmt.Sprintf(`{"n":%d,"x":"%s"}`, i, strings.Repeat("x", i%50*100))
			lines, want = append(lines, letterLine(int64(i), v)), append(want, v)
		}
		name := letterFile(t, lines...)
		return pipelinetest.SourceUnderTest{
			New: func() (pipeline.Source, error) {
				return New(Options{Log: NewFile(name, "late"), Choose: chooseAll, Ahead: 4}), nil
			},
			Lanes:   map[string][]string{"dead.jsonl": want},
			Resumes: true,
		}
	})
}

// TestSourceSendsOnce replays a file, again after more letters have come, and a third time.
func TestSourceSendsOnce(t *testing.T) {
	name := letterFile(t, numbered(600)...)
	for _, c := range []struct {
		add  []string
		want int64
	}{{nil, 600}, {[]string{letterLine(600, "600"), letterLine(601, "601"), `{"topic":"torn`}, 2}, {nil, 0}} {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteString(strings.Join(c.add, ""))
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		s, m := New(Options{Log: NewFile(name, "late"), Choose: chooseAll, Ahead: 1}), new(pipelinetest.Memory)
		if err := run(t.Context(), t, s, m); err != nil {
			t.Fatal(err)
		}
		if got := int64(len(m.Values())); got != c.want || s.Chosen() != c.want || s.Replayed() != c.want {
			t.Errorf("%d came, %d were chosen, %d replayed, not %d", got, s.Chosen(), s.Replayed(), c.want)
		}
	}
	if text, err := os.ReadFile(name + ".late.position"); err != nil || !bytes.Contains(text, []byte(`"replayed":["1-602"]`)) {
		t.Errorf("the position is %s, %v", text, err)
	}
}

// TestSourceRemembersEachLetter chooses every third letter first, then all.
func TestSourceRemembersEachLetter(t *testing.T) {
	name := letterFile(t, numbered(30)...)
	third := func(rec *pipeline.Record, at pipeline.Position) (Choice, error) {
		c, err := chooseAll(rec, at)
		if at.Offset%3 != 0 {
			c.Verdict = Leave
		}
		return c, err
	}
	for i, want := range []string{
		"2 5 8 11 14 17 20 23 26 29",
		"0 1 3 4 6 7 9 10 12 13 15 16 18 19 21 22 24 25 27 28",
	} {
		s, m := New(Options{Log: NewFile(name, "late"), Choose: chooseAll, Ahead: 1}), new(pipelinetest.Memory)
		if i == 0 {
			s.o.Choose = third
		}
		if err := run(t.Context(), t, s, m); err != nil || values(m) != want {
			t.Errorf("run %d: %v, came %s", i, err, values(m))
		}
	}
	s, m := New(Options{Log: NewFile(name, "late"), Choose: third, Ahead: 1, Again: true, Limit: 2}), new(pipelinetest.Memory)
	if err := run(t.Context(), t, s, m); err != nil || values(m) != "2 5" {
		t.Errorf("again: %v, came %s", err, values(m))
	}
}

// TestSourceRepeatsNothing ends a replay with an error at each of many places: when it goes on it sends
// the others alone.
func TestSourceRepeatsNothing(t *testing.T) {
	const all = 1000
	for at := 1; at <= all; at += 97 {
		name := letterFile(t, numbered(all)...)
		came := map[string]int{}
		killed := errors.New("killed")
		n := 0
		sink := sinkFunc(func(recs []*pipeline.Record) error {
			for i, rec := range recs {
				if n == at {
					return notFrom(i, len(recs), killed)
				}
				n++
				came[string(rec.Value())]++
			}
			return nil
		})
		if err := run(t.Context(), t, New(Options{Log: NewFile(name, "late"), Choose: chooseAll, Ahead: 1}), sink); !errors.Is(err, killed) {
			t.Fatal(err)
		}
		n = -all
		s := New(Options{Log: NewFile(name, "late"), Choose: chooseAll, Ahead: 1})
		if err := run(t.Context(), t, s, sink); err != nil {
			t.Fatal(err)
		}
		twice := 0
		for _, times := range came {
			if twice += times - 1; times > 2 {
				t.Fatalf("one came %d times", times)
			}
		}
		if len(came) != all || twice > 0 || s.Chosen() != int64(all-at) {
			t.Errorf("killed at %d: %d came, %d of them twice, %d were chosen then", at, len(came), twice, s.Chosen())
		}
	}
}

type sinkFunc func(recs []*pipeline.Record) error

func (f sinkFunc) Write(_ context.Context, recs []*pipeline.Record) error { return f(recs) }
func (sinkFunc) Close(context.Context) error                              { return nil }

// TestSourceOneRecordAtATime has several letters of one record: each waits for the one before.
func TestSourceOneRecordAtATime(t *testing.T) {
	var lines []string
	for i := range 20 {
		lines = append(lines, letterLine(7, fmt.Sprint(i)), letterLine(int64(100+i), "x"))
	}
	s := New(Options{Log: NewFile(letterFile(t, lines...), "late"), Ahead: 8})
	s.o.Choose = func(rec *pipeline.Record, at pipeline.Position) (Choice, error) {
		c, err := chooseAll(rec, at)
		c.Target = at.Offset
		return c, err
	}
	var under atomic.Int32
	step := engine.Step{Name: "s", Kind: "s", Workers: 8, Wait: &engine.Wait{}, Stage: pipeline.StageFunc(func(_ context.Context, rec *pipeline.Record) error {
		target, ok := s.Target(rec.Position)
		if rec.Offset != 7 {
			return nil
		}
		if n := under.Add(1); n > 1 || !ok || fmt.Sprint(target) != fmt.Sprint(lineOf(rec)) {
			return pipeline.Fatal(fmt.Errorf("%d are under way, target %v of line %d, %v", n, target, lineOf(rec), ok))
		}
		under.Add(-1)
		return nil
	})}
	m := new(pipelinetest.Memory)
	if err := run(t.Context(), t, s, m, step); err != nil {
		t.Fatal(err)
	}
	if n := len(m.Values()); n != 40 {
		t.Errorf("%d came", n)
	}
	if _, ok := s.Target(pipeline.Position{Topic: "flights", Offset: 7}); ok {
		t.Error("at the end one is under way")
	}
}

// lineOf gives the line of a letter of TestSourceOneRecordAtATime.
func lineOf(rec *pipeline.Record) int {
	n := 0
	fmt.Sscan(string(rec.Value()), &n)
	return 2*n + 1
}

// TestSourceRate hands over as many as the rate allows, in virtual time.
func TestSourceRate(t *testing.T) {
	name := letterFile(t, numbered(300)...)
	for _, text := range []string{"100/s", "30/m", "5000/s"} {
		synctest.Test(t, func(t *testing.T) {
			var rate settings.Rate
			if err := rate.UnmarshalText([]byte(text)); err != nil {
				t.Fatal(err)
			}
			s := New(Options{Log: NewFile(name, "late"), Choose: chooseAll, Ahead: 1, Rate: rate, Again: true})
			began, n := time.Now(), 0
			sink := sinkFunc(func(recs []*pipeline.Record) error {
				n += len(recs)
				if most := time.Since(began).Seconds()*rate.PerSecond() + float64(s.most); float64(n) > most+1 {
					return pipeline.Fatal(fmt.Errorf("%d came after %v", n, time.Since(began)))
				}
				return nil
			})
			if err := run(t.Context(), t, s, sink); err != nil || n != 300 {
				t.Fatalf("%s: %v, %d came", text, err, n)
			}
			if took, want := time.Since(began).Seconds(), float64(300-s.most)/rate.PerSecond(); took < want || took > want+1 {
				t.Errorf("%s: it took %.1f s, not %.1f", text, took, want)
			}
		})
	}
}

// TestSourceIsTaken has somebody change the position while it is replayed, which ends that.
func TestSourceIsTaken(t *testing.T) {
	name := letterFile(t, numbered(600)...)
	n := 0
	sink := sinkFunc(func(recs []*pipeline.Record) error {
		if n++; n == 1 {
			text, err := os.ReadFile(name + ".late.position")
			if err == nil {
				text = bytes.Replace(text, []byte(`"replayed":[]`), []byte(`"replayed":["500-509"]`), 1)
				err = os.WriteFile(name+".late.position", text, 0o600)
			}
			return err
		}
		return nil
	})
	s := New(Options{Log: NewFile(name, "late"), Choose: chooseAll, Ahead: 1})
	if err := run(t.Context(), t, s, sink); !errors.Is(err, ErrTaken) || s.Replayed() != 0 {
		t.Errorf("it ended with %v, %d replayed", err, s.Replayed())
	}
	if n != 1 {
		t.Errorf("%d writes", n)
	}
}

// forgetful is a log that can remember so many letters.
type forgetful struct {
	*File
	most int
}

func (f forgetful) Fits(_ int32, done *Done) error {
	if len(done.Lines()) > f.most {
		return &ScatteredError{"dead/0"}
	}
	return nil
}

// TestSourceSendsWhatCanBeRemembered ends before the first letter that could not be remembered.
func TestSourceSendsWhatCanBeRemembered(t *testing.T) {
	name := letterFile(t, numbered(50)...)
	second := func(rec *pipeline.Record, at pipeline.Position) (Choice, error) {
		c, err := chooseAll(rec, at)
		if at.Offset%2 == 0 {
			c.Verdict = Leave
		}
		return c, err
	}
	s, m := New(Options{Log: forgetful{NewFile(name, "late"), 4}, Choose: second, Ahead: 1}), new(pipelinetest.Memory)
	err := run(t.Context(), t, s, m)
	var scattered *ScatteredError
	if !errors.As(err, &scattered) || values(m) != "0 2 4 6" || s.Replayed() != 4 {
		t.Errorf("it ended with %v, came %s, %d replayed", err, values(m), s.Replayed())
	}
}

// TestFileBegunAnew takes a file that was begun anew under the name for another one, and refuses
// a position that is none.
func TestFileBegunAnew(t *testing.T) {
	name := letterFile(t, numbered(5)...)
	m := new(pipelinetest.Memory)
	if err := run(t.Context(), t, New(Options{Log: NewFile(name, "late"), Choose: chooseAll, Ahead: 1}), m); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(letterLine(9, "9")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), t, New(Options{Log: NewFile(name, "late"), Choose: chooseAll, Ahead: 1}), m); err != nil || values(m) != "0 1 2 3 4 9" {
		t.Errorf("%v, came %s", err, values(m))
	}
	for _, text := range []string{"", "{", `{"first_line":"","replayed":["x"]}`} {
		if err := os.WriteFile(name+".late.position", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := NewFile(name, "late").Load(t.Context()); err == nil || !strings.Contains(err.Error(), "remove it to begin anew") {
			t.Errorf("position %q: %v", text, err)
		}
	}
	var env *pipeline.EnvironmentError
	if err := NewFile(name+"x", "late").Ping(t.Context()); !errors.As(err, &env) {
		t.Errorf("no file: %v", err)
	}
	if err := NewFile(t.TempDir(), "late").Ping(t.Context()); !errors.As(err, &env) {
		t.Errorf("a folder: %v", err)
	}
}
