package deadletter

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

func letterRecord(headers ...string) *pipeline.Record {
	var all []pipeline.Header
	for i := 0; i < len(headers); i += 2 {
		all = append(all, pipeline.Header{Name: headers[i], Value: []byte(headers[i+1])})
	}
	rec := new(pipeline.Record)
	rec.Init(pipeline.Position{Topic: "dead", Partition: 1, Offset: 9}, []byte("k"), []byte(`{"a":1}`), all, 5)
	return rec
}

var wholeLetter = []string{
	"trace", "t-1", Pipeline, "late", Step, "weather", Reason, "attempts", Error, "calling: no answer", Detail, "server says",
	Attempts, "10", Topic, "flights", Partition, "3", Offset, "4711", Time, "2026-11-30T10:00:00.250Z", Timestamp, "1700000000123",
	Failures, "2", Value, `{"a":2}`, Redacted, "fields,key", Replays, "1",
}

func TestReadLetter(t *testing.T) {
	at := pipeline.Position{Topic: "dead", Partition: 1, Offset: 9}
	l, err := Read(letterRecord(wholeLetter...), at)
	if err != nil {
		t.Fatal(err)
	}
	if want := (pipeline.Position{Topic: "flights", Partition: 3, Offset: 4711}); l.Record.Position != want || l.At != at {
		t.Errorf("record at %v, letter at %v", l.Record.Position, l.At)
	}
	if string(l.Record.Key()) != "k" || string(l.Record.Value()) != `{"a":1}` || l.Record.Time != 1700000000123 {
		t.Errorf("key %q, value %q, time %d", l.Record.Key(), l.Record.Value(), l.Record.Time)
	}
	if h := l.Record.Headers(); len(h) != 1 || h[0].Name != "trace" {
		t.Errorf("headers %v", h)
	}
	if l.Pipeline != "late" || l.Step != "weather" || l.Reason != "attempts" || l.Error != "calling: no answer" || l.Detail != "server says" ||
		l.Attempts != 10 || l.Replays != 1 || l.Failures != 2 || !l.Changed || string(l.StepValue) != `{"a":2}` ||
		!reflect.DeepEqual(l.Redacted, []string{"fields", "key"}) || !l.Time.Equal(time.UnixMilli(1796032800250)) {
		t.Errorf("read %+v", l)
	}
	if h := l.Again(); h.Name != Replayed || string(h.Value) != "2 10" {
		t.Errorf("the header of the way back: %s %s", h.Name, h.Value)
	}
}

// The letter of a record that was a letter itself says what its own headers say, and nothing of those
// that the record came with, which stay the record's.
func TestReadLetterOfALetter(t *testing.T) {
	short := []string{Pipeline, "second", Step, "store", Reason, "sql", Topic, "dead", Partition, "0", Offset, "7"}
	came := append([]string{"penstock-mine", "keep"}, wholeLetter...)
	l, err := Read(letterRecord(append(came, short...)...), pipeline.Position{})
	if err != nil {
		t.Fatal(err)
	}
	if l.Pipeline != "second" || l.Step != "store" || l.Reason != "sql" || l.Record.Topic != "dead" || l.Record.Offset != 7 {
		t.Errorf("read %+v", l)
	}
	if l.Changed || l.StepValue != nil || l.Redacted != nil || l.Error != "" || l.Detail != "" || l.Failures != 0 || l.Replays != 0 ||
		l.Attempts != 1 || !l.Time.IsZero() || l.Record.Time != pipeline.NoTime {
		t.Errorf("read what is the record's own: %+v", l)
	}
	var kept []string
	for _, h := range l.Record.Headers() {
		kept = append(kept, h.Name, string(h.Value))
	}
	if !slices.Equal(kept, came) {
		t.Errorf("the record's own headers are %q, want %q", kept, came)
	}
}

