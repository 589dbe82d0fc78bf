package config

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// SchemaID names the schema of pipeline files.
const SchemaID = "https://github.com/penstockio/penstock/pipeline.schema.json"

// An object is a JSON object of a schema.
type object = map[string]any

// Schema gives the JSON Schema (2020-12) of a pipeline file, made from the structs that
// the file is read into and the settings of kinds.
func Schema(kinds Kinds) ([]byte, error) {
	b := schemaBuilder{kinds: kinds, defs: object{
		"variable": object{"type": "string", "pattern": `\$\{`, "description": "a text with a variable: ${NAME}, ${NAME:-default}, ${NAME:?why} or ${file:/path}"},
		"expression": object{
			"type": []string{"string", "number", "boolean"}, "minLength": 1,
			"description": "an expression over the record's fields, meta and header(\"name\")",
		},
		"template": object{"type": []string{"string", "number"}, "minLength": 1, "description": "text with {EXPRESSION} parts; {{ and }} stand for braces"},
		"duration": object{"type": "string", "pattern": `^\s*(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+\s*$|\$\{`, "description": "a duration: 500ms, 10s, 1m30s"},
		"size":     object{"type": "string", "pattern": `^\s*[0-9]+\s*([KMG]i?|k)?B\s*$|\$\{`, "description": "a size: 64KiB, 256MiB"},
		"rate":     object{"type": "string", "pattern": `^\s*[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?\s*/\s*[0-9.a-zµ]+\s*$|\$\{`, "description": "a rate: 100/s, 30/m, 1/10s"},
		"share": object{"anyOf": []any{
			object{"type": "number", "minimum": 0, "maximum": 1},
			object{"type": "string", "pattern": `^\s*[0-9]+(\.[0-9]*)?\s*%?\s*$|\$\{`},
		}, "description": "a part of a whole: 20%, 0.2"},
		"text":    object{"type": []string{"string", "number", "boolean"}},
		"include": object{"type": "string", "minLength": 1},
		"with":    object{"type": []string{"object", "null"}},
		"included": object{
			"type": "object", "required": []string{"include"}, "additionalProperties": false,
			"properties": includeKeys("file that holds a list, whose items stand here"),
		},
	}}
	root := b.structure(reflect.ValueOf(defaultPipeline()).Elem())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = SchemaID
	root["title"] = "penstock pipeline"
	root["description"] = "A pipeline of penstock: a source, stages, sinks."
	root["$defs"] = b.defs
	return json.MarshalIndent(root, "", "  ")
}

type schemaBuilder struct {
	kinds Kinds
	defs  object
}

func ref(name string) object { return object{"$ref": "#/$defs/" + name} }

// structure gives the schema of a struct whose value holds the defaults.
func (b *schemaBuilder) structure(v reflect.Value) object {
	props, required := object{}, []string{}
	for _, f := range fieldsOf(v.Type()) {
		props[f.name] = b.field(f, v.FieldByIndex(f.index))
		if f.tags.required {
			required = append(required, f.name)
		}
	}
	o := object{"type": "object", "properties": props, "additionalProperties": false}
	takes := props["include"] == nil
	if takes {
		maps.Copy(props, includeKeys(blockFile))
	}
	switch {
	case len(required) > 0 && takes:
		o["anyOf"] = []any{object{"required": required}, object{"required": []string{"include"}}}
	case len(required) > 0:
		o["required"] = required
	}
	return o
}

const blockFile = "file that holds settings of this block; what stands here wins, and file names in it are relative to its folder"

// includeKeys gives the schema of include and with.
func includeKeys(file string) object {
	include, with := ref("include"), ref("with")
	include["description"], with["description"] = file, "values of the included file's parameters, which are ${NAME} in it"
	return object{"include": include, "with": with}
}

// needs says whether something must stand in the mapping that o is the schema of.
func needs(o object) bool { return o["required"] != nil || o["anyOf"] != nil }

