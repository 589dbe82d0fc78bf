package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline"
)

// evalRecords are the records that an expression is tried on: those of the files, or what the
// steps of a pipeline make of them.
type evalRecords struct {
	form  inputForm
	trial *trial // nil: without a pipeline
	steps int    // that they go through

	filtered int
	rejected map[string]int   // by step and reason
	first    map[string]error // the first of them
}

func (f *evalFlags) newRecords(g *globals) (*evalRecords, error) {
	r := &evalRecords{form: f.form, rejected: map[string]int{}, first: map[string]error{}}
	if f.file == "" {
		return r, nil
	}
	set, err := g.load([]string{f.file})
	if err != nil {
		return nil, err
	}
	printProblems(g.err, set.Warnings)
	if len(set.Pipelines) != 1 {
		return nil, usagef("--file %s holds %d pipelines; name the file of one", f.file, len(set.Pipelines))
	}
	p := set.Pipelines[0]
	r.steps = len(p.Stages)
	if step := f.until + f.before; step != "" {
		short, err := until(p, f.stop(), step)
		if err != nil {
			return nil, err
		}
		if r.steps = len(short.Stages); f.before != "" {
			r.steps--
		}
	}
	short := *p
	short.Stages = p.Stages[:r.steps]
	r.trial, err = newTrial(&short)
	return r, err
}

func (r *evalRecords) close() {
	if r.trial != nil {
		r.trial.close()
	}
}

// each calls yield for each record.
func (r *evalRecords) each(ctx context.Context, in io.Reader, files []string, yield func(*pipeline.Record) error) error {
	return r.form.eachRecord(in, files, func(rec *pipeline.Record) error { return r.through(ctx, 0, rec, yield) })
}

// through takes a record through the steps from i on.
func (r *evalRecords) through(ctx context.Context, i int, rec *pipeline.Record, yield func(*pipeline.Record) error) error {
	if r.trial == nil || i == r.steps {
		return yield(rec)
	}
	o := r.trial.step(ctx, i, rec)
	switch {
	case o.filtered:
		r.filtered++
	case o.reason != "":
		key := r.trial.file.Stages[i].Name + " (" + o.reason + ")"
		if r.rejected[key]++; r.first[key] == nil {
			r.first[key] = o.err
		}
	}
	for _, part := range o.out {
		if err := r.through(ctx, i+1, part, yield); err != nil {
			return err
		}
	}
	return nil
}

// report says what the steps kept back.
func (r *evalRecords) report(w io.Writer) {
	if r.filtered > 0 {
		fmt.Fprintf(w, "%s filtered on the way\n", counted(r.filtered, "record"))
	}
	keys := make([]string, 0, len(r.rejected))
	for key := range r.rejected {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		first, _, _ := strings.Cut(r.first[key].Error(), "\n")
		fmt.Fprintf(w, "%s rejected by %s, the first: %s\n", counted(r.rejected[key], "record"), key, first)
	}
}
