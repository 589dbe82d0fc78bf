package event

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// TestPrioritiesOfLines: what reads along by the endpoint sees none.
func TestPrioritiesOfLines(t *testing.T) {
	for _, console := range []bool{false, true} {
		var log bytes.Buffer
		recent := NewRecent(10, 1<<16)
		e := New(&log, Options{Instance: "test", Priorities: true, Console: console, Recent: recent, Log: zerolog.TraceLevel})
		e.Log().Debug().Msg("a")
		e.Log().Info().Msg("b")
		e.Log().Warn().Msg("c")
		e.Log().Error().Msg("d")
		e.Emit(ConfigRejected{Trigger: "start", ErrorCount: 1}, "")
		_, _ = log.Write(e.out.droppedLine(lostKey{event: Free, level: "info", reason: reasonRepeated}, 3))
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		want := []string{"<7>", "<6>", "<4>", "<3>", "<3>", "<6>"}
		if len(lines) != len(want) {
			t.Fatalf("%d lines:\n%s", len(lines), log.String())
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, want[i]) || strings.Count(line, "<") != 1 {
				t.Errorf("line %d is %q, want %s before it", i, line, want[i])
			}
		}
		for _, line := range recent.lines {
			if strings.HasPrefix(string(line.Text), "<") {
				t.Errorf("watched: %q", line.Text)
			}
		}
	}
}

// TestInJournal: only the stream that the environment names is the journal's.
func TestInJournal(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no systemd")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	device, inode, ok := identity(f)
	if !ok {
		t.Fatal("no identity")
	}
	for stream, want := range map[string]bool{"": false, "8:1": false, fmt.Sprintf("%d:%d", device, inode): true} {
		t.Setenv("JOURNAL_STREAM", stream)
		if got := InJournal(f); got != want {
			t.Errorf("JOURNAL_STREAM=%s: %v", stream, got)
		}
	}
	if InJournal(nil) {
		t.Error("no file at all")
	}
}
