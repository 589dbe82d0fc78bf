package top

import (
	"fmt"
	"strings"
	"time"
)

// A Tab is what stands beneath the steps.
type Tab byte

// The tabs, by their keys.
const (
	TabPartitions Tab = 'p'
	TabErrors     Tab = 'e'
	TabWhy        Tab = 'w'
	TabLog        Tab = 'l'
	TabGraphs     Tab = 'g'
)

// The smallest screen on which nothing is missing that people need.
const (
	leastWidth  = 80
	leastHeight = 24
)

// A Looking is where somebody looks: what is selected, and how far it was scrolled.
type Looking struct {
	Pipeline int // which of the view
	Step     int // which line of the table of steps is selected
	Tab      Tab
	Scroll   int // of the tab
	Help     bool
	Frozen   bool
	Graphs   []Graph
	Back     time.Duration // how far back they go
	FromLog  bool          // the figures are of a log: they have no answer to why
	Moves    bool          // one can move in time
}

// Draw puts a view on a screen of that size. What does not fit is left out: columns of the steps in the order of LeftOut, then lines
// from below.
func Draw(v *View, l *Looking, width, height int) *Screen {
	s := newScreen(width, height)
	if s.Width < 20 || s.Height < 5 {
		s.put(0, 0, s.Width, plain, "too small: 80x24")
		return s
	}
	if l.Help {
		drawHelp(s, l)
		return s
	}
	d := drawing{s: s, v: v, l: l}
	if len(v.Pipelines) == 0 {
		d.nothing()
		return s
	}
	d.p = &v.Pipelines[min(max(l.Pipeline, 0), len(v.Pipelines)-1)]
	d.title()
	d.rates()
	d.totals()
	d.alerts()
	d.steps()
	d.tabs()
	d.foot()
	return s
}

// A drawing is a view on its way to a screen, from above to below.
type drawing struct {
	s *Screen
	v *View
	l *Looking
	p *Pipeline
	y int // the next line

	part string // which of the lines of the tab are seen; "": all
}

// An item is a part of a line that is there as a whole or not at all.
type item struct {
	label, text string
	style       style
}

// items puts those on the line that there is room for, and gives where it ends.
func (d *drawing) items(x, end int, all []item) int {
	for _, i := range all {
		if i.text == "" {
			continue
		}
		width := widthOf(i.text)
		if i.label != "" {
			width += widthOf(i.label) + 1
		}
		if x+width > end {
			continue
		}
		if i.label != "" {
			x = d.s.put(x, d.y, end, faint, i.label) + 1
		}
		x = d.s.put(x, d.y, end, i.style, i.text) + 2
	}
	return x
}

// nothing says that there are no figures yet, and why.
func (d *drawing) nothing() {
	d.s.put(1, 0, d.s.Width, strong, cut("penstock top  "+d.v.Source, d.s.Width-2))
	text := "waiting for figures"
	switch {
	case d.v.Problem != "":
		text = d.v.Problem
	case d.v.Ended:
		text = "no figures of penstock are in it: its lines have event_name, as pipeline.stats"
	}
	for _, in := range d.v.Instances {
		if in.Stale != "" {
			text = in.Stale
		}
	}
	y := 2
	for _, line := range folded(text, d.s.Width-2) {
		d.s.put(1, y, d.s.Width, plain, line)
		y++
	}
	d.y = d.s.Height - 1
	d.items(1, d.s.Width, []item{{"q", "quit", plain}})
}

// folded breaks a text into lines.
func folded(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && widthOf(line)+1+widthOf(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

// foot is the last line.
func (d *drawing) foot() {
	d.y = d.s.Height - 1
	for x := range d.s.Width { // what had no room may have come here
		d.s.put(x, d.y, d.s.Width, plain, " ")
	}
	if d.s.Width < leastWidth || d.s.Height < leastHeight {
		d.s.put(1, d.y, d.s.Width, fair, cut(fmt.Sprintf("%dx%d is less than %dx%d: some is left out", d.s.Width, d.s.Height, leastWidth, leastHeight), d.s.Width-2))
		return
	}
	all := []item{{"?", "help", plain}, {"q", "quit", plain}}
	if len(d.v.Pipelines) > 1 {
		all = append(all, item{"tab", "pipeline", plain})
	}
	if len(d.v.Instances) > 1 {
		all = append(all, item{"i", "instance", plain})
	}
	freeze := "freeze"
	if d.l.Frozen {
		freeze = "go on"
	}
	all = append(all, item{"space", freeze, plain})
	if d.l.Moves {
		all = append(all, item{"< >", "time", plain})
	}
	end := d.s.Width
	if d.part != "" {
		end -= widthOf(d.part) + 2
		d.s.put(end+1, d.y, d.s.Width, accent, d.part)
	}
	d.items(1, end, append(all, item{"↑↓", "step", plain}, item{"pgup pgdn", "scroll", plain}))
}

// one gives "1 thing" or "N things".
func one(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return whole(int64(n)) + " " + what + "s"
}
