package execstage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
)

// recordedStage has answers in place of processes. There is no program of that name.
func recordedStage(t *testing.T, as, lines string) (*Stage, *Recorded) {
	t.Helper()
	r, err := ReadRecorded([]byte(lines), func(string) bool { return as == asValue })
	if err != nil {
		t.Fatal(err)
	}
	s := Default()
	s.Command, s.As, s.Ready, s.Recorded = []string{"no-such-program"}, as, as == asRecord, r
	st, err := New(s, Place{Pipeline: "p", Step: "enrich", Calls: calls.Env{Settings: calls.Defaults(), Workers: 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st, r
}

func TestRecorded(t *testing.T) {
	st, r := recordedStage(t, asRecord, `
{"step":"enrich","value":{"a": 1},"answer":{"value":"first"}}
{"step":"enrich","value":{"a":1},"answer":{"value":"then"}}
{"step":"other","value":{"a":2},"answer":{"value":"of another step"}}
{"value":{"a":2},"answer":{"value":"of any"}}
{"text":"no JSON","answer":{"text":"indeed"}}
{"value":3,"answer":{"filter":true}}
{"value":4,"answer":{"reject":"no","message":"never"}}
{"value":5,"answer":"junk"}
`)
	process := func(value string) (string, error) {
		rec := new(pipeline.Record)
		rec.Init(pipeline.Position{Topic: "t"}, nil, []byte(value), nil, pipeline.NoTime)
		err := st.Process(t.Context(), rec)
		return string(rec.Value()), err
	}
	for i, tt := range []struct{ value, want string }{
		{`{"a":1}`, `"first"`}, {`{"a":1}`, `"then"`}, {`{ "a":1}`, `"then"`}, {`{"a":2}`, `"of any"`}, {"no JSON", "indeed"},
	} {
		if got, err := process(tt.value); got != tt.want || err != nil {
			t.Errorf("%d: %s has become %s, %v", i, tt.value, got, err)
		}
	}
	if _, err := process("3"); !errors.Is(err, pipeline.Filtered) {
		t.Error(err)
	}
	var said pipeline.Detailer
	if _, err := process("4"); !errors.As(err, &said) || said.Detail() != "no: never" {
		t.Error(err)
	}
	if _, err := process("5"); err == nil || !strings.Contains(err.Error(), "no JSON object") {
		t.Error(err)
	}
	if got := r.Unanswered(); len(got) != 0 {
		t.Errorf("%q", got)
	}
	if _, err := process(`{"b":1}`); err == nil {
		t.Error("no error")
	}
	if got := r.Unanswered(); !slices.Equal(got, []string{`enrich value {"b":1}`}) {
		t.Errorf("%q", got)
	}
}

func TestRecordedValues(t *testing.T) {
	for value, answer := range map[string]string{
		"{\n\"a\":1}":            `[1,2]`,
		`{"id":7,"value":3}`:     `{"id":7,"value":4}`, // it looks like a line about a record
		`{"id":7,"text":"none"}`: `8`,
		`{"b":1}`:                `{"slug":"no word of the protocol"}`,
	} {
		st, _ := recordedStage(t, asValue, fmt.Sprintf(`{"value":%s,"answer":%s}`, strings.ReplaceAll(value, "\n", ""), answer))
		rec := new(pipeline.Record)
		rec.Init(pipeline.Position{}, nil, []byte(value), nil, 0)
		if err := st.Process(t.Context(), rec); err != nil || string(rec.Value()) != answer {
			t.Errorf("%s: %s, %v", value, rec.Value(), err)
		}
	}
}

func TestRecordedMistakes(t *testing.T) {
	for line, wrong := range map[string]string{
		`{"value":1}`:            "1: an answer is",
		`{"answer":{"value":1}}`: "1: an answer is",
		`{"value":1,"text":"1","answer":{"value":1}}`:      "1: an answer is",
		"\n" + `{"value":1,"answr":1}`:                     "2: an answer is",
		`{"value":1,"answer":{"vale":1}}`:                  "1: it wrote a line that has none of value",
		`{"value":1,"answer":{"value":1,"reject":"both"}}`: "1: it wrote a line that has none of value, text, filter, reject and retry, or several",
		`nothing`: "1: an answer is",
	} {
		if _, err := ReadRecorded([]byte(line), func(string) bool { return false }); err == nil || !strings.HasPrefix(err.Error(), wrong) {
			t.Errorf("%s: %v, want %s", line, err, wrong)
		}
	}
	st, _ := recordedStage(t, asRecord, `{"value":{"n":1},"answer":{"id":5,"value":2}}`) // an id does no harm
	rec := new(pipeline.Record)
	rec.Init(pipeline.Position{}, nil, []byte(`{"n":1}`), nil, 0)
	if err := st.Process(t.Context(), rec); err != nil {
		t.Errorf("an answer that was written down with its id: %v", err)
	}
}
