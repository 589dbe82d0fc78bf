package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/calls"
)

// This file checks what holds calls back: the rates of the process, and what stands beside steps and
// sinks.

var (
	// waitingOnly are the settings that only a waiting step can have.
	waitingOnly = []string{"window", "timeout", "deadline", "max_wait", "serial", "retry", "limit", "max_per_host", "adaptive", "breaker"}
	// callingOnly are those of them that only a step which calls somebody can have.
	callingOnly = []string{"max_wait", "retry", "limit", "max_per_host", "adaptive", "breaker"}
	// answersOnly are those of a step that can keep answers.
	answersOnly = []string{"cache", "share"}
	// callsOnly are those of a sink that keeps to rates.
	callsOnly = []string{"limit"}
)

// never gives the settings that have no meaning beside a component of this kind.
func (k *Kind) never() []string {
	var names []string
	switch k.Section {
	case StageSection:
		if !k.Waits {
			names = append(names, waitingOnly...)
		}
		if k.Waits && k.Computes {
			names = append(names, callingOnly...)
		}
		if !k.Waits || !k.Answers {
			names = append(names, answersOnly...)
		}
	case SinkSection:
		if !k.Calls {
			names = append(names, callsOnly...)
		}
	}
	return names
}

// noMeaning reports what stands beside a component of kind k and has no meaning there.
func (d *decoder) noMeaning(k *Kind, path string) {
	for _, name := range k.never() {
		if !d.given(path + "." + name) {
			continue
		}
		why, others := "", ""
		switch {
		case k.Section == SinkSection:
			why, others = "it makes no calls that keep to a rate", d.kindsThat("sinks that do", func(k *Kind) bool { return k.Calls })
		case !k.Waits:
			why, others = "it waits for nobody and makes one attempt", d.kindsThat("steps that wait", func(k *Kind) bool { return k.Waits })
		case k.Computes && slices.Contains(callingOnly, name):
			why, others = "it calls nobody and makes one attempt", d.kindsThat("steps that call", func(k *Kind) bool { return k.Waits && !k.Computes })
		default:
			why, others = "it keeps no answers", d.kindsThat("steps that do", func(k *Kind) bool { return k.Answers })
		}
		d.errorAt(d.where(path+"."+name), fmt.Sprintf("%s has no meaning in %s: %s", name, k.Name, why), "remove it"+others)
	}
}

