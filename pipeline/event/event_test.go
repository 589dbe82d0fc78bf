package event

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

var update = flag.Bool("update", false, "rewrite the golden lines and the reference page")

var noon = time.Date(2026, 11, 20, 12, 0, 15, 5_000_000, time.FixedZone("CET", 3600))

func fixed(o Options) Options {
	o.Instance = "host-1"
	o.Now = func() time.Time { return noon }
	return o
}

// sample fills an event so that it validates: every key there, figures that balance.
func sample(def *Definition) any {
	p := planNames[def.Name]
	v := reflect.New(p.typ).Elem()
	for i := range p.fields {
		f := &p.fields[i]
		switch f.kind {
		case reflect.String:
			s := "some " + f.key
			if f.token {
				s = "some_" + f.key
			}
			if f.enum != nil {
				s = f.enum[0]
			}
			v.Field(i).SetString(s)
		case reflect.Int64:
			v.Field(i).SetInt(int64(i))
		case reflect.Float64:
			v.Field(i).SetFloat(float64(i) + 0.5)
		case reflect.Bool:
			v.Field(i).SetBool(true)
		}
		switch f.key {
		case "records_in_total":
			v.Field(i).SetInt(20)
		case "created_total", "records_out_total", "filtered_total", "rejected_total", "abandoned_total", "inflight":
			v.Field(i).SetInt(0)
		case "busy_ratio":
			v.Field(i).SetFloat(0.5)
		case "idle_ratio", "blocked_ratio":
			v.Field(i).SetFloat(0.25)
		}
	}
	for i := range p.fields {
		if p.fields[i].key == "records_out_total" {
			v.Field(i).SetInt(20)
		}
	}
	return v.Interface()
}

