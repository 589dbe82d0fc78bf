package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/fixture"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// A difference is one record of a sink that is not as expected.
type difference struct {
	Sink     string      `json:"sink"`
	Position string      `json:"position"`
	What     string      `json:"what"` // missing, unexpected, different, order
	Fields   []fieldDiff `json:"fields,omitempty"`
	Expected string      `json:"expected,omitempty"` // fixture line
	Got      string      `json:"got,omitempty"`
}

// A fieldDiff is what differs in a record.
type fieldDiff struct {
	Field    string `json:"field"` // ts, key, headers, payload, or a path inside the payload
	Expected string `json:"expected"`
	Got      string `json:"got"`
}

// readWanted reads what a sink is to get. bare says that each line is a value.
func readWanted(text []byte, name string, bare bool) (want []*fixture.Partial, err error) {
	r := fixture.NewReader(bytes.NewReader(text), name)
	if bare {
		r = fixture.NewValueReader(bytes.NewReader(text), name, nil)
	}
	for {
		p, err := r.NextPartial()
		if errors.Is(err, io.EOF) {
			return want, nil
		}
		if err != nil {
			return nil, err
		}
		want = append(want, p)
	}
}

// A comparison says what counts as equal.
type comparison struct {
	meaning bool // of values the meaning as JSON, not the bytes
	ordered bool // the order of records counts, within each group; a nil group puts all into one
	group   func(*pipeline.Record) string
}

// diffRecords compares what a sink got with what was expected. When all are equal, and the
// order counts, it is compared too.
func diffRecords(sink string, want []*fixture.Partial, got []pipeline.Record, by comparison) (diffs []difference) {
	paired := pairs(want, got, by)
	taken := make([]bool, len(got))
	for i, w := range want {
		d := difference{Sink: sink, Position: placeOf(w), Expected: string(w.Text)}
		g := paired[i]
		if g < 0 {
			d.What = "missing"
			diffs = append(diffs, d)
			continue
		}
		taken[g] = true
		if d.Fields = diffRecord(w, &got[g], by); len(d.Fields) > 0 {
			d.What, d.Position, d.Got = "different", got[g].Position.String(), lineLike(w, &got[g])
			diffs = append(diffs, d)
		}
	}
	for i := range got {
		if !taken[i] {
			diffs = append(diffs, difference{Sink: sink, Position: got[i].Position.String(), What: "unexpected", Got: lineLike(firstOf(want), &got[i])})
		}
	}
	if len(diffs) == 0 && by.ordered {
		diffs = diffOrder(sink, want, got, paired, by.group)
	}
	return diffs
}

// placeOf names a wanted record: by its position, or by its line where it has none.
func placeOf(w *fixture.Partial) string {
	if w.Given.Position() {
		return w.Record.Position.String()
	}
	return fmt.Sprintf("line %d", w.Line)
}

func firstOf(want []*fixture.Partial) *fixture.Partial {
	if len(want) > 0 {
		return want[0]
	}
	return &fixture.Partial{Given: fixture.AllGiven}
}

// lineLike shows a record in the form of a wanted one, so that only that is shown that was
// asked for.
func lineLike(w *fixture.Partial, got *pipeline.Record) string {
	line, ok := w.Given.Append(nil, got, chosenNames(w))
	if !ok {
		line, _ = fixture.AllGiven.Append(nil, got, nil)
	}
	return string(line)
}

// otherLine shows a record that stands where w is wanted: in the form of w, or as a whole where that
// says the same as w, which fits further records.
func otherLine(w *fixture.Partial, got *pipeline.Record) string {
	line := lineLike(w, got)
	if len(diffRecord(w, got, comparison{})) == 0 {
		whole, _ := fixture.AllGiven.Append(nil, got, nil)
		line = string(whole)
	}
	return line
}

// chosenNames gives the names of the headers of a line that has some of them.
func chosenNames(w *fixture.Partial) (names []string) {
	if !w.Given.Chosen {
		return nil
	}
	for _, h := range w.Record.Headers() {
		names = append(names, h.Name)
	}
	return names
}

// diffOrder finds the first record of each group that stands at another place.
func diffOrder(sink string, want []*fixture.Partial, got []pipeline.Record, paired []int, group func(*pipeline.Record) string) (diffs []difference) {
	if group == nil {
		group = func(*pipeline.Record) string { return "" }
	}
	var names []string
	came, wants := map[string][]int{}, map[string][]int{} // of got and of want, by group
	for i := range got {
		g := group(&got[i])
		if came[g] == nil {
			names = append(names, g)
		}
		came[g] = append(came[g], i)
	}
	for i, g := range paired {
		name := group(&got[g])
		wants[name] = append(wants[name], i)
	}
	for _, name := range names {
		for i, w := range wants[name] {
			if g := came[name][i]; g != paired[w] {
				diffs = append(diffs, difference{Sink: sink, Position: placeOf(want[w]), What: "order", Expected: string(want[w].Text), Got: otherLine(want[w], &got[g])})
				break
			}
		}
	}
	return diffs
}

