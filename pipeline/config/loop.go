package config

import (
	"fmt"
	"slices"
	"strings"
)

// A Channel is what one pipeline can write and another read: a topic. Two are the same
// when their names are and they have an address in common.
type Channel struct {
	Field     string   // the setting that names it, as in settings.FieldError
	Name      string   // as a message calls it: "topic flights"
	Addresses []string // of the brokers
	// Escape says how to write the same without a warning.
	Escape string
}

func (c Channel) same(o Channel) bool {
	return c.Name == o.Name && slices.ContainsFunc(c.Addresses, func(a string) bool { return slices.Contains(o.Addresses, a) })
}

// a mouth is a channel that a sink writes, with its place.
type mouth struct {
	Channel
	at *node
}

// loops warns where records come back to the pipeline that wrote them: in one pipeline,
// or by way of others of the same set.
func loops(decoders []*decoder, pipelines []*Pipeline) {
	reads, writes := make([][]Channel, len(pipelines)), make([][]mouth, len(pipelines))
	for i, p := range pipelines {
		if p == nil {
			continue
		}
		d := decoders[i]
		d.eachComponent(p, func(c Component, path string) {
			if c.Kind.Channels == nil {
				return
			}
			for _, ch := range c.Kind.Channels(c.Settings, p) {
				if c.Kind.Section == SourceSection {
					reads[i] = append(reads[i], ch)
					continue
				}
				writes[i] = append(writes[i], mouth{ch, d.at(join(path, ch.Field))})
			}
		})
	}
	next := func(m mouth) (to []int) {
		for j := range pipelines {
			if slices.ContainsFunc(reads[j], m.same) {
				to = append(to, j)
			}
		}
		return to
	}
	for i := range pipelines {
		for _, m := range writes[i] {
			way := wayBack(i, next(m), writes, next)
			if way == nil {
				continue
			}
			text := fmt.Sprintf("this pipeline reads the %s: what is written here comes back, again and again", m.Name)
			if len(way) > 1 {
				names := []string{pipelines[i].Name}
				for _, j := range way {
					names = append(names, pipelines[j].Name)
				}
				text = fmt.Sprintf("what is written to the %s comes back, again and again: %s", m.Name, strings.Join(names, " -> "))
			}
			decoders[i].warn(m.at, text, m.Escape)
		}
	}
}

// wayBack gives the shortest way from one of the pipelines in first to i, or nil.
func wayBack(i int, first []int, writes [][]mouth, next func(mouth) []int) []int {
	seen := map[int]bool{}
	var ways [][]int
	for _, j := range first {
		ways = append(ways, []int{j})
	}
	for len(ways) > 0 {
		way := ways[0]
		ways = ways[1:]
		at := way[len(way)-1]
		if at == i {
			return way
		}
		if seen[at] {
			continue
		}
		seen[at] = true
		for _, m := range writes[at] {
			for _, j := range next(m) {
				ways = append(ways, append(slices.Clone(way), j))
			}
		}
	}
	return nil
}