// TestGoldenLines pins the bytes of one line per event.
func TestGoldenLines(t *testing.T) {
	var b bytes.Buffer
	e := New(&b, fixed(Options{})).Pipeline("flights")
	for i := range Registry {
		e.Emit(sample(&Registry[i]), "words for people")
	}
	if err := ValidateAll(b.Bytes()); err != nil {
		t.Error(err)
	}
	golden(t, "lines.golden.jsonl", b.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not current; look at the difference, then: go test ./pipeline/event -run Golden -update\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

func TestEmptyFieldsAreLeftOut(t *testing.T) {
	var b bytes.Buffer
	e := New(&b, fixed(Options{}))
	e.Step("weather").Emit(RecordRejected{Reason: "attempts", Partition: 3, Offset: 7}, "")
	got := b.String()
	want := `{"timestamp":"2026-11-20T11:00:15.005Z","level":"warn","event_name":"record.rejected","schema_version":"1.1",` +
		`"service_name":"penstock","service_instance_id":"host-1","message":"record rejected",` +
		`"step":"weather","reason":"attempts","error_type":"_other","attempt":0}` + "\n"
	if got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	if err := Validate(b.Bytes()); err != nil {
		t.Error(err)
	}
}

// TestWhatIsNotKnownIsLeftOut: the tag says which value means that.
func TestWhatIsNotKnownIsLeftOut(t *testing.T) {
	for _, c := range []struct {
		ev   any
		key  string
		want bool
	}{
		{PipelineStats{State: "running", LagSum: -1}, "lag_sum", false},
		{PipelineStats{State: "running", LagSum: 0}, "lag_sum", true},
		{StepStalled{Step: "s", Attempts: 0}, "attempts", false},
		{StepStalled{Step: "s", Attempts: 1}, "attempts", true},
	} {
		var b bytes.Buffer
		New(&b, fixed(Options{})).Emit(c.ev, "words")
		if got := strings.Contains(b.String(), `"`+c.key+`":`); got != c.want {
			t.Errorf("%s", b.String())
		}
		if err := Validate(b.Bytes()); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatIsNotANumberIsLeftOut(t *testing.T) {
	var b bytes.Buffer
	New(&b, fixed(Options{})).Emit(&PipelineStats{
		State: "running", RateIn: math.NaN(), RateOut: math.Inf(1), E2EP50Ms: 5, E2EMaxMs: 1e15, LagSum: -1, LagMax: 4,
	}, "")
	line := b.String()
	for _, bad := range []string{"rate_in", "rate_out", "NaN", "Inf\"", "lag_sum"} {
		if strings.Contains(line, bad) {
			t.Errorf("%s stands in %s", bad, line)
		}
	}
	for _, good := range []string{`"e2e_p50_ms":5.000`, `"e2e_max_ms":1000000000000000.000`, `"lag_max":4`} {
		if !strings.Contains(line, good) {
			t.Errorf("%s is missing in %s", good, line)
		}
	}
	if err := Validate(b.Bytes()); err != nil {
		t.Error(err)
	}
}

func TestTextIsBoundedAndValid(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("ä", 4000), "a\xffb\xc3", "tab\tnewline\n\"quote\" \\ \x00 \x1b[31m \x7f", "\u2028 \U0001F6EB", strings.Repeat("\x01", 600),
	} {
		var b bytes.Buffer
		New(&b, fixed(Options{})).Pipeline(text).Emit(&RecordRejected{
			Step: text, Reason: text, ErrorType: text, ErrorMessage: text, Topic: text, KeyHash: text, DeadLetter: text,
		}, text)
		if err := Validate(b.Bytes()); err != nil {
			t.Errorf("%.20q: %v", text, err)
		}
		if n := bytes.Count(b.Bytes(), []byte("\n")); n != 1 {
			t.Errorf("%.20q: %d lines", text, n)
		}
	}
}

func TestEventsPassWhateverTheLevel(t *testing.T) {
	var b bytes.Buffer
	e := New(&b, fixed(Options{Log: zerolog.Disabled}))
	e.Log().Error().Msg("a free line")
	e.Emit(ProcessReady{}, "")
	if n := bytes.Count(b.Bytes(), []byte("\n")); n != 1 || !strings.Contains(b.String(), "process.ready") {
		t.Errorf("got %s", b.String())
	}

	b.Reset()
	e = New(&b, fixed(Options{Log: zerolog.InfoLevel, EventsOff: true}))
	e.Emit(ProcessReady{}, "")
	e.Log().Info().Msg("a free line")
	if n := bytes.Count(b.Bytes(), []byte("\n")); n != 1 || !strings.Contains(b.String(), `"event_name":"log"`) {
		t.Errorf("with events off: got %s", b.String())
	}
}

func TestNilEmitterDiscards(t *testing.T) {
	var e *Emitter
	e.Pipeline("a").Step("b").Emit(ProcessReady{}, "")
	e.Log().Info().Msg("nothing")
	e.Flush()
	e.Close()
}

func TestAnUnknownEventPanics(t *testing.T) {
	for _, ev := range []any{nil, struct{}{}, "text", (*ProcessReady)(nil)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%T did not panic", ev)
				}
			}()
			New(io.Discard, Options{}).Emit(ev, "")
		}()
	}
}

// TestFreeLinesAreFlat covers what a logger can be made to say.
func TestFreeLinesAreFlat(t *testing.T) {
	var b bytes.Buffer
	e := New(&b, fixed(Options{Log: zerolog.DebugLevel})).Pipeline("flights").Step("weather")
	l := e.Log()
	l.Trace().Msg("below the level")
	l.Debug().Int64("id", 9007199254740993).Float64("took", 0.25).Float64("nan", math.NaN()).Bool("ok", true).Msg("one")
	l.Warn().Str("level", "mine").Str("timestamp", "now").Str("event_name", "process.ready").Str("pipeline", "p").Msg("two")
	l.Info().Str("host", "a").Str("error", "b").Err(errors.New("oops")).Str("x", "1").Str("x", "2").Msg("three")
	l.Error().Any("map", map[string]any{"a": []int{1}}).Strs("list", []string{"a", "b"}).Interface("none", nil).Msg("four \xff")
	l.Log().Str("step", "own").Msg("five")
	l.Error().Msg("")
	if err := ValidateAll(b.Bytes()); err != nil {
		t.Error(err)
	}
	golden(t, "free.golden.jsonl", b.Bytes())
}

