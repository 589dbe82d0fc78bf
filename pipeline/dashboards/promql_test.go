package dashboards_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/penstockio/penstock/pipeline/dashboards"
)

// A promMetric is what a query may rely on of a metric.
type promMetric struct {
	kind   string              // counter, gauge or histogram
	labels map[string][]string // with the values that a label may have; none: any
}

// promNames are the metrics that there are, by their names.
type promNames map[string]promMetric

// targetLabels are what Prometheus adds to every series that it scrapes.
var targetLabels = []string{"job", "instance"}

// A promShape is what is known of an expression's answer.
type promShape struct {
	labels map[string]bool
	kind   string // of a plain metric: counter, gauge, histogram (native), bucket; "": no longer one
	scalar bool
	unit   promUnit
}

// A promUnit counts of which units a figure is, as powers: records a second are count 1 and seconds -1.
type promUnit struct{ count, seconds, bytes int }

func (u promUnit) over(v promUnit) promUnit {
	return promUnit{u.count - v.count, u.seconds - v.seconds, u.bytes - v.bytes}
}

// A promCheck follows an expression and notes what is wrong with it.
type promCheck struct {
	names   promNames
	unknown []string // metrics that there are not
	faults  []string
}

func (c *promCheck) fault(format string, a ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, a...))
}

// checkPromQL says what is wrong with an expression, given what there is, and what its answer looks like.
func checkPromQL(names promNames, expr string) (promShape, []string) {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return promShape{}, []string{err.Error()}
	}
	c := &promCheck{names: names}
	s := c.shape(e)
	if c.unknown != nil { // the rest would only be about what is missing
		return s, c.unknown
	}
	return s, c.faults
}

func (c *promCheck) shape(e parser.Expr) promShape {
	switch e := e.(type) {
	case *parser.VectorSelector:
		return c.selector(e)
	case *parser.MatrixSelector:
		return c.shape(e.VectorSelector)
	case *parser.SubqueryExpr:
		return c.shape(e.Expr)
	case *parser.ParenExpr:
		return c.shape(e.Expr)
	case *parser.UnaryExpr:
		return c.shape(e.Expr)
	case *parser.AggregateExpr:
		return c.aggregate(e)
	case *parser.BinaryExpr:
		return c.binary(e)
	case *parser.Call:
		return c.call(e)
	case *parser.NumberLiteral:
		return promShape{scalar: true}
	}
	c.fault("%s is of a kind that this check does not know", e)
	return promShape{}
}

// selector looks a metric up, and the labels and values by which it is chosen.
func (c *promCheck) selector(e *parser.VectorSelector) promShape {
	kind := ""
	m, known := c.names[e.Name]
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, cut := strings.CutSuffix(e.Name, suffix); cut && c.names[base].kind == "histogram" {
			m, known, kind = c.names[base], true, map[bool]string{true: "bucket", false: "counter"}[suffix == "_bucket"]
		}
	}
	if !known {
		c.unknown = append(c.unknown, "there is no metric "+e.Name)
		return promShape{labels: map[string]bool{}}
	}
	labels := map[string]bool{"le": kind == "bucket"}
	for l := range m.labels {
		labels[l] = true
	}
	for _, l := range targetLabels {
		labels[l] = true
	}
	for _, by := range e.LabelMatchers {
		values := m.labels[by.Name]
		switch {
		case by.Name == "__name__":
		case !labels[by.Name]:
			c.fault("%s has no label %s", e.Name, by.Name)
		case by.Type.String() == "=" && len(values) > 0 && !slices.Contains(values, by.Value):
			c.fault("%s of %s is never %q", by.Name, e.Name, by.Value)
		}
	}
	if kind == "" {
		kind = m.kind
	}
	return promShape{labels: labels, kind: kind, unit: unitOf(e.Name)}
}

// unitOf reads the unit off a metric's name, as it is Prometheus' custom.
func unitOf(name string) promUnit {
	for _, suffix := range []string{"_bucket", "_total"} {
		name = strings.TrimSuffix(name, suffix)
	}
	switch {
	case strings.HasSuffix(name, "_seconds") || strings.Contains(name, "_seconds:"):
		return promUnit{seconds: 1}
	case strings.HasSuffix(name, "_bytes"):
		return promUnit{bytes: 1}
	case strings.Contains(name, ":ratio_"):
		return promUnit{}
	case strings.HasSuffix(name, ":rate5m"):
		return promUnit{count: 1, seconds: -1}
	}
	return promUnit{count: 1}
}

func (c *promCheck) aggregate(e *parser.AggregateExpr) promShape {
	s := c.shape(e.Expr)
	if s.kind == "counter" && e.Op.String() == "max" {
		c.fault("the largest of counters, in %s, says nothing", e)
	}
	unit := s.unit
	if e.Op.String() == "count" || e.Op.String() == "group" {
		unit = promUnit{count: 1}
	}
	labels := map[string]bool{}
	if e.Without {
		maps.Copy(labels, s.labels)
	}
	for _, l := range e.Grouping {
		if !s.labels[l] {
			c.fault("%s has no label %s", e.Expr, l)
		}
		labels[l] = !e.Without
	}
	kind := "" // a histogram stays one, and so do its buckets
	if s.kind == "histogram of rates" || s.kind == "buckets of rates" && labels["le"] {
		kind = s.kind
	}
	return promShape{labels: labels, kind: kind, unit: unit}
}

