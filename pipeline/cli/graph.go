package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
)

func newGraph(g *globals) *cobra.Command {
	format, promises := "text", false
	cmd := &cobra.Command{
		Use:   "graph FILE|DIR...",
		Short: "Draw pipelines as text, mermaid, dot or svg",
		Args:  takes(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			draw := map[string]func(io.Writer, drawing) error{"text": drawText, "mermaid": drawMermaid, "dot": drawDot, "svg": drawSVG}[format]
			if draw == nil {
				return usagef("--format is one of text, mermaid, dot, svg, not %q", format)
			}
			set, err := g.load(args)
			if err != nil {
				return err
			}
			if format == "svg" && len(set.Pipelines) > 1 {
				return usagef("an svg holds one pipeline: name one file")
			}
			printProblems(g.err, set.Warnings)
			for i, p := range set.Pipelines {
				if i > 0 {
					fmt.Fprintln(g.out)
				}
				d := newDrawing(p)
				if !promises {
					d.guarantees = nil
				}
				if err := draw(g.out, d); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "text, mermaid, dot or svg")
	cmd.Flags().BoolVar(&promises, "guarantees", false, "add what order and delivery the file gives, and what each sink guarantees")
	return cmd
}

// A drawing is a pipeline as boxes: a chain from the source through the steps, and the
// sinks behind the last of it.
type drawing struct {
	name       string
	chain      []box
	sinks      []box
	rejected   *box
	guarantees []string
}

// A box is one component.
type box struct {
	name, kind string
	text       string   // what its settings say
	how        []string // pool, window, times; what holds calls back
	when       string
}

func (b box) title() string {
	if b.name == b.kind {
		return b.name
	}
	return b.name + " (" + b.kind + ")"
}

const summaryWidth = 72

func newDrawing(p *config.Pipeline) drawing {
	src := p.Source.Kind.Name
	d := drawing{name: p.Name, chain: []box{{name: src, kind: src, text: p.Summary(p.Source, summaryWidth)}}}
	for _, s := range p.Stages {
		d.chain = append(d.chain, box{name: s.Name, kind: s.Kind.Name, text: p.Summary(s.Component, summaryWidth), how: stepWords(p, s)})
	}
	for _, s := range p.Sinks {
		b := box{name: s.Name, kind: s.Kind.Name, text: p.Summary(s.Component, summaryWidth), how: lines(rateWords(p, s.Limit))}
		if s.When != nil {
			b.when = s.When.Written() // a variable may be a secret
		}
		d.sinks = append(d.sinks, b)
	}
	if l := p.DeadLetter; l != nil {
		d.rejected = &box{name: catalog.DeadLetterName, kind: l.Kind.Name, text: p.Summary(l.Component, summaryWidth), how: lines(rateWords(p, l.Limit)), when: "rejected"}
	}
	d.guarantees = guarantees(p)
	return d
}

// stepWords says how a step runs, and what holds its calls back.
func stepWords(p *config.Pipeline, s config.Stage) []string {
	var words []string
	if s.Kind.Waits {
		words = append(words, fmt.Sprintf("%d at once, window %d, %v an attempt, %v a record, %d attempts", s.Workers, s.Window, s.Timeout, s.Deadline, s.Retry.Attempts))
	} else if s.Workers > 0 {
		words = append(words, fmt.Sprintf("%d workers", s.Workers))
	}
	if s.Serial != engine.SerialNone {
		words = append(words, "serial by "+s.SerialName)
	}
	if s.OnErrorName != "" {
		words = append(words, "on error "+s.OnErrorName)
	}
	return lines(words, limitWords(p, s))
}

// lines makes a line of each of the lists that hold something.
func lines(lists ...[]string) (all []string) {
	for _, l := range lists {
		if len(l) > 0 {
			all = append(all, strings.Join(l, ", "))
		}
	}
	return all
}

// limitWords says what the file has changed about what holds the calls of a step back, and which
// answers it keeps.
func limitWords(p *config.Pipeline, s config.Stage) []string {
	words, c := rateWords(p, s.Calls.Limit), s.Calls
	if c.MaxPerHost > 0 && c.MaxPerHost < s.Workers {
		words = append(words, fmt.Sprintf("%d at once to a host", c.MaxPerHost))
	}
	if c.Adaptive {
		words = append(words, "fewer where a host gets slower")
	}
	if s.MaxWait > 0 {
		words = append(words, fmt.Sprintf("held back for %v at most", s.MaxWait))
	}
	if s.Kind.Waits && c.Breaker.Off {
		words = append(words, "no breaker")
	}
	if c.Cache != nil {
		words = append(words, fmt.Sprintf("answers kept for %v", c.Cache.TTL))
	}
	return words
}

// rateWords says which rates calls keep to.
func rateWords(p *config.Pipeline, limit []string) (words []string) {
	for _, name := range limit {
		r := p.Limits.Rates[name]
		to := ""
		if r.Per == "host" {
			to = " to a host"
		}
		words = append(words, fmt.Sprintf("rate %s of %v%s", name, r.Rate, to))
	}
	return words
}

// guarantees says in words what order and delivery a file gives.
func guarantees(p *config.Pipeline) []string {
	order := map[engine.Order]string{
		engine.OrderPartition: "order: each sink gets the records of a partition in the order of their offsets, whatever runs at once before it",
		engine.OrderKey:       "order: each sink gets the records of one key within a partition in order; those of different keys may pass one another",
		engine.OrderNone:      "order: none",
	}[p.Order.Keep]
	list := []string{order,
		"delivery: " + string(p.Delivery) + ": an offset is committed when every earlier record of its partition has an outcome; after a crash, what came since the last commit comes again, at the same position"}
	if g := p.Source.Kind.Guarantee; g != "" {
		list = append(list, "source "+p.Source.Kind.Name+": "+g)
	}
	for _, s := range p.Stages {
		if s.Kind.Waits && !s.Kind.Computes {
			list = append(list, "step "+s.Name+": "+callOrder(s.Serial)+"; a call may be repeated")
		}
	}
	for _, s := range p.Sinks {
		list = append(list, "sink "+s.Name+": "+orUnknown(s.Kind.Guarantee)+retryWords(s.Retry.Attempts))
	}
	if l := p.DeadLetter; l != nil {
		list = append(list, "rejected records: "+l.Kind.Name+", "+orUnknown(l.Kind.Guarantee)+"; a record counts as rejected once its dead letter is stored")
	} else {
		list = append(list, "rejected records: there is no dead_letter, so the first one stops the pipeline")
	}
	return append(list, fmt.Sprintf("stop: work in flight has %v to finish; the rest is read again at the next start", p.Limits.Drain.Round(time.Millisecond)))
}

func callOrder(s engine.Serial) string {
	switch s {
	case engine.SerialKey:
		return "calls of one key follow one another"
	case engine.SerialPartition:
		return "calls of one partition follow one another"
	}
	return "calls run at once, in no order; records leave in order"
}

func orUnknown(guarantee string) string {
	if guarantee == "" {
		return "nothing is known beyond the answer of its write"
	}
	return guarantee
}

func retryWords(attempts int) string {
	if attempts == 0 {
		return "; a write is repeated until it succeeds"
	}
	return fmt.Sprintf("; after %d attempts a record is rejected", attempts)
}

func drawText(w io.Writer, d drawing) error {
	p := printer{w: w}
	p.line("%s", d.name)
	p.line("")
	width := 0
	for _, b := range d.chain {
		width = max(width, len(b.title()))
	}
	for i, b := range d.chain {
		if i > 0 {
			p.line("    |")
			p.line("    v")
		}
		p.line("  %s", strings.TrimRight(fmt.Sprintf("%-*s  %s", width, b.title(), b.text), " "))
		for _, how := range b.how {
			p.line("  %-*s  %s", width, "", how)
		}
	}
	width = 0
	outputs := d.sinks
	if d.rejected != nil {
		outputs = append(outputs[:len(outputs):len(outputs)], *d.rejected)
	}
	for _, b := range outputs {
		width = max(width, len(b.title()))
	}
	for i, b := range outputs {
		arrow := "-->"
		if d.rejected != nil && i == len(d.sinks) {
			arrow = "- >"
		}
		text := b.text
		if b.when != "" {
			text = "[" + b.when + "] " + text
		}
		p.line("    |")
		p.line("    +%s %s", arrow, strings.TrimRight(fmt.Sprintf("%-*s  %s", width, b.title(), text), " "))
		for _, how := range b.how {
			p.line("         %-*s  %s", width, "", how)
		}
	}
	if len(d.guarantees) > 0 {
		p.line("")
		p.line("Guarantees")
		for _, g := range d.guarantees {
			p.line("  %s", g)
		}
	}
	return p.err
}

// edges calls f for every arrow: from and to count boxes of the chain, then sinks, then
// the dead letters.
func (d drawing) edges(f func(from, to int, label string, rejected bool)) {
	last := len(d.chain) - 1
	for i := range last {
		f(i, i+1, "", false)
	}
	for i, b := range d.sinks {
		f(last, last+1+i, b.when, false)
	}
	if d.rejected != nil {
		f(last, last+1+len(d.sinks), "rejected", true)
	}
}

// boxes gives all boxes in the order that edges counts them.
func (d drawing) boxes() []box {
	all := append(d.chain[:len(d.chain):len(d.chain)], d.sinks...)
	if d.rejected != nil {
		all = append(all, *d.rejected)
	}
	return all
}

func drawMermaid(w io.Writer, d drawing) error {
	p := printer{w: w}
	p.line("flowchart TD")
	for _, g := range d.guarantees {
		p.line("  %%%% %s", g)
	}
	escape := func(s string) string {
		return strings.NewReplacer("#", "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;").Replace(s)
	}
	for i, b := range d.boxes() {
		label := escape(b.title())
		for _, more := range append([]string{b.text}, b.how...) {
			if more != "" {
				label += "<br/>" + escape(more)
			}
		}
		p.line("  n%d[\"%s\"]", i, label)
	}
	d.edges(func(from, to int, label string, rejected bool) {
		arrow := "-->"
		if rejected {
			arrow = "-.->"
		}
		if label != "" {
			arrow += "|\"" + escape(label) + "\"|"
		}
		p.line("  n%d %s n%d", from, arrow, to)
	})
	return p.err
}

func drawDot(w io.Writer, d drawing) error {
	p := printer{w: w}
	p.line("digraph %s {", strconv.Quote(d.name))
	for _, g := range d.guarantees {
		p.line("  // %s", g)
	}
	p.line("  node [shape=box, fontname=\"sans-serif\"];")
	quote := func(s string) string { return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) }
	for i, b := range d.boxes() {
		label := quote(b.title())
		for _, more := range append([]string{b.text}, b.how...) {
			if more != "" {
				label += `\n` + quote(more)
			}
		}
		p.line("  n%d [label=\"%s\"];", i, label)
	}
	d.edges(func(from, to int, label string, rejected bool) {
		var attributes []string
		if label != "" {
			attributes = append(attributes, "label=\""+quote(label)+"\"")
		}
		if rejected {
			attributes = append(attributes, "style=dashed")
		}
		tail := ""
		if len(attributes) > 0 {
			tail = " [" + strings.Join(attributes, ", ") + "]"
		}
		p.line("  n%d -> n%d%s;", from, to, tail)
	})
	p.line("}")
	return p.err
}
