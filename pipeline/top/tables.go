package top

import (
	"fmt"
	"slices"
	"strings"
)

// steps draws the table of steps and sinks.
func (d *drawing) steps() {
	all := d.p.Steps
	// What is beneath has four lines at least: its head, and three.
	room := d.s.Height - d.y - 1 - 4 - 1
	if len(all) == 0 {
		d.s.put(1, d.y, d.s.Width, faint, "no figures of steps yet")
		d.y++
		return
	}
	room = min(max(room, 1), len(all))
	fit, name := columnsFor(d.s.Width, all)
	selected := min(max(d.l.Step, 0), len(all)-1)
	first := min(max(selected-room/2, 0), len(all)-room)
	head := "STEP"
	if room < len(all) {
		head = fmt.Sprintf("STEP %d-%d/%d", first+1, first+room, len(all))
	}
	x := d.s.put(3, d.y, 3+name, faint, cut(head, name))
	x = 3 + name
	for _, c := range fit {
		title := pad(c.name, c.width)
		if c.name == "QUEUE" || c.name == "KIND" {
			title = c.name
		}
		d.s.put(x+1, d.y, d.s.Width, faint, title)
		x += c.width + 1
	}
	d.y++
	for i := range room {
		d.step(&all[first+i], fit, name, first+i == selected)
	}
}

func (d *drawing) step(s *Step, fit []column, name int, selected bool) {
	mark, st := " ", plain
	if s.Name == d.p.Bottleneck {
		mark, st = "▸", bad
	}
	d.s.put(1, d.y, 2, st, mark)
	if selected {
		st = strong
	}
	d.s.put(3, d.y, 3+name, st, cut(s.Name, name))
	x := 3 + name
	for _, c := range fit {
		v, st := c.value(s)
		if v = cut(v, c.width); c.name != "KIND" && (c.name != "QUEUE" || v == unknown) {
			v = pad(v, c.width)
		}
		d.s.put(x+1, d.y, x+1+c.width, st, v)
		x += c.width + 1
	}
	if selected {
		d.s.put(2, d.y, 3, accent, "›")
	}
	d.y++
}

// tabNames are the tabs in the order in which they stand.
var tabNames = []struct {
	tab  Tab
	name string
}{{TabPartitions, "partitions"}, {TabErrors, "errors"}, {TabWhy, "why"}, {TabLog, "events"}, {TabGraphs, "graphs"}}

// tabs draws the line of tabs, and what is in the one that is open.
func (d *drawing) tabs() {
	if d.y >= d.s.Height-1 {
		return
	}
	for x := range d.s.Width {
		d.s.put(x, d.y, d.s.Width, faint, "─")
	}
	x := 1
	for _, t := range tabNames {
		name, st := fmt.Sprintf(" %s [%c] ", t.name, t.tab), faint
		if t.tab == TabLog {
			name = fmt.Sprintf(" %s [l] ", t.name)
		}
		if t.tab == d.l.Tab {
			name, st = "▸"+strings.TrimPrefix(name, " "), strong
		}
		x = d.s.put(x, d.y, d.s.Width, st, name) + 1
	}
	head := d.y
	d.y++
	room := d.s.Height - 1 - d.y
	lines := d.tabLines(room)
	top := 0
	if d.l.Tab == TabLog {
		top = max(len(lines.rows)-room+lines.heads, 0) // the latest are beneath
	}
	most := max(len(lines.rows)-(room-lines.heads), 0)
	if d.l.Tab == TabLog {
		top = max(top-d.l.Scroll, 0)
	} else {
		top = min(d.l.Scroll, most)
	}
	shown := lines.rows[:lines.heads]
	rest := lines.rows[lines.heads:]
	top = min(top, max(len(rest)-(room-lines.heads), 0))
	rest = rest[min(top, len(rest)):min(top+max(room-lines.heads, 0), len(rest))]
	if n := len(lines.rows) - lines.heads; n > len(rest) {
		part := fmt.Sprintf(" %s-%s of %s ", whole(int64(top+1)), whole(int64(top+len(rest))), whole(int64(n)))
		if at := d.s.Width - widthOf(part) - 1; at > x {
			d.s.put(at, head, d.s.Width, faint, part)
		}
	}
	for _, row := range slices.Concat(shown, rest) {
		if d.y >= d.s.Height-1 {
			return
		}
		at := 1
		for _, part := range row {
			at = d.s.put(at, d.y, d.s.Width, part.style, part.text)
		}
		d.y++
	}
}

// tabRows are the lines of a tab: the first of them, so many, do not scroll.
type tabRows struct {
	rows  [][]item
	heads int
}

func said(st style, texts ...string) (t tabRows) {
	for _, text := range texts {
		t.rows = append(t.rows, []item{{"", text, st}})
	}
	return t
}

func (d *drawing) tabLines(room int) tabRows {
	switch d.l.Tab {
	case TabErrors:
		return d.errorRows()
	case TabWhy:
		return d.whyRows()
	case TabLog:
		return d.eventRows()
	case TabGraphs:
		return d.graphRows()
	}
	return d.partitionRows()
}

