package picture

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/penstockio/penstock/pipeline/dashboards"
)

// frame is where the lines of a chart are.
type frame struct {
	left, top, w, h int
	most            float64
	span            Span
}

func (f frame) x(p Point) float64 {
	return float64(f.left) + float64(f.w)*p.At.Sub(f.span.From).Seconds()/max(1e-9, f.span.To.Sub(f.span.From).Seconds())
}

func (f frame) y(v float64) float64 {
	return float64(f.top+f.h) - float64(f.h)*min(v, f.most)/f.most
}

func (c *card) chart(series []Series) {
	if c.panel.Stacked {
		series = stacked(series)
	}
	const legendLine = 15
	rows := c.legendRows(series)
	f := frame{left: c.x + 62, top: c.y + cardHead + 4, w: c.w - 62 - 2*gap, span: c.span, most: c.panel.Max}
	f.h = c.h - cardHead - 4 - 18 - legendLine*rows - gap
	if f.most == 0 {
		for _, s := range series {
			for _, p := range s.Points {
				f.most = max(f.most, p.Value)
			}
		}
		f.most = roundUp(f.most, c.panel.Unit)
	}
	for i := range 5 {
		v := f.most * float64(i) / 4
		y := f.y(v)
		fmt.Fprintf(c.out, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="%s"/>`+"\n", f.left, y, f.left+f.w, y, grid)
		if i%2 == 0 {
			text(c.out, f.left-6, int(y)+4, 11, pale, "end", "normal", figure(v, c.panel.Unit))
		}
	}
	whole := f.span.To.Sub(f.span.From).Seconds()
	apart := rounded(whole/float64(max(2, f.w/60)), 1, 2, 5)
	for at := 0.0; at <= whole; at += apart {
		text(c.out, f.left+int(float64(f.w)*at/whole), f.top+f.h+14, 11, pale, "middle", "normal", figure(at, dashboards.Seconds))
	}
	for i, s := range series {
		c.line(f, s, palette[i%len(palette)])
	}
	c.legend(series, f.top+f.h+32, legendLine)
}

// stacked lays each series on those before it.
func stacked(series []Series) []Series {
	base := map[int64]float64{}
	out := make([]Series, len(series))
	for i, s := range series {
		out[i] = Series{Name: s.Name, Labels: s.Labels}
		for _, p := range s.Points {
			base[p.At.UnixNano()] += p.Value
			out[i].Points = append(out[i].Points, Point{p.At, base[p.At.UnixNano()]})
		}
	}
	return out
}

// line draws a series, with a gap where a step is missing.
func (c *card) line(f frame, s Series, colour string) {
	var run []string
	flush := func() {
		switch {
		case len(run) == 1:
			x, y, _ := strings.Cut(run[0], ",")
			fmt.Fprintf(c.out, `<circle cx="%s" cy="%s" r="2.5" fill="%s"/>`+"\n", x, y, colour)
		case len(run) > 1:
			fmt.Fprintf(c.out, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.6" stroke-linejoin="round"/>`+"\n", strings.Join(run, " "), colour)
		}
		run = run[:0]
	}
	for i, p := range s.Points {
		if i > 0 && p.At.Sub(s.Points[i-1].At) > f.span.Step*3/2 {
			flush()
		}
		run = append(run, fmt.Sprintf("%.1f,%.1f", f.x(p), f.y(p.Value)))
	}
	flush()
}

// legendWidth is how much room a name needs.
func legendWidth(name string) int { return 22 + len([]rune(name))*7 }

const maxLegendRows = 3

func (c *card) legendRows(series []Series) int {
	rows, x := 1, 0
	for _, s := range series {
		w := min(legendWidth(s.Name), c.w-2*gap)
		if x > 0 && x+w > c.w-2*gap {
			rows, x = rows+1, 0
		}
		x += w
	}
	return min(rows, maxLegendRows)
}

func (c *card) legend(series []Series, y, line int) {
	x, row := 0, 1
	for i, s := range series {
		w := min(legendWidth(s.Name), c.w-2*gap)
		if x > 0 && x+w > c.w-2*gap {
			if row == maxLegendRows {
				text(c.out, c.x+c.w-gap, y, 11, pale, "end", "normal", fmt.Sprintf("and %d more", len(series)-i))
				return
			}
			x, y, row = 0, y+line, row+1
		}
		fmt.Fprintf(c.out, `<rect x="%d" y="%d" width="10" height="4" fill="%s"/>`+"\n", c.x+gap+x, y-6, palette[i%len(palette)])
		text(c.out, c.x+gap+x+14, y, 11, ink, "start", "normal", clip(s.Name, w-16, 11))
		x += w
	}
}

// roundUp gives the end of a scale: a round figure, not much above v. Of nothing it is 1.
func roundUp(v float64, u dashboards.Unit) float64 {
	if v <= 0 {
		return 1
	}
	base := 1.0
	for (u == dashboards.Bytes || u == dashboards.BytesPerSec) && v/base >= 1024 {
		base *= 1024
	}
	return rounded(v/base, 1, 2, 3, 4, 5, 6, 8) * base
}

// rounded gives the next of these times a power of ten.
func rounded(v float64, steps ...float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, times := range steps {
		if v <= times*power {
			return times * power
		}
	}
	return 10 * power
}

// figure writes a value with its unit, as short as it is told apart.
func figure(v float64, u dashboards.Unit) string {
	switch u {
	case dashboards.Ratio:
		return short(v*100) + " %"
	case dashboards.Milliseconds:
		if v >= 1000 {
			return short(v/1000) + " s"
		}
		return short(v) + " ms"
	case dashboards.Seconds:
		return short(v) + " s"
	case dashboards.Bytes:
		return bytesText(v)
	case dashboards.BytesPerSec:
		return bytesText(v) + "/s"
	case dashboards.PerSecond:
		return scaled(v) + "/s"
	case dashboards.Text:
		return strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64)
	}
	return scaled(v)
}

func bytesText(v float64) string {
	for _, unit := range []string{"B", "KiB", "MiB"} {
		if v < 1024 {
			return short(v) + " " + unit
		}
		v /= 1024
	}
	return short(v) + " GiB"
}

func scaled(v float64) string {
	switch {
	case v >= 1e6:
		return short(v/1e6) + " M"
	case v >= 1e4:
		return short(v/1e3) + " k"
	}
	return short(v)
}

// short writes three digits that count.
func short(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
