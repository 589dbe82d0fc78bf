// SPDX-License-Identifier: Apache-2.0

// Package pipelinetest helps authors of components: conformance kits that check a
// Source, Stage, Splitter or Sink against the promises of package pipeline, and a source and
// a sink in memory, [NewValues] and [Memory], to test a whole pipeline with, and [Names] for
// servers that have to be called by name.
//
// A kit is a table of checks. Each has a name, the rule in prose, and a function that
// tries to break it; a check that fails quotes the rule. Run the kits under the race
// detector: some rules are about what may happen at once.
//
//	func TestStdout(t *testing.T) {
//		pipelinetest.Sink(t, func(t *testing.T) pipelinetest.SinkUnderTest {
//			var out bytes.Buffer
//			…
//		})
//	}
package pipelinetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
)

// patience is how long a kit waits for a call that has to return: long enough never to
// be the cause of a failure by itself.
var patience = 30 * time.Second

// A check is one row of a kit.
type check[T any] struct {
	name string
	rule string
	run  func(ctx context.Context, c T) error
}

// run tries every row on a component of its own.
func run[T any](t *testing.T, rows []check[T], fresh func(t *testing.T) T) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if err := row.run(t.Context(), fresh(t)); err != nil {
				t.Errorf("%v\nthe rule: %s", err, row.rule)
			}
		})
	}
}

// attach does to a component what the engine does before its first use.
func attach(t *testing.T, component any) {
	t.Helper()
	if a, ok := component.(pipeline.Attacher); ok {
		a.Attach(event.New(io.Discard, event.Options{}))
	}
	if o, ok := component.(pipeline.Opener); ok {
		if err := o.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if r, ok := component.(pipeline.Reporter); ok {
		_ = r.Report() // allowed at any time
	}
}

// canary is a text in values that errors must not quote.
const canary = "canary-5e1d"

// within runs f and fails when it has not returned after a long while.
func within(what string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		return fmt.Errorf("%s has not returned", what)
	}
}

// A slab holds the bytes of records, as a batch does. poison overwrites them, so that a
// component which still reads them shows it.
type slab struct{ bytes [][]byte }

func (s *slab) own(b []byte) []byte {
	if b == nil {
		return nil
	}
	c := append(make([]byte, 0, len(b)+1), b...)
	s.bytes = append(s.bytes, c)
	return c
}

func (s *slab) record(pos pipeline.Position, key, value []byte) *pipeline.Record {
	rec := new(pipeline.Record)
	headers := []pipeline.Header{{Name: "kit", Value: s.own([]byte("yes"))}, {Name: "none"}}
	rec.Init(pos, s.own(key), s.own(value), headers, 1_000_000_000_000+pos.Offset)
	return rec
}

func (s *slab) poison() {
	for _, b := range s.bytes {
		for i := range b {
			b[i] = '!'
		}
	}
	s.bytes = nil
}

// seen is what a record looks like from outside.
type seen struct {
	pos     pipeline.Position
	key     []byte
	value   []byte
	headers []pipeline.Header
	time    int64
}

// see copies everything that can be seen of a record.
func see(rec *pipeline.Record) seen {
	s := seen{pos: rec.Position, key: slices.Clone(rec.Key()), value: slices.Clone(rec.Value()), time: rec.Time}
	if rec.Value() != nil && s.value == nil {
		s.value = []byte{}
	}
	for _, h := range rec.Headers() {
		s.headers = append(s.headers, pipeline.Header{Name: h.Name, Value: slices.Clone(h.Value)})
	}
	return s
}

// differs says in what two records differ; "": in nothing.
func (s seen) differs(o seen) string {
	switch {
	case s.pos != o.pos:
		return "position"
	case string(s.key) != string(o.key) || (s.key == nil) != (o.key == nil):
		return "key"
	case string(s.value) != string(o.value) || (s.value == nil) != (o.value == nil):
		return "value"
	case s.time != o.time:
		return "time"
	}
	if !slices.EqualFunc(s.headers, o.headers, func(a, b pipeline.Header) bool {
		return a.Name == b.Name && string(a.Value) == string(b.Value)
	}) {
		return "headers"
	}
	return ""
}

var snake = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// rejected checks that err rejects a record as the contract says: it is permanent, it comes
// from no panic, and its reason has the right form.
func rejected(err error) error {
	reason, ok := pipeline.IsPermanent(err)
	var p *pipeline.PanicError
	switch {
	case !ok:
		return fmt.Errorf("the error is not permanent: %v", err)
	case errors.As(err, &p):
		return fmt.Errorf("it panicked: %v", p)
	case !snake.MatchString(reason):
		return fmt.Errorf("the reason %q is not lower case with underscores", reason)
	}
	return nil
}