func (c *promCheck) binary(e *parser.BinaryExpr) promShape {
	l, r := c.shape(e.LHS), c.shape(e.RHS)
	op := e.Op.String()
	s := promShape{labels: l.labels, scalar: l.scalar && r.scalar, unit: l.unit}
	switch {
	case l.scalar:
		s.labels = r.labels
	case !r.scalar:
		s.labels = c.match(e, l, r, op)
	}
	switch op {
	case "/":
		s.unit = l.unit.over(r.unit)
	case "*":
		s.unit = l.unit.over(promUnit{}.over(r.unit))
	case "and", "unless":
	default:
		if !l.scalar && !r.scalar && l.unit != r.unit {
			c.fault("the two sides of %s are of different units", e)
		}
	}
	return s
}

// match gives the labels of what two vectors make together.
func (c *promCheck) match(e *parser.BinaryExpr, l, r promShape, op string) map[string]bool {
	on := map[string]bool{}
	for _, label := range e.VectorMatching.MatchingLabels {
		if !l.labels[label] || !r.labels[label] {
			c.fault("not both sides of %s have the label %s", e, label)
		}
		on[label] = true
	}
	if !e.VectorMatching.On && op != "or" && !maps.Equal(promPresent(l.labels), promPresent(r.labels)) {
		c.fault("the two sides of %s have different labels: %v and %v", e, promPresent(l.labels), promPresent(r.labels))
	}
	if op == "and" || op == "unless" || op == "or" || !e.VectorMatching.On {
		return l.labels
	}
	return on
}

func promPresent(labels map[string]bool) map[string]bool {
	all := maps.Clone(labels)
	maps.DeleteFunc(all, func(_ string, there bool) bool { return !there })
	return all
}

// call checks that a function is for the kind of metric that it is given.
func (c *promCheck) call(e *parser.Call) promShape {
	if e.Func.Name == "time" {
		return promShape{scalar: true, unit: promUnit{seconds: 1}}
	}
	s := c.shape(e.Args[len(e.Args)-1])
	kind := s.kind
	s.kind = ""
	switch e.Func.Name {
	case "rate", "increase":
		if s.kind = map[string]string{"histogram": "histogram of rates", "bucket": "buckets of rates"}[kind]; s.kind == "" && kind != "counter" {
			c.fault("%s is of a %s", e, kind)
		}
		if s.unit = s.unit.over(promUnit{}); e.Func.Name == "rate" && s.kind == "" {
			s.unit.seconds--
		}
	case "deriv", "changes":
		if kind != "gauge" {
			c.fault("%s is of a %s", e, kind)
		}
		if e.Func.Name == "deriv" {
			s.unit.seconds--
		} else {
			s.unit = promUnit{count: 1}
		}
	case "histogram_quantile":
		if kind != "histogram of rates" && kind != "buckets of rates" {
			c.fault("%s is not of a histogram's rates", e)
		}
		s.labels = maps.Clone(s.labels)
		s.labels["le"] = false
	case "absent":
		s.labels = map[string]bool{}
	case "last_over_time", "max_over_time":
	default:
		c.fault("%s has a function that this check does not know", e)
	}
	return s
}

// promFilled puts values in the place of what Grafana fills in.
func promFilled(t *testing.T, expr string) string {
	t.Helper()
	return promFilledFor(t, expr, 15*time.Second, time.Hour)
}

// promFilledFor does it for a page with a value each interval.
func promFilledFor(t *testing.T, expr string, interval, over time.Duration) string {
	t.Helper()
	seconds := func(d time.Duration) string { return fmt.Sprintf("%ds", int(d.Seconds())) }
	expr = strings.NewReplacer("$__rate_interval", seconds(4*interval), "$__interval_ms", fmt.Sprint(interval.Milliseconds()),
		"$__interval", seconds(interval), "$__range", seconds(over), "$job", ".*", "$pipeline", ".*", "$step", ".*").Replace(expr)
	if strings.Contains(expr, "$") {
		t.Errorf("%s names a variable that no page has", expr)
	}
	return expr
}

// templated are the labels that a text names as {{label}} or $labels.label.
var templated = regexp.MustCompile(`\{\{([a-z_]+)\}\}|\$labels\.([a-z_]+)`)

func promLabelsNamed(text string) (all []string) {
	for _, m := range templated.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1]+m[2])
	}
	return all
}

// unitsOf are the units that fit to a panel's.
var unitsOf = map[dashboards.Unit][]promUnit{
	dashboards.Count:       {{count: 1}, {}},
	dashboards.PerSecond:   {{count: 1, seconds: -1}},
	dashboards.Seconds:     {{seconds: 1}},
	dashboards.Bytes:       {{bytes: 1}},
	dashboards.BytesPerSec: {{bytes: 1, seconds: -1}},
	dashboards.Ratio:       {{}},
}

// queryOf finds the expression that the text of an alert asks for.
var queryOf = regexp.MustCompile(`printf "([^"]*)"[^}]*query`)
