package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// envelopeOrder is the envelope as it is written.
var envelopeOrder = []string{"timestamp", "level", "event_name", "schema_version", "service_name",
	"service_instance_id", "pipeline", "message"}

// typeNames are the names of types in the schema.
var typeNames = map[reflect.Kind]string{
	reflect.String: "string", reflect.Int64: "integer", reflect.Float64: "number", reflect.Bool: "boolean",
}

type object = map[string]any

// Schema gives the JSON Schema (2020-12) of a log line: one definition per event and
// one for free lines.
func Schema() []byte {
	defs := object{Free: freeSchema()}
	anyOf := []any{object{"$ref": "#/$defs/" + Free}}
	for i := range Registry {
		p := planNames[Registry[i].Name]
		defs[p.def.Name] = p.schema()
		anyOf = append(anyOf, object{"$ref": "#/$defs/" + p.def.Name})
	}
	return indented(object{
		"$schema": draft,
		"$id":     "https://penstock.io/schema/log-" + SchemaVersion + ".json",
		"title":   "penstock log lines, schema " + SchemaVersion,
		"oneOf":   anyOf,
		"$defs":   defs,
	})
}

// EventSchema gives the JSON Schema of the lines of one event, or of [Free]. ok is false when there is no
// such event.
func EventSchema(name string) (schema []byte, ok bool) {
	var s object
	switch p := planNames[name]; {
	case p != nil:
		s = p.schema()
	case name == Free:
		s = freeSchema()
	default:
		return nil, false
	}
	s["$schema"] = draft
	s["title"] = name + ", schema " + SchemaVersion
	return indented(s), true
}

const draft = "https://json-schema.org/draft/2020-12/schema"

func indented(s object) []byte {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(err) // maps of strings cannot fail to encode
	}
	return append(b, '\n')
}

func envelopeSchema(name string, level any) object {
	props := object{}
	for _, key := range envelopeOrder {
		props[key] = object{"type": "string", "description": meanings[key]}
	}
	props["timestamp"] = object{"type": "string", "format": "date-time", "description": meanings["timestamp"],
		"pattern": `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$`}
	props["event_name"] = object{"const": name}
	props["schema_version"] = object{"const": SchemaVersion}
	props["level"] = level
	return props
}

func envelopeRequired() []string {
	return slices.DeleteFunc(slices.Clone(envelopeOrder), func(k string) bool { return k == "pipeline" })
}

func freeSchema() object {
	return object{
		"type": "object", "description": "a line for people; its keys are no contract",
		"properties":           envelopeSchema(Free, object{"enum": []string{"trace", "debug", "info", "warn", "error", "fatal"}}),
		"required":             envelopeRequired(),
		"additionalProperties": object{"type": []string{"string", "number", "boolean"}},
	}
}

func (p *plan) schema() object {
	props := envelopeSchema(p.def.Name, object{"const": string(p.def.Level)})
	required := envelopeRequired()
	for i := range p.fields {
		f := &p.fields[i]
		s := object{"type": typeNames[f.kind], "description": meanings[f.key], "x-since": f.since}
		if u := unit(f.key); u != "" {
			s["x-unit"] = u
		}
		if f.enum != nil {
			s["enum"] = f.enum
		}
		if f.kind == reflect.String && f.max != maxString {
			s["maxLength"] = f.max
		}
		props[f.key] = s
		if f.always() {
			required = append(required, f.key)
		}
	}
	return object{
		"type": "object", "description": p.def.When, "x-since": p.def.since(), "properties": props, "required": required,
		"additionalProperties": false,
	}
}

// Reference gives the page that documents the contract, in Markdown.
func Reference() []byte {
	var b bytes.Buffer
	b.WriteString("# Log events, schema " + SchemaVersion + "\n\n" + referenceIntro)
	b.WriteString("\n## Envelope\n\nOn every line, `pipeline` where the line belongs to one.\n\n| Key | Meaning |\n|---|---|\n")
	for _, key := range envelopeOrder {
		fmt.Fprintf(&b, "| `%s` | %s |\n", key, meanings[key])
	}
	b.WriteString("\n## Events\n\n| Event | Level | When |\n|---|---|---|\n")
	for i := range Registry {
		d := &Registry[i]
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s | %s |\n", d.Name, anchor(d.Name), d.Level, d.When)
	}
	for i := range Registry {
		planNames[Registry[i].Name].reference(&b)
	}
	return b.Bytes()
}

const referenceIntro = `Generated from the registry in ` + "`pipeline/event/registry.go`" + `; the test of that package rewrites it with
` + "`go test ./pipeline/event -run Events -update`" + `.

A log is one flat JSON object a line. Every line whose ` + "`event_name`" + ` is not ` + "`log`" + ` is an event, and its keys are a
public interface: within schema 1 none is removed or renamed, and none changes its type. ` + "`message`" + ` is for people; its
wording may change. A key's ending is its unit: ` + "`_ms`, `_bytes`, `_ratio`" + ` (0 to 1), ` + "`_total`" + ` (since the start); without one it
is a count in this interval, or a value now. Floats have three decimals. What is not known is left out.

On every stats line the totals balance: in + created = out + filtered + rejected + abandoned + inflight. Limited events
are held back when they repeat: of one event, step and error type the first five in ten seconds are written, then one
every ten seconds; ` + "`log.suppressed`" + ` says how many were not (reason ` + "`repeated`" + `). A process does not wait for the reader
of its log: what finds no room in its queue is dropped, and ` + "`log.suppressed`" + ` counts it by event and level as soon as the log
takes lines again (` + "`queue_full`, `write_failed`" + `). Counters stay exact.
`

func anchor(name string) string { return strings.ReplaceAll(name, ".", "") }

func (p *plan) reference(b *bytes.Buffer) {
	fmt.Fprintf(b, "\n### %s\n\n%s. Level %s.", p.def.Name, capital(p.def.When), p.def.Level)
	if p.def.Since != "" {
		b.WriteString(" Since schema " + p.def.Since + ".")
	}
	b.WriteString("\n\n| Key | Type | Meaning |\n|---|---|---|\n")
	for i := range p.fields {
		f := &p.fields[i]
		kind := typeNames[f.kind]
		if u := unit(f.key); u != "" && f.kind != reflect.String {
			kind += ", " + u
		}
		if !f.always() {
			kind += ", optional"
		}
		if f.since != p.def.since() {
			kind += ", since " + f.since
		}
		meaning := meanings[f.key]
		if f.enum != nil {
			meaning += ": `" + strings.Join(f.enum, "`, `") + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", f.key, kind, meaning)
	}
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
