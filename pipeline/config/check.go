package config

import (
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/engine"
)

var (
	pipelineName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	stepName     = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)
)

// reserved are names that mean something else in logs, cases and dead letters.
var reserved = []string{"dead_letter", "source"}

// maxName bounds a name, which becomes part of file names, headers and labels.
const maxName = 100

// check finds values that are right by themselves and contradict one another, and fills in
// the defaults that depend on others.
func (d *decoder) check(p *Pipeline) {
	if n := d.places["pipeline"]; n != nil && n.kind == scalarNode && !n.null && (!pipelineName.MatchString(p.Name) || len(p.Name) > maxName) {
		d.errorAt(n, fmt.Sprintf("the name %s is not made of a-z, 0-9 and - alone", n.shown()), d.suggestName(n, p.Name))
	}
	d.names(p)
	for i := range p.Stages {
		d.stage(p, &p.Stages[i], fmt.Sprintf("stages[%d]", i))
	}
	for i := range p.Sinks {
		d.output(p, &p.Sinks[i].OutputSettings, p.Sinks[i].Kind, fmt.Sprintf("sinks[%d]", i))
	}
	if p.DeadLetter != nil {
		d.output(p, &p.DeadLetter.OutputSettings, p.DeadLetter.Kind, "dead_letter")
		d.letterBudget(p.DeadLetter.Budget)
	}
	d.delivery(p)
	d.admin(p)
	d.traces(p)
	d.components(p)
	d.doubts(p)
}

var notName = regexp.MustCompile(`[^a-z0-9]+`)

// suggestName gives what the name at n was likely meant to be. It would be another text than a secret
// in it, and hides none: of a name with a variable, or with a secret, nothing is suggested.
func (d *decoder) suggestName(n *node, name string) string {
	if len(n.pieces) > 0 || concealKnown(name, secretTexts(d.secrets)) != name {
		return ""
	}
	return "did you mean " + tidyName(name) + "?"
}

func tidyName(s string) string {
	if t := strings.Trim(notName.ReplaceAllString(strings.ToLower(s), "-"), "-"); t != "" && len(t) <= maxName {
		return t
	}
	return "my-pipeline"
}

// names checks the names of steps and sinks, and gives one to those without.
func (d *decoder) names(p *Pipeline) {
	taken := map[string]*node{}
	for i := range p.Stages {
		d.claim(&p.Stages[i].Name, fmt.Sprintf("stages[%d]", i), taken)
	}
	for i := range p.Sinks {
		d.claim(&p.Sinks[i].Name, fmt.Sprintf("sinks[%d]", i), taken)
	}
	nameByKind := func(name *string, c Component) {
		if *name != "" || c.Kind == nil {
			return
		}
		*name = c.Kind.Name
		for n := 2; taken[*name] != nil; n++ {
			*name = fmt.Sprintf("%s-%d", c.Kind.Name, n)
		}
		taken[*name] = &node{}
	}
	for i := range p.Stages {
		nameByKind(&p.Stages[i].Name, p.Stages[i].Component)
	}
	for i := range p.Sinks {
		nameByKind(&p.Sinks[i].Name, p.Sinks[i].Component)
	}
}

func (d *decoder) claim(name *string, path string, taken map[string]*node) {
	n := d.places[path+".name"]
	if n == nil || n.kind != scalarNode || *name == "" {
		return
	}
	switch first := taken[*name]; {
	case slices.Contains(reserved, *name):
		d.errorAt(n, fmt.Sprintf("the name %q is reserved", *name), "it stands for something else in logs and cases; choose another")
	case !stepName.MatchString(*name) || len(*name) > maxName:
		d.errorAt(n, fmt.Sprintf("the name %s is not made of a-z, 0-9, - and _ alone", n.shown()), d.suggestName(n, *name))
	case first != nil:
		d.errorAt(n, fmt.Sprintf("the name %q stands twice; first at %s", *name, first.standsAt(n)), twiceHint(first, n))
	default:
		taken[*name] = n
	}
}

func twiceHint(first, second *node) string {
	if first.src != second.src && first.src.path == second.src.path && first.src.path != "" {
		return "the file is included twice: leave the name out, or make it a parameter"
	}
	return "steps and sinks have one name each: logs and dead letters tell them apart by it"
}

