package query

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/penstockio/penstock/pipeline/event"
)

// Check holds what a LogQL text names against a contract ([event.Registry], or a copy of it): that
// each event exists, that each key is one of the events that are selected, that what is unwrapped or
// compared with a number is one, and that a key can have the values that it is compared with. labels
// are those that streams have in the log system; a grouping may name them, and the labels that the
// query takes out of the lines.
//
// A key that lines have to have, since it is unwrapped or compared, is a key of each of the events;
// others are one of at least one of them.
func Check(logql string, registry []event.Definition, labels ...string) error {
	q, err := Read(logql)
	if err != nil {
		return err
	}
	c := contract{events: map[string]map[string]event.Field{}}
	for i := range registry {
		c.events[registry[i].Name] = c.keys(&registry[i])
	}
	c.events[event.Free] = c.keys(nil)
	known := slices.Clone(labels)
	for i := range q.Selections {
		c.selection(&q.Selections[i], labels)
		for _, k := range q.Selections[i].Keys {
			known = add(known, k.Label)
		}
	}
	for _, g := range q.Groups {
		if !slices.Contains(known, g) {
			c.fail("the label %s, by which is grouped, is taken out of no line: name it in | json", g)
		}
	}
	return errors.Join(c.errs...)
}

// A contract is what each event has, by its name.
type contract struct {
	events map[string]map[string]event.Field
	errs   []error
}

func (c *contract) fail(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf(format, args...))
}

// keys gives the keys of an event with those of the envelope; nil: of a line for people.
func (c *contract) keys(d *event.Definition) map[string]event.Field {
	all := map[string]event.Field{}
	var own []event.Field
	if d != nil {
		own = d.Fields()
	}
	for _, f := range append(event.Envelope(), own...) {
		switch {
		case f.Key == "level" && d != nil:
			f.Enum = []string{string(d.Level)}
		case f.Key == "level":
			f.Enum = []string{"trace", "debug", "info", "warn", "error", "fatal"}
		case f.Key == "event_name" && d != nil:
			f.Enum = []string{d.Name}
		}
		all[f.Key] = f
	}
	return all
}

// selection checks one selection: first its events, then its keys in all of them.
func (c *contract) selection(s *Selection, labels []string) {
	for _, l := range s.Labels {
		if !slices.Contains(labels, l) {
			c.fail("%s is neither a label of the streams (%s) nor taken out of the line", l, strings.Join(labels, ", "))
		}
	}
	var events []string
	for _, name := range s.Events {
		if c.events[name] == nil {
			c.fail("there is no event %s", name)
			continue
		}
		events = append(events, name)
	}
	if len(s.Events) > 0 && len(events) == 0 {
		return
	}
	for i := range s.Keys {
		c.key(&s.Keys[i], events)
	}
}

// key checks a key in the events that are selected. none: in all that there are, of which it then is the envelope.
func (c *contract) key(k *Key, events []string) {
	of, each := strings.Join(events, ", "), k.Needed
	if len(events) == 0 {
		of, each = "any event", false
		for name := range c.events {
			events = append(events, name)
		}
	}
	there := 0
	var possible []string
	for _, name := range events {
		f, ok := c.events[name][k.Name]
		if !ok {
			if each {
				c.fail("the event %s has no key %s", name, k.Name)
			}
			continue
		}
		there++
		if k.Number && f.Type != "integer" && f.Type != "number" {
			c.fail("the key %s of %s is a %s, not a number", k.Name, name, f.Type)
		}
		possible = add(possible, k.possible(f)...)
	}
	if there == 0 && !each {
		c.fail("no key %s in %s", k.Name, of)
	}
	for _, v := range k.Values {
		if there > 0 && !slices.Contains(possible, v) {
			c.fail("the key %s of %s is never %s", k.Name, of, strconv.Quote(v))
		}
	}
}

// possible gives those of the values that the key is compared with which it can have.
func (k *Key) possible(f event.Field) (values []string) {
	for _, v := range k.Values {
		_, err := strconv.ParseFloat(v, 64)
		ok := err == nil
		switch {
		case f.Type == "boolean":
			ok = v == "true" || v == "false"
		case f.Type == "string":
			ok = f.Enum == nil || slices.Contains(f.Enum, v)
		}
		if ok {
			values = append(values, v)
		}
	}
	return values
}