// The key that a record came with is that of its header, where the sink has given the letter another: null and empty are
// told apart. What stands in front of the letter's own headers is the record's, and says nothing.
func TestReadLetterWithAnotherKey(t *testing.T) {
	for _, c := range []struct {
		front, own []pipeline.Header
		want       []byte
	}{
		{want: []byte("k")},
		{own: []pipeline.Header{{Name: Key, Value: []byte("came")}}, want: []byte("came")},
		{own: []pipeline.Header{{Name: Key, Value: []byte{}}}, want: []byte{}},
		{own: []pipeline.Header{{Name: Key}}},
		{front: []pipeline.Header{{Name: Key, Value: []byte("forged")}}, want: []byte("k")},
	} {
		rec := letterRecord(wholeLetter...)
		rec.Init(rec.Position, rec.Key(), rec.Value(), slices.Concat(c.front, rec.Headers(), c.own), rec.Time)
		l, err := Read(rec, pipeline.Position{})
		if err != nil {
			t.Fatal(err)
		}
		if key := l.Record.Key(); string(key) != string(c.want) || (key == nil) != (c.want == nil) {
			t.Errorf("with %q: key %q, null %v", c.own, key, key == nil)
		}
		if n := len(l.Record.Headers()); n != 1+len(c.front) {
			t.Errorf("with %q: the record came with %d headers", c.own, n)
		}
	}
}

func TestReadNoLetter(t *testing.T) {
	for _, name := range []string{Pipeline, Step, Reason, Topic, Partition, Offset} {
		var left []string
		for i := 0; i < len(wholeLetter); i += 2 {
			if wholeLetter[i] != name {
				left = append(left, wholeLetter[i], wholeLetter[i+1])
			}
		}
		_, err := Read(letterRecord(left...), pipeline.Position{Topic: "dead"})
		var format *FormatError
		if !errors.As(err, &format) || format.Header != name {
			t.Errorf("without %s: %v", name, err)
		}
	}
	for _, name := range []string{Attempts, Partition, Offset, Time, Timestamp, Failures, Replays} {
		_, err := Read(letterRecord(append(wholeLetter, name, "canary")...), pipeline.Position{})
		var format *FormatError
		if !errors.As(err, &format) || format.Header != name || strings.Contains(err.Error(), "canary") {
			t.Errorf("with a bad %s: %v", name, err)
		}
	}
}

// TestReadLetterChecksNumbers: one that is cut to the bits of its field would send a record into another
// partition, and a negative count would be none on the way back, so that no loop ever ends.
func TestReadLetterChecksNumbers(t *testing.T) {
	for _, c := range [][2]string{
		{Partition, "4294967297"}, {Partition, "-1"}, {Offset, "-1"}, {Offset, "9223372036854775808"}, {Attempts, "-7"},
		{Attempts, "4294967297"}, {Replays, "-1"}, {Replays, "2147483648"}, {Failures, "-1"},
	} {
		_, err := Read(letterRecord(append(wholeLetter, c[0], c[1])...), pipeline.Position{})
		var format *FormatError
		if !errors.As(err, &format) || format.Header != c[0] || !strings.Contains(err.Error(), "from 0 to ") {
			t.Errorf("%s: %s: %v", c[0], c[1], err)
		}
	}
	l, err := Read(letterRecord(append(wholeLetter, Replays, "2147483647")...), pipeline.Position{})
	if err != nil {
		t.Fatal(err)
	}
	if h := ReadHistory(l.Again().Value); h.Replays != 2147483647 {
		t.Errorf("so often replayed, the way back says %+v", h)
	}
}

func TestFilter(t *testing.T) {
	l, err := Read(letterRecord(wholeLetter...), pipeline.Position{})
	if err != nil {
		t.Fatal(err)
	}
	at := l.Time
	field := func(rec *pipeline.Record) (bool, error) {
		text, err := rec.Field("a")
		return string(text) == "1" && rec.Topic == "flights", err
	}
	failing := func(*pipeline.Record) (bool, error) { return true, errors.New("no") }
	for _, c := range []struct {
		name   string
		filter Filter
		want   bool
	}{
		{"all", Filter{}, true},
		{"reason", Filter{Reasons: []string{"x", "attempts"}}, true},
		{"another reason", Filter{Reasons: []string{"permanent"}}, false},
		{"step", Filter{Steps: []string{"weather"}}, true},
		{"another step", Filter{Steps: []string{"map"}}, false},
		{"since then", Filter{Since: at}, true},
		{"since later", Filter{Since: at.Add(time.Millisecond)}, false},
		{"until later", Filter{Until: at.Add(time.Millisecond)}, true},
		{"until then", Filter{Until: at}, false},
		{"where", Filter{Where: field}, true},
		{"where fails", Filter{Where: failing}, false},
	} {
		got, err := c.filter.Match(l)
		if got != c.want || (err != nil) != (c.name == "where fails") || c.filter.Narrow() != (c.name != "all") {
			t.Errorf("%s: %v, %v, narrow %v", c.name, got, err, c.filter.Narrow())
		}
	}
}
