package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/fixture"
)

// The endings of a file in want: fixture lines, or one value a line.
const (
	wantLines  = ".jsonl"
	wantValues = ".values"
)

// wantFile gives the name of the file in want for a sink, and whether it holds bare values.
func (c *testCase) wantFile(sink string) (name string, bare bool, err error) {
	name = filepath.Join("want", sink+wantLines)
	values := filepath.Join("want", sink+wantValues)
	if !isFile(filepath.Join(c.dir, values)) {
		return name, false, nil
	}
	if isFile(filepath.Join(c.dir, name)) {
		return "", false, fmt.Errorf("there are %s and %s: keep one of them", filepath.ToSlash(name), filepath.ToSlash(values))
	}
	return values, true, nil
}

// wanted reads what a sink is to get; no file means no records.
func (c *testCase) wanted(sink string) (want []*fixture.Partial, err error) {
	name, bare, err := c.wantFile(sink)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(c.dir, name)
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if want, err = readWanted(text, file, bare); err != nil {
		return nil, err
	}
	for _, w := range want {
		if w.Sink != "" && w.Sink != sink {
			return nil, &fixture.Error{File: file, Line: w.Line, Err: fmt.Errorf("the line is of the sink %q, and the file of %s: move it, or take sink out", w.Sink, sink)}
		}
	}
	return want, nil
}

// compare compares what each sink got with its file.
func (c *testCase) compare(p *config.Pipeline, r *caseResult) error {
	names := sinkNames(p)
	if err := c.unclaimedFiles(names, func(file string) error {
		return fmt.Errorf("comparing: %s belongs to no sink of the pipeline, which has %s", filepath.Join(c.dir, file), strings.Join(names, ", "))
	}); err != nil {
		return err
	}
	for _, name := range names {
		want, err := c.wanted(name)
		if err != nil {
			return fmt.Errorf("comparing: %w", err)
		}
		r.diffs = append(r.diffs, diffRecords(name, want, c.got[name], c.rules(p.Order))...)
	}
	return nil
}

// rules says how records are compared: values as the case says, and of the order of a sink's
// records what the pipeline promises.
func (c *testCase) rules(o config.Order) comparison {
	by := comparison{meaning: c.settings.Compare == "json"}
	switch {
	case o.Keep == engine.OrderNone, o.Key != nil: // the key that counted may be gone from the record
		return by
	case o.Keep == engine.OrderKey:
		by.group = func(r *pipeline.Record) string { return showBytes(r.Key()) }
	}
	by.ordered = true
	return by
}

// unclaimedFiles calls f for each file in want that belongs to no sink.
func (c *testCase) unclaimedFiles(sinks []string, f func(name string) error) error {
	files, err := os.ReadDir(filepath.Join(c.dir, "want"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, file := range files {
		sink := file.Name()
		for _, end := range []string{wantLines, wantValues} {
			sink = strings.TrimSuffix(sink, end)
		}
		if sink == file.Name() || !slices.Contains(sinks, sink) {
			if err := f(filepath.Join("want", file.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// update writes what each sink got, and removes files that belong to no sink.
func (c *testCase) update(p *config.Pipeline, r *caseResult) error {
	names := sinkNames(p)
	if err := c.unclaimedFiles(names, func(name string) error { return c.writeFile(name, nil) }); err != nil {
		return fmt.Errorf("updating: %w", err)
	}
	for _, sink := range names {
		want, err := c.wanted(sink)
		if err != nil {
			return fmt.Errorf("updating: %w", err)
		}
		name, bare, err := c.wantFile(sink)
		if err != nil {
			return fmt.Errorf("updating: %w", err)
		}
		got := c.got[sink]
		if p.Order.Keep != engine.OrderPartition {
			slices.SortStableFunc(got, func(a, b pipeline.Record) int {
				return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Part, b.Part))
			})
		}
		text, err := rewritten(want, got, bare, c.rules(p.Order))
		if err != nil {
			return fmt.Errorf("updating %s: %w", filepath.ToSlash(name), err)
		}
		if err := c.writeWant(name, text, r); err != nil {
			return fmt.Errorf("updating: %w", err)
		}
	}
	return nil
}

// rewritten gives the lines for what came, in the form that stands there: a line that fits
// stays as it is, another keeps what it leaves out, and a new one has the form of the first.
func rewritten(want []*fixture.Partial, got []pipeline.Record, bare bool, by comparison) (text []byte, err error) {
	form, chosen := fixture.AllGiven, []string(nil)
	if bare {
		form = fixture.Given{Payload: true, Bare: true}
	}
	if len(want) > 0 {
		form, chosen = want[0].Given, chosenNames(want[0])
	}
	of := make([]*fixture.Partial, len(got))
	for w, g := range pairs(want, got, by) {
		if g >= 0 {
			of[g] = want[w]
		}
	}
	for i := range got {
		line, ok := []byte(nil), true
		switch w := of[i]; {
		case w == nil:
			line, ok = form.Append(nil, &got[i], chosen)
		case len(diffRecord(w, &got[i], by)) == 0:
			line = w.Text
		default:
			line, ok = w.Given.Append(nil, &got[i], chosenNames(w))
		}
		if !ok {
			return nil, fmt.Errorf("record %s cannot be written in the form that stands there: %s", got[i].Position, "give it a whole line in a file that ends in "+wantLines)
		}
		text = append(append(text, line...), '\n')
	}
	return text, nil
}

// writeWant writes one file, if it differs; no text means no file.
func (c *testCase) writeWant(name string, text []byte, r *caseResult) error {
	before, err := os.ReadFile(filepath.Join(c.dir, name))
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	case bytes.Equal(before, text):
		return nil
	}
	r.updated = append(r.updated, filepath.ToSlash(name))
	return c.writeFile(name, text)
}

// writeFile writes a file of the case; no text removes it.
func (c *testCase) writeFile(name string, text []byte) error {
	if c.archive != nil {
		return c.archive.set(c.within, filepath.ToSlash(name), text)
	}
	file := filepath.Join(c.dir, name)
	if len(text) == 0 {
		return os.Remove(file)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}
