package top

import (
	"fmt"
	"strconv"
	"strings"
)

// steps draws the table of steps and sinks.
func (d *drawing) steps() {
	all := d.p.Steps
	// What is beneath has five lines at least, the tabs, its head, and three, and a fourth of what a screen has beyond the least.
	room := d.s.Height - d.y - 1 - (5 + max(0, d.s.Height-leastHeight)/4) - 1
	if len(all) == 0 {
		d.s.put(1, d.y, d.s.Width, faint, "no figures of steps yet")
		d.y++
		return
	}
	room = min(max(room, 1), len(all))
	fit, name := columnsFor(d.s.Width, all)
	selected := min(max(d.l.Step, 0), len(all)-1)
	first := min(max(selected-room/2, 0), len(all)-room)
	title := "STEP"
	if room < len(all) {
		seen := fmt.Sprintf("%d-%d/%d", first+1, first+room, len(all))
		if title += " " + seen; len(title) >= name { // the numbers tell more than the word
			title = seen
		}
	}
	d.s.put(3, d.y, 3+name, faint, cut(title, name))
	x := 3 + name
	for _, c := range fit {
		of := pad(c.name, c.width)
		if c.name == "QUEUE" || c.name == "KIND" {
			of = c.name
		}
		d.s.put(x+1, d.y, d.s.Width, faint, of)
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
	d.y++
	room := d.s.Height - 1 - d.y
	lines := d.tabLines()
	for _, row := range lines.heads {
		d.row(row)
	}
	room = max(room-len(lines.heads), 0)
	last := max(lines.n-room, 0) // where the last lines are seen
	first := min(d.l.Scroll, last)
	if d.l.Tab == TabLog { // the latest are beneath
		first = max(last-d.l.Scroll, 0)
	}
	end := min(first+room, lines.n)
	if end-first < lines.n {
		d.part = fmt.Sprintf("%s-%s of %s", whole(int64(first+1)), whole(int64(end)), whole(int64(lines.n)))
	}
	for i := first; i < end; i++ {
		d.row(lines.row(i))
	}
}

// row draws a line of the tab, if there is one left.
func (d *drawing) row(row []item) {
	if d.y >= d.s.Height-1 {
		return
	}
	at := 1
	for _, part := range row {
		at = d.s.put(at, d.y, d.s.Width, part.style, part.text)
	}
	d.y++
}

// tabRows are the lines of a tab: its heads, which do not scroll, and so many others.
type tabRows struct {
	heads [][]item
	n     int
	row   func(i int) []item
}

// said are lines of a text for people in place of figures.
func (d *drawing) said(text string) (t tabRows) {
	for _, line := range folded(text, d.s.Width-2) {
		t.heads = append(t.heads, []item{{"", line, faint}})
	}
	return t
}

func head(text string) [][]item { return [][]item{{{"", text, faint}}} }

func (d *drawing) tabLines() tabRows {
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
		return d.said("no partitions: none is assigned, the source has none, or the log has not told yet (every log.partitions_every)")
	}
	topic, largest, several, lag := 0, int64(0), false, "LAG"
	for i := range all {
		if all[i].LagUnit != "" {
			lag = "LAG " + strings.ToUpper(cut(clean(all[i].LagUnit), 6))
		}
		topic, largest = max(topic, widthOf(all[i].Topic)), max(largest, all[i].Partition)
		several = several || all[i].Instance != all[0].Instance
	}
	name := min(max(topic+1+len(strconv.FormatInt(largest, 10)), len("TOPIC/PARTITION")), max(d.s.Width-52, 16))
	return tabRows{
		heads: head(fit("TOPIC/PARTITION", name) + pad(lag, 12) + pad("AGE", 8) + pad("COMMITTED", 15) + pad("COMMIT AGE", 12) + "  "),
		n:     len(all),
		row: func(i int) []item {
			p := &all[i]
			row := []item{
				{"", fit(place(p.Topic, p.Partition), name), plain}, {"", apart(wholeOr(p.Lag), 12) + apart(spanOf(p.AgeMs), 8), plain},
				{"", apart(wholeOr(p.Committed), 15) + apart(spanOf(p.CommitAgeMs), 12) + "  ", plain},
			}
			if p.Paused {
				by := ""
				if p.PausedBy != "" {
					by = "by " + p.PausedBy + " "
				}
				row = append(row, item{"", "paused " + by, fair})
			}
			if several {
				row = append(row, item{"", p.Instance, faint})
			}
			return row
		},
	}
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
		if !d.p.ErrorsKnown && !d.l.FromLog {
			return d.said("asking")
		}
		return d.said("no errors")
	}
	step, kind := len("STEP"), len("ERROR")
	for i := range all {
		step, kind = max(step, min(widthOf(all[i].Step), 20)), max(kind, min(widthOf(all[i].Type), 24))
	}
	return tabRows{
		heads: head(fit("STEP", step) + "  " + fit("ERROR", kind) + pad("TOTAL", 11) + pad("RATE", 9) + "  LAST OF THEM"),
		n:     len(all),
		row: func(i int) []item {
			e := &all[i]
			st := plain
			if e.Rate > 0 {
				st = fair
			}
			sample := e.Sample
			if e.Topic != "" {
				sample = fmt.Sprintf("%s@%d: %s", place(e.Topic, e.Partition), e.Offset, sample)
			}
			return []item{
				{"", fit(e.Step, step) + "  ", plain}, {"", fit(e.Type, kind), st},
				{"", apart(whole(e.Total), 11) + apart(perSec(e.Rate), 9) + "  ", plain}, {"", strings.ReplaceAll(sample, "\n", " "), faint},
			}
		},
	}
}

