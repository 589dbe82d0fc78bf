package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// evalFlags are the flags of eval.
type evalFlags struct {
	form                inputForm
	file, until, before string
	condition, template bool
	asJSON, showType    bool
	interactive         bool
	repeatable          bool // see expr.Expr.Repeatable
}

func newEval(g *globals) *cobra.Command {
	f := &evalFlags{}
	cmd := &cobra.Command{
		Use:   "eval EXPR [FILE...]",
		Short: "Try an expression over records",
		Long: fmt.Sprintf(`Evaluates an expression over the records of fixture files, or of standard input, and prints for each what it gives:
JSON, one line a record, on a terminal with its type. Where it fails, the message and the place in the expression go
to standard error; of several failures that are the same the first is printed. Without a FILE, and with a terminal or
nothing in standard input, it is evaluated once, over an empty record; with - for a FILE only what is read counts.

Over records, now() is the record's time (1970 where it has none), and uuid() and random() come from its position, so
that a second run prints the same; over the empty record now() is the time of day, and uuid() and random() are new
each time.

With --file the records go through the steps of a pipeline file first: all of them, as far as the step that --until
names, as in a replay, or with --before only those in front of a step, so that the expression is tried in its place.
Steps that call a server call it. What was filtered and rejected on the way is counted on standard error.

With -i the expression is edited at a prompt on the terminal, and its result over the first %d records is shown.

Exits 2 when the expression does not compile, 4 when it failed on a record, 0 else.`, maxPrompted),
		Example: `  penstock eval 'round(1.5)'
  penstock eval 'upper(origin) + "-" + destination' flights.jsonl --as value
  penstock eval 'weather.temp > 20' flights.jsonl --as value --file late-flights.yaml --condition
  penstock eval -i 'delay / 60' flights.jsonl --as value`,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.interactive {
				return nil
			}
			return takes(1, -1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			text := ""
			if len(args) > 0 {
				text, args = args[0], args[1:]
			}
			if err := f.check(); err != nil {
				return err
			}
			return runEval(cmd.Context(), g, f, text, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.form.as, "as", "fixture", "what a line of a file is: fixture, or value (the record's value as it stands)")
	flags.StringVar(&f.form.key, "key", "", "expression that gives a record's key, with --as value")
	flags.StringVar(&f.file, "file", "", "pipeline file whose steps the records go through first")
	flags.StringVar(&f.until, "until", "", "with --file: stop behind this step; left out: behind the last")
	flags.StringVar(&f.before, "before", "", "with --file: stop before this step")
	flags.BoolVar(&f.condition, "condition", false, "the expression is a condition: say whether a record passes")
	flags.BoolVar(&f.template, "template", false, `the expression is a text with parts: "out/{origin}.jsonl"`)
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object a record: value, type, or error, line and column")
	flags.BoolVar(&f.showType, "type", false, "print the type before the value")
	flags.BoolVarP(&f.interactive, "interactive", "i", false, "edit the expression at a prompt")
	return cmd
}

func (f *evalFlags) check() error {
	switch {
	case f.condition && f.template:
		return usagef("--condition and --template: an expression is one of them")
	case f.until != "" && f.before != "":
		return usagef("--until and --before: records stop at one step")
	case f.until+f.before != "" && f.file == "":
		return usagef("--%s %s: name the pipeline file with --file", f.stop(), f.until+f.before)
	case f.interactive && f.asJSON:
		return usagef("--json: a prompt is for people; leave out -i")
	}
	_, err := f.form.check()
	return err
}

// stop names the flag that says where records stop.
func (f *evalFlags) stop() string {
	if f.before != "" {
		return "before"
	}
	return "until"
}

// isTerminal says whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// nothingIn says whether standard input has nothing in it. It waits for what comes.
func nothingIn(g *globals) bool {
	in := bufio.NewReader(g.in)
	g.in = in
	_, err := in.Peek(1)
	return err == io.EOF
}

func runEval(ctx context.Context, g *globals, f *evalFlags, text string, files []string) error {
	alone := len(files) == 0 && (isTerminal(g.in) || f.file == "" && nothingIn(g))
	switch {
	case isTerminal(g.in) && f.interactive && slices.Contains(files, "-"):
		return usagef("-i and -: standard input is the terminal; name a file in place of -")
	case alone && f.file != "":
		return usagef("--file %s: its steps take records: name a file with some", f.file)
	}
	f.repeatable = !alone
	g.repeatable = f.repeatable
	records, err := f.newRecords(g)
	if err != nil {
		return err
	}
	defer records.close()
	if len(files) == 0 && !alone {
		files = []string{"-"}
	}
	if f.interactive {
		return promptOnTerminal(ctx, g, f, text, records, files)
	}
	e, problem := newEvaluation(f, text)
	if problem != nil {
		return f.reportProblem(g, *problem)
	}
	if !f.asJSON {
		printProblems(g.err, e.doubts())
	}
	out := &evalOutput{flags: f, g: g, e: e, typed: f.showType || isTerminal(g.out), seen: map[string]bool{}}
	if alone {
		err = out.add(emptyRecord())
	} else {
		err = records.each(ctx, g.in, files, out.add)
	}
	return out.end(records, err)
}

// emptyRecord is an object without fields.
func emptyRecord() *pipeline.Record {
	rec := new(pipeline.Record)
	rec.Init(pipeline.Position{}, nil, []byte("{}"), nil, pipeline.NoTime)
	return rec
}

// reportProblem says why an expression does not compile.
func (f *evalFlags) reportProblem(g *globals, p config.Problem) error {
	if f.asJSON {
		if err := writeJSONLine(g.out, evaluated{Error: p.Text, Suggestion: p.Suggestion, Line: p.Line, Column: p.Column}); err != nil {
			return err
		}
	} else {
		fmt.Fprint(g.err, p.Detail())
	}
	return &exitError{code: exitUsage}
}

// An evaluation is an expression of the kind that the flags say.
type evaluation struct {
	text      string
	expr      *expr.Expr
	condition *expr.Condition
	template  *expr.Template
}

const inExpression = "expression" // what stands in place of a file's name

// newEvaluation compiles; what is wrong is a problem.
func newEvaluation(f *evalFlags, text string) (*evaluation, *config.Problem) {
	e := &evaluation{text: text}
	var err error
	switch {
	case f.condition:
		e.condition = new(expr.Condition)
		err = e.condition.UnmarshalText([]byte(text))
	case f.template:
		e.template = new(expr.Template)
		err = e.template.UnmarshalText([]byte(text))
	default:
		e.expr = new(expr.Expr)
		err = e.expr.UnmarshalText([]byte(text))
	}
	if err == nil {
		if f.repeatable {
			e.any().Repeatable(inExpression)
		}
		return e, nil
	}
	var at *expr.Error
	if !errors.As(err, &at) {
		at = &expr.Error{Column: 1, Message: err.Error()}
	}
	p := config.InText(config.SeverityError, inExpression, text, at)
	return nil, &p
}

// doubts are what compiles and hardly means what its writer meant.
func (e *evaluation) doubts() (all config.Problems) {
	for _, d := range e.any().Doubts() {
		all = append(all, config.InText(config.SeverityWarning, inExpression, e.text, d))
	}
	return all
}

// any gives the expression of whatever kind.
func (e *evaluation) any() interface {
	Doubts() []*expr.Error
	Repeatable(place string)
} {
	switch {
	case e.condition != nil:
		return e.condition
	case e.template != nil:
		return e.template
	}
	return e.expr
}

// on evaluates over a record. What fails is a problem.
func (e *evaluation) on(rec *pipeline.Record) (v expr.Value, failed *config.Problem) {
	var err error
	switch {
	case e.condition != nil:
		var ok bool
		ok, err = e.condition.Condition(rec)
		v = expr.Value{JSON: []byte(fmt.Sprint(ok)), Type: "bool"}
	case e.template != nil:
		var text string
		text, err = e.template.Text(rec)
		v = expr.Value{JSON: jsontext.AppendString(nil, text), Type: "string"}
	default:
		v, err = e.expr.Evaluate(rec)
	}
	if err == nil {
		return v, nil
	}
	at := e.locate(rec)
	if at == nil {
		at = &expr.Error{Column: 1, Message: err.Error()}
	}
	p := config.InText(config.SeverityError, inExpression, e.text, at)
	return expr.Value{}, &p
}

func (e *evaluation) locate(rec *pipeline.Record) *expr.Error {
	switch {
	case e.condition != nil:
		return e.condition.Locate(rec)
	case e.template == nil:
		return e.expr.Locate(rec)
	}
	for _, part := range e.template.Parts() {
		if at := part.Expr.Locate(rec); at != nil {
			at.Column += part.Offset
			return at
		}
	}
	return nil
}

// absent warns of names that stand in none of the records while another that is near stands in
// some.
func (e *evaluation) absent(records []*pipeline.Record) (all config.Problems) {
	m := config.Mention{Role: config.Evaluates}
	switch {
	case e.condition != nil:
		m.Value = e.condition
	case e.template != nil:
		m.Value = e.template
	default:
		m.Value = e.expr
	}
	for _, at := range placesOf(m) {
		p := newPresence(at.path, false)
		for _, rec := range records {
			p.add(rec)
		}
		i, near := p.absence(at, pathsOf([]config.Mention{m}, m.Role), records)
		if i < 0 || near == "" {
			continue
		}
		all = append(all, config.InText(config.SeverityWarning, inExpression, e.text, &expr.Error{
			Column: at.columns[i], Message: p.saysMissing(at.path[:i+1].String()), Suggestion: p.suggest(i, near, records),
		}))
	}
	return all
}

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
