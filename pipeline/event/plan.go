package event

import (
	"cmp"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// A field is one of an event's struct, with the rules of its tags.
type field struct {
	index    int
	key      string
	lead     string // `,"key":`
	kind     reflect.Kind
	required bool
	enum     []string
	later    map[string]string // values of enum that came after the key, with their schema
	max      int
	with     int // index of the field that this one needs, -1: none
	unknown  bool
	none     int64 // this, and what is below it, is not known
	since    string
	token    bool // error_type and reason: names from small sets
	fill     bool // step or sink: filled in by the emitter
}

// since gives the schema that brought the event.
func (d *Definition) since() string { return cmp.Or(d.Since, "1.0") }

// A plan is how to write one kind of event.
type plan struct {
	def             *Definition
	rank            rank // in a Queue
	typ             reflect.Type
	fields          []field
	step, errorType int // index of these fields, -1: none
	keys            map[string]*field
}

var plans, planNames = makePlans()

func makePlans() (map[reflect.Type]*plan, map[string]*plan) {
	byType := make(map[reflect.Type]*plan, len(Registry))
	byName := make(map[string]*plan, len(Registry))
	for i := range Registry {
		p := makePlan(&Registry[i])
		byType[p.typ], byName[p.def.Name] = p, p
	}
	return byType, byName
}

func makePlan(def *Definition) *plan {
	t := reflect.TypeOf(def.Struct)
	p := &plan{def: def, rank: eventRank(def.Name), typ: t, step: -1, errorType: -1, keys: map[string]*field{}}
	for i := range t.NumField() {
		sf := t.Field(i)
		key := sf.Tag.Get("json")
		f := field{
			index: i, key: key, lead: `,"` + key + `":`, kind: sf.Type.Kind(), with: -1, max: maxString,
			required: sf.Tag.Get("required") == "true",
			since:    def.since(),
			token:    key == "error_type" || key == "reason",
			fill:     key == "step" || key == "sink",
		}
		if s := sf.Tag.Get("enum"); s != "" {
			f.enum = strings.Split(s, ",")
			for i, v := range f.enum {
				if value, since, ok := strings.Cut(v, "@"); ok {
					f.enum[i] = value
					if f.later == nil {
						f.later = map[string]string{}
					}
					f.later[value] = since
				}
			}
		}
		if s := sf.Tag.Get("unknown"); s != "" {
			f.unknown = true
			f.none, _ = strconv.ParseInt(s, 10, 64)
		}
		if s := sf.Tag.Get("max"); s != "" {
			f.max, _ = strconv.Atoi(s)
		}
		if s := sf.Tag.Get("since"); s != "" {
			f.since = s
		}
		if s := sf.Tag.Get("with"); s != "" {
			for j := range t.NumField() {
				if t.Field(j).Tag.Get("json") == s {
					f.with = j
				}
			}
		}
		if f.fill && p.step < 0 {
			p.step = i
		}
		if key == "error_type" {
			p.errorType = i
		}
		p.fields = append(p.fields, f)
	}
	for i := range p.fields {
		p.keys[p.fields[i].key] = &p.fields[i]
	}
	return p
}

// planOf gives the plan of an event and the struct itself.
func planOf(ev any) (*plan, reflect.Value) {
	v := reflect.ValueOf(ev)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if !v.IsValid() || plans[v.Type()] == nil {
		panic(fmt.Sprintf("event: %T is not in the Registry", ev))
	}
	return plans[v.Type()], v
}

// text gives a string field, "" when the event has none.
func (p *plan) text(v reflect.Value, index int) string {
	if index < 0 {
		return ""
	}
	return v.Field(index).String()
}

// value gives a string field as it is written; ok is false when it is left out.
func (f *field) value(v reflect.Value, step string) (s string, ok bool) {
	s = v.Field(f.index).String()
	if s == "" && f.fill {
		s = step
	}
	if f.token && (s != "" || f.required) {
		s = token(s)
	}
	return s, s != "" || f.required
}

// skip says whether a number or a flag is left out.
func (f *field) skip(v reflect.Value) bool {
	if f.with >= 0 && v.Field(f.with).String() == "" {
		return true
	}
	return f.unknown && v.Field(f.index).Int() <= f.none
}

// append appends the fields of v, each with a comma before it.
func (p *plan) append(b []byte, v reflect.Value, step string) []byte {
	for i := range p.fields {
		f := &p.fields[i]
		switch f.kind {
		case reflect.String:
			if s, ok := f.value(v, step); ok {
				b = appendString(append(b, f.lead...), s, f.max)
			}
		case reflect.Int64:
			if !f.skip(v) {
				b = strconv.AppendInt(append(b, f.lead...), v.Field(i).Int(), 10)
			}
		case reflect.Float64:
			if x := v.Field(i).Float(); isNumber(x) {
				b = appendFloat(append(b, f.lead...), x)
			}
		case reflect.Bool:
			b = strconv.AppendBool(append(b, f.lead...), v.Field(i).Bool())
		}
	}
	return b
}
