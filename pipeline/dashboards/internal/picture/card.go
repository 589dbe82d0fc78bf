package picture

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"maps"
	"math"
	"slices"

	"github.com/penstockio/penstock/pipeline/dashboards"
)

// Colours.
const (
	ground = "#f4f5f5"
	paper  = "#ffffff"
	border = "#dcdee0"
	ink    = "#24292e"
	pale   = "#6a737d"
	grid   = "#e9ebed"
)

// palette are the colours of series, in their order: told apart by people who see no red or green, too.
var palette = []string{"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8c6d1f", "#555555"}

// levelColours are those of thresholds and of lines of the log.
var levelColours = map[string]string{
	string(dashboards.Good): "#1a7f37", string(dashboards.Look): "#b35900", string(dashboards.Bad): "#c4162a",
	"warn": "#b35900", "error": "#c4162a", "fatal": "#c4162a", "info": "#1a7f37",
}

const (
	cardHead = 30
	maxLines = 14
)

// A card is one panel at its place.
type card struct {
	out        *bytes.Buffer
	panel      *dashboards.Panel
	span       Span
	answers    []Answer
	x, y, w, h int
}

func (c *card) draw() {
	fmt.Fprintf(c.out, `<rect x="%d" y="%d" width="%d" height="%d" rx="3" fill="%s" stroke="%s"/>`+"\n", c.x, c.y, c.w, c.h, paper, border)
	text(c.out, c.x+gap, c.y+19, 13, ink, "start", "bold", clip(c.panel.Title, c.w-2*gap, 14))
	series := c.series()
	switch {
	case c.panel.Kind == dashboards.Log:
		c.lines()
	case len(series) == 0:
		text(c.out, c.x+c.w/2, c.y+c.h/2+8, 13, pale, "middle", "normal", "none in this run")
	case c.panel.Kind == dashboards.Stat:
		c.stats(series)
	case c.panel.Kind == dashboards.Bars:
		c.bars(series)
	case c.panel.Kind == dashboards.Table:
		c.table()
	default:
		c.chart(series)
	}
}

// series gives those of all queries that have a point, the highest first, as the legends of the pages have them.
func (c *card) series() (all []Series) {
	for _, a := range c.answers {
		for _, s := range a.Series {
			if len(s.Points) > 0 {
				all = append(all, s)
			}
		}
	}
	if c.panel.Kind != dashboards.Table {
		slices.SortStableFunc(all, func(a, b Series) int { return cmp.Or(cmp.Compare(highest(b), highest(a)), cmp.Compare(a.Name, b.Name)) })
	}
	return all
}

func highest(s Series) (most float64) {
	for _, p := range s.Points {
		most = max(most, p.Value)
	}
	return most
}

func (c *card) stats(series []Series) {
	width := (c.w - gap) / len(series)
	for i, s := range series {
		v := s.Points[len(s.Points)-1].Value
		size := min(30, (width-8)*100/(62*max(4, len(figure(v, c.panel.Unit)))))
		middle := c.x + gap/2 + i*width + width/2
		text(c.out, middle, c.y+62, size, c.colour(v), "middle", "bold", figure(v, c.panel.Unit))
		text(c.out, middle, c.y+84, 12, pale, "middle", "normal", clip(s.Name, width-4, 12))
	}
}

// colour is that of the highest threshold that a figure has reached.
func (c *card) colour(v float64) string {
	if len(c.panel.Thresholds) == 0 {
		return ink
	}
	level := string(dashboards.Good)
	for _, t := range c.panel.Thresholds {
		if v >= t.From {
			level = string(t.Level)
		}
	}
	return levelColours[level]
}