// diffRecord names what differs in two records, of what the wanted one has.
func diffRecord(want *fixture.Partial, got *pipeline.Record, by comparison) (diffs []fieldDiff) {
	given, rec := want.Given, &want.Record
	add := func(counts bool, field, w, g string) {
		if counts && w != g {
			diffs = append(diffs, fieldDiff{field, w, g})
		}
	}
	add(given.Topic, "topic", strconv.Quote(rec.Topic), strconv.Quote(got.Topic))
	add(given.Partition, "partition", fmt.Sprint(rec.Partition), fmt.Sprint(got.Partition))
	add(given.Offset, "offset", fmt.Sprint(rec.Offset), fmt.Sprint(got.Offset))
	add(given.Time, "ts", showTime(rec.Time), showTime(got.Time))
	add(given.Key, "key", showBytes(rec.Key()), showBytes(got.Key()))
	switch {
	case given.Chosen:
		for _, h := range rec.Headers() {
			add(true, "header "+h.Name, showBytes(h.Value), showBytes(fixture.LastHeader(got, h.Name)))
		}
	case given.Headers && showHeaders(rec.Headers()) != showHeaders(got.Headers()):
		diffs = append(diffs, diffHeaders(rec.Headers(), got.Headers())...)
	}
	if given.Payload {
		diffs = append(diffs, diffValue(rec.Value(), got.Value(), by.meaning)...)
	}
	return diffs
}

// diffValue names what differs in two values: the fields, where both are objects.
func diffValue(w, g []byte, meaning bool) []fieldDiff {
	if bytes.Equal(w, g) && (w == nil) == (g == nil) {
		return nil
	}
	equal := sameJSON
	if meaning {
		equal = sameMeaning
	}
	fields, same := diffJSON(nil, w, g, equal)
	switch {
	case same && meaning:
		return nil
	case same:
		return []fieldDiff{{"payload", "(equal JSON, other bytes) " + showBytes(w), showBytes(g)}}
	case fields == nil:
		return []fieldDiff{{"payload", showBytes(w), showBytes(g)}}
	}
	return fields
}

func showTime(t int64) string {
	if t == pipeline.NoTime {
		return "none"
	}
	return strconv.FormatInt(t, 10)
}

// showBytes shows what differs so that it differs: an object or an array as it stands, any other
// text in quotes, and null for nothing.
func showBytes(b []byte) string {
	switch {
	case b == nil:
		return "null"
	case len(b) > 0 && (b[0] == '{' || b[0] == '[') && json.Valid(b):
		return string(b)
	}
	return strconv.Quote(string(b))
}

func showHeaders(headers []pipeline.Header) string {
	var b strings.Builder
	for _, h := range headers {
		fmt.Fprintf(&b, "%q: %s, ", h.Name, showBytes(h.Value))
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// diffHeaders names the headers that differ, when both records have the same names in
// the same order, and shows all of them otherwise.
func diffHeaders(want, got []pipeline.Header) (diffs []fieldDiff) {
	same := len(want) == len(got)
	for i := 0; same && i < len(want); i++ {
		same = want[i].Name == got[i].Name
	}
	if !same {
		return []fieldDiff{{"headers", showHeaders(want), showHeaders(got)}}
	}
	for i := range want {
		if w, g := showBytes(want[i].Value), showBytes(got[i].Value); w != g {
			diffs = append(diffs, fieldDiff{"header " + want[i].Name, w, g})
		}
	}
	return diffs
}

// diffJSON names the members in which two objects differ, down to the innermost, and says whether
// there are none. Where one is no object it gives nil and what equal says.
func diffJSON(path jsontext.Path, want, got []byte, equal func(a, b []byte) bool) (diffs []fieldDiff, same bool) {
	w, names := objectOf(want)
	g, others := objectOf(got)
	if w == nil || g == nil {
		return nil, equal(want, got)
	}
	for _, name := range others {
		if _, there := w[name]; !there {
			names = append(names, name)
		}
	}
	for _, name := range names {
		wv, wThere := w[name]
		gv, gThere := g[name]
		at := append(slices.Clip(path), jsontext.Step{Name: name})
		switch {
		case !wThere:
			diffs = append(diffs, fieldDiff{at.String(), "(absent)", string(gv)})
		case !gThere:
			diffs = append(diffs, fieldDiff{at.String(), string(wv), "(absent)"})
		case !equal(wv, gv):
			inner, _ := diffJSON(at, wv, gv, equal)
			if inner == nil {
				inner = []fieldDiff{{at.String(), string(wv), string(gv)}}
			}
			diffs = append(diffs, inner...)
		}
	}
	return diffs, len(diffs) == 0
}

// objectOf reads a JSON object, with its names in order; nil when the text is none. Of members of
// one name the first counts.
func objectOf(text []byte) (members map[string][]byte, names []string) {
	text = text[jsontext.Space(text, 0):]
	if !jsontext.Valid(text) || text[0] != '{' {
		return nil, nil
	}
	members = map[string][]byte{}
	jsontext.Members(text, func(quoted, value []byte) bool {
		name := jsontext.Unquote(quoted)
		if _, twice := members[name]; !twice {
			members[name] = value
			names = append(names, name)
		}
		return true
	})
	return members, names
}