func (d *drawing) partitionRows() tabRows {
	all := d.p.Partitions
	if len(all) == 0 {
		return said(faint, "no partitions: none is assigned, the source has none, or the log has not told yet (every log.partitions_every)")
	}
	name, several := len("TOPIC/PARTITION"), false
	for _, p := range all {
		name = max(name, widthOf(place(p.Topic, p.Partition)))
		several = several || p.Instance != all[0].Instance
	}
	name = min(name, max(d.s.Width-52, 16))
	rows := tabRows{heads: 1}
	head := fit("TOPIC/PARTITION", name) + pad("LAG", 12) + pad("AGE", 8) + pad("COMMITTED", 15) + pad("COMMIT AGE", 12) + "  "
	rows.rows = append(rows.rows, []item{{"", head, faint}})
	for _, p := range all {
		row := []item{
			{"", fit(place(p.Topic, p.Partition), name), plain}, {"", pad(wholeOr(p.Lag), 12) + pad(spanOf(p.AgeMs), 8), plain},
			{"", pad(wholeOr(p.Committed), 15) + pad(spanOf(p.CommitAgeMs), 12) + "  ", plain},
		}
		if p.Paused {
			row = append(row, item{"", "paused ", fair})
		}
		if several {
			row = append(row, item{"", p.Instance, faint})
		}
		rows.rows = append(rows.rows, row)
	}
	return rows
}

// place names a partition.
func place(topic string, partition int64) string { return fmt.Sprintf("%s/%d", topic, partition) }

// fit makes a text exactly width columns wide.
func fit(text string, width int) string {
	text = cut(text, width)
	return text + strings.Repeat(" ", max(width-widthOf(text), 0))
}

func (d *drawing) errorRows() tabRows {
	all := d.p.Errors
	if len(all) == 0 {
		return said(faint, "no errors")
	}
	step, kind := len("STEP"), len("ERROR")
	for _, e := range all {
		step, kind = max(step, min(widthOf(e.Step), 20)), max(kind, min(widthOf(e.Type), 24))
	}
	rows := tabRows{heads: 1}
	rows.rows = append(rows.rows, []item{{"", fit("STEP", step) + "  " + fit("ERROR", kind) + pad("TOTAL", 11) + pad("RATE", 9) + "  LAST OF THEM", faint}})
	for _, e := range all {
		st := plain
		if e.Rate > 0 {
			st = fair
		}
		sample := e.Sample
		if e.Topic != "" {
			sample = fmt.Sprintf("%s@%d: %s", place(e.Topic, e.Partition), e.Offset, sample)
		}
		rows.rows = append(rows.rows, []item{
			{"", fit(e.Step, step) + "  ", plain}, {"", fit(e.Type, kind), st},
			{"", pad(whole(e.Total), 11) + pad(perSec(e.Rate), 9) + "  ", plain}, {"", strings.ReplaceAll(sample, "\n", " "), faint},
		})
	}
	return rows
}

func (d *drawing) whyRows() tabRows {
	switch {
	case d.l.FromLog:
		return said(faint, "a log does not tell what each record waits for: ask the process, with penstock top --addr or penstock why")
	case !d.p.HoldsKnown:
		return said(faint, "asking")
	case len(d.p.Holds) == 0:
		return said(faint, "no record waits")
	}
	var rows tabRows
	for _, h := range d.p.Holds {
		for i, line := range folded(h, d.s.Width-4) {
			if i > 0 {
				line = "  " + line
			}
			rows.rows = append(rows.rows, []item{{"", line, plain}})
		}
	}
	return rows
}

func (d *drawing) eventRows() tabRows {
	if len(d.v.Events) == 0 {
		if d.l.FromLog {
			return said(faint, "nothing has happened")
		}
		return said(faint, "nothing has changed since top looks; the process's own log has more: penstock top --file app.log")
	}
	var rows tabRows
	for _, e := range d.v.Events {
		st := plain
		switch e.Level {
		case "error", "fatal":
			st = bad
		case "warn":
			st = fair
		}
		row := []item{{"", e.At.UTC().Format("15:04:05 "), faint}, {"", fit(strings.ToUpper(e.Level), 5) + " ", st}}
		if len(d.v.Pipelines) > 1 && e.Pipeline != "" {
			row = append(row, item{"", e.Pipeline + " ", strong})
		}
		if e.Name != "log" {
			row = append(row, item{"", e.Name + " ", accent})
		}
		rows.rows = append(rows.rows, append(row, item{"", strings.ReplaceAll(e.Message, "\n", " "), plain}))
	}
	return rows
}

func (d *drawing) graphRows() tabRows {
	var rows tabRows
	name := 0
	for _, g := range d.l.Graphs {
		name = max(name, min(widthOf(g.Name), 20))
	}
	if len(d.l.Graphs) == 0 {
		return said(faint, "no figures yet")
	}
	head := fit("LAST 10 MINUTES", name) + pad("NOW", 9) + pad("MOST", 9)
	rows.heads, rows.rows = 1, [][]item{{{"", head, faint}}}
	for _, g := range d.l.Graphs {
		top := 0.0
		for _, f := range g.Values {
			top = max(top, known(f))
		}
		rows.rows = append(rows.rows, []item{{"", fit(g.Name, name), plain}, {"", pad(g.Now, 9) + pad(g.Most, 9) + "  ", plain}, {"", spark(g.Values, top), accent}})
	}
	return rows
}

// GraphColumns is how many values a graph has on a screen of that width.
func GraphColumns(width int) int { return max(width-44, 10) }

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
