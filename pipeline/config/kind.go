// SPDX-License-Identifier: Apache-2.0

// Package config turns a pipeline file into checked settings; every error has
// file:line:column, and all of them are reported at once.
package config

import "github.com/penstockio/penstock/pipeline"

// A Section says where in a pipeline file a kind of component may stand.
type Section string

// The sections of the catalog.
const (
	SourceSection Section = "source"
	StageSection  Section = "stage"
	SinkSection   Section = "sink"
)

// A Kind is one row of the catalog: a component by name, with its settings.
//
// Settings gives a pointer to a struct filled with defaults. Its exported fields
// carry yaml tags (`yaml:"into"`), and a doc tag with one sentence for people
// (`doc:"field that takes the answer"`). `required:"true"` marks what has no default.
// A struct may have the method Validate() error, called when all its values are in;
// errors.Join reports several, and a *FieldError names the field.
type Kind struct {
	Section  Section
	Name     string
	Doc      string // one sentence
	Example  string // YAML of one component that runs
	Settings func() any
	// Short names the field that a bare scalar stands for: filter: delay >= 15.
	Short string
	// Waits marks stages that wait for somebody else; retry, timeout, deadline,
	// window and serial are allowed in these alone.
	Waits bool
	// Build makes the component from checked settings: a pipeline.Source,
	// pipeline.Stage, pipeline.Splitter or pipeline.Sink.
	Build func(settings any, env Env) (any, error)
}

// An Env is what a component may know of the place it is built for.
type Env struct {
	Pipeline   string // name of the pipeline
	Name       string // name of the step or sink
	Workers    int    // slots of the step, or of the sink's lanes
	DeadLetter bool   // the sink is the dead letter sink
	Source     pipeline.Source
	Drain      int64 // drain budget in nanoseconds
}
