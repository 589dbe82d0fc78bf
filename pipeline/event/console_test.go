package event

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestConsole(t *testing.T) {
	o := fixed(Options{Console: true})
	o.Now = func() time.Time { return time.Date(2026, 11, 20, 12, 0, 15, 5e6, time.Local) }
	var b bytes.Buffer
	e := New(&b, o)
	p := e.Pipeline("flights")
	e.Emit(ProcessStarted{ServiceVersion: "1.0", ConfigPath: "a b.yaml", Pipelines: 1}, "")
	p.Emit(PipelineStats{State: "running", RecordsInTotal: 10000, RateIn: 1222.84, RecordsOutTotal: 2293, FilteredTotal: 7707, E2EP99Ms: 402.77, LagSum: 12}, "")
	p.Emit(PipelineStats{State: "running", E2EP99Ms: math.NaN(), LagSum: 12, LagUnit: "bytes"}, "")
	p.Emit(StepStats{Step: "weather", StepKind: "http", RecordsInTotal: 7, RecordsOutTotal: 7, QueueLen: 1, QueueCap: 4, BusyRatio: 0.94, LatP99Ms: 0.4}, "")
	p.Emit(SinkStats{Sink: "out", SinkKind: "file", IntervalMs: 15000, RecordsInTotal: 7, RecordsOutTotal: 6, RejectedTotal: 1, Batches: 3, WriteP99Ms: 12400}, "")
	p.Emit(ErrorStats{Step: "weather", ErrorType: "timeout", Count: 2, CountTotal: 9, SampleMessage: "calling"}, "")
	p.Emit(RecordRejected{Step: "weather", Reason: "attempts", ErrorType: "http_503", Topic: "f", Partition: 0, Offset: 7}, "")
	p.Log().Warn().Str("path", "/a b").Int("n", 0).Msg("two\nlines \x1b[31m")
	e.Emit(ProcessStopped{Reason: "failed", ExitCode: 1, ErrorMessage: "broke"}, "")
	e.Emit(LogSuppressed{SuppressedEvent: "record.rejected", Count: 3}, "")
	golden(t, "console.golden.txt", b.Bytes())
	if strings.Contains(b.String(), "\x1b") {
		t.Error("an escape sequence without Color")
	}

	b.Reset()
	o.Color = true
	New(&b, o).Pipeline("flights").Emit(SinkStalled{Sink: "out"}, "")
	if !strings.Contains(b.String(), red+"ERROR"+plain) {
		t.Errorf("no colour: %q", b.String())
	}
}

func TestConsoleFor(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	terminal, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	for _, c := range []struct {
		format         string
		f              *os.File
		env            string
		console, color bool
	}{
		{"auto", file, "", false, false},
		{"", terminal, "", true, true},
		{"auto", terminal, "NO_COLOR=1", true, false},
		{"auto", terminal, "NO_COLOR=", true, true},
		{"auto", terminal, "TERM=dumb", true, false},
		{"auto", terminal, "JOURNAL_STREAM=8:1", true, true}, // inherited from the desktop
		{"auto", terminal, "KUBERNETES_SERVICE_HOST=10.0.0.1", false, false},
		{"json", terminal, "", false, false},
		{"console", file, "", true, false},
		{"console", terminal, "KUBERNETES_SERVICE_HOST=10.0.0.1", true, true},
		{"auto", nil, "", false, false},
	} {
		for _, name := range []string{"NO_COLOR", "JOURNAL_STREAM", "KUBERNETES_SERVICE_HOST"} {
			t.Setenv(name, "")
		}
		t.Setenv("TERM", "xterm")
		if name, value, ok := strings.Cut(c.env, "="); ok {
			t.Setenv(name, value)
		}
		if console, color := ConsoleFor(c.format, c.f); console != c.console || color != c.color {
			t.Errorf("%q %s: got %v %v, want %v %v", c.format, c.env, console, color, c.console, c.color)
		}
	}
}

// TestControls: nothing that a terminal acts on stands in a line as it came, in the message, in names or in
// values, of either form of the log; what is only foreign stays.
func TestControls(t *testing.T) {
	acts := []rune{'\u0085', '\u009b', '\u061c', '\u200e', '\u200f', '\u2028', '\u2029', '\u202a', '\u202e', '\u2066', '\u2069', 0x1b, 0x7f, 0}
	for _, console := range []bool{true, false} {
		for _, r := range acts {
			text := "a" + string(r) + "31m é漢\u200d"
			o := fixed(Options{Console: console})
			var b bytes.Buffer
			p := New(&b, o).Pipeline(text)
			p.Emit(RecordRejected{Step: text, Reason: text, ErrorType: text, ErrorMessage: text, Topic: text}, text)
			p.Emit(RecordRejected{Step: "a" + string(r)}, "") // a value that needs no quotes but for r
			p.Log().Error().Str("k", text).Str("bare", "a"+string(r)+"b").Str("k"+string(r), "x").Str("s", "\""+text).Msg(text)
			if strings.ContainsRune(b.String(), r) {
				t.Errorf("console %v: %U stands in %q", console, r, b.String())
			}
			if !strings.Contains(b.String(), "é漢\u200d") {
				t.Errorf("console %v: %q", console, b.String())
			}
		}
	}
}
