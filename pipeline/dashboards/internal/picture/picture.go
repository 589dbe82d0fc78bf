// SPDX-License-Identifier: Apache-2.0

// Package picture draws a dashboard as an SVG, from the answers to its queries: what a page looks like
// over a run that was made in a test, for the documents.
//
// It shows what Grafana would, not how: titles, figures, lines, legends and units are those of the page.
package picture

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"time"

	"github.com/penstockio/penstock/pipeline/dashboards"
)

// An Answer is what a store says to one query.
type Answer struct {
	Series []Series
	Lines  []Line // of the log; only to the query of a panel of lines
}

// A Series is figures over time. The answer for one moment has one point.
type Series struct {
	Name   string // as the legend has it
	Labels map[string]string
	Points []Point // in the order of time; a gap is where a step is missing
}

// A Point is a figure at a moment.
type Point struct {
	At    time.Time
	Value float64
}

// A Line is a line of the log.
type Line struct {
	At             time.Time
	Level, Message string
}

// A Span is the time range of a page, and the step from one point to the next.
type Span struct {
	From, To time.Time
	Step     time.Duration
}

// Answers gives the answer to each query of a panel: by the numbers of row, panel and query.
type Answers func(row, panel, query int) Answer

// Sizes in pixels.
const (
	pageWidth = 1200
	unit      = pageWidth / 24 // a column of Grafana's grid
	gap       = 8
	rowHead   = 30
	pageHead  = 64
)

// heights are those of panels by their kind.
var heights = map[dashboards.Kind]int{
	dashboards.Stat: 96, dashboards.Lines: 230, dashboards.Bars: 230, dashboards.States: 230, dashboards.Table: 190, dashboards.Log: 190,
}

// Draw writes the picture of a page.
func Draw(w io.Writer, d dashboards.Dashboard, span Span, answers Answers) error {
	var body bytes.Buffer
	y := pageHead
	for r, row := range d.Rows {
		text(&body, gap, y+20, 15, ink, "start", "bold", row.Title)
		y += rowHead
		x, tallest := 0, 0
		for i, width := range row.Widths() {
			p := &row.Panels[i]
			all := make([]Answer, len(p.Queries))
			for q := range all {
				all[q] = answers(r, i, q)
			}
			h := heightOf(p, all)
			if x+width > 24 {
				y += tallest + gap
				x, tallest = 0, 0
			}
			c := card{out: &body, panel: p, span: span, answers: all, x: x*unit + gap/2, y: y, w: width*unit - gap, h: h}
			c.draw()
			x, tallest = x+width, max(tallest, h)
		}
		y += tallest + gap
	}
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif">
<title>%s</title>
<rect width="100%%" height="100%%" fill="%s"/>
`, pageWidth, y+gap, html.EscapeString(d.Title), ground)
	if err != nil {
		return err
	}
	var head bytes.Buffer
	text(&head, gap, 28, 20, ink, "start", "bold", d.Title)
	text(&head, gap, 50, 13, pale, "start", "normal", clip(d.Description, pageWidth-2*gap, 13))
	for _, part := range [][]byte{head.Bytes(), body.Bytes(), []byte("</svg>\n")} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// heightOf gives a table or a list of lines as much room as it needs, within bounds.
func heightOf(p *dashboards.Panel, answers []Answer) int {
	h := heights[p.Kind]
	switch p.Kind {
	case dashboards.Table:
		return min(max(90, cardHead+20*(len(tableOf(p, answers).rows)+1)+gap), 400)
	case dashboards.Log:
		n := 0
		for _, a := range answers {
			n += len(a.Lines)
		}
		return cardHead + 17*min(max(n, 2), maxLines) + gap
	}
	return h
}
