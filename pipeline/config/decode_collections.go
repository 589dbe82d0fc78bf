package config

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// This file decodes lists, mappings whose keys are the user's, and values of any type.

func (d *decoder) list(n *node, v reflect.Value, t tags, path string) bool {
	if t.commas {
		if n = d.splitCommas(n, path); n.kind == brokenNode {
			return false
		}
	}
	if n.kind == scalarNode && n.null && n.tag == "" {
		return d.errorAt(n, label(path)+" is empty: it takes a list", "give it entries, or remove the line")
	}
	if n.kind != sequenceNode {
		suggestion := ""
		if elem := v.Type().Elem(); n.kind == scalarNode && !n.null && (isScalarKind(elem) || isText(elem)) {
			suggestion = fmt.Sprintf("write %s: [%s]", label(path), n.raw)
			if len(n.pieces) > 0 { // whose braces would be YAML's
				suggestion = fmt.Sprintf("write %s: [%s]; each entry stands by itself", label(path), quoted(n.raw))
			}
		}
		if n.get("include") != nil && itemShapes[v.Type().Elem()].listed {
			suggestion = "write " + label(path) + ": [{include: …}]; the file's list takes the place of the item"
		}
		return d.errorAt(n, fmt.Sprintf("%s takes a list, not %s", label(path), n.describe()), suggestion)
	}
	if !d.length(n, len(n.items), t, path, "entries") {
		return false
	}
	ok := true
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		ok = d.value(item, v.Index(i), t.ofElement(), fmt.Sprintf("%s[%d]", path, i)) && ok
	}
	return ok
}

func (d *decoder) dictionary(n *node, v reflect.Value, t tags, path string) bool {
	if n.kind != mappingNode {
		return d.errorAt(n, fmt.Sprintf("%s takes a mapping, not %s", label(path), n.describe()), d.hint(path, ""))
	}
	ok := true
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.items)))
	for i, key := range n.keys {
		at := join(path, key.text)
		d.keys[at] = key
		elem := fresh(v.Type().Elem())
		ok = d.value(n.items[i], elem, t.ofElement(), at) && ok
		v.SetMapIndex(reflect.ValueOf(key.text).Convert(v.Type().Key()), elem)
	}
	return d.length(n, len(n.items), t, path, "entries") && ok
}

func (d *decoder) ordered(n *node, v reflect.Value, t tags, path string) bool {
	if n.kind != mappingNode {
		return d.errorAt(n, fmt.Sprintf("%s takes a mapping, not %s", label(path), n.describe()), d.hint(path, ""))
	}
	v.SetZero()
	ok := true
	into := v.Addr().Interface().(adder)
	first := map[string]*node{}
	n = n.withPaths()
	for i, key := range n.keys {
		at := join(path, key.text)
		d.keys[at] = key
		name, same, err := readKey(v.Type().Elem(), key.text)
		if err != nil {
			ok = d.nameError(key, label(path), err)
		} else if before := first[same]; before != nil {
			ok = d.errorAt(key, fmt.Sprintf("%s: %q stands twice", label(path), key.text), fmt.Sprintf("it stands at line %d already: remove one of them", before.line))
		}
		first[same] = key
		ok = d.value(n.items[i], reflect.ValueOf(into.Add(name)).Elem(), t.ofElement(), at) && ok
	}
	return d.length(n, len(n.items), t, path, "entries") && ok
}

// length checks the tags min and max of a list, a mapping or a text.
func (d *decoder) length(n *node, have int, t tags, path, unit string) bool {
	if t.min != "" {
		if least, _ := strconv.Atoi(t.min); have < least {
			return d.errorAt(n, fmt.Sprintf("%s has %d %s; at least %s", label(path), have, unit, t.min), "")
		}
	}
	if t.max != "" {
		if most, _ := strconv.Atoi(t.max); have > most {
			return d.errorAt(n, fmt.Sprintf("%s has %d %s; at most %s", label(path), have, unit, t.max), "")
		}
	}
	return true
}

// anything decodes a value of a field of type any.
func (d *decoder) anything(n *node, path string) (any, bool) {
	ok := true
	d.places[path] = n
	switch n.kind {
	case brokenNode:
		return nil, false
	case mappingNode:
		m := make(map[string]any, len(n.keys))
		for i, k := range n.keys {
			at := join(path, k.text)
			d.keys[at] = k
			x, good := d.anything(n.items[i], at)
			m[k.text], ok = x, ok && good
		}
		return m, ok
	case sequenceNode:
		l := make([]any, len(n.items))
		for i, item := range n.items {
			x, good := d.anything(item, fmt.Sprintf("%s[%d]", path, i))
			l[i], ok = x, ok && good
		}
		return l, ok
	}
	if n.tag != "" && !strings.HasPrefix(n.tag, "!!") {
		return nil, d.errorAt(n, "the YAML tag "+n.tag+" means nothing here", "quote the text")
	}
	switch {
	case n.null:
		return nil, true
	case n.quoted || n.style != plainStyle && n.given() == nil:
		return n.text, true
	case isBool(n.text):
		return n.text == "true", true
	}
	return numberOrText(n.text), true
}

// numberOrText gives a number as an int64 or, where that holds it exactly, a float64, else as a
// json.Number; what is no number is a text.
func numberOrText(text string) any {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i
	}
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || math.IsInf(f, 0) || math.IsNaN(f) || !isNumber(text) && !numeric.MatchString(text):
		return text
	case !numeric.MatchString(text): // .5
		return f
	}
	is, okText := new(big.Rat).SetString(text)
	shown, okFloat := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	if okText && okFloat && is.Cmp(shown) == 0 {
		return f
	}
	return json.Number(strings.TrimPrefix(text, "+"))
}

// numeric is a number of JSON, or one with a sign before it.
var numeric = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?$`)
