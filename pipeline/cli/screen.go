package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/penstockio/penstock/pipeline/event"
)

// A screen is standard error with, on a terminal, a progress line below the log lines.
// Each Write is one log line.
type screen struct {
	w        io.Writer
	terminal bool

	mu   sync.Mutex
	line string
}

func newScreen(w io.Writer) *screen {
	f, ok := w.(*os.File)
	return &screen{w: w, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

const clearLine = "\r\x1b[K"

// Write writes a log line above the progress line.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == "" {
		return s.w.Write(p)
	}
	if _, err := io.WriteString(s.w, clearLine); err != nil {
		return 0, err
	}
	n, err := s.w.Write(p)
	if err == nil {
		_, err = io.WriteString(s.w, s.line)
	}
	return n, err
}

// show draws the progress line. It says whether there is a terminal to draw on.
func (s *screen) show(p event.ReplayProgress) bool {
	if !s.terminal {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line = progressLine(p)
	_, _ = io.WriteString(s.w, clearLine+s.line) // a terminal that went away shows nothing
	return true
}

// clear takes the progress line away.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line != "" {
		_, _ = io.WriteString(s.w, clearLine)
	}
	s.line = ""
}

const barWidth = 24

func progressLine(p event.ReplayProgress) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s ", p.Fixture)
	if p.RecordsExpected > 0 {
		filled := min(barWidth, int(barWidth*p.RecordsDone/p.RecordsExpected))
		fmt.Fprintf(&b, "[%s%s] %d/%d", strings.Repeat("=", filled), strings.Repeat(" ", barWidth-filled), p.RecordsDone, p.RecordsExpected)
	} else {
		fmt.Fprintf(&b, "%d records", p.RecordsDone)
	}
	fmt.Fprintf(&b, " %.0f/s", p.RateIn)
	if p.EtaMs > 0 {
		fmt.Fprintf(&b, " %v left", (time.Duration(p.EtaMs) * time.Millisecond).Round(time.Second))
	}
	return b.String()
}
