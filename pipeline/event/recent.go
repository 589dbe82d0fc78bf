package event

import (
	"slices"
	"strings"
	"sync"
)

// A Recent keeps the last lines of a log in memory, for those who watch it while the process runs. Events of
// figures, whose names end with .stats, are left out: they come by the dozen, push out what happened, and
// whoever watches has the figures from elsewhere.
//
// Who watches has no queue here: he knows the number of the last line that he has seen, and asks for
// those behind it. One that is too slow finds them gone, and is told how many.
//
// Its methods are safe for concurrent use, and none of them waits.
type Recent struct {
	most, mostBytes int

	mu      sync.Mutex
	lines   []RecentLine  // oldest first, numbers without gaps
	bytes   int           // of their texts
	next    uint64        // number of the next line; the first is 1
	changed chan struct{} // closed by the next line; nil: nobody waits for it
}

// A RecentLine is one line of a log.
type RecentLine struct {
	Number          uint64
	Level, Pipeline string
	Text            string // a JSON object, without the end of the line, also when the log is for people
}

// NewRecent makes a Recent that keeps at most so many lines, with texts of at most so many bytes together.
func NewRecent(lines, bytes int) *Recent {
	return &Recent{most: lines, mostBytes: bytes, next: 1}
}

// add takes a line. It copies the text.
func (r *Recent) add(event, level, pipeline string, text []byte) {
	if strings.HasSuffix(event, ".stats") {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	one := RecentLine{Number: r.next, Level: level, Pipeline: pipeline, Text: strings.TrimSuffix(string(text), "\n")}
	r.next++
	r.lines, r.bytes = append(r.lines, one), r.bytes+len(one.Text)
	out := 0
	for out < len(r.lines) && (len(r.lines)-out > r.most || r.bytes > r.mostBytes) {
		r.bytes -= len(r.lines[out].Text)
		out++
	}
	r.lines = slices.Delete(r.lines, 0, out) // which lets go of the texts
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// After gives the lines behind the one of this number, oldest first, most of them at most; 0 stands before the
// first line. missed is how many of those that were asked for are not kept any more. When there are no lines,
// more is closed as soon as there is one; else it is nil.
func (r *Recent) After(number uint64, most int) (lines []RecentLine, missed uint64, more <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := r.next - uint64(len(r.lines))
	from := max(number+1, oldest)
	if number < oldest {
		missed = from - number - 1
	}
	if from < r.next {
		kept := r.lines[from-oldest:]
		return slices.Clone(kept[:min(most, len(kept))]), missed, nil
	}
	if missed > 0 { // all of them are gone: the reader goes on behind them
		return nil, missed, nil
	}
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return nil, 0, r.changed
}

// Last gives the number of the last line; 0: there has been none.
func (r *Recent) Last() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next - 1
}

// Level ranks as they are shown and filtered, from debug up.
var levelRanks = []string{"trace", "debug", "info", "warn", "error", "fatal"}

// AtLeast says whether a line of level is as serious as least.
func AtLeast(level, least string) bool {
	return slices.Index(levelRanks, level) >= slices.Index(levelRanks, least)
}
