// SPDX-License-Identifier: Apache-2.0

// Package expr is the one expression language of a pipeline file: conditions,
// values and templates over a record's fields, compiled at start-up, unable to run
// away.
//
// The syntax is that of expr-lang, whose parser is used. A name is a top-level field
// of the record's value, read when it is needed; $env["flight number"] is one that is
// no identifier, and $env alone the whole value; meta.topic, meta.partition, meta.offset, meta.time (milliseconds
// since 1970), meta.key, meta.tombstone, meta.headers, meta.value (the value's bytes as
// text) and header("name") are about the record itself. Reference gives all functions,
// Language what there is beside them.
//
// What is missing is nil: so are a.b of a missing a, an index out of range, and every
// field of a tombstone. A field of a value that is no object is an error (not_object),
// when the evaluation comes to it. nil orders against nothing, counts as false in a
// condition, and makes arithmetic, + and every function fail but those that say otherwise, like
// type and get. 64-bit integers stay integers; a value that is passed on keeps its bytes.
//
// An expression depends on its record alone, but for now, uuid, uuid7 and random: they are live,
// or, when the expression is made Repeatable, come from the record as well.
package expr

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline"
)

// An Expr is a compiled expression over a record. It is read from text, and safe for
// concurrent use. Errors of evaluation are permanent, with reason expression; they
// never quote values of the record. A value that is not valid JSON, or no object when a
// field is read, keeps its own reason: invalid_json, not_object.
type Expr struct {
	text    string
	written string                   // as the file has it, before variables were put in; "": the same
	conceal func(text string) string // nil: nothing is to be hidden
	prog    *program
	repeat  *repetition
	spent   int // steps with which each evaluation begins: what Limit has taken away
}

// UnmarshalText compiles. The error is an *Error, which carries the column within
// the text.
func (e *Expr) UnmarshalText(text []byte) error {
	p, err := compile(string(text), mAny)
	if err != nil {
		return hinted(string(text), err, true)
	}
	p.doubtParts()
	*e = Expr{text: string(text), prog: p}
	return nil
}

// String gives the text that was compiled.
func (e *Expr) String() string { return e.text }

// NoteWritten notes how the expression stands in the file, when variables were put into text. It
// must not be called while e is in use.
func (e *Expr) NoteWritten(raw string) { e.written = raw }

// Written gives the expression as it stands in the file: what a variable holds may be a secret,
// and does not belong into messages. Known secrets are taken out of it: see Conceal.
func (e *Expr) Written() string {
	return e.hide(cmp.Or(e.written, e.text))
}

// Conceal notes what takes known secrets out of a text: Written and messages go through it. It must
// not be called while e is in use.
func (e *Expr) Conceal(secrets func(text string) string) { e.conceal = secrets }

func (e *Expr) hide(text string) string {
	if e.conceal == nil {
		return text
	}
	return e.conceal(text)
}

// Secrets gives the keys of hmac that are written in the expression: as they are, and as they
// stand between its quotes.
func (e *Expr) Secrets() []string {
	if e.prog == nil {
		return nil
	}
	out := slices.Clone(e.prog.keys)
	for _, key := range e.prog.keyTexts {
		out = append(out, key[1:len(key)-1])
	}
	return out
}

// shown is the text in messages: as it is written, and without keys.
func (e *Expr) shown() string {
	text := cmp.Or(e.written, e.text)
	if e.prog != nil {
		for _, key := range e.prog.keyTexts {
			text = strings.ReplaceAll(text, key, `"***"`)
		}
	}
	return e.hide(text)
}

// IsZero says whether nothing has been compiled into e.
func (e *Expr) IsZero() bool { return e.prog == nil }

// MarshalText is the reverse of UnmarshalText.
func (e *Expr) MarshalText() ([]byte, error) { return []byte(e.text), nil }

// Fields gives the names of the top-level fields that e reads, sorted. $env alone, the whole value,
// adds none.
func (e *Expr) Fields() []string {
	if e.prog == nil {
		return nil
	}
	return slices.Clone(e.prog.fields)
}

// Condition evaluates e as a condition: nil counts as false, anything else that is
// no boolean is an error.
func (e *Expr) Condition(rec *pipeline.Record) (ok bool, err error) {
	if e.prog != nil && e.prog.quick != nil {
		if ok, known, err := e.prog.quick(rec); known || err != nil {
			return ok && err == nil, err
		}
	}
	m, err := e.start(rec)
	if err != nil {
		return false, err
	}
	defer e.end(m, &err)
	ok, err = e.prog.cond(m)
	return ok && err == nil, err
}