func (c *card) bars(series []Series) {
	most := 0.0
	for _, s := range series {
		most = max(most, s.Points[len(s.Points)-1].Value)
	}
	high := min(34, (c.h-cardHead-gap)/len(series))
	for i, s := range series {
		v, y := s.Points[len(s.Points)-1].Value, c.y+cardHead+i*high
		full := c.w - 2*gap - 60
		text(c.out, c.x+gap, y+11, 12, ink, "start", "normal", clip(s.Name, c.w-2*gap, 12))
		fmt.Fprintf(c.out, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", c.x+gap, y+15, max(1, int(v/max(most, 1e-9)*float64(full))), max(3, high-20), palette[i%len(palette)])
		text(c.out, c.x+c.w-gap, y+high-7, 12, ink, "end", "bold", figure(v, c.panel.Unit))
	}
}

// A sheet is a table: a row for each set of labels, a column for each query.
type sheet struct {
	labels []string
	heads  []string
	rows   []sheetRow
}

type sheetRow struct {
	labels map[string]string
	values []float64 // NaN: none
}

func tableOf(p *dashboards.Panel, answers []Answer) sheet {
	var t sheet
	index := map[string]int{}
	for q, a := range answers {
		t.heads = append(t.heads, p.Queries[q].Name)
		for _, s := range a.Series {
			if len(s.Points) == 0 {
				continue
			}
			key := ""
			for _, l := range slices.SortedFunc(maps.Keys(s.Labels), func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) }) {
				key += l + "=" + s.Labels[l] + "\n"
				if !slices.Contains(t.labels, l) {
					t.labels = append(t.labels, l)
				}
			}
			i, ok := index[key]
			if !ok {
				i = len(t.rows)
				index[key] = i
				row := sheetRow{labels: s.Labels, values: make([]float64, len(answers))}
				for j := range row.values {
					row.values[j] = math.NaN()
				}
				t.rows = append(t.rows, row)
			}
			t.rows[i].values[q] = s.Points[len(s.Points)-1].Value
		}
	}
	return t
}

// rank puts first what is larger: a pipeline has topics, a topic partitions.
func rank(label string) int {
	if i := slices.Index([]string{"pipeline", "topic", "partition"}, label); i >= 0 {
		return i
	}
	return 3
}

func (c *card) table() {
	t := tableOf(c.panel, c.answers)
	columns := len(t.labels) + len(t.heads)
	width := (c.w - 2*gap) / columns
	cell := func(column, row int, end bool, colour, weight, s string) {
		x, anchor := c.x+gap+column*width, "start"
		if end {
			x, anchor = x+width-gap, "end"
		}
		text(c.out, x, c.y+cardHead+14+20*row, 12, colour, anchor, weight, clip(s, width-10, 12))
	}
	for i, l := range t.labels {
		cell(i, 0, false, pale, "normal", l)
	}
	for i, h := range t.heads {
		cell(len(t.labels)+i, 0, true, pale, "normal", h)
	}
	for r, row := range t.rows {
		if cardHead+20*(r+2) > c.h {
			break
		}
		for i, l := range t.labels {
			cell(i, r+1, false, ink, "normal", row.labels[l])
		}
		for i, v := range row.values {
			if !math.IsNaN(v) {
				cell(len(t.labels)+i, r+1, true, ink, "normal", figure(v, c.panel.Unit))
			}
		}
	}
}

func (c *card) lines() {
	var all []Line
	for _, a := range c.answers {
		all = append(all, a.Lines...)
	}
	if len(all) == 0 {
		text(c.out, c.x+c.w/2, c.y+c.h/2+8, 13, pale, "middle", "normal", "none in this run")
	}
	slices.SortStableFunc(all, func(a, b Line) int { return b.At.Compare(a.At) }) // newest first
	for i, l := range all[:min(len(all), maxLines)] {
		y := c.y + cardHead + 12 + 17*i
		mono(c.out, c.x+gap, y, pale, fmt.Sprintf("%5.1f s", l.At.Sub(c.span.From).Seconds()))
		mono(c.out, c.x+gap+62, y, levelColours[l.Level], l.Level)
		mono(c.out, c.x+gap+106, y, ink, clip(l.Message, c.w-2*gap-106, 12))
	}
}

func text(b *bytes.Buffer, x, y, size int, colour, anchor, weight, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" font-size="%d" fill="%s" text-anchor="%s" font-weight="%s">%s</text>`+"\n", x, y, size, colour, anchor, weight, html.EscapeString(s))
}

func mono(b *bytes.Buffer, x, y int, colour, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" font-size="11" font-family="monospace" fill="%s" xml:space="preserve">%s</text>`+"\n", x, y, colour, html.EscapeString(s))
}

// clip cuts a text to about so many pixels.
func clip(s string, width, size int) string {
	letters := []rune(s)
	most := max(3, width*100/(size*58)) // a letter is a little more than half as wide as high
	if len(letters) <= most {
		return s
	}
	return string(letters[:most-1]) + "…"
}
