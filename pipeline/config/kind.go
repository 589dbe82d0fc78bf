// SPDX-License-Identifier: Apache-2.0

// Package config turns a pipeline file into checked settings; every error has
// file:line:column, and all of them are reported at once.
//
// A [Loader] reads the files, puts variables in, and decodes the nodes of the YAML
// with a decoder of its own, which knows the place of every value and goes on after
// every mistake. What it knows about stages, sinks and sources is a table of [Kind]
// that is an argument: nothing of the catalog is linked in here.
package config

import (
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
)

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
// (`doc:"field that takes the answer"`). Further tags, all optional:
//
//	required:"true"   has no default and must stand in the file
//	enum:"a|b|c"      the values that a text may have
//	min:"1" max:"9"   bounds of a number, a duration (min:"1ms") or a size (max:"1GiB");
//	                  of a list, a mapping or a text: of its length
//	path:"true"       an expr.Template or a text that is a file name: made absolute,
//	                  relative to the folder of the pipeline file, before it is read
//	value:"true"      expressions that give values to pass on, of which a text that never
//	                  changes is one: check warns where one is likely meant
//	commas:"true"     a list of texts that hold no comma: one text may stand for it, parted
//	                  by commas, so that a variable can hold several entries
//	raw:"true"        of an expr.Template that is a URL: {raw(EXPR)} may stand in it
//	strict:"true"     of a settings.FieldPath: what settings.FieldPath.Strict refuses is an error
//	off:"true"        of a field without a yaml name, a bool: the word off, which sets it, may stand
//	                  in place of the mapping that the struct is read from
//	short:"true"      of a field of a struct: a text may stand in place of the mapping, and is
//	                  read as that field
//	read:"start"      of a settings.Path: the file is read at the start, and not again when it changes. What it
//	                  holds is a part of the settings then, of which a reload looks whether they have changed, and of the hash
//	of:"machine"      of such a file: each machine has one of its own, or it holds a secret. What it holds is no part of the hash
//	query:"hidden"    of a text that is an address: what its query holds is not shown
//	shown:"a schema"  of a value that errors quote, with what it is called: no secret may stand in it
//
// Types: bool, integers, floats, string, time.Duration, settings.Size,
// settings.Secret, settings.Path, settings.FieldName, settings.FieldPath,
// settings.HeaderName, settings.HeaderOrAll, any encoding.TextUnmarshaler (an *expr.Error is
// placed within the text), structs, pointers to these, slices, maps by string,
// settings.Fields and settings.HeaderFields where the order counts, and any.
//
// A struct, nested ones included, may have the method Validate() error, called when
// all its values are in and right; errors.Join reports several, and a
// *settings.FieldError names the field to point at. One that stands behind a pointer or in a map may
// have the method SetDefaults(), called before it is read.
//
// Reason for its size: it is a row of a table, a field for each thing that can be said of a kind.
type Kind struct {
	Section  Section
	Name     string
	Doc      string // one sentence
	Example  string // YAML of one component that runs: an item of stages or sinks, or what stands under source
	Settings func() any
	// Short names the field that a bare scalar stands for: filter: delay >= 15.
	Short string
	// Hints say what to write for what is likely tried in the settings and is none of them, by its
	// place: "delete" and "schema.type" for a key that there is not, "schema" and "" for something
	// in place of the mapping that the setting, or the whole of them, takes.
	Hints map[string]string
	// Foreign are names of components in other tools, with what to write for them with this one.
	Foreign map[string]string
	// Waits marks stages that wait for somebody else; retry, timeout, deadline, window, serial and
	// what holds calls back, like limit and breaker, are allowed in these alone.
	Waits bool
	// Computes is of a stage that waits for nobody but its own long computing, and keeps a processor
	// busy meanwhile: its step has as many workers as the process has processors when the file does
	// not say, makes one attempt, and calls nobody whom a limit could be for.
	Computes bool
	// PerHost is of a stage that waits how many calls at once go to one host when the file does not
	// say. 0: as many as there are workers.
	PerHost int
	// Slots says of the settings of a stage that waits how many calls it can make at once: that many workers the
	// step has when the file does not say, up to the 65,536 that a file may write, and more are of no use. nil: as many as there are workers.
	Slots func(settings any) int
	// AnyHost says of the settings of a stage that waits whether whom it calls comes from records:
	// breaker.give_up is calls.DefaultGiveUp then when the file does not say. nil: never.
	AnyHost func(settings any) bool
	// Answers marks stages that wait and can keep the answers that they get, and share one among
	// records that ask the same; cache and share are allowed beside these alone.
	Answers bool
	// Freshness says of one that Answers that an answer says itself how long it holds, which
	// cache.http goes by.
	Freshness bool
	// Calls marks sinks that keep to rates: limit is allowed beside these alone.
	Calls bool
	// OneByOne marks stages that remember: their records come in order, one at a time, so
	// the step has one worker.
	OneByOne bool
	// Guarantee says of a sink what a delivered record has behind it, and of a source
	// what a commit means: a phrase for `graph --guarantees`.
	Guarantee string
	// BatchRecords is of a sink how many records a write has when the file does not say.
	// 0: 1,000.
	BatchRecords int
	// Transactions marks sinks whose writes can be part of one step with the marks, which
	// exactly_once needs.
	Transactions bool
	// Fill puts in what the file leaves out and the rest of it decides: a group's name. It
	// comes before Check. nil: nothing to fill in.
	Fill func(settings any, p *Pipeline)
	// Check finds what is wrong with the settings together with the rest of the file. Of what
	// is outside the process it touches only files that the settings name. nil: nothing to
	// find. Errors are treated like those of Validate.
	Check func(settings any, p *Pipeline) error
	// Warn finds, like Check, what is valid and hardly means what its writer meant. It must be
	// sure: whoever means it so cannot get rid of the warning, unless the suggestion says how.
	// nil: nothing to find.
	Warn func(settings any, p *Pipeline) []Warning
	// Beside says of the settings how many bytes the component may hold beside what is charged to the budget of records
	// (limits.in_flight_bytes), like what the clients of a server take: the collector lets the process have them. nil: none.
	Beside func(settings any) int64
	// Channels are the topics that the settings are sure to name: of a source those it
	// reads, of a sink those it writes. nil: none.
	Channels func(settings any, p *Pipeline) []Channel
	// Once says of a source what it takes that a process has one of, like its standard
	// input, and the field that names it, "" when the source itself does; what is "" for nothing.
	// nil: nothing ever.
	Once func(settings any) (what, field string)
	// Anew says of a source why the positions of a run say nothing beside those of another run, as a clause:
	// a sink that knows by them what it has stored refuses it. nil, or "": the same position is the same record in each run, as
	// far as the source can know.
	Anew func(settings any) string
	// Refers marks stages whose files may name other files: a reload cannot tell whether those have changed, and makes them anew.
	Refers bool
	// Build makes the component from checked settings: a pipeline.Source,
	// pipeline.Stage, pipeline.Splitter or pipeline.Sink. It connects to nothing.
	Build func(settings any, env Env) (any, error)
}

