package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"

	"go.yaml.in/yaml/v3"

	"github.com/penstockio/penstock/pipeline/calls"
)

// This file says what of a configuration is another than before, for a process that goes on with the new one.
//
// Settings are compared as text, as config show has them, with secrets and with what those files hold that are read at the
// start alone. So a comment, an order of keys or a default that is written out is no difference, and a password is one.

// A Difference is what is other in a pipeline file than in the one before it.
type Difference struct {
	Stages     []bool   // of each stage of the new file: there was the same before, of its name
	Sinks      []bool   // of each sink, likewise; its when does not count
	DeadLetter bool     // that of the dead letters is the same, or there was none and is none
	Whens      []bool   // of each sink: its when is the same
	Order      bool     // the stages and the sinks are as many, and in the same order, as before
	Gone       []string // the names of stages and sinks that there are no more
}

// IsNone says whether nothing is another.
func (d *Difference) IsNone() bool {
	same := func(list []bool) bool { return !slices.Contains(list, false) }
	return same(d.Stages) && same(d.Sinks) && same(d.Whens) && d.DeadLetter && d.Order
}

// Compare says what is other in a set than in one before it, of each pipeline in the order of the new set. The error is an
// *InvalidError when something is other that a running process cannot change: it names each such setting, where it stands now.
func (s *Set) Compare(before *Set) ([]Difference, error) {
	var problems Problems
	fixed := func(p *Pipeline, path, text string) {
		q := Problem{File: p.File, Severity: SeverityError, Text: text, Suggestion: "restart the process to apply it"}
		if n := p.decoder.places[path]; n != nil && n.line > 0 {
			q = n.src.problem(SeverityError, n.line, n.col, 0, q.Text, q.Suggestion)
		}
		problems = append(problems, q)
	}
	was := map[string]*Pipeline{}
	for _, p := range before.Pipelines {
		was[p.Name] = p
	}
	var all []Difference
	for _, p := range s.Pipelines {
		old := was[p.Name]
		delete(was, p.Name)
		if old == nil {
			fixed(p, "pipeline", fmt.Sprintf("the process does not run a pipeline of the name %q", p.Name))
			continue
		}
		for _, path := range p.fixedDifferences(old) {
			fixed(p, path, path+" is another than in the process that runs")
		}
		all = append(all, p.differs(old))
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		problems = append(problems, Problem{
			File: was[name].File, Severity: SeverityError, Text: fmt.Sprintf("the process runs a pipeline of the name %q, and no file has it any more", name),
			Suggestion: "restart the process to end it",
		})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Process.Limits.Rates)) {
		if old, ok := before.Process.Limits.Rates[name]; ok && old.Per != s.Process.Limits.Rates[name].Per {
			fixed(s.Pipelines[0], "limits.rates."+name, "limits.rates."+name+": whether it is per host is another than in the process that runs")
		}
	}
	if len(problems) > 0 {
		for _, p := range s.Pipelines {
			problems.concealAll(p.secrets, secretTexts(p.decoder.hidden))
		}
		return nil, &InvalidError{Problems: problems}
	}
	return all, nil
}

// ChangedRates gives the rates that are other than before, or new.
func (s *Set) ChangedRates(before *Set) map[string]calls.RateSettings {
	changed := map[string]calls.RateSettings{}
	for name, r := range s.Process.Limits.Rates {
		if old, ok := before.Process.Limits.Rates[name]; !ok || old != r {
			changed[name] = r
		}
	}
	return changed
}