func (d *drawing) whyRows() tabRows {
	switch {
	case d.l.FromLog:
		return d.said("a log does not tell what each record waits for: ask the process, with penstock top --addr or penstock why")
	case !d.p.HoldsKnown:
		return d.said("asking")
	case len(d.p.Holds) == 0:
		return d.said("no record waits")
	}
	var lines []string
	for _, h := range d.p.Holds[:min(len(d.p.Holds), mostHolds)] {
		for i, line := range folded(h, d.s.Width-4) {
			if i > 0 {
				line = "  " + line
			}
			lines = append(lines, line)
		}
	}
	if left := len(d.p.Holds) - mostHolds; left > 0 {
		lines = append(lines, fmt.Sprintf("and %s that wait for less long: penstock why has all", one(left, "partition")))
	}
	return tabRows{n: len(lines), row: func(i int) []item { return []item{{"", lines[i], plain}} }}
}

// mostHolds is how many partitions the tab of why has: they stand in the order in which they matter.
const mostHolds = 100

func (d *drawing) eventRows() tabRows {
	all := d.v.Events
	if len(all) == 0 {
		if d.l.FromLog {
			return d.said("nothing has happened")
		}
		return d.said("nothing has changed since top looks; the process's own log has more: penstock top --file app.log")
	}
	return tabRows{n: len(all), row: func(i int) []item {
		e := &all[i]
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
		return append(row, item{"", strings.ReplaceAll(e.Message, "\n", " "), plain})
	}}
}

func (d *drawing) graphRows() tabRows {
	all := d.l.Graphs
	if len(all) == 0 {
		return d.said("no figures yet")
	}
	title := "LAST " + strings.ToUpper(long(d.l.Back))
	name := len(title)
	for _, g := range all {
		name = max(name, min(widthOf(g.Name), 20))
	}
	return tabRows{
		heads: head(fit(title, name) + pad("NOW", 9) + pad("MOST", 9)),
		n:     len(all),
		row: func(i int) []item {
			g, top := &all[i], 0.0
			for _, f := range g.Values {
				top = max(top, known(f))
			}
			return []item{{"", fit(g.Name, name), plain}, {"", pad(g.Now, 9) + pad(g.Most, 9) + "  ", plain}, {"", spark(g.Values, top), accent}}
		},
	}
}

// graphColumns is how many values a graph has on a screen of that width, beside the names of a step's.
func graphColumns(width int, step string) int {
	name := min(max(len("LAST 10M00S"), widthOf(step)+len(" queue")), 20)
	return max(width-name-22, 10)
}
