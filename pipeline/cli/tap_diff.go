package cli

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A tapChange is one thing that is not on both sides as it was.
type tapChange struct {
	sign     byte // + is new, - is gone, ~ is another
	what     string
	was, now []byte
}

// compare prints what a step has done to a record, when both sides of it are there.
func (o *tapOutput) compare(s *tapSeen) error {
	b := o.before
	if b == nil || s.Seen != b.Seen { // of another record
		if err := o.flush(); err != nil {
			return err
		}
		if s.Side == "before" && s.Became == "passed" {
			o.before = s
			return nil
		}
		return o.line(s)
	}
	o.parts++ // each part is compared with the record, of which there may be more than are shown
	changes := recordChanges(b, s)
	text := fmt.Sprintf("%s  %s", o.paint(bold, visible(s.at())), s.keyText())
	if len(changes) == 0 {
		text += "  " + o.paint(dim, "(unchanged)")
	}
	if _, err := fmt.Fprintln(o.w, text); err != nil {
		return err
	}
	for _, c := range changes {
		if _, err := fmt.Fprintln(o.w, "  "+o.change(c)); err != nil {
			return err
		}
	}
	return nil
}

func (o *tapOutput) change(c tapChange) string {
	what := visible(c.what)
	switch c.sign {
	case '+':
		return o.paint(green, "+ "+what) + "  " + visibleText(c.now)
	case '-':
		return o.paint(red, "- "+what) + "  " + visibleText(c.was)
	}
	return o.paint(blue, "~ "+what) + "  " + visibleText(c.was) + " → " + visibleText(c.now)
}

// recordChanges gives what differs of a record on two sides. What is not shown on one of them is not compared.
func recordChanges(was, now *tapSeen) (all []tapChange) {
	unknown := func(what string) bool { return was.lacks(what) || now.lacks(what) }
	if a, b := was.record.Key(), now.record.Key(); !unknown("key") && !sameText(a, b) {
		all = append(all, tapChange{'~', "(key)", a, b})
	}
	if !unknown("headers") {
		all = append(all, headerChanges(was.record.Headers(), now.record.Headers())...)
	}
	if unknown("value") {
		return append(all, tapChange{'~', "(value is not shown)", []byte(fmt.Sprint(was.Bytes)), []byte(fmt.Sprint(now.Bytes))})
	}
	return append(all, valueChanges("", was.record.Value(), now.record.Value())...)
}

func headerChanges(was, now []pipeline.Header) (all []tapChange) {
	same := func(h pipeline.Header) func(pipeline.Header) bool {
		return func(o pipeline.Header) bool { return o.Name == h.Name && sameText(o.Value, h.Value) }
	}
	for _, h := range was {
		if !slices.ContainsFunc(now, same(h)) {
			all = append(all, tapChange{'-', "(header) " + h.Name, h.Value, nil})
		}
	}
	for _, h := range now {
		if !slices.ContainsFunc(was, same(h)) {
			all = append(all, tapChange{'+', "(header) " + h.Name, nil, h.Value})
		}
	}
	return all
}

// valueChanges gives what differs of two values, by the members of objects.
func valueChanges(at string, was, now []byte) (all []tapChange) {
	a, b := members(was), members(now)
	if a == nil || b == nil {
		if sameText(was, now) {
			return nil
		}
		if at == "" {
			at = "(value)"
		}
		return []tapChange{{'~', at, was, now}}
	}
	path := func(name string) string {
		if at == "" {
			return name
		}
		return at + "." + name
	}
	for _, m := range a {
		if other := memberOf(b, m.name); other == nil {
			all = append(all, tapChange{'-', path(m.name), m.text, nil})
		} else {
			all = append(all, valueChanges(path(m.name), m.text, other)...)
		}
	}
	for _, m := range b {
		if memberOf(a, m.name) == nil {
			all = append(all, tapChange{'+', path(m.name), nil, m.text})
		}
	}
	return all
}

type member struct {
	name string
	text []byte
}

// members gives those of a JSON object; nil: it is none.
func members(text []byte) []member {
	if i := jsontext.Space(text, 0); i >= len(text) || text[i] != '{' || !jsontext.Valid(text) {
		return nil
	}
	all := []member{}
	jsontext.Members(text[jsontext.Space(text, 0):], func(name, value []byte) bool {
		all = append(all, member{jsontext.Unquote(name), value})
		return true
	})
	return all
}

func memberOf(all []member, name string) []byte {
	for _, m := range all {
		if m.name == name {
			return m.text
		}
	}
	return nil
}

// sameText says whether two texts are equal; null and empty are not.
func sameText(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }
