// SPDX-License-Identifier: Apache-2.0

// Package expr is the one expression language of a pipeline file: conditions,
// values and templates over a record's fields, compiled at start-up, unable to run
// away.
package expr

import "github.com/penstockio/penstock/pipeline"

// An Expr is a compiled expression over a record. It is read from text, and safe for
// concurrent use. Errors of evaluation are permanent, with reason expression; they
// never quote values of the record.
type Expr struct{ text string }

// UnmarshalText compiles. The error carries the column within the text; see Error.
func (e *Expr) UnmarshalText(text []byte) error { e.text = string(text); return nil }

// String gives the text that was compiled.
func (e *Expr) String() string { return e.text }

// MarshalText is the reverse of UnmarshalText.
func (e *Expr) MarshalText() ([]byte, error) { return []byte(e.text), nil }

// Condition evaluates e as a condition: nil counts as false, anything else that is
// no boolean is an error.
func (e *Expr) Condition(rec *pipeline.Record) (bool, error) { panic("expr") }

// JSON evaluates to JSON text; nil becomes null, and a bare field's bytes are copied
// as they stand. The result is the caller's.
func (e *Expr) JSON(rec *pipeline.Record) ([]byte, error) { panic("expr") }

// Bytes evaluates to the plain form for keys and look-ups: a string's own bytes, the
// JSON text of anything else; nil stays nil.
func (e *Expr) Bytes(rec *pipeline.Record) ([]byte, error) { panic("expr") }

// A Condition is an Expr that must be able to give a boolean: one whose type is known
// to be another does not compile.
type Condition struct{ Expr }

// An Error is a compile error: Column (from 1, in bytes) within the text, what is
// wrong, and what to do about it ("" if nothing is known).
type Error struct {
	Column              int
	Message, Suggestion string
}

func (e *Error) Error() string { return e.Message }

// A Template is text with {EXPR} parts: "out/{origin}.jsonl". {{ and }} stand for
// braces. What the parts give is data, never structure: see its methods.
type Template struct{ text string }

// UnmarshalText compiles.
func (t *Template) UnmarshalText(text []byte) error { t.text = string(text); return nil }

// String gives the text that was compiled.
func (t *Template) String() string { return t.text }

// MarshalText is the reverse of UnmarshalText.
func (t *Template) MarshalText() ([]byte, error) { return []byte(t.text), nil }

// Static says whether the template has no parts.
func (t *Template) Static() bool { panic("expr") }

// Path renders a file name or topic: in what a part gives, /, \, NUL and a leading dot
// are percent-encoded; an empty or missing value is an error.
func (t *Template) Path(rec *pipeline.Record) (string, error) { panic("expr") }

// URL renders a URL: everything reserved in what a part gives is percent-encoded; an
// empty or missing value is an error.
func (t *Template) URL(rec *pipeline.Record) (string, error) { panic("expr") }

// JSON renders a JSON document: what a part gives is put in as JSON text (a part
// within a JSON string, "{a} and {b}", as the escaped characters of its plain form).
func (t *Template) JSON(rec *pipeline.Record) ([]byte, error) { panic("expr") }

// Text renders plain text; nil parts are empty.
func (t *Template) Text(rec *pipeline.Record) (string, error) { panic("expr") }
