package query

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// metrics reads a metric query.
type metrics struct{ reader }

// A node is a part of a metric query.
type node interface {
	eval(l moment) (values, error)
}

// A values is what a node comes to: series, or one number.
type values struct {
	samples  []Sample
	isScalar bool
	scalar   float64
}

type constant float64

func (c constant) eval(moment) (values, error) {
	return values{isScalar: true, scalar: float64(c)}, nil
}

// A grouped says by which labels series are put together.
type grouped struct {
	named, without bool
	labels         []string
}

func (g grouped) of(labels map[string]string) map[string]string {
	if !g.without {
		return picked(labels, g.labels, false)
	}
	rest := maps.Clone(labels)
	for _, name := range g.labels {
		delete(rest, name)
	}
	return picked(rest, nil, true)
}

// grouping reads by (…) or without (…), if it is there.
func (p *metrics) grouping() (g grouped) {
	g.without = p.peek().text == "without"
	if p.take("by") || p.take("without") {
		g.named = true
		if !p.take("(") {
			p.fail("%s stands where ( belongs", p.peek())
		}
		g.labels = p.names(")")
	}
	return g
}

// A ranged is a function of the lines within a range.
type ranged struct {
	name string
	from *selected
	over time.Duration
	by   grouped
}

// folds are what functions of a range, and aggregations, make of values in the order of time.
var folds = map[string]func(v []float64, seconds float64) float64{
	"count": func(v []float64, _ float64) float64 { return float64(len(v)) },
	"sum":   func(v []float64, _ float64) float64 { return total(v) },
	"avg":   func(v []float64, _ float64) float64 { return total(v) / float64(len(v)) },
	"max":   func(v []float64, _ float64) float64 { return slices.Max(v) },
	"min":   func(v []float64, _ float64) float64 { return slices.Min(v) },
	"first": func(v []float64, _ float64) float64 { return v[0] },
	"last":  func(v []float64, _ float64) float64 { return v[len(v)-1] },
	"rate":  func(v []float64, seconds float64) float64 { return total(v) / seconds },
}

func total(v []float64) (sum float64) {
	for _, f := range v {
		sum += f
	}
	return sum
}

// rangeFolds names the fold of each function of a range.
var rangeFolds = map[string]string{"count_over_time": "count", "sum_over_time": "sum", "avg_over_time": "avg", "max_over_time": "max",
	"min_over_time": "min", "first_over_time": "first", "last_over_time": "last", "rate": "rate"}

func (n *ranged) eval(l moment) (v values, err error) {
	left := l.within(n.from, n.over)
	if n.name == "absent_over_time" {
		if len(left) == 0 {
			v.samples = []Sample{{Labels: map[string]string{}, Value: 1}}
		}
		return v, nil
	}
	var all []Sample
	for _, e := range left {
		if n.from.unwraps && e.labels["__error__"] != "" {
			return v, fmt.Errorf("a line has the error %s: add | __error__=\"\"", e.labels["__error__"])
		}
		s := Sample{Labels: picked(e.labels, nil, true), Value: 1}
		if n.by.named {
			s.Labels = n.by.of(e.labels)
		}
		if n.from.unwraps {
			s.Value = e.value
		}
		all = append(all, s)
	}
	fold := folds[rangeFolds[n.name]]
	v.samples = gathered(all, func(values []float64) float64 { return fold(values, n.over.Seconds()) })
	return v, nil
}

// gathered puts samples with the same labels together.
func gathered(all []Sample, fold func([]float64) float64) (out []Sample) {
	groups := map[string][]float64{}
	for _, s := range all {
		groups[key(s.Labels)] = append(groups[key(s.Labels)], s.Value)
	}
	for _, s := range all {
		if v, ok := groups[key(s.Labels)]; ok {
			out = append(out, Sample{s.Labels, fold(v)})
			delete(groups, key(s.Labels))
		}
	}
	return out
}

// An aggregated puts series together.
type aggregated struct {
	name string
	of   node
	by   grouped
}

func (n *aggregated) eval(l moment) (values, error) {
	v, err := n.of.eval(l)
	for i := range v.samples {
		v.samples[i].Labels = n.by.of(v.samples[i].Labels)
	}
	v.samples = gathered(v.samples, func(values []float64) float64 { return folds[n.name](values, 1) })
	return v, err
}

// primary reads what stands between operators.
func (p *metrics) primary() (n node) {
	t := p.next()
	switch {
	case t.kind == number:
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			p.failAt(t, "%s is no number", t)
		}
		return constant(f)
	case t.text == "(" && t.kind == operator:
		n = p.binary(1)
	case t.kind == word && (rangeFolds[t.text] != "" || t.text == "absent_over_time") && p.take("("):
		r := &ranged{name: t.text, from: p.selection()}
		p.take("[")
		d, err := time.ParseDuration(p.next().text)
		if err != nil || !p.take("]") {
			p.fail("a range like [5m] belongs here")
		}
		r.over = d
		if !p.take(")") {
			p.fail("%s stands where ) belongs", p.peek())
		}
		r.by = p.grouping()
		return r
	case t.kind == word && slices.Contains([]string{"sum", "count", "avg", "max", "min"}, t.text):
		a := &aggregated{name: t.text, by: p.grouping()}
		if !p.take("(") {
			p.fail("%s stands where ( belongs", p.peek())
		}
		a.of, n = p.binary(1), a
		if !p.take(")") {
			p.fail("%s stands where ) belongs", p.peek())
		}
		if !a.by.named {
			a.by = p.grouping()
		}
		return a
	default:
		p.failAt(t, "%s is nothing that is answered here", t)
		return constant(math.NaN())
	}
	if !p.take(")") {
		p.fail("%s stands where ) belongs", p.peek())
	}
	return n
}

var errManyToMany = errors.New("several series on both sides have the same labels")
