// SPDX-License-Identifier: Apache-2.0

// Package event is the log contract: every event that a dashboard may rely on, its
// fields, and the one way to emit it.
//
// Events are flat JSON objects, one a line. They pass whatever the level of
// ordinary logging says, and never touch zerolog's process-wide variables.
package event

import (
	"io"

	"github.com/rs/zerolog"
)

// SchemaVersion is stamped on every line.
const SchemaVersion = "1.0"

// A Level is how serious an event is.
type Level string

// The levels of events.
const (
	Info  Level = "info"
	Warn  Level = "warn"
	Error Level = "error"
)

// A Definition is one row of the Registry.
type Definition struct {
	Name   string
	Level  Level
	When   string
	Struct any
}

// Options are the settings of an Emitter.
type Options struct {
	Service  string // service_name; "": penstock
	Instance string // service_instance_id
	// Log is where free lines go, stamped with the same envelope.
	Log zerolog.Level
}

// An Emitter writes events. It is safe for concurrent use; a nil Emitter discards.
type Emitter struct{}

// New makes an emitter that writes one whole line a call to w.
func New(w io.Writer, o Options) *Emitter { return &Emitter{} }

// Pipeline gives an emitter that stamps the pipeline.
func (e *Emitter) Pipeline(name string) *Emitter { return e }

// Step gives an emitter that fills in the step or sink of events that leave it
// empty.
func (e *Emitter) Step(name string) *Emitter { return e }

// Emit writes an event: a struct of the Registry, or a pointer to one. Anything
// else panics. message is for people and not part of the contract; "" writes the
// event's own words. Events of a kind that the contract calls limited (those with an
// error of a record) pass the keyed limiter.
func (e *Emitter) Emit(ev any, message string) {}

// Log gives the logger for free lines (event_name: log), for people.
func (e *Emitter) Log() *zerolog.Logger { l := zerolog.Nop(); return &l }