// fixedDifferences gives the paths of settings that a running process cannot change and that are others.
func (p *Pipeline) fixedDifferences(old *Pipeline) (paths []string) {
	now, was := p.identity, old.identity
	for _, path := range slices.Sorted(maps.Keys(now.fixed)) {
		if now.fixed[path] != was.fixed[path] {
			paths = append(paths, path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(was.fixed)) {
		if _, both := now.fixed[path]; !both {
			paths = append(paths, path)
		}
	}
	if (p.Process.Traces == nil) != (old.Process.Traces == nil) { // it is said of the block, and not of each setting that it has
		paths = slices.DeleteFunc(paths, func(path string) bool { return isUnder(path, "traces") })
		paths = append(paths, "traces")
	}
	return paths
}

// differs says what steps and sinks are others.
func (p *Pipeline) differs(old *Pipeline) Difference {
	now, was := p.identity, old.identity
	d := Difference{DeadLetter: now.dead == was.dead, Order: slices.Equal(now.names, was.names)}
	for _, name := range was.names {
		if !slices.Contains(now.names, name) {
			d.Gone = append(d.Gone, name[strings.IndexByte(name, ' ')+1:])
		}
	}
	for _, st := range p.Stages {
		d.Stages = append(d.Stages, now.stages[st.Name] == was.stages[st.Name])
	}
	for _, sk := range p.Sinks {
		d.Sinks = append(d.Sinks, now.sinks[sk.Name] == was.sinks[sk.Name])
		d.Whens = append(d.Whens, now.whens[sk.Name] == was.whens[sk.Name])
	}
	return d
}

// An identity is the settings of a file as text, whole: nothing of them may be shown.
type identity struct {
	fixed                map[string]string // by path
	stages, sinks, whens map[string]string // by name
	names                []string          // of the stages and sinks, in order
	dead                 string            // "": there are no dead letters
}

func (p *Pipeline) identify() identity {
	w := yamlWriter{p: p, whole: true}
	t := identity{fixed: map[string]string{}, stages: map[string]string{}, sinks: map[string]string{}, whens: map[string]string{}}
	t.fixed["source"] = inYAML(w.component(p.Source, "source"))
	t.fixed["order"] = inYAML(w.order())
	t.fixed["delivery"] = string(p.Delivery)
	process := &yaml.Node{Kind: yaml.MappingNode}
	w.fields(process, reflect.ValueOf(p.Process), "", nil)
	flat("", process, t.fixed)
	t.fixed["admin"] = ""
	if p.Admin != nil {
		t.fixed["admin"] = inYAML(w.value(reflect.ValueOf(p.Admin), "admin"))
	}
	for path := range t.fixed {
		if path != "admin" && isUnder(path, "admin") || path == "log.level" || isUnder(path, "limits.rates") {
			delete(t.fixed, path)
		}
	}
	for i, st := range p.Stages {
		t.names = append(t.names, "stage "+st.Name)
		t.stages[st.Name] = inYAML(w.stage(i))
	}
	for i, sk := range p.Sinks {
		t.names = append(t.names, "sink "+sk.Name)
		n := w.sink(i)
		t.sinks[sk.Name] = inYAML(lessKey(n, "when"))
		if sk.When != nil {
			t.whens[sk.Name] = inYAML(w.value(reflect.ValueOf(sk.When), fmt.Sprintf("sinks[%d].when", i)))
		}
	}
	if p.DeadLetter != nil {
		n := w.component(p.DeadLetter.Component, "dead_letter")
		w.fields(n, reflect.ValueOf(p.DeadLetter.DeadLetterSettings), "dead_letter", nil)
		t.dead = inYAML(n)
	}
	return t
}

// inYAML gives a node as text.
func inYAML(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	text, err := yaml.Marshal(n)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// lessKey gives a mapping without a key.
func lessKey(n *yaml.Node, key string) *yaml.Node {
	c := *n
	c.Content = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != key {
			c.Content = append(c.Content, n.Content[i], n.Content[i+1])
		}
	}
	return &c
}

// flat puts the leaves of a mapping into a map by their paths.
func flat(path string, n *yaml.Node, into map[string]string) {
	if n.Kind != yaml.MappingNode {
		into[path] = inYAML(n)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		flat(join(path, n.Content[i].Value), n.Content[i+1], into)
	}
}

func isUnder(path, above string) bool {
	return path == above || len(path) > len(above) && path[:len(above)] == above && path[len(above)] == '.'
}

// mostContent is how much of a file is looked at.
const mostContent = 64 << 20

// contentOf gives a sum of what a plain file holds, as a text to stand behind its name; what cannot be read has none, and whoever needs the
// file says why.
func contentOf(name string) string {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // to open a pipe waits for a writer otherwise
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(f, mostContent)); err != nil {
		return ""
	}
	return " sha256:" + hex.EncodeToString(sum.Sum(nil))
}