func (d *decoder) stage(p *Pipeline, s *Stage, path string) {
	if s.OnErrorName == "dead_letter" && p.DeadLetter == nil && !d.damaged {
		d.errorAt(d.at(path+".on_error"), "on_error: dead_letter, and the file has no dead_letter", "add dead_letter: with a sink, or write on_error: stop")
	}
	s.OnError = map[string]engine.OnError{"stop": engine.OnErrorStop, "pass": engine.OnErrorPass}[s.OnErrorName]
	s.Serial = map[string]engine.Serial{"key": engine.SerialKey, "partition": engine.SerialPartition}[s.SerialName]
	if s.Kind == nil {
		return
	}
	if s.Kind.OneByOne {
		if s.Workers > 1 {
			d.errorAt(d.at(path+".workers"), fmt.Sprintf("%s has one worker: it remembers, so its records come one after another", s.Kind.Name), "remove workers")
		}
		s.Workers = 1
	}
	d.noMeaning(s.Kind, path)
	if !s.Kind.Waits {
		s.Window, s.Timeout, s.Deadline, s.MaxWait, s.Serial, s.SerialName, s.Retry, s.Calls = 0, 0, 0, 0, 0, "", StepRetry{}, calls.Settings{}
		return
	}
	d.waiting(p, s, path)
}

// waiting checks a waiting step and fills in its defaults.
func (d *decoder) waiting(p *Pipeline, s *Stage, path string) {
	d.slots(s, path)
	switch {
	case s.Window == 0:
		s.Window = engine.DefaultWindowFactor * s.Workers
	case s.Window < s.Workers:
		d.errorAt(d.at(path+".window"), fmt.Sprintf("a window of %d cannot keep %d workers busy", s.Window, s.Workers),
			fmt.Sprintf("a window is at least as large as the pool, better %d times: %d", engine.DefaultWindowFactor, engine.DefaultWindowFactor*s.Workers))
	case s.Window > p.Limits.InFlight:
		d.warn(d.at(path+".window"), fmt.Sprintf("a window of %d never fills: the process has at most %d records in flight", s.Window, p.Limits.InFlight), "see limits.in_flight")
	}
	timeout, deadline := d.given(path+".timeout"), d.given(path+".deadline")
	switch {
	case timeout && deadline && s.Deadline < s.Timeout:
		d.errorAt(d.at(path+".deadline"), fmt.Sprintf("the deadline %v is shorter than the timeout %v of one attempt", s.Deadline, s.Timeout), "the deadline is of a record in this step, retries included")
	case deadline && !timeout:
		s.Timeout = min(s.Timeout, s.Deadline)
	case timeout && !deadline:
		s.Deadline = max(s.Deadline, s.Timeout)
	}
	if s.Deadline > p.Limits.Drain {
		d.warn(d.at(path+".deadline"), fmt.Sprintf("the deadline %v is above the drain budget of %v: records may be abandoned at a stop", s.Deadline, p.Limits.Drain), "they are read again at the next start; see limits.drain")
	}
	if s.Kind.Computes {
		s.Retry, s.Calls = StepRetry{Retry: Retry{Attempts: 1}}, calls.Settings{}
		return
	}
	d.retry(s.Retry.Retry, path)
	d.calls(p, s, path)
}

// mostWorkers is as many as a file may write.
const mostWorkers = engine.MaxWorkers

// MostWorkers is how many workers the step may be given while it runs, and why there may be no more. 0: as many as any.
func (s *Stage) MostWorkers() (most int, why string) {
	switch {
	case s.Kind.OneByOne:
		return 1, s.Kind.Name + " remembers, so its records come one after another"
	case s.Kind.Slots != nil && s.Settings != nil:
		return max(min(s.Kind.Slots(s.Settings), mostWorkers), s.Workers), s.Kind.Name + " can make no more calls at once"
	}
	return 0, ""
}

// slots fills in and checks how many workers a waiting step has.
func (d *decoder) slots(s *Stage, path string) {
	most := engine.DefaultWaitWorkers
	if s.Kind.Computes {
		most = runtime.GOMAXPROCS(0)
	}
	if s.Kind.Slots != nil && s.Settings != nil {
		most = min(s.Kind.Slots(s.Settings), mostWorkers)
		if s.Workers != 0 && s.Workers < most {
			d.warn(d.at(path+".workers"), fmt.Sprintf("the step makes %d calls at once at most, and %s could have %d", s.Workers, s.Kind.Name, most), "remove workers, or write as many")
		}
	}
	if s.Workers == 0 {
		s.Workers = most
	}
}

