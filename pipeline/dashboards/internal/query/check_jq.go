package query

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/itchyny/gojq"

	"github.com/penstockio/penstock/pipeline/event"
)

// made are the keys that jq's own functions give: to_entries, capture, group_by with to_entries.
var made = []string{"key", "value", "name"}

// assignments give an object a key that it need not have had.
var assignments = []gojq.Operator{gojq.OpAssign, gojq.OpModify, gojq.OpUpdateAdd, gojq.OpUpdateSub, gojq.OpUpdateMul, gojq.OpUpdateDiv, gojq.OpUpdateAlt}

var eventName = regexp.MustCompile(`^[a-z]+(\.[a-z_]+)+$`)

// CheckJQ holds what a jq program names against a contract: a text that looks like the name of an event is
// one, and a key that it reads is a key of some event, or one that the program itself gives to an object. And it holds the program against jq 1.6,
// which stable systems still have: newer ones, and the parser here, take more.
func CheckJQ(program string, registry []event.Definition) error {
	parsed, err := gojq.Parse(program)
	if err != nil {
		return fmt.Errorf("parsing the jq program: %w", err)
	}
	c := contract{events: map[string]map[string]event.Field{}}
	known := slices.Clone(made)
	for i := range registry {
		c.events[registry[i].Name] = c.keys(&registry[i])
		known = add(known, slices.Collect(maps.Keys(c.events[registry[i].Name]))...)
	}
	var read, texts []string
	walk(reflect.ValueOf(parsed), func(v any) {
		c.old(v)
		switch x := v.(type) {
		case *gojq.Index:
			read = add(read, x.Name)
			if x.Str != nil && x.Str.Queries == nil {
				read = add(read, x.Str.Str)
			}
			if q := x.Start; q != nil && !x.IsSlice && q.Term != nil && q.Term.Str != nil && q.Term.Str.Queries == nil {
				read = add(read, q.Term.Str.Str)
			}
		case *gojq.Query:
			if x.Left != nil && slices.Contains(assignments, x.Op) {
				known = add(known, keysIn(x.Left)...) // .ratio = … gives the object one
			}
		case *gojq.PatternObject:
			read = add(read, strings.TrimPrefix(x.Key, "$"))
		case *gojq.ObjectKeyVal:
			key := x.Key
			if x.KeyString != nil && x.KeyString.Queries == nil {
				key = x.KeyString.Str
			}
			switch {
			case strings.HasPrefix(key, "$"):
				known = add(known, key[1:])
			case x.Val == nil:
				read = add(read, key) // {step} is {step: .step}
			case !slices.Contains(keysIn(x.Val), key): // {step: .step} makes nothing that was not there
				known = add(known, key)
			}
		case *gojq.String:
			if x.Queries == nil {
				texts = add(texts, x.Str)
			}
		}
	})
	for _, s := range texts {
		if eventName.MatchString(s) && c.events[s] == nil {
			c.fail("there is no event %s", s)
		}
	}
	for _, key := range read {
		if key != "" && !slices.Contains(known, key) {
			c.fail("no event has a key %s", key)
		}
	}
	return errors.Join(c.errs...)
}

// old notes what jq 1.6 does not take of a part of a program.
func (c *contract) old(part any) {
	switch x := part.(type) {
	case *gojq.Term:
		if (x.Reduce != nil || x.Foreach != nil || x.If != nil) && len(x.SuffixList) > 0 {
			c.fail("jq 1.6 takes nothing behind reduce, foreach or if: put %s in parentheses", x)
		}
	case *gojq.If:
		if x.Else == nil {
			c.fail("jq 1.6 has no if without else: %s", x)
		}
	}
}

// keysIn gives the keys that a part of a program reads.
func keysIn(q *gojq.Query) (keys []string) {
	walk(reflect.ValueOf(q), func(v any) {
		if i, ok := v.(*gojq.Index); ok {
			keys = add(keys, i.Name)
		}
	})
	return keys
}

// walk calls f for every pointer to a struct within v.
func walk(v reflect.Value, f func(any)) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		f(v.Interface())
		walk(v.Elem(), f)
	case reflect.Struct:
		for i := range v.NumField() {
			walk(v.Field(i), f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), f)
		}
	}
}