// An Env is what a component may know of the place it is built for.
type Env struct {
	Pipeline       string // name of the pipeline
	Name           string // name of the step or sink
	Dir            string // folder of the pipeline file, absolute
	Workers        int    // slots of the step, or of the sink's lanes
	DeadLetter     bool   // the sink is the dead letter sink
	Source         pipeline.Source
	SourceSettings any   // settings of the source as the file has them, whatever Source is
	Drain          int64 // drain budget in nanoseconds
	Stdout         io.Writer
	Calls          calls.Env // of a stage that waits, or of a sink that makes calls
}

// Kinds is the catalog's table.
type Kinds []Kind

// Find gives the row of that name in the section, or nil.
func (k Kinds) Find(s Section, name string) *Kind {
	for i := range k {
		if k[i].Section == s && k[i].Name == name {
			return &k[i]
		}
	}
	return nil
}

// Names gives the names in the section, in the order of the table.
func (k Kinds) Names(s Section) []string {
	var names []string
	for i := range k {
		if k[i].Section == s {
			names = append(names, k[i].Name)
		}
	}
	return names
}

// Usable says what keeps a row from being used in a pipeline file, as text for the author of it;
// nil when nothing does.
func (k *Kind) Usable() error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%s %q: "+format, append([]any{k.Section, k.Name}, args...)...)
	}
	switch {
	case k.Section != SourceSection && k.Section != StageSection && k.Section != SinkSection:
		return wrong("it is made by StageKind, SplitterKind, SinkKind or SourceKind")
	case !kindName.MatchString(k.Name):
		return wrong("a name has small letters, digits and _, and begins with a letter")
	case k.Section != SourceSection && commonKeys[k.Name]:
		return wrong("the name is that of a setting which stands beside a %s; choose another", k.Section)
	case k.Section != SourceSection && k.Name == "include":
		return wrong("include takes the %ss of another file; choose another name", k.Section)
	case k.Settings == nil || k.Build == nil:
		return wrong("it has no settings, or nothing that makes the component")
	}
	if t := reflect.TypeOf(k.Settings()); t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return wrong("its settings are a %s: give a struct with the defaults in", strings.TrimPrefix(t.String(), "*"))
	}
	return nil
}

var kindName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// StageKind makes the row of a stage: its name, one sentence about it, the YAML of one that
// runs ("shout: {field: city}"), its settings with their defaults in, and what makes the
// stage of settings that are checked. Other fields of the row may be set afterwards: Waits for
// a stage that waits for somebody else.
func StageKind[T any, S pipeline.Stage](name, doc, example string, defaults T, make func(T) (S, error)) Kind {
	return newKind(StageSection, name, doc, example, defaults, func(s T, _ Env) (S, error) { return make(s) })
}

// SplitterKind is StageKind for a stage that makes several records of one.
func SplitterKind[T any, S pipeline.Splitter](name, doc, example string, defaults T, make func(T) (S, error)) Kind {
	return newKind(StageSection, name, doc, example, defaults, func(s T, _ Env) (S, error) { return make(s) })
}

// SinkKind is StageKind for a sink.
func SinkKind[T any, S pipeline.Sink](name, doc, example string, defaults T, make func(T, Env) (S, error)) Kind {
	return newKind(SinkSection, name, doc, example, defaults, make)
}

// SourceKind is StageKind for a source. The example is what stands under `source`.
func SourceKind[T any, S pipeline.Source](name, doc, example string, defaults T, make func(T, Env) (S, error)) Kind {
	return newKind(SourceSection, name, doc, example, defaults, make)
}

func newKind[T, C any](section Section, name, doc, example string, defaults T, make func(T, Env) (C, error)) Kind {
	return Kind{
		Section: section, Name: name, Doc: doc, Example: example,
		Settings: func() any { s := defaults; return &s },
		Build: func(settings any, env Env) (any, error) {
			c, err := make(*settings.(*T), env)
			if err != nil {
				return nil, err
			}
			return c, nil
		},
	}
}
