package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
)

// evaluated is what eval --json prints of a record.
type evaluated struct {
	Record     *recordPosition `json:"record,omitempty"`
	Value      json.RawMessage `json:"value,omitempty"`
	Type       string          `json:"type,omitempty"`
	Error      string          `json:"error,omitempty"`
	Suggestion string          `json:"suggestion,omitempty"`
	Line       int             `json:"line,omitempty"`   // of the expression
	Column     int             `json:"column,omitempty"` // from 1, in characters
}

type recordPosition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Part      int32  `json:"part,omitempty"`
}

func writeJSONLine(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// An evalOutput prints what an expression gives for each record.
type evalOutput struct {
	flags *evalFlags
	g     *globals
	e     *evaluation
	typed bool

	seen                    map[string]bool    // failures that have been printed
	some                    []*pipeline.Record // the first
	records, failed, passed int
}

func (o *evalOutput) add(rec *pipeline.Record) error {
	if o.records++; o.records <= maxPrompted {
		o.some = append(o.some, rec)
	}
	v, failed := o.e.on(rec)
	if failed != nil {
		return o.fail(rec, failed)
	}
	if string(v.JSON) == "true" {
		o.passed++
	}
	switch {
	case o.flags.asJSON:
		return writeJSONLine(o.g.out, evaluated{Record: positionOf(rec), Value: v.JSON, Type: v.Type})
	case o.flags.condition:
		_, err := fmt.Fprintln(o.g.out, map[bool]string{true: "pass", false: "no pass"}[string(v.JSON) == "true"])
		return err
	case o.typed:
		_, err := fmt.Fprintf(o.g.out, "%-8s %s\n", v.Type, v.JSON)
		return err
	}
	_, err := fmt.Fprintf(o.g.out, "%s\n", v.JSON)
	return err
}

func positionOf(rec *pipeline.Record) *recordPosition {
	return &recordPosition{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Part: rec.Part}
}

func (o *evalOutput) fail(rec *pipeline.Record, p *config.Problem) error {
	o.failed++
	if o.flags.asJSON {
		return writeJSONLine(o.g.out, evaluated{Record: positionOf(rec), Error: p.Text, Suggestion: p.Suggestion, Line: p.Line, Column: p.Column})
	}
	if detail := p.Detail(); !o.seen[detail] {
		o.seen[detail] = true
		if rec.Topic != "" { // else it is the empty record, of no file
			detail = rec.Position.String() + ": " + detail
		}
		fmt.Fprint(o.g.err, detail)
	}
	return nil
}

// end says how it went. err is what ended the reading.
func (o *evalOutput) end(r *evalRecords, err error) error {
	r.report(o.g.err)
	if !o.flags.asJSON {
		printProblems(o.g.err, o.e.absent(o.some))
	}
	if o.flags.condition && o.records > 1 && !o.flags.asJSON {
		fmt.Fprintf(o.g.err, "%d of %s pass\n", o.passed, counted(o.records, "record"))
	}
	switch {
	case err != nil:
		return err
	case o.failed > 0 && o.records > 1:
		return &exitError{exitExpectation, fmt.Errorf("it failed on %d of %s", o.failed, counted(o.records, "record"))}
	case o.failed > 0:
		return &exitError{code: exitExpectation}
	}
	return nil
}