// TestZerologsVariablesDoNotMatter sets what a library user may set. It must not run
// beside other tests that log.
func TestZerologsVariablesDoNotMatter(t *testing.T) {
	m, l, ts, p := zerolog.MessageFieldName, zerolog.LevelFieldName, zerolog.TimestampFieldName, zerolog.FloatingPointPrecision
	defer func() {
		zerolog.MessageFieldName, zerolog.LevelFieldName, zerolog.TimestampFieldName, zerolog.FloatingPointPrecision = m, l, ts, p
	}()
	zerolog.MessageFieldName, zerolog.LevelFieldName, zerolog.TimestampFieldName, zerolog.FloatingPointPrecision = "m", "l", "t", 1
	var b bytes.Buffer
	e := New(&b, fixed(Options{}))
	e.Log().Info().Float64("f", 1.2345).Msg("hello")
	e.Emit(PipelineStats{State: "running", RateIn: 1.2345}, "")
	if err := ValidateAll(b.Bytes()); err != nil {
		t.Error(err)
	}
	if s := b.String(); !strings.Contains(s, `"message":"hello"`) || !strings.Contains(s, `"rate_in":1.234`) {
		t.Errorf("got %s", s)
	}
}

// wholeLines fails when a Write is not exactly one line.
type wholeLines struct {
	t *testing.T
	n int
}

func (w *wholeLines) Write(p []byte) (int, error) {
	if bytes.Count(p, []byte("\n")) != 1 || p[len(p)-1] != '\n' {
		w.t.Errorf("a Write of %q", p)
	}
	if err := Validate(p); err != nil {
		w.t.Error(err)
	}
	w.n++
	return len(p), nil
}

func TestOneWholeLineAWrite(t *testing.T) {
	w := &wholeLines{t: t}
	e := New(w, Options{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			mine := e.Pipeline("p").Step("s")
			for range 50 {
				mine.Emit(StepStats{StepKind: "filter"}, "")
				mine.Log().Info().Int("n", 1).Msg("free")
			}
		})
	}
	wg.Wait()
	if w.n != 800 {
		t.Errorf("%d lines, want 800", w.n)
	}
}

func TestEmitDoesNotAllocateMuch(t *testing.T) {
	e := New(io.Discard, Options{}).Pipeline("p").Step("s")
	ev := &StepStats{Step: "s", StepKind: "filter", BusyRatio: 1}
	if n := testing.AllocsPerRun(100, func() { e.Emit(ev, "words") }); n > 1 {
		t.Errorf("%.0f allocations an event", n)
	}
}

func BenchmarkEmit(b *testing.B) {
	e := New(io.Discard, Options{}).Pipeline("p").Step("s")
	ev := &StepStats{Step: "s", StepKind: "filter", BusyRatio: 1}
	b.ReportAllocs()
	for b.Loop() {
		e.Emit(ev, "words")
	}
}

// TestSkipAndRename: what is skipped is in no log, and a pipeline has one name, the new one, on all lines,
// also on that of what the limiter held back.
func TestSkipAndRename(t *testing.T) {
	var b bytes.Buffer
	e := New(&b, fixed(Options{
		Skip:   func(name string) bool { return strings.HasPrefix(name, "process.") },
		Rename: func(pipeline string) string { return pipeline + ".dead-letter" },
	}))
	e.Emit(ProcessReady{}, "")
	p := e.Pipeline("a").Step("s")
	for range 100 {
		p.Emit(RecordRejected{Reason: "permanent"}, "")
	}
	p.Log().Info().Msg("free")
	e.Close()
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	named := strings.Count(b.String(), `"pipeline":"a.dead-letter"`)
	if len(lines) < 3 || named != len(lines) || strings.Contains(b.String(), "process.") || !strings.Contains(b.String(), `"event_name":"log.suppressed"`) {
		t.Errorf("%d of %d lines have the name:\n%s", named, len(lines), b.String())
	}
}
