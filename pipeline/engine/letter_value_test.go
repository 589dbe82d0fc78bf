package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
)

// withHeaders gives records of a source headers, before the engine has seen them.
func withHeaders(of func(r *pipeline.Record) []pipeline.Header) func(b *pipeline.Batch) {
	return func(b *pipeline.Batch) {
		fill := b.Fill
		b.Fill = func(into []pipeline.Record) (int, error) {
			n, err := fill(into)
			for i := range into[:n] {
				r := &into[i]
				r.Init(r.Position, r.Key(), r.Value(), of(r), r.Time)
			}
			return n, err
		}
	}
}

// A record that comes back from the dead letters shows nobody that it does. When it is rejected
// again, its letter counts on: attempts add up, and replays are said.
func TestReplayedIsTakenOffAndCountedOn(t *testing.T) {
	header := func(name, value string) pipeline.Header {
		return pipeline.Header{Name: name, Value: []byte(value)}
	}
	came := [][]pipeline.Header{
		0: {header("a", "1")},
		1: {header("a", "1"), header(deadletter.Replayed, "2 10"), header("b", "2")},
		2: {header(deadletter.Replayed, "1 5")},
		3: {header(deadletter.Replayed, "often"), header("a", "1")},
		4: {header(deadletter.Replayed, "-1 3")},
		5: {header(deadletter.Replayed, "1 1"), header("a", "1"), header(deadletter.Replayed, "3 7"), header("b", "2")},
		6: nil,
		7: {{Name: deadletter.Replayed}},
		8: {header(deadletter.Replayed, "1 2147483646")}, // as many as can be read back
	}
	n := int64(len(came))
	want := map[int64][2]string{0: {"", "3"}, 1: {"2", "13"}, 2: {"1", "8"}, 3: {"", "3"}, 4: {"", "3"}, 5: {"3", "10"}, 6: {"", "3"}, 7: {"", "3"}, 8: {"1", "2147483647"}}
	sees := func(r *pipeline.Record, where string) {
		_, _, original := r.Original()
		for _, h := range slices.Concat(r.Headers(), original) {
			if deadletter.IsHeader(h.Name) {
				t.Errorf("%s sees %s of %s", where, h.Name, r.Position)
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		dead, out := &collect{}, &collect{}
		_, err := run(t, Options{
			Source:     &memory{lanes: 1, records: int(2 * n), batch: int(2 * n), wrap: withHeaders(func(r *pipeline.Record) []pipeline.Header { return came[r.Offset%n] })},
			DeadLetter: DeadLetter{Sink: dead}, Sinks: []Output{{Name: "out", Sink: out}},
			Key: func(r *pipeline.Record) ([]byte, error) { sees(r, "the key"); return r.Key(), nil }, Order: OrderKey,
			Steps: []Step{{Name: "ask", Wait: &Wait{Retry: Retry{Attempts: 3}}, Stage: does(func(_ context.Context, r *pipeline.Record) error {
				if sees(r, "the step"); r.Offset < n {
					return errors.New("asking: no")
				}
				return nil
			})}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(dead.all())) != n || int64(len(out.all())) != n {
			t.Fatalf("%d dead letters, %d delivered", len(dead.all()), len(out.all()))
		}
		for _, s := range dead.all() {
			if got := [2]string{s.headers[deadletter.Replays], s.headers[deadletter.Attempts]}; got != want[s.Offset] {
				t.Errorf("%d: replays and attempts %q, want %q", s.Offset, got, want[s.Offset])
			}
			if s.headers[deadletter.Replayed] != "" {
				t.Errorf("%d has %s", s.Offset, deadletter.Replayed)
			}
		}
		for _, s := range out.all() {
			own := map[string]string{}
			for _, h := range came[s.Offset%n] {
				if h.Name != deadletter.Replayed {
					own[h.Name] = string(h.Value)
				}
			}
			if !maps.Equal(s.headers, own) {
				t.Errorf("%d is delivered with %v, want %v", s.Offset, s.headers, own)
			}
		}
	})
}

// Whoever produces a record can say of it that it was replayed and tried without end. Its letter is one that can be
// read all the same: no count in it is beyond what a letter may have.
func TestForgedCountsMakeNoUnreadableLetter(t *testing.T) {
	for _, forged := range []string{"2147483647 2147483647", "2147483647 2147483646", "2147483648 2147483648", "1 99999999999999999999"} {
		synctest.Test(t, func(t *testing.T) {
			dead := &collect{}
			_, err := run(t, Options{
				Source: &memory{lanes: 1, records: 1, wrap: withHeaders(func(*pipeline.Record) []pipeline.Header {
					return []pipeline.Header{{Name: deadletter.Replayed, Value: []byte(forged)}}
				})},
				DeadLetter: DeadLetter{Sink: dead}, Sinks: []Output{{Name: "out", Sink: &collect{}}},
				Steps: []Step{{Name: "ask", Wait: &Wait{Retry: Retry{Attempts: 3}}, Stage: does(func(context.Context, *pipeline.Record) error {
					return errors.New("asking: no")
				})}},
			})
			if err != nil || len(dead.all()) != 1 {
				t.Fatal(err, dead.all())
			}
			var rec pipeline.Record
			var headers []pipeline.Header
			for name, value := range dead.all()[0].headers {
				if name != deadletter.Pipeline {
					headers = append(headers, pipeline.Header{Name: name, Value: []byte(value)})
				}
			}
			headers = append([]pipeline.Header{{Name: deadletter.Pipeline, Value: []byte("p")}}, headers...)
			rec.Init(pipeline.Position{}, nil, nil, headers, 0)
			l, err := deadletter.Read(&rec, pipeline.Position{})
			if err != nil {
				t.Fatalf("forged %q: %v", forged, err)
			}
			if back := deadletter.ReadHistory(l.Again().Value); l.Attempts < 3 || back.Attempts != l.Attempts || back.Replays < 1 {
				t.Errorf("forged %q: %d attempts, on the way back %+v", forged, l.Attempts, back)
			}
		})
	}
}

// edits sets a field, and so changes the value.
func edits(name, text string) Step {
	return Step{Name: "edit-" + name, Stage: does(func(_ context.Context, r *pipeline.Record) error { return r.SetRaw(name, []byte(text)) })}
}

// The dead letter has the value as the step got it, when that is another than the one that came,
// whatever kind of step or sink rejects, and however far its attempts had come.
func TestTheValueAsTheStepGotIt(t *testing.T) {
	fails := errors.New("asking: no")
	halfway := does(func(_ context.Context, r *pipeline.Record) error {
		if err := r.SetRaw("half", []byte("true")); err != nil {
			return err
		}
		return fails
	})
	no := does(func(context.Context, *pipeline.Record) error { return fails })
	once := &Wait{Retry: Retry{Attempts: 1}}
	const came, edited = `{"a":1}`, `{"a":1,"b":2}`
	for name, c := range map[string]struct {
		steps  []Step
		when   func(*pipeline.Record) (bool, error)
		sink   error
		value  string // of the source; "": came
		want   string
		isNull bool
		none   bool // no header
	}{
		"nothing before":              {steps: []Step{{Name: "x", Stage: no}}, none: true},
		"only read before":            {steps: []Step{reads("a"), {Name: "x", Stage: no}}, none: true},
		"set to what it was":          {steps: []Step{edits("a", "1"), {Name: "x", Stage: no}}, none: true},
		"edited before":               {steps: []Step{edits("b", "2"), {Name: "x", Stage: no}}, want: edited},
		"edited before, and read":     {steps: []Step{edits("b", "2"), reads("b"), {Name: "x", Stage: no}}, want: edited},
		"edited twice":                {steps: []Step{edits("b", "1"), {Name: "again", Stage: edits("b", "2").Stage}, {Name: "x", Stage: no}}, want: edited},
		"half edited by the step":     {steps: []Step{edits("b", "2"), {Name: "x", Stage: halfway}}, none: true},
		"half edited, nothing before": {steps: []Step{{Name: "x", Stage: halfway}}, none: true},
		"half edited, with retries":   {steps: []Step{edits("b", "2"), {Name: "x", Stage: halfway, Wait: &Wait{}}}, want: edited},
		"half edited, one attempt":    {steps: []Step{edits("b", "2"), {Name: "x", Stage: halfway, Wait: once}}, none: true},
		"waits, one attempt":          {steps: []Step{edits("b", "2"), {Name: "x", Stage: no, Wait: once}}, want: edited},
		"another step behind":         {steps: []Step{edits("b", "2"), {Name: "x", Stage: no, Wait: once}, edits("c", "3")}, want: edited},
		"passed on by an earlier step": {steps: []Step{edits("b", "2"), {Name: "y", Stage: halfway, OnError: OnErrorPass},
			{Name: "x", Stage: no}}, want: edited},
		"a panic":           {steps: []Step{edits("b", "2"), {Name: "x", Stage: does(func(context.Context, *pipeline.Record) error { panic("x") })}}, want: edited},
		"a sink":            {steps: []Step{edits("b", "2")}, sink: pipeline.Permanent(fails), want: edited},
		"a sink, untouched": {sink: pipeline.Permanent(fails), none: true},
		"a condition":       {steps: []Step{edits("b", "2")}, when: func(*pipeline.Record) (bool, error) { return false, fails }, want: edited},
		"made a tombstone": {steps: []Step{{Name: "t", Stage: does(func(_ context.Context, r *pipeline.Record) error { r.SetValue(nil); return nil })},
			{Name: "x", Stage: no}}, isNull: true},
		"as long as may be": {steps: []Step{edits("b", "2"), {Name: "x", Stage: no}},
			value: `{"a":"` + strings.Repeat("x", deadletter.MaxValue-len(`{"a":"","b":2}`)) + `"}`, want: `{"a":"` + strings.Repeat("x", deadletter.MaxValue-len(`{"a":"","b":2}`)) + `","b":2}`},
		"too long": {steps: []Step{edits("b", "2"), {Name: "x", Stage: no}},
			value: `{"a":"` + strings.Repeat("x", deadletter.MaxValue+1-len(`{"a":"","b":2}`)) + `"}`, none: true},
		"split": {steps: []Step{edits("b", "2"), {Name: "split", Splitter: splits(func(_ context.Context, r *pipeline.Record, emit func(*pipeline.Record)) error {
			emit(r)
			emit(r)
			return nil
		})}, edits("c", "3"), {Name: "x", Stage: no}}, none: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var dead letters
				value := c.value
				if value == "" {
					value = came
				}
				out := &collect{}
				if c.sink != nil {
					out.write = func(context.Context, []*pipeline.Record) error { return c.sink }
				}
				_, err := run(t, Options{
					Source: &memory{lanes: 1, records: 1, value: func(int, int) string { return value }}, Steps: c.steps,
					Sinks: []Output{{Name: "out", Sink: out, When: c.when}, {Name: "other", Sink: &collect{}}}, DeadLetter: DeadLetter{Sink: &dead},
				})
				if err != nil || len(dead) != 1 {
					t.Fatal(err, len(dead))
				}
				if string(dead[0].value) != value {
					t.Errorf("the letter's value is %q", dead[0].value)
				}
				h, ok := dead[0].headers[deadletter.Value]
				switch {
				case ok == c.none:
					t.Errorf("header %q, there: %t", h, ok)
				case (h == nil) != (c.none || c.isNull) || string(h) != c.want:
					t.Errorf("header %q, want %q", h, c.want)
				}
			})
		})
	}
}

