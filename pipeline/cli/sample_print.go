package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// print writes what a sample showed, for people.
func (s *sample) print(w io.Writer) {
	of := ""
	if s.Read > s.Records {
		of = fmt.Sprintf(" of %d, evenly", s.Read)
	}
	fmt.Fprintf(w, "sample: %s%s\n", counted(s.Records, "record"), of)
	if s.Order != nil {
		fmt.Fprintln(w, "order")
		s.Order.print(w)
	}
	for i := range s.Steps {
		s.Steps[i].print(w)
	}
	for i := range s.Sinks {
		s.Sinks[i].print(w)
	}
}

func (s *sampledStep) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %d in, ", box{name: s.Name, kind: s.Kind}.title(), s.In)
	switch {
	case s.JudgedBy != "" && s.unjudged:
		fmt.Fprintf(w, "not judged, for what %s gives is not known", s.DependsOn)
	case s.JudgedBy != "":
		fmt.Fprintf(w, "judged by what reached %s, which lets none pass", s.JudgedBy)
	case s.Called && s.DependsOn != "":
		fmt.Fprintf(w, "all go on: what it does depends on what %s puts in, which is not known", s.DependsOn)
	case !s.Called:
		fmt.Fprint(w, "not called, for it waits for somebody: they go on as they are")
	case s.Out != s.Passed:
		fmt.Fprintf(w, "%d pass as %d", s.Passed, s.Out)
	default:
		fmt.Fprintf(w, "%d pass", s.Passed)
	}
	if s.Filtered > 0 {
		fmt.Fprintf(w, ", %d filtered", s.Filtered)
	}
	for _, reason := range slices.Sorted(maps.Keys(s.Rejected)) {
		fmt.Fprintf(w, ", %d rejected (%s)", s.Rejected[reason], reason)
	}
	fmt.Fprintln(w)
	for _, reason := range slices.Sorted(maps.Keys(s.Errors)) {
		fmt.Fprintf(w, "  %s first at %s\n", reason, s.Errors[reason])
	}
	s.sampledPart.print(w)
}

func (s *sampledSink) print(w io.Writer) {
	fmt.Fprintf(w, "sink %s: ", box{name: s.Name, kind: s.Kind}.title())
	switch {
	case s.JudgedBy != "" && s.unjudged:
		fmt.Fprintf(w, "0, not judged, for what %s gives is not known", s.DependsOn)
	case s.JudgedBy != "":
		fmt.Fprintf(w, "0, judged by what reached %s, which lets none pass", s.JudgedBy)
	case s.DependsOn != "":
		fmt.Fprintf(w, "when depends on what %s puts in, which is not known", s.DependsOn)
	case s.judgedAll:
		fmt.Fprintf(w, "0 of %d, by which all but its when is judged", s.In)
	case s.Takes == s.In:
		fmt.Fprintf(w, "%d", s.In)
	default:
		fmt.Fprintf(w, "%d of %d", s.Takes, s.In)
	}
	fmt.Fprintln(w)
	s.sampledPart.print(w)
}

// print writes the fields by whether they are everywhere, in some records, or cannot be judged, and a line for
// each expression whose results say more than its fields.
func (p *sampledPart) print(w io.Writer) {
	var always, others, unjudged []string
	for _, f := range p.Fields {
		switch {
		case f.Of == 0:
			unjudged = append(unjudged, f.Path)
		case f.DependsOn != "" && f.In == 0:
			others = append(others, fmt.Sprintf("%s of %s", f.Path, f.DependsOn))
		case f.In == f.Of:
			always = append(always, f.Path)
		default:
			others = append(others, fmt.Sprintf("%s in %d of %d", f.Path, f.In, f.Of))
		}
	}
	if len(always) > 0 {
		fmt.Fprintf(w, "  in all: %s\n", strings.Join(always, ", "))
	}
	if len(others) > 0 {
		fmt.Fprintf(w, "  fields: %s\n", strings.Join(others, ", "))
	}
	if len(unjudged) > 0 {
		fmt.Fprintf(w, "  not judged, for no object reached this: %s\n", strings.Join(unjudged, ", "))
	}
	for i := range p.Expressions {
		p.Expressions[i].print(w)
	}
}

func (e *sampledExpression) print(w io.Writer) {
	var gave []string
	if e.DependsOn != "" {
		gave = append(gave, "not evaluated, for it reads what "+e.DependsOn+" puts in")
	}
	if e.Held != nil {
		gave = append(gave, fmt.Sprintf("true %d, false %d", *e.Held, e.Of-*e.Held-e.Failed))
	}
	for _, t := range slices.Sorted(maps.Keys(e.Types)) {
		gave = append(gave, fmt.Sprintf("%s %d", t, e.Types[t]))
	}
	if e.Failed > 0 {
		gave = append(gave, fmt.Sprintf("fails %d", e.Failed))
	}
	if len(gave) == 0 {
		return
	}
	text, _, more := strings.Cut(e.Text, "\n")
	if cut := []rune(text); len(cut) > 50 {
		text, more = string(cut[:50]), true
	}
	if more {
		text += "…"
	}
	fmt.Fprintf(w, "  %s: %s  =>  %s\n", e.Setting, text, strings.Join(gave, ", "))
	if e.First != nil {
		fmt.Fprintf(w, "    first at %s:\n", e.First.Record)
		for line := range strings.Lines(e.First.detail) {
			fmt.Fprint(w, "    "+line)
		}
	}
}
