package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

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
