package config

import (
	"encoding"
	"reflect"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A field is one setting of a struct, with what its tags say.
type field struct {
	name  string
	index []int
	typ   reflect.Type
	tags  tags
}

type tags struct {
	doc      string
	required bool
	enum     []string
	min, max string
	path     bool
	value    bool
	commas   bool
	strict   bool
	raw      bool
	shown    string
	query    bool
	start    bool
	own      bool
}

// fresh gives a value of type t as it is before a file is read: for what stands behind a pointer or
// in a mapping, whose defaults its own type has.
func fresh(t reflect.Type) reflect.Value {
	v := reflect.New(t)
	if d, ok := v.Interface().(interface{ SetDefaults() }); ok {
		d.SetDefaults()
	}
	return v.Elem()
}

// canBeOff gives the field of a struct that the word off sets, in place of the mapping.
func canBeOff(t reflect.Type) (index int, ok bool) {
	if t.Kind() != reflect.Struct {
		return 0, false
	}
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("off") == "true" {
			return i, true
		}
	}
	return 0, false
}

// shortField gives the field of a struct that a text stands for, in place of the mapping; nil: there
// is none.
func shortField(t reflect.Type) *field {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("short") == "true" {
			for _, f := range fieldsOf(t) {
				if f.index[0] == i {
					return &f
				}
			}
		}
	}
	return nil
}

// isOff says whether v is a struct that the word off stands for.
func isOff(v reflect.Value) bool {
	i, ok := canBeOff(v.Type())
	return ok && v.Field(i).Bool()
}

// ofElement gives those of the tags that hold for each element.
func (t tags) ofElement() tags {
	return tags{enum: t.enum, path: t.path, value: t.value, strict: t.strict, raw: t.raw}
}

// fieldsOf lists the settings of a struct type, embedded ones marked inline included.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if strings.Contains(options, "inline") {
			for _, in := range fieldsOf(f.Type) {
				in.index = append([]int{i}, in.index...)
				fields = append(fields, in)
			}
			continue
		}
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		var enum []string
		if e := f.Tag.Get("enum"); e != "" {
			enum = strings.FieldsFunc(e, func(r rune) bool { return r == '|' || r == ',' })
		}
		fields = append(fields, field{
			name: name, index: []int{i}, typ: f.Type,
			tags: tags{
				doc: f.Tag.Get("doc"), required: f.Tag.Get("required") == "true", enum: enum,
				min: f.Tag.Get("min"), max: f.Tag.Get("max"), path: f.Tag.Get("path") == "true",
				value:  f.Tag.Get("value") == "true",
				commas: f.Tag.Get("commas") == "true",
				strict: f.Tag.Get("strict") == "true",
				raw:    f.Tag.Get("raw") == "true",
				shown:  f.Tag.Get("shown"),
				query:  f.Tag.Get("query") == "hidden",
				start:  f.Tag.Get("read") == "start",
				own:    f.Tag.Get("of") == "machine",
			},
		})
	}
	return fields
}

func fieldNames(fields []field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return names
}

var (
	durationType  = reflect.TypeFor[time.Duration]()
	sizeType      = reflect.TypeFor[settings.Size]()
	rateType      = reflect.TypeFor[settings.Rate]()
	shareType     = reflect.TypeFor[settings.Share]()
	secretType    = reflect.TypeFor[settings.Secret]()
	pathType      = reflect.TypeFor[settings.Path]()
	exprType      = reflect.TypeFor[expr.Expr]()
	conditionType = reflect.TypeFor[expr.Condition]()
	templateType  = reflect.TypeFor[expr.Template]()
	textType      = reflect.TypeFor[encoding.TextUnmarshaler]()
	adderType     = reflect.TypeFor[adder]()
)

// An adder is a *settings.Fields or *settings.HeaderFields, of whatever type.
type adder interface{ Add(name string) any }

// isExpression says whether values of t are read by the expression language.
func isExpression(t reflect.Type) bool {
	return t == exprType || t == conditionType || t == templateType
}

// isText says whether values of t are read from text by themselves.
func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textType) }

// isOrdered says whether t is settings.Fields or HeaderFields of something, and of what.
func isOrdered(t reflect.Type) (elem reflect.Type, ok bool) {
	if t.Kind() != reflect.Slice || !reflect.PointerTo(t).Implements(adderType) || t.Elem().Kind() != reflect.Struct {
		return nil, false
	}
	f, ok := t.Elem().FieldByName("Value")
	return f.Type, ok
}

// expressionKeys are the keys of a pipeline file that hold expressions.
func (r *reading) expressionKeys() map[string]bool {
	keys := map[string]bool{"when": true, "key": true}
	var collect func(t reflect.Type, name string, depth int)
	collect = func(t reflect.Type, name string, depth int) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
			if elem, ok := isOrdered(t); ok {
				t = elem
				continue
			}
			t = t.Elem()
		}
		switch {
		case isExpression(t):
			keys[name] = true
		case t.Kind() == reflect.Struct && depth < 8:
			for _, f := range fieldsOf(t) {
				collect(f.typ, f.name, depth+1)
			}
		}
	}
	for _, k := range r.kinds {
		t := reflect.TypeOf(k.Settings()).Elem()
		collect(t, k.Name, 0)
		for _, f := range fieldsOf(t) {
			if f.name == k.Short && isExpression(f.typ) {
				keys[k.Name] = true
			}
		}
	}
	return keys
}
