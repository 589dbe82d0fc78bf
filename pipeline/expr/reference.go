package expr

import (
	"maps"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline"
)

// A Function is what the reference says of one function.
type Function struct {
	Name     string     `json:"name"`
	Group    string     `json:"group"`
	Usage    string     `json:"usage"` // as in round(number, digits?)
	Says     string     `json:"says"`  // what it gives, without a full stop
	Fails    string     `json:"fails"` // when it is an error, beside an argument that is missing or of another type; "": never
	Takes    []Argument `json:"takes"`
	Gives    string     `json:"gives"` // the types of the result, as in number or nil
	Examples []Example  `json:"examples"`
}

// An Argument is one that a function takes.
type Argument struct {
	Name     string `json:"name"`
	Type     string `json:"type"` // as in string or number; condition and expression are evaluated for each element
	Optional bool   `json:"optional,omitempty"`
	Many     bool   `json:"many,omitempty"` // any number of them may follow
}

// The title of the predicates in the reference.
const predicateGroup = "Each element or member"

// Reference gives all functions, by group and name.
func Reference() []Function {
	var all []Function
	for _, name := range slices.Sorted(maps.Keys(predicates)) {
		p := predicates[name]
		all = append(all, p.manual.function(name, predicateGroup, p.takes(), p.can))
	}
	for _, g := range groups {
		of := table{}
		for _, t := range g.tables {
			maps.Copy(of, t)
		}
		for _, name := range slices.Sorted(maps.Keys(of)) {
			f := of[name]
			all = append(all, f.manual.function(name, g.title, f.takes(), f.kinds))
		}
	}
	return all
}

func (m manual) function(name, group string, takes []Argument, gives mask) Function {
	return Function{Name: name, Group: group, Usage: m.usage, Says: m.says, Fails: m.fails, Takes: takes, Gives: gives.types(), Examples: m.examples}
}

// names gives the names of the arguments in the usage.
func (m manual) names() []string {
	_, within, _ := strings.Cut(strings.TrimSuffix(m.usage, ")"), "(")
	if within == "" {
		return nil
	}
	return strings.Split(within, ", ")
}

func (f function) takes() []Argument {
	all := []Argument{}
	for i, name := range f.names() {
		if name == "..." {
			all[i-1].Many = true
			continue
		}
		name, optional := strings.CutSuffix(name, "?")
		all = append(all, Argument{Name: name, Type: f.param(i).types(), Optional: optional})
	}
	return all
}

func (p predicateFunction) takes() []Argument {
	all := []Argument{}
	for i, name := range p.names() {
		name, optional := strings.CutSuffix(name, "?")
		what := name
		if i == 0 {
			if what = mArray.types(); p.member != nil {
				what = mObject.types()
			}
		} else if name == "order" {
			what = mString.types()
		}
		all = append(all, Argument{Name: name, Type: what, Optional: optional})
	}
	return all
}

// types names the types of m, as the reference does.
func (m mask) types() string {
	switch {
	case m == mAny, m == mJSON:
		return "any"
	case m == mAny&^mNil:
		return "any but nil"
	}
	var names []string
	for _, t := range []struct {
		mask mask
		name string
	}{
		{mString, "string"}, {mNumber, "number"}, {mInt, "integer"}, {1 << kFloat, "float"}, {mBool, "boolean"}, {mArray, "array"},
		{mObject, "object"}, {mTime, "date"}, {mDuration, "duration"}, {mNil, "nil"},
	} {
		if m&t.mask != 0 && (t.mask != mNumber || m&mNumber == mNumber) && !(m&mNumber == mNumber && (t.mask == mInt || t.mask == 1<<kFloat)) {
			names = append(names, t.name)
		}
	}
	return strings.Join(names, " or ")
}

// SampleValue is the value of the record that the examples of the reference read.
const SampleValue = `{
  "order": {"id": "A-17", "total": 129.50, "paid": true},
  "customer": {"name": "Ada Lovelace", "mail": "Ada@Example.org", "address": {"city": "London", "zip": "N1"}},
  "items": [{"sku":"a1","price":5,"count":2}, {"sku":"b2","price":30,"count":1}, {"sku":"c3","price":3,"count":3}],
  "tags": ["new","eu"],
  "created": "2026-03-01T12:30:00Z",
  "note": null,
  "flight number": 12
}`

// Sample gives the record that the examples of the reference read. It is the caller's.
func Sample() *pipeline.Record {
	rec := new(pipeline.Record)
	rec.Init(pipeline.Position{Topic: "orders", Partition: 3, Offset: 42}, []byte("A-17"), []byte(SampleValue),
		[]pipeline.Header{{Name: "trace", Value: []byte("t1")}, {Name: "source", Value: []byte("shop")}}, 1772368200000)
	return rec
}