// reads reads a field.
func reads(name string) Step {
	return Step{Name: "read-" + name, Stage: does(func(_ context.Context, r *pipeline.Record) error {
		_, err := r.Field(name)
		return err
	})}
}

// letters is a sink of dead letters that tells null from empty.
type letters []struct {
	value   []byte
	headers map[string][]byte
}

func (l *letters) Write(_ context.Context, recs []*pipeline.Record) error {
	for _, r := range recs {
		headers := map[string][]byte{}
		for _, h := range r.Headers() {
			headers[h.Name] = h.Value
		}
		*l = append(*l, struct {
			value   []byte
			headers map[string][]byte
		}{r.Value(), headers})
	}
	return nil
}

func (l *letters) Close(context.Context) error { return nil }

// A step that an Admitter makes calls for rejects with the value as the step got it, too.
func TestTheValueAsAnAdmitterGotIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dead letters
		d := &desk{t: t, admit: func(*pipeline.Record, int) (*visit, error) {
			return &visit{do: func(_ context.Context, r *pipeline.Record) error {
				_ = r.SetRaw("half", []byte("true"))
				return errors.New("asking: no")
			}}, nil
		}}
		_, err := run(t, Options{
			Source: &memory{lanes: 1, records: 1, value: func(int, int) string { return `{"a":1}` }}, DeadLetter: DeadLetter{Sink: &dead},
			Steps: []Step{edits("b", "2"), {Name: "ask", Stage: d, Wait: &Wait{Retry: Retry{Attempts: 2, Backoff: time.Millisecond}}}},
			Sinks: []Output{{Name: "out", Sink: &collect{}}},
		})
		if err != nil || len(dead) != 1 || string(dead[0].headers[deadletter.Value]) != `{"a":1,"b":2}` {
			t.Fatalf("%v, %q", err, dead)
		}
	})
}
