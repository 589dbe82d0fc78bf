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

// A writtenChannel is a channel that a sink writes, with its place in the file.
type writtenChannel struct {
	Channel
	at *node
}

// loops warns of records that come back to the pipeline that wrote them, in one pipeline or by
// way of others of the same set.
func loops(decoders []*decoder, pipelines []*Pipeline) {
	reads, writes := make([][]Channel, len(pipelines)), make([][]writtenChannel, len(pipelines))
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
				writes[i] = append(writes[i], writtenChannel{ch, d.at(join(path, ch.Field))})
			}
		})
	}
	next := func(m writtenChannel) (to []int) {
		for j := range pipelines {
			if slices.ContainsFunc(reads[j], m.same) {
				to = append(to, j)
			}
		}
		return to
	}
	for i := range pipelines {
		for _, m := range writes[i] {
			path := pathBack(i, next(m), writes, next)
			if path == nil {
				continue
			}
			text := fmt.Sprintf("this pipeline reads the %s: what is written here comes back, again and again", m.Name)
			if len(path) > 1 {
				names := []string{pipelines[i].Name}
				for _, j := range path {
					names = append(names, pipelines[j].Name)
				}
				text = fmt.Sprintf("what is written to the %s comes back, again and again: %s", m.Name, strings.Join(names, " -> "))
			}
			decoders[i].warn(m.at, text, m.Escape)
		}
	}
}

// pathBack gives the shortest path from one of the pipelines in first to pipeline i, or nil.
func pathBack(i int, first []int, writes [][]writtenChannel, next func(writtenChannel) []int) []int {
	seen := map[int]bool{}
	var paths [][]int
	for _, j := range first {
		paths = append(paths, []int{j})
	}
	for len(paths) > 0 {
		path := paths[0]
		paths = paths[1:]
		at := path[len(path)-1]
		if at == i {
			return path
		}
		if seen[at] {
			continue
		}
		seen[at] = true
		for _, m := range writes[at] {
			for _, j := range next(m) {
				paths = append(paths, append(slices.Clone(path), j))
			}
		}
	}
	return nil
}