func (b *schemaBuilder) field(f field, v reflect.Value) object {
	o := b.value(v, f.tags)
	if f.tags.doc != "" {
		o["description"] = f.tags.doc
	}
	if d, ok := defaultOf(v); ok && !f.tags.required {
		o["default"] = d
	}
	return o
}

// defaultOf gives a default as it would stand in a file.
func defaultOf(v reflect.Value) (any, bool) {
	if v.Kind() == reflect.Bool {
		return v.Bool(), true
	}
	if v.Kind() == reflect.Pointer || v.IsZero() || v.Type() == secretType {
		return nil, false
	}
	if v.Type() == durationType {
		return shortDuration(time.Duration(v.Int())), true
	}
	if m, ok := marshaler(v); ok {
		text, err := m.MarshalText()
		return string(text), err == nil && len(text) > 0
	}
	switch v.Kind() {
	case reflect.String:
		return v.String(), true
	case reflect.Struct, reflect.Map, reflect.Interface:
		return nil, false
	case reflect.Slice:
		var all []any
		for i := range v.Len() {
			d, ok := defaultOf(v.Index(i))
			if !ok {
				return nil, false
			}
			all = append(all, d)
		}
		return all, true
	}
	return v.Interface(), true
}

// value gives the schema of what is read into v.
//
// Reason for its size: it is one case after another, for each type that a setting may have, and their
// order counts.
func (b *schemaBuilder) value(v reflect.Value, t tags) object {
	switch v.Interface().(type) {
	case Component:
		return b.oneComponent(SourceSection, nil, true)
	case Stage:
		return b.items("stage", StageSection, b.beside(defaultStage()))
	case Sink:
		return b.items("sink", SinkSection, b.beside(SinkSettings{OutputSettings: defaultOutput(nil)}))
	case DeadLetter:
		return b.oneComponent(SinkSection, b.beside(DeadLetterSettings{OutputSettings: defaultOutput(nil)}), true)
	case Order:
		props := includeKeys(blockFile)
		props["key"] = ref("expression")
		return object{"oneOf": []any{
			object{"enum": []string{"partition", "key", "none"}},
			object{"type": "object", "properties": props, "additionalProperties": false,
				"anyOf": []any{object{"required": []string{"key"}}, object{"required": []string{"include"}}}},
		}, "default": "partition"}
	}
	typ := v.Type()
	switch {
	case typ.Kind() == reflect.Pointer:
		return b.value(fresh(typ.Elem()), t)
	case typ == exprType || typ == conditionType:
		return ref("expression")
	case typ == templateType:
		return ref("template")
	case typ == durationType:
		return ref("duration")
	case typ == sizeType:
		return ref("size")
	case typ == rateType:
		return ref("rate")
	case typ == shareType:
		return ref("share")
	case isText(typ):
		return ref("text")
	}
	if elem, ok := isOrdered(typ); ok {
		return bounded(object{"type": "object", "additionalProperties": b.value(reflect.New(elem).Elem(), tags{enum: t.enum})}, t, "Properties")
	}
	switch typ.Kind() {
	case reflect.Struct:
		o := b.structure(v)
		if !needs(o) {
			o["type"] = []string{"object", "null"}
		}
		if _, ok := canBeOff(typ); ok {
			return object{"anyOf": []any{o, object{"enum": []any{"off", false}}}}
		}
		if f := shortField(typ); f != nil {
			return object{"anyOf": []any{b.value(v.FieldByIndex(f.index), f.tags), o}}
		}
		return o
	case reflect.Slice:
		list := bounded(object{"type": "array", "items": b.value(reflect.New(typ.Elem()).Elem(), tags{enum: t.enum})}, t, "Items")
		if t.commas {
			text := object{"type": []string{"string", "number"}, "minLength": 1, "description": "entries, parted by commas"}
			return object{"anyOf": []any{list, text}}
		}
		return list
	case reflect.Map:
		return bounded(object{"type": "object", "additionalProperties": b.value(fresh(typ.Elem()), tags{enum: t.enum})}, t, "Properties")
	case reflect.Interface:
		return object{}
	case reflect.String:
		return texts(t)
	case reflect.Bool:
		return object{"anyOf": []any{object{"type": "boolean"}, ref("variable")}}
	}
	number := object{"type": "integer"}
	if typ.Kind() == reflect.Float32 || typ.Kind() == reflect.Float64 {
		number["type"] = "number"
	}
	for _, b := range [][2]string{{t.min, "minimum"}, {t.max, "maximum"}} {
		if f, err := strconv.ParseFloat(b[0], 64); err == nil {
			number[b[1]] = f
		}
	}
	return object{"anyOf": []any{number, ref("variable")}}
}

