package event

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// TestReadLinesLookAsWritten: a line that was written as JSON and is read again looks as it would have been
// written for people at once.
func TestReadLinesLookAsWritten(t *testing.T) {
	var lines, console bytes.Buffer
	asJSON, asText := New(&lines, fixed(Options{})), New(&console, fixed(Options{Console: true, Color: true}))
	for _, e := range []*Emitter{asJSON, asText} {
		for i := range Registry {
			e.Pipeline("flights").Emit(sample(&Registry[i]), "")
		}
		e.Step("weather").Emit(SinkStalled{Topic: "f", Partition: 0, Offset: 0, ErrorMessage: "a \"b\"\nc \x1b[31m"}, "words\u202e")
		e.Emit(ConfigRejected{ErrorFirst: "x", Trigger: "start"}, "")
		e.Step("weather").Log().Warn().Int("n", 0).Str("path", "/a b").Str("empty", "").Float64("f", 1.5).Bool("b", false).Strs("list", []string{"x"}).Msg("two\nlines")
		e.Log().WithLevel(zerolog.FatalLevel).Msg("")
	}
	want := strings.SplitAfter(strings.TrimSuffix(console.String(), "\n"), "\n")
	n := 0
	for line := range bytes.Lines(lines.Bytes()) {
		l, err := ReadLine(line)
		if err != nil {
			t.Fatalf("%v\n%s", err, line)
		}
		if got := string(l.Console(true)); strings.TrimSuffix(got, "\n") != strings.TrimSuffix(want[n], "\n") {
			t.Errorf("%sgot  %swant %s", line, got, want[n])
		}
		n++
	}
	if n != len(want) || n < len(Registry) {
		t.Errorf("%d lines as JSON, %d for people", n, len(want))
	}
}

func TestReadLineTakesWhatOthersAdd(t *testing.T) {
	l, err := ReadLine([]byte(`{"kubernetes":{"pod":"x"},"timestamp":"2026-11-20T12:00:15+01:00","level":"info","event_name":"step.frozen","new_key":7,"none":null,"message":"m"}`))
	if err != nil || l.Event != "step.frozen" || l.IsStats() {
		t.Fatalf("%+v, %v", l, err)
	}
	if got := string(l.Console(false)); !strings.HasSuffix(got, `INFO  m kubernetes="{\"pod\":\"x\"}" new_key=7`+"\n") {
		t.Error(got)
	}
	for _, line := range []string{"", "panic: x", `["a"]`, `{"a":1`, `{"a":1}`, `{"timestamp":"noon","level":"info","event_name":"log"}`,
		`{"timestamp":7}`, `{"timestamp":"2026-11-20T12:00:15Z","level":"info"}`} {
		if _, err := ReadLine([]byte(line)); err == nil {
			t.Errorf("%q is a line", line)
		}
	}
}

// FuzzReadLine: whatever a file holds, what is shown is one line, and moves no cursor.
func FuzzReadLine(f *testing.F) {
	f.Add([]byte(goodStats))
	f.Add([]byte(`{"timestamp":"2026-11-20T12:00:15Z","level":"\u001b[31m","event_name":"log","pipeline":"a\nb","message":"\u202e","k\u0007":[1,{"a":-0.0}],"e":1e400}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		l, err := ReadLine(line)
		shown := Printable(string(line)) + "\n"
		if err == nil {
			shown = string(l.Console(false))
		}
		if strings.ContainsFunc(strings.TrimSuffix(shown, "\n"), isControl) {
			t.Errorf("%q is shown as %q", line, shown)
		}
	})
}
