package picture

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/dashboards"
)

var (
	from = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	span = Span{From: from, To: from.Add(10 * time.Second), Step: time.Second}
)

func panels(ps ...dashboards.Panel) dashboards.Dashboard {
	for i := range ps {
		ps[i].Queries = []dashboards.Query{{Name: "Column"}}
	}
	return dashboards.Dashboard{Title: "A <page>", Description: "of & all", Rows: []dashboards.Row{{Title: "Row", Panels: ps}}}
}

func points(values ...float64) (ps []Point) {
	for i, v := range values {
		if v >= 0 {
			ps = append(ps, Point{from.Add(time.Duration(i) * time.Second), v})
		}
	}
	return ps
}

// drawn draws a page whose queries all have the same answer, and gives the texts in it.
func drawn(t *testing.T, d dashboards.Dashboard, a Answer) (svg string, texts []string) {
	t.Helper()
	var b bytes.Buffer
	if err := Draw(&b, d, span, func(_, _, _ int) Answer { return a }); err != nil {
		t.Fatal(err)
	}
	svg = b.String()
	dec := xml.NewDecoder(&b)
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return svg, texts
		}
		if err != nil {
			t.Fatalf("the picture is no XML: %v", err)
		}
		if c, ok := tok.(xml.CharData); ok && strings.TrimSpace(string(c)) != "" {
			texts = append(texts, string(c))
		}
	}
}

func has(texts []string, want string) bool {
	for _, s := range texts {
		if s == want {
			return true
		}
	}
	return false
}

func TestAPageHasItsTextsAndFigures(t *testing.T) {
	series := Answer{Series: []Series{{Name: "a <b>", Labels: map[string]string{"step": "weather"}, Points: points(1, 2, 1536)}}}
	for _, c := range []struct {
		panel dashboards.Panel
		want  []string
	}{
		{dashboards.Panel{Title: "T", Kind: dashboards.Stat, Unit: dashboards.Milliseconds}, []string{"A <page>", "of & all", "Row", "T", "1.54 s", "a <b>"}},
		{dashboards.Panel{Title: "T", Kind: dashboards.Bars, Unit: dashboards.Bytes}, []string{"T", "1.5 KiB", "a <b>"}},
		{dashboards.Panel{Title: "T", Kind: dashboards.Lines, Unit: dashboards.PerSecond}, []string{"T", "a <b>", "2000/s", "1000/s", "10 s"}},
		{dashboards.Panel{Title: "T", Kind: dashboards.Table, Unit: dashboards.Text}, []string{"T", "step", "Column", "weather", "1536"}},
	} {
		_, texts := drawn(t, panels(c.panel), series)
		for _, want := range c.want {
			if !has(texts, want) {
				t.Errorf("%s: %q is missing in %q", c.panel.Kind, want, texts)
			}
		}
	}
}

func TestAPanelWithoutAnAnswerSaysSo(t *testing.T) {
	for _, kind := range []dashboards.Kind{dashboards.Stat, dashboards.Lines, dashboards.Bars, dashboards.Table, dashboards.Log} {
		if _, texts := drawn(t, panels(dashboards.Panel{Title: "T", Kind: kind}), Answer{}); !has(texts, "none in this run") {
			t.Errorf("%s: nothing says that there is no answer: %q", kind, texts)
		}
	}
}

// TestAMissingStepIsAGap: a line is not drawn through a step that has no figure.
func TestAMissingStepIsAGap(t *testing.T) {
	p := dashboards.Panel{Title: "T", Kind: dashboards.Lines, Unit: dashboards.Count}
	for _, c := range []struct {
		values        []float64
		lines, points int
	}{
		{[]float64{1, 2, 3, 4}, 1, 0}, {[]float64{1, 2, -1, 3, 4}, 2, 0}, {[]float64{1, -1, 3, 4}, 1, 1},
	} {
		svg, _ := drawn(t, panels(p), Answer{Series: []Series{{Name: "a", Points: points(c.values...)}}})
		if l, n := strings.Count(svg, "<polyline"), strings.Count(svg, "<circle"); l != c.lines || n != c.points {
			t.Errorf("%v: %d lines and %d points, want %d and %d", c.values, l, n, c.lines, c.points)
		}
	}
}

func TestAFigureHasTheColourOfItsThreshold(t *testing.T) {
	p := dashboards.Panel{Title: "T", Kind: dashboards.Stat, Unit: dashboards.Ratio, Thresholds: []dashboards.Threshold{{From: 0.05, Level: dashboards.Look}, {From: 0.5, Level: dashboards.Bad}}}
	for v, level := range map[float64]dashboards.Level{0.01: dashboards.Good, 0.05: dashboards.Look, 0.7: dashboards.Bad} {
		if svg, _ := drawn(t, panels(p), Answer{Series: []Series{{Name: "a", Points: points(v)}}}); !strings.Contains(svg, `fill="`+levelColours[string(level)]+`"`) {
			t.Errorf("%v is not %s", v, level)
		}
	}
}

// TestStackedSeriesAddUp: the highest of them is their sum, step by step.
func TestStackedSeriesAddUp(t *testing.T) {
	got := stacked([]Series{{Points: points(1, 2, 3)}, {Points: points(10, -1, 30)}})
	want := []float64{11, 33}
	for i, p := range got[1].Points {
		if p.Value != want[i] {
			t.Errorf("point %d is %v, want %v", i, p.Value, want[i])
		}
	}
}

func TestLinesOfTheLogAreNewestFirst(t *testing.T) {
	a := Answer{Lines: []Line{{from, "warn", "first"}, {from.Add(time.Second), "error", "second"}}}
	svg, _ := drawn(t, panels(dashboards.Panel{Title: "T", Kind: dashboards.Log}), a)
	if strings.Index(svg, "second") > strings.Index(svg, "first") {
		t.Error("the older line stands above the newer one")
	}
}
