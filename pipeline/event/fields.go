package event

import "slices"

// A Field is what the contract says of one key of an event.
type Field struct {
	Key     string
	Type    string // string, integer, number or boolean, as in the schema
	Unit    string // "": a count, or a value without one
	Meaning string
	Enum    []string // the values that a text may have; nil: any
	Since   string   // the schema that brought it
	Always  bool     // is in every line of the event
}

// Fields gives the keys of the event, in the order of its lines, without those of the envelope.
func (d *Definition) Fields() []Field {
	p := makePlan(d)
	all := make([]Field, len(p.fields))
	for i := range p.fields {
		f := &p.fields[i]
		all[i] = Field{Key: f.key, Type: typeNames[f.kind], Unit: unit(f.key), Meaning: meanings[f.key],
			Enum: slices.Clone(f.enum), Since: f.since, Always: f.always()}
	}
	return all
}

// Envelope gives the keys that every line has, whichever event it is; the pipeline only where the
// line belongs to one.
func Envelope() []Field {
	all := make([]Field, len(envelopeOrder))
	for i, key := range envelopeOrder {
		all[i] = Field{Key: key, Type: "string", Meaning: meanings[key], Since: "1.0", Always: key != "pipeline"}
	}
	return all
}