func texts(t tags) object {
	if len(t.enum) == 0 {
		return bounded(ref("text"), t, "Length")
	}
	values := []any{}
	for _, e := range t.enum {
		values = append(values, e)
	}
	if slices.Contains(t.enum, "null") {
		values = append(values, nil)
	}
	return object{"anyOf": []any{object{"enum": values}, ref("variable")}}
}

// bounded adds minItems and its like.
func bounded(o object, t tags, what string) object {
	for _, b := range [][2]string{{t.min, "min"}, {t.max, "max"}} {
		if n, err := strconv.Atoi(b[0]); err == nil {
			o[b[1]+what] = n
		}
	}
	return o
}

// items gives a reference to the schema of an item of stages or sinks.
func (b *schemaBuilder) items(name string, s Section, common object) object {
	b.defs[name] = b.oneComponent(s, common, false)
	return object{"anyOf": []any{ref(name), ref("included")}}
}

// beside gives the settings that may stand beside a component.
func (b *schemaBuilder) beside(settings any) object {
	props := b.structure(reflect.ValueOf(settings))["properties"].(object)
	delete(props, "include")
	delete(props, "with")
	return props
}

// batchRecords gives the schema of the one setting whose default depends on the sink.
func batchRecords(sink object) object {
	return sink["batch"].(object)["properties"].(object)["records"].(object)
}

// oneComponent gives the schema of a mapping of common settings and one component; includes says
// whether a file may be included there, which then may hold the component.
func (b *schemaBuilder) oneComponent(s Section, common object, includes bool) object {
	props := object{}
	for k, v := range common {
		props[k] = v
	}
	if s == SinkSection {
		delete(batchRecords(props), "default")
	}
	var choices []any
	for i := range b.kinds {
		k := &b.kinds[i]
		if k.Section != s {
			continue
		}
		name := string(s) + "." + k.Name
		b.defs[name] = b.kind(k)
		props[k.Name] = ref(name)
		choice := object{"required": []string{k.Name}}
		may := object{}
		for _, never := range k.never() {
			may[never] = false
		}
		if k.PerHost > 0 {
			may["max_per_host"] = object{"default": k.PerHost}
		}
		if s == SinkSection {
			records := object{"default": defaultOutput(k).Batch.Records}
			may["batch"] = object{"properties": object{"records": records}}
		}
		if len(may) > 0 {
			choice["properties"] = may
		}
		choices = append(choices, choice)
	}
	if includes {
		maps.Copy(props, includeKeys(blockFile))
		choices = append(choices, object{"required": []string{"include"}, "not": object{"anyOf": choices}})
	}
	return object{"type": "object", "properties": props, "additionalProperties": false, "oneOf": choices}
}

// kind gives the schema of the settings of a component, the short form included.
func (b *schemaBuilder) kind(k *Kind) object {
	v := reflect.ValueOf(k.Settings()).Elem()
	long := b.structure(v)
	if !needs(long) {
		long["type"] = []string{"object", "null"}
	}
	if k.Short == "" {
		long["description"] = k.Doc
		return long
	}
	f := findField(fieldsOf(v.Type()), k.Short)
	return object{"description": k.Doc, "anyOf": []any{b.value(v.FieldByIndex(f.index), f.tags), long}}
}
