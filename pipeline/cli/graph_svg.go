package cli

import (
	"html"
	"io"
	"strings"
)

// Sizes of the svg, in pixels.
const (
	svgLine  = 18
	svgPad   = 12
	svgGap   = 44
	svgGlyph = 8
)

// drawSVG draws the chain downward and the sinks side by side below it.
func drawSVG(w io.Writer, d drawing) error {
	p := printer{w: w}
	boxes := d.boxes()
	widths, heights := make([]int, len(boxes)), make([]int, len(boxes))
	for i, b := range boxes {
		for _, l := range b.lines() {
			widths[i] = max(widths[i], len([]rune(l))*svgGlyph+2*svgPad)
			heights[i] += svgLine
		}
		heights[i] += svgPad
	}
	total, row := 0, -svgGap
	for i := range d.chain {
		total = max(total, widths[i])
	}
	for i := len(d.chain); i < len(boxes); i++ {
		row += widths[i] + svgGap
	}
	total = max(total, row) + 2*svgPad
	x, y := make([]int, len(boxes)), make([]int, len(boxes))
	at, bottom := svgPad, 0
	for i := range d.chain {
		x[i], y[i] = (total-widths[i])/2, at
		at += heights[i] + svgGap
	}
	left := (total - row) / 2
	for i := len(d.chain); i < len(boxes); i++ {
		x[i], y[i] = left, at
		left += widths[i] + svgGap
		bottom = max(bottom, at+heights[i])
	}
	p.line(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="monospace" font-size="13">`, total, bottom+svgPad, total, bottom+svgPad)
	p.line(`<title>%s</title>`, html.EscapeString(d.name))
	if len(d.guarantees) > 0 {
		p.line(`<desc>%s</desc>`, html.EscapeString(strings.Join(d.guarantees, "\n")))
	}
	p.line(`<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>`)
	p.line(`<rect width="100%%" height="100%%" fill="white"/>`)
	d.edges(func(from, to int, label string, rejected bool) {
		x1, y1, x2, y2 := x[from]+widths[from]/2, y[from]+heights[from], x[to]+widths[to]/2, y[to]
		dash := ""
		if rejected {
			dash = ` stroke-dasharray="5 4"`
		}
		p.line(`<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="black"%s marker-end="url(#a)"/>`, x1, y1, x2, y2, dash)
	})
	for i, b := range boxes {
		p.line(`<rect x="%d" y="%d" width="%d" height="%d" rx="4" fill="#f4f6f8" stroke="black"/>`, x[i], y[i], widths[i], heights[i])
		for n, l := range b.lines() {
			p.line(`<text x="%d" y="%d">%s</text>`, x[i]+svgPad, y[i]+svgLine*(n+1), html.EscapeString(l))
		}
	}
	p.line(`</svg>`)
	return p.err
}

// lines is what stands in a box of the svg.
func (b box) lines() []string {
	lines := []string{b.title()}
	if b.when != "" {
		lines = append(lines, "["+b.when+"]")
	}
	for _, l := range append([]string{b.text}, b.how...) {
		if l != "" {
			lines = append(lines, l)
		}
	}
	return lines
}
