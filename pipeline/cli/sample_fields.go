package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// maxNames bounds how many names of one object are kept for a suggestion: an object with more is
// a table by some key, not one with fields.
const maxNames = 1000

// A presence says in how many of the records that reached a step a path leads to something, level
// by level.
type presence struct {
	path    jsontext.Path
	through bool // arrays on the way are gone through
	levels  []level
	records int // that have what the path begins with: an object, for a name
}

// A level is one step of a path.
type level struct {
	holders int            // records in which the way leads to what can have it: an object, for a name
	there   int            // records in which it is there
	names   map[string]int // of the objects that can have it, in how many records each stands
}

func newPresence(path jsontext.Path, through bool) *presence {
	p := &presence{path: path, through: through, levels: make([]level, len(path))}
	for i := range p.levels {
		p.levels[i].names = map[string]int{}
	}
	return p
}

// add counts one record.
func (p *presence) add(rec *pipeline.Record) {
	if rec.Tombstone() || rec.CheckJSON() != nil {
		return
	}
	found := make([]sighting, len(p.path))
	p.look(rec.Value(), 0, found)
	if len(p.path) == 0 || found[0].holder {
		p.records++
	}
	for i := range found {
		if found[i].holder {
			p.levels[i].holders++
		}
		if found[i].there {
			p.levels[i].there++
		}
		for name := range found[i].names {
			if len(p.levels[i].names) < maxNames {
				p.levels[i].names[name]++
			}
		}
	}
}

// A sighting is what one record has at one level.
type sighting struct {
	holder, there bool
	names         map[string]bool
}

// look goes through value, to which the first i steps of the path lead.
func (p *presence) look(value []byte, i int, found []sighting) {
	if i == len(p.path) {
		return
	}
	value = value[jsontext.Space(value, 0):]
	step, at := p.path[i], &found[i]
	switch {
	case value[0] == '{' && step.InObject():
		at.holder = true
		if at.names == nil {
			at.names = map[string]bool{}
		}
		jsontext.Members(value, func(quoted, member []byte) bool {
			name := jsontext.Unquote(quoted)
			at.names[name] = true
			if step.Kind == jsontext.EveryMember || name == step.Name {
				at.there = true
				p.look(member, i+1, found)
			}
			return true
		})
	case value[0] == '[' && !step.InObject():
		at.holder = true
		jsontext.Each(value, jsontext.Path{step}, func(element []byte) bool {
			at.there = true
			p.look(element, i+1, found)
			return true
		})
	case value[0] == '[' && p.through:
		jsontext.Elements(value, func(element []byte) bool {
			p.look(element, i, found)
			return true
		})
	}
}

// there is in how many records the whole path leads to something.
func (p *presence) there() int {
	if len(p.levels) == 0 {
		return p.records
	}
	return p.levels[len(p.levels)-1].there
}

// missing gives the first level whose name stands in no record although there are objects that
// could have it; -1: there is none. An element that is not there says nothing: arrays are longer
// at other times.
func (p *presence) missing() int {
	for i, l := range p.levels {
		if l.there == 0 {
			if l.holders > 0 && p.path[i].Kind == jsontext.Named && len(l.names) < maxNames {
				return i
			}
			return -1
		}
	}
	return -1
}

// absence gives the level of a place, which p has counted, whose name stands in no record, and the
// name that was likely meant; -1: there is nothing to say. It is sure, or silent: of what may well be
// missing, and is not compared with nil, it speaks only when another name is so near that it was likely meant, and is no field
// that is named beside it: price_eur ?? price_usd means both.
func (p *presence) absence(at namedPlace, beside []jsontext.Path, records []*pipeline.Record) (i int, near string) {
	if i = p.missing(); i < 0 {
		return -1, ""
	}
	optional := i < at.optional
	if optional && i == at.meant-1 { // x != nil and x.y > 1 says itself that there may be no x
		return -1, ""
	}
	if !optional {
		beside = nil
	}
	if near = p.near(i, p.meantBeside(i, beside, records)); near == "" && optional {
		return -1, ""
	}
	return i, near
}

// saysMissing says that what is shown as path is in no record.
func (p *presence) saysMissing(path string) string {
	return fmt.Sprintf("%s: in 0 of %s", path, counted(p.records, "record"))
}

// near gives the name beside that at level i which was most likely meant, "" for none.
func (p *presence) near(i int, except map[string]bool) string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(p.levels[i].names)) {
		if !except[name] {
			names = append(names, name)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(p.levels[i].names[b], p.levels[i].names[a]) })
	return config.Nearest(p.path[i].Name, names)
}

// meantBeside gives the names beside that at level i which are other fields, and not what was
// meant: the path with such a name is one of those beside, or is in no record although one of those
// leads by that name.
func (p *presence) meantBeside(i int, beside []jsontext.Path, records []*pipeline.Record) map[string]bool {
	names := map[string]bool{}
	for _, path := range beside {
		if len(path) <= i || !slices.Equal(path[:i], p.path[:i]) || p.levels[i].names[path[i].Name] == 0 {
			continue
		}
		name := path[i].Name
		to := slices.Clone(p.path)
		to[i].Name = name
		if slices.ContainsFunc(beside, func(b jsontext.Path) bool { return slices.Equal(b, to) }) {
			names[name] = true
			continue
		}
		other := newPresence(to, p.through)
		for _, rec := range records {
			other.add(rec)
		}
		names[name] = other.there() == 0
	}
	return names
}

// elsewhere gives a path under which the name at level i stands in some record, "" for none, as far
// as three levels down.
func (p *presence) elsewhere(i int, records []*pipeline.Record) string {
	want := p.path[i].Name
	found := map[string]int{}
	var visit func(value []byte, at jsontext.Path)
	visit = func(value []byte, at jsontext.Path) {
		value = value[jsontext.Space(value, 0):]
		switch {
		case len(at) > 3:
		case value[0] == '{':
			jsontext.Members(value, func(quoted, member []byte) bool {
				name := jsontext.Unquote(quoted)
				here := append(slices.Clip(at), jsontext.Step{Name: name})
				if name == want {
					found[here.String()]++
				}
				visit(member, here)
				return true
			})
		case value[0] == '[':
			jsontext.Elements(value, func(element []byte) bool {
				visit(element, append(slices.Clip(at), jsontext.Step{Kind: jsontext.EveryElement}))
				return true
			})
		}
	}
	for _, rec := range records[:min(len(records), 50)] {
		if !rec.Tombstone() && rec.CheckJSON() == nil {
			visit(rec.Value(), nil)
		}
	}
	best := ""
	for _, path := range slices.Sorted(maps.Keys(found)) {
		if best == "" || found[path] > found[best] {
			best = path
		}
	}
	return best
}

// suggest says what was likely meant by the name at level i.
func (p *presence) suggest(i int, near string, records []*pipeline.Record) string {
	if near != "" {
		to := append(slices.Clip(p.path[:i]), jsontext.Step{Name: near})
		return fmt.Sprintf("did you mean %s (in %d)?", to, p.levels[i].names[near])
	}
	if other := p.elsewhere(i, records); other != "" {
		return "there is " + other + " in the sample"
	}
	return ""
}
