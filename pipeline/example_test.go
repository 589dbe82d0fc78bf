package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// A stage reads and sets fields, and says with its error what becomes of the record: nil lets
// it go on, Filtered ends it on purpose, Permanent sends it to the dead letters.
func ExampleStageFunc() {
	late := pipeline.StageFunc(func(_ context.Context, rec *pipeline.Record) error {
		var flight struct{ Delay *int }
		if err := rec.Decode(&flight); err != nil {
			return err
		}
		switch {
		case flight.Delay == nil:
			return pipeline.Permanent(errors.New("the flight has no delay"))
		case *flight.Delay < 15:
			return pipeline.Filtered
		}
		return rec.SetBool("late", true)
	})
	run(engine.Step{Name: "late", Stage: late}, `{"id":1,"delay":3}`, `{"id":2,"delay":40}`, `{"id":3}`)
	// Output:
	// {"id":2,"delay":40,"late":true}
	// rejected: {"id":3}
}

// A splitter makes several records of one. They share its position and finish together.
func ExampleSplitterFunc() {
	words := pipeline.SplitterFunc(func(_ context.Context, rec *pipeline.Record, emit func(*pipeline.Record)) error {
		text, err := rec.Text("text")
		if err != nil {
			return err
		}
		for word := range strings.FieldsSeq(text) {
			part := rec.Clone()
			if err := part.SetString("text", word); err != nil {
				return err
			}
			emit(part)
		}
		return nil
	})
	run(engine.Step{Name: "words", Splitter: words}, `{"id":1,"text":"a slow boat"}`)
	// Output:
	// {"id":1,"text":"a"}
	// {"id":1,"text":"slow"}
	// {"id":1,"text":"boat"}
}

// A counter is a source of one lane with the numbers from 0 to 4.
type counter struct {
	feed   pipeline.Feed
	lane   pipeline.Lane
	next   int64 // to be read
	marked int64 // what is before need not be read again
}

// Open opens the lanes, where they were committed.
func (c *counter) Open(ctx context.Context, f pipeline.Feed) (err error) {
	c.feed = f
	c.lane, c.next, err = f.Lane(ctx, "numbers/0", c.marked)
	return err
}

// Read gives the next batch, and io.EOF behind the last. What it has given counts as read: once ctx
// has ended it gives nothing more.
func (c *counter) Read(ctx context.Context) (*pipeline.Batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-c.lane.Ended(): // by the pipeline: go on at the mark, in a new lane
		if err := c.Open(ctx, c.feed); err != nil {
			return nil, err
		}
	default:
	}
	if c.next == 5 {
		return nil, io.EOF
	}
	rec := make([]pipeline.Record, 1)
	pos := pipeline.Position{Topic: "numbers", Offset: c.next}
	rec[0].Init(pos, nil, fmt.Appendf(nil, `{"n":%d}`, c.next), nil, pipeline.NoTime)
	c.next++
	return &pipeline.Batch{Lane: c.lane, Fill: pipeline.Records(rec), Next: c.next}, nil
}

// Commit stores that what is before each mark need not be read again.
func (c *counter) Commit(_ context.Context, marks []pipeline.Mark) error {
	for _, m := range marks {
		fmt.Println(m.Lane.Name(), "is done up to", m.Next)
		c.marked = m.Next
	}
	return nil
}

func (c *counter) Close(context.Context) error { return nil }

// A source opens lanes, hands over batches, and is told how far it got.
func ExampleSource() {
	p, err := engine.New(engine.Options{
		Source: &counter{},
		Sinks:  []engine.Output{{Name: "out", Sink: &pipelinetest.Memory{}}},
	})
	if err != nil {
		panic(err)
	}
	if err := p.Run(context.Background()); err != nil {
		panic(err)
	}
	// Output:
	// numbers/0 is done up to 5
}

// A table is a sink that does not take the same key twice.
type table map[string]string

// Write stores records of one lane in their order. The error of one that is refused for good
// holds nothing else back.
func (t table) Write(_ context.Context, recs []*pipeline.Record) error {
	var failed []pipeline.Failure
	for i, rec := range recs {
		key := string(rec.Key())
		if _, there := t[key]; there {
			failed = append(failed, pipeline.Failure{Index: i, Err: pipeline.Reject("key_taken", errors.New("the key is taken"))})
			continue
		}
		t[key] = string(rec.Value()) // of its own: a sink keeps nothing of a record
	}
	if len(failed) > 0 {
		return &pipeline.WriteError{Failed: failed}
	}
	return nil
}

func (t table) Close(context.Context) error { return nil }

// A sink stores records and says which it could not store.
func ExampleSink() {
	src := pipelinetest.NewValues(`{"n":1}`, `{"n":2}`, `{"n":3}`)
	src.Key = func(value string) []byte {
		return []byte(map[string]string{`{"n":1}`: "a", `{"n":2}`: "b", `{"n":3}`: "a"}[value])
	}
	out, dead := table{}, &pipelinetest.Memory{}
	p, err := engine.New(engine.Options{
		Source: src, Sinks: []engine.Output{{Name: "table", Sink: out}}, DeadLetter: engine.DeadLetter{Sink: dead},
	})
	if err != nil {
		panic(err)
	}
	if err := p.Run(context.Background()); err != nil {
		panic(err)
	}
	fmt.Println(out["a"], out["b"])
	fmt.Printf("rejected: %s\n", dead.Values())
	// Output:
	// {"n":1} {"n":2}
	// rejected: [{"n":3}]
}

// run prints what becomes of values in a step.
func run(step engine.Step, values ...string) {
	out, dead := &pipelinetest.Memory{}, &pipelinetest.Memory{}
	p, err := engine.New(engine.Options{
		Source: pipelinetest.NewValues(values...), Steps: []engine.Step{step},
		Sinks:      []engine.Output{{Name: "out", Sink: out}},
		DeadLetter: engine.DeadLetter{Sink: dead},
	})
	if err != nil {
		panic(err)
	}
	if err := p.Run(context.Background()); err != nil {
		panic(err)
	}
	for _, v := range out.Values() {
		fmt.Printf("%s\n", v)
	}
	for _, v := range dead.Values() {
		fmt.Printf("rejected: %s\n", v)
	}
}