// JSON evaluates to JSON text; nil becomes null, and a bare field's bytes are copied
// as they stand. The result is the caller's.
func (e *Expr) JSON(rec *pipeline.Record) ([]byte, error) {
	out, err := e.AppendJSON(nil, rec)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// AppendJSON is JSON into a buffer of the caller's. On an error it gives dst back as
// it was.
func (e *Expr) AppendJSON(dst []byte, rec *pipeline.Record) (out []byte, err error) {
	if e.prog != nil && e.prog.bare {
		text, err := rec.Field(e.prog.field)
		switch {
		case err != nil:
			return dst, err
		case text == nil:
			return append(dst, "null"...), nil
		}
		return append(dst, text...), nil
	}
	if e.prog != nil && e.prog.joins != nil {
		if out, ok := quickJoin(dst, rec, e.prog.joins); ok {
			return out, nil
		}
	}
	m, err := e.start(rec)
	if err != nil {
		return dst, err
	}
	out = dst
	defer e.end(m, &err)
	v, err := e.prog.run(m)
	if err != nil {
		return dst, err
	}
	return appendJSON(m, dst, v)
}

// A Value is what an expression gives for a record.
type Value struct {
	JSON []byte // JSON text; null for nil
	Type string // as the function type names it: "nil", "int", "string", "date" and so on
}

// Evaluate gives what e evaluates to, with its type. The result is the caller's. Errors are those
// of JSON.
func (e *Expr) Evaluate(rec *pipeline.Record) (v Value, err error) {
	m, err := e.start(rec)
	if err != nil {
		return Value{}, err
	}
	defer e.end(m, &err)
	got, err := e.prog.run(m)
	if err != nil {
		return Value{}, err
	}
	name, err := typeOf(m, []value{got})
	if err != nil {
		return Value{}, err
	}
	text, err := appendJSON(m, []byte{}, got)
	if err != nil {
		return Value{}, err
	}
	return Value{JSON: text, Type: string(name.text)}, nil
}

// Bytes evaluates to the plain form for keys and look-ups: a string's own bytes, the
// JSON text of anything else; nil stays nil. The result is the caller's.
func (e *Expr) Bytes(rec *pipeline.Record) ([]byte, error) {
	return e.render(rec, plainForm)
}

// render evaluates and gives what form appends for the value; nil stays nil.
func (e *Expr) render(rec *pipeline.Record, form func(m *machine, dst []byte, v value) ([]byte, error)) (out []byte, err error) {
	m, err := e.start(rec)
	if err != nil {
		return nil, err
	}
	defer e.end(m, &err)
	v, err := e.prog.run(m)
	if err != nil || v.kind == kNil {
		return nil, err
	}
	return form(m, []byte{}, v)
}

// plainForm appends the plain form of v.
func plainForm(m *machine, dst []byte, v value) ([]byte, error) {
	if v.is(mArray | mObject) {
		return appendJSON(m, dst, v)
	}
	return appendPlain(dst, v), m.step(len(v.text) / 64)
}

func (e *Expr) start(rec *pipeline.Record) (*machine, error) {
	if e.prog == nil {
		return nil, failed("evaluating", "", fault("no expression has been compiled"))
	}
	m := machines.Get().(*machine)
	m.reset(rec, e.prog.vars)
	m.repeat, m.steps = e.repeat, e.spent
	return m, nil
}

// Limit lowers how many steps one evaluation may take, from 1,000,000, for an expression that comes from somebody who is not to take much time.
// It must not be called while e is in use.
func (e *Expr) Limit(steps int) { e.spent = max(maxSteps-steps, 0) }

// end ends an evaluation: what went wrong, a panic too, becomes an error of the record.
func (e *Expr) end(m *machine, err *error) {
	if p := recover(); p != nil {
		*err = fault(fmt.Sprintf("internal error (%T)", p))
	}
	if *err != nil {
		if f := fault(""); e.conceal != nil && errors.As(*err, &f) {
			*err = fault(e.hide(string(f)))
		}
		*err = failed("evaluating", e.shown(), *err)
	}
	m.free()
}

// A Condition is an Expr that must be able to give a boolean: one whose type is known
// to be another does not compile.
type Condition struct{ Expr }

// UnmarshalText compiles. The error is an *Error.
func (c *Condition) UnmarshalText(text []byte) error {
	p, err := compile(string(text), mBool|mNil)
	if err != nil {
		return hinted(string(text), err, false)
	}
	c.Expr = Expr{text: string(text), prog: p}
	return nil
}