func (d *decoder) retry(r Retry, path string) {
	if r.MaxBackoff < r.Backoff && (d.given(path+".retry.backoff") || d.given(path+".retry.max_backoff")) {
		at := path + ".retry.max_backoff"
		if !d.given(at) {
			at = path + ".retry.backoff"
		}
		d.errorAt(d.at(at), fmt.Sprintf("max_backoff %v is below backoff %v", r.MaxBackoff, r.Backoff), "backoff doubles from attempt to attempt, up to max_backoff")
	}
}

func (d *decoder) output(p *Pipeline, o *OutputSettings, k *Kind, path string) {
	d.retry(o.Retry, path)
	if k != nil {
		d.noMeaning(k, path)
	}
	d.limit(p, o.Limit, path)
	if d.given(path+".timeout") && o.Timeout > p.Limits.Drain {
		d.warn(d.at(path+".timeout"), fmt.Sprintf("the timeout %v is above the drain budget of %v: a write may be cut off at a stop", o.Timeout, p.Limits.Drain), "see limits.drain")
	}
	if d.given(path+".batch.linger") && o.Batch.Linger >= p.Limits.Drain {
		d.errorAt(d.at(path+".batch.linger"), fmt.Sprintf("a linger of %v is not below the drain budget of %v", o.Batch.Linger, p.Limits.Drain), "records would be abandoned at every stop")
	}
}

// letterBudget checks what the budget of dead letters says together.
func (d *decoder) letterBudget(b *LetterBudget) {
	if b == nil {
		return
	}
	if then := d.places["dead_letter.budget.then"]; (then == nil || then.text == "stop") && d.given("dead_letter.budget.pause") {
		d.errorAt(d.at("dead_letter.budget.pause"), "a budget that stops the pipeline has no pause", "write then: pause, or remove the line")
	}
	if b.Rejected < b.Of || b.Of < 1 { // an of below 1 has an error of its own
		return
	}
	suggestion := fmt.Sprintf("write fewer than of, as in rejected: %d", max(b.Of/10, 1))
	if b.Of == 1 { // there is nothing fewer that may be written
		suggestion = "write a larger of, as in of: 2"
	}
	d.warn(d.at("dead_letter.budget.rejected"), fmt.Sprintf("no more than %d of the last %d records can be rejected: the budget is never spent", b.Of, b.Of), suggestion)
}

func (d *decoder) warn(n *node, text, suggestion string) {
	d.report(n.problem(SeverityWarning, text, suggestion))
}

func (d *decoder) delivery(p *Pipeline) {
	if p.Delivery != ExactlyOnce {
		return
	}
	at := d.at("delivery")
	d.errorAt(at, "delivery: exactly_once does not exist yet in this version", "write at_least_once, or remove the line: nothing is lost, and what is delivered twice has the same position")
	if p.Order.Keep != engine.OrderPartition {
		name := "none"
		if p.Order.Keep == engine.OrderKey {
			name = "key"
		}
		d.errorAt(d.at("order"), fmt.Sprintf("order: %s contradicts delivery: exactly_once", name), "a transaction ends at one offset of each partition: write order: partition")
	}
	for i, s := range p.Sinks {
		if s.Kind != nil && !s.Kind.Transactions {
			d.errorAt(d.where(fmt.Sprintf("sinks[%d].%s", i, s.Kind.Name)), fmt.Sprintf("the sink %s cannot give exactly_once", s.Kind.Name), "write delivery: at_least_once")
		}
	}
}

// components has each kind fill in and check its settings, together with the rest of the file.
func (d *decoder) components(p *Pipeline) {
	d.eachComponent(p, func(c Component, path string) {
		if c.Kind.Fill != nil {
			c.Kind.Fill(c.Settings, p)
		}
		if c.Kind.Check == nil {
			return
		}
		d.reportErrors(c.Kind.Check(c.Settings, p), path, nil)
	})
}

// hasProblem says whether something within the value at path has been reported.
func (d *decoder) hasProblem(path string) bool { return d.bad[path] }
