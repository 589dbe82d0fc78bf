package top

import (
	"slices"
	"strings"
)

// helpLines say what the keys do.
var helpLines = []string{
	"p e w l g    partitions, errors, why, events, graphs of ten minutes",
	"↑ ↓          select a step; the graphs show it too",
	"pgup pgdn    scroll what is beneath the steps",
	"tab          the next pipeline, shift+tab the one before",
	"i            all instances together, or one after the other",
	"space        freeze the figures, and go on",
	"< >          of a log: an interval back, and forth; { } ten minutes",
	"?            this page; q quits",
	"",
	"▸ marks the step that holds up the others. BUSY, IDLE, BLKD: the share of its workers'",
	"time that they worked, had nothing to do, waited to hand over. QUEUE: what waits in front.",
	"Of several instances counts and rates are added up; times and percentiles are the worst.",
	"Rates and percentiles are of the last interval; of a run that has ended, of all of it.",
	"A narrow screen leaves out, in this order:",
}

func drawHelp(s *Screen, l *Looking) {
	s.put(1, 0, s.Width, strong, "penstock top")
	y := 2
	lines := slices.Concat(helpLines, folded(strings.Join(LeftOut(), " "), max(s.Width-4, 10)))
	for _, line := range lines {
		if y >= s.Height-1 {
			break
		}
		s.put(1, y, s.Width, plain, cut(line, s.Width-2))
		y++
	}
	s.put(1, s.Height-1, s.Width, faint, "any key goes back")
}
