package catalog

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/redact"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/stages"
)

// This file warns of hosts that are made of what a redact takes out. Hosts stand in logs and in the answers of the admin endpoint,
// which no redact reaches.

// warnRedactedHost warns of the address of a step whose host is made of something that a redact of the file names, while it stands in
// the record. A redact in front of the step has taken it out by then.
func warnRedactedHost(s any, address *expr.Template, p *config.Pipeline) []config.Warning {
	var later, before []redact.Settings
	at := slices.IndexFunc(p.Stages, func(st config.Stage) bool { return st.Settings == s })
	for i, st := range p.Stages {
		if r, ok := st.Settings.(*stages.RedactSettings); ok && i < at {
			before = append(before, redact.Settings(*r))
		} else if ok {
			later = append(later, redact.Settings(*r))
		}
	}
	if p.DeadLetter != nil && p.DeadLetter.Redact != nil {
		later = append(later, *p.DeadLetter.Redact)
	}
	for _, part := range address.HostParts() {
		for _, what := range namedBy(part.Expr) {
			if !slices.ContainsFunc(later, what.isIn) || slices.ContainsFunc(before, what.isIn) {
				continue
			}
			return []config.Warning{{
				Field:      "url",
				Text:       fmt.Sprintf("the host of url is made of %s, which a redact of this file names: hosts stand in logs and in the answers of the admin endpoint as they are", what.name),
				Suggestion: "put such a value into the path, the query or the body, which nothing quotes; where its host may be seen, have a map copy it into a field that no redact names, and make the host of that",
			}}
		}
	}
	return nil
}

// A named is something of a record that an expression reads.
type named struct {
	name string                       // for messages
	isIn func(r redact.Settings) bool // whether r takes it out
}

var (
	headerRead = regexp.MustCompile(`\bheader\(\s*["']([^"'\\]+)["']\s*\)`)
	keyRead    = regexp.MustCompile(`\bmeta\.key\b`)
)

// namedBy gives what an expression reads by name.
func namedBy(e *expr.Expr) []named {
	var all []named
	for _, read := range e.Reads() {
		all = append(all, named{read.Path.String(), func(r redact.Settings) bool {
			return slices.ContainsFunc(r.Fields, func(f settings.FieldPath) bool {
				path, err := f.Path()
				return err == nil && within(read.Path, path)
			})
		}})
	}
	for _, m := range headerRead.FindAllStringSubmatch(e.String(), -1) {
		all = append(all, named{"the header " + m[1], func(r redact.Settings) bool {
			return slices.ContainsFunc(r.Headers, func(h settings.HeaderName) bool { return strings.EqualFold(string(h), m[1]) })
		}})
	}
	if keyRead.MatchString(e.String()) {
		all = append(all, named{"meta.key", func(r redact.Settings) bool { return r.Key }})
	}
	return all
}

// within says whether a path leads to what a redact of a field takes out, or into it. A redact goes through arrays by itself.
func within(path, field jsontext.Path) bool {
	inObjects := func(p jsontext.Path) jsontext.Path {
		return slices.DeleteFunc(slices.Clone(p), func(s jsontext.Step) bool { return !s.InObject() })
	}
	path, field = inObjects(path), inObjects(field)
	if len(field) > len(path) || len(field) == 0 {
		return false
	}
	for i, step := range field {
		if step.Kind == jsontext.Named && step != path[i] {
			return false
		}
	}
	return true
}
