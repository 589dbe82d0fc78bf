package top

import (
	"fmt"
	"html"
	"strings"
)

// The picture of a screen, for documents. It has light colours and dark ones, and takes those that the reader's system
// asks for.

const (
	cellWidth  = 8.4
	cellHeight = 18
	margin     = 12
)

// svgStyle has the colours as classes, by the numbers of the styles.
const svgStyle = `text{font:14px "DejaVu Sans Mono","Cascadia Mono",Menlo,Consolas,monospace;white-space:pre}
.back{fill:#fff;stroke:#d0d7de}.s0{fill:#1f2328}.s1{fill:#6e7781}.s2{fill:#1f2328;font-weight:bold}.s3{fill:#1a7f37}.s4{fill:#8a5a00}
.s5{fill:#cf222e;font-weight:bold}.s6{fill:#0969a3}
@media(prefers-color-scheme:dark){.back{fill:#0d1117;stroke:#30363d}.s0{fill:#e6edf3}.s1{fill:#8b949e}.s2{fill:#fff}.s3{fill:#3fb950}.s4{fill:#e3b341}
.s5{fill:#ff7b72}.s6{fill:#58c4ff}}`

// SVG gives the screen as a picture with a title, which who cannot see it gets to hear.
func (s *Screen) SVG(title string) string {
	var b strings.Builder
	width, height := float64(s.Width)*cellWidth+2*margin, s.Height*cellHeight+2*margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" width="%.0f" height="%d" role="img" aria-label="%s">`+"\n",
		width, height, width, height, html.EscapeString(title))
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s</style>\n", html.EscapeString(title), svgStyle)
	fmt.Fprintf(&b, `<rect class="back" x="0.5" y="0.5" width="%.0f" height="%d" rx="6"/>`+"\n", width-1, height-1)
	for y := range s.Height {
		s.svgLine(&b, y)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// svgLine draws a line: what is of one style together, and blocks as what they are, since fonts leave gaps between them.
func (s *Screen) svgLine(b *strings.Builder, y int) {
	row := s.cells[y*s.Width : (y+1)*s.Width]
	for x := 0; x < len(row); {
		c := row[x]
		if from, fill := blockOf(c.text); fill > 0 {
			fmt.Fprintf(b, `<rect class="s%d" x="%.1f" y="%.1f" width="%.1f" height="%.1f"%s/>`+"\n", c.style, margin+float64(x)*cellWidth,
				margin+float64(y*cellHeight)+from.y*cellHeight, cellWidth*from.width, fill*cellHeight, from.more)
			x++
			continue
		}
		end := x
		run := ""
		for end < len(row) && row[end].style == c.style {
			if _, fill := blockOf(row[end].text); fill > 0 {
				break
			}
			run += row[end].text
			end++
		}
		if text := strings.TrimRight(run, " "); text != "" {
			trimmed := strings.TrimLeft(text, " ")
			at := x + len(text) - len(trimmed)
			fmt.Fprintf(b, `<text class="s%d" x="%.1f" y="%d" textLength="%.1f">%s</text>`+"\n", c.style, margin+float64(at)*cellWidth,
				margin+y*cellHeight+13, float64(widthOf(trimmed))*cellWidth, html.EscapeString(trimmed))
		}
		x = end
	}
}

// A blockPlace says where in its place a block is.
type blockPlace struct {
	y, width float64
	more     string
}

// blockOf gives how much of a place's height a block character fills, and where; 0: it is none.
func blockOf(text string) (at blockPlace, fill float64) {
	switch text {
	case "░":
		return blockPlace{0.18, 1, ` opacity="0.18"`}, 0.64
	case "█":
		return blockPlace{0.18, 1, ""}, 0.64
	case "▌":
		return blockPlace{0.18, 0.5, ""}, 0.64
	case "─":
		return blockPlace{0.48, 1, ` opacity="0.5"`}, 0.06
	}
	for i, one := range sparks {
		if one == text {
			high := float64(i+1) / float64(len(sparks)) * 0.8
			return blockPlace{0.9 - high, 1, ""}, high
		}
	}
	return blockPlace{}, 0
}