// kindsThat lists kinds for a suggestion.
func (d *decoder) kindsThat(what string, does func(k *Kind) bool) string {
	var names []string
	for i := range d.kinds {
		if does(&d.kinds[i]) {
			names = append(names, d.kinds[i].Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "; " + what + ": " + strings.Join(names, ", ")
}

// calls checks what holds back the calls of a waiting step, and fills in what depends on others.
func (d *decoder) calls(p *Pipeline, s *Stage, path string) {
	c := &s.Calls
	c.RetryBudget = s.Retry.Budget
	d.limit(p, c.Limit, path)
	switch at := path + ".max_per_host"; {
	case c.MaxPerHost == 0:
		if c.MaxPerHost = s.Workers; s.Kind.PerHost > 0 {
			c.MaxPerHost = min(s.Kind.PerHost, s.Workers)
		}
	case c.MaxPerHost > s.Workers:
		d.warn(d.at(at), fmt.Sprintf("a max_per_host of %d is never reached: the step has %d workers", c.MaxPerHost, s.Workers), "give the step as many workers, or more, or write less")
	}
	if c.Adaptive && min(c.MaxPerHost, s.Workers) == 1 {
		d.warn(d.where(path+".adaptive"), "adaptive has nothing to adapt: one call at once to a host is the least", "remove it, or allow more with max_per_host and workers")
	}
	if c.Breaker.GiveUp == 0 && s.Kind.AnyHost != nil && s.Kind.AnyHost(s.Settings) {
		c.Breaker.GiveUp = calls.DefaultGiveUp
	}
	if b := c.Breaker; !b.Off && b.MaxOpen < b.Open && (d.given(path+".breaker.open") || d.given(path+".breaker.max_open")) {
		at := path + ".breaker.max_open"
		if !d.given(at) {
			at = path + ".breaker.open"
		}
		d.errorAt(d.at(at), fmt.Sprintf("max_open %v is below open %v", b.MaxOpen, b.Open), "open doubles with each call that fails, up to max_open")
	}
	d.cache(p, s, path)
}

// cache checks what a step says about keeping answers.
func (d *decoder) cache(p *Pipeline, s *Stage, path string) {
	c := s.Calls.Cache
	if c == nil {
		return
	}
	if c.HTTP && !s.Kind.Freshness {
		d.errorAt(d.where(path+".cache.http"), fmt.Sprintf("cache.http has no meaning in %s: its answers do not say how long they hold", s.Kind.Name),
			"remove it"+d.kindsThat("steps whose answers do", func(k *Kind) bool { return k.Freshness }))
	}
	if !d.given(path + ".cache.negative_ttl") {
		c.NegativeTTL = c.TTL
	}
	if c.Bytes > p.Limits.InFlightBytes/2 {
		d.warn(d.at(path+".cache.bytes"), fmt.Sprintf("a cache of %s may take more than half of the %s that the process has for all records", c.Bytes, p.Limits.InFlightBytes),
			"write less, or more for limits.in_flight_bytes")
	}
}

// limit checks that the rates that a step or sink names exist.
func (d *decoder) limit(p *Pipeline, names []string, path string) {
	for i, name := range names {
		n := d.at(fmt.Sprintf("%s.limit[%d]", path, i))
		switch _, ok := p.Limits.Rates[name]; {
		case name == "":
			d.errorAt(n, "limit has an empty name", "name a rate of limits.rates, or remove the line")
		case slices.Contains(names[:i], name):
			d.errorAt(n, fmt.Sprintf("limit: %s stands twice", n.shown()), "remove one of them")
		case !ok && !d.damaged:
			d.noRate = true
			d.errorAt(n, fmt.Sprintf("limit: there is no rate %s in limits.rates", n.shown()), d.suggestRate(n, name, slices.Sorted(maps.Keys(p.Limits.Rates))))
		}
	}
}

func (d *decoder) suggestRate(n *node, name string, known []string) string {
	switch {
	case len(n.pieces) > 0 || len(known) > 0 && nearest(name, known) != "":
		return didYouMeanOnly(name, known)
	case len(known) > 0:
		return "it has " + strings.Join(known, ", ")
	case stepName.MatchString(name):
		return "write limits: {rates: {" + name + ": {rate: 100/s}}} at the left margin of the file"
	}
	return "write limits: {rates: {api: {rate: 100/s}}} at the left margin of the file"
}

// mergeRates adds the rates of a file to those of the process. A name has one rate, whatever file
// it stands in; from says by path where.
func (d *decoder) mergeRates(have map[string]calls.RateSettings, merged *map[string]calls.RateSettings, from map[string]*node) {
	for _, name := range slices.Sorted(maps.Keys(have)) {
		path := join("limits.rates", name)
		key := d.keys[path]
		if key == nil {
			continue
		}
		d.rates = append(d.rates, name)
		if !stepName.MatchString(name) || len(name) > maxName {
			d.errorAt(key, fmt.Sprintf("the name %s is not made of a-z, 0-9, - and _ alone", key.shown()), d.suggestName(key, name))
		}
		if *merged == nil {
			*merged = map[string]calls.RateSettings{}
		}
		before, known := (*merged)[name]
		if !known {
			(*merged)[name], from[path] = have[name], key
			for _, f := range fieldsOf(reflect.TypeFor[calls.RateSettings]()) {
				if n := d.places[join(path, f.name)]; n != nil {
					from[join(path, f.name)] = n
				}
			}
			continue
		}
		if rate := have[name]; rate != before && rate.Rate.N > 0 && before.Rate.N > 0 {
			d.otherRate(path, rate, before, from[path])
		}
	}
}

// otherRate reports the first setting in which a rate differs from that of its name in another file.
func (d *decoder) otherRate(path string, rate, before calls.RateSettings, at *node) {
	is, was := reflect.ValueOf(rate), reflect.ValueOf(before)
	for _, f := range fieldsOf(is.Type()) {
		a, b := is.FieldByIndex(f.index).Interface(), was.FieldByIndex(f.index).Interface()
		if a != b {
			d.contradicts(d.at(join(path, f.name)), join(path, f.name), a, b, at)
			return
		}
	}
}

// unusedRates warns of rates that no step and no sink of the process keeps to. Those of an included
// file are there for several pipelines, of which this process may run some.
func unusedRates(decoders []*decoder, pipelines []*Pipeline) {
	used := map[string]bool{}
	for i, p := range pipelines {
		if p == nil || decoders[i].damaged || decoders[i].noRate {
			return
		}
		for _, s := range p.Stages {
			for _, name := range s.Calls.Limit {
				used[name] = true
			}
		}
		for _, s := range p.Sinks {
			for _, name := range s.Limit {
				used[name] = true
			}
		}
		if p.DeadLetter != nil {
			for _, name := range p.DeadLetter.Limit {
				used[name] = true
			}
		}
	}
	for _, d := range decoders {
		for _, name := range d.rates {
			if key := d.keys[join("limits.rates", name)]; !used[name] && (key.src == nil || key.src.from == nil) {
				d.warn(key, fmt.Sprintf("no step and no sink keeps to the rate %s", key.shown()), "write limit: "+name+" beside one; where another pipeline of the process does, check the files together")
			}
		}
	}
}
