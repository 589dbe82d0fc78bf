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

// readRecords reads all fixture lines of text.
func readRecords(text []byte, name string) (recs []pipeline.Record, err error) {
	for r := fixture.NewReader(bytes.NewReader(text), name); ; {
		var rec pipeline.Record
		_, err := r.Next(&rec)
		if errors.Is(err, io.EOF) {
			return recs, nil
		}
		if err != nil {
			return nil, err
		}
		recs = append(recs, rec)
	}
}

func fixtureLine(r *pipeline.Record) string {
	return strings.TrimSuffix(string(fixture.Append(nil, r, "")), "\n")
}

// diffRecords compares what a sink got with what was expected. Records are paired by their
// position; several of one position in the order in which they came. When all are equal, and
// ordered is set, their order is compared within each group; a nil group puts all into one.
func diffRecords(sink string, want, got []pipeline.Record, ordered bool, group func(*pipeline.Record) string) []difference {
	var diffs []difference
	left := map[pipeline.Position][]*pipeline.Record{}
	for i := range got {
		left[got[i].Position] = append(left[got[i].Position], &got[i])
	}
	for i := range want {
		w := &want[i]
		d := difference{Sink: sink, Position: w.Position.String(), Expected: fixtureLine(w)}
		pair := left[w.Position]
		if len(pair) == 0 {
			d.What = "missing"
			diffs = append(diffs, d)
			continue
		}
		left[w.Position] = pair[1:]
		if d.Fields = diffRecord(w, pair[0]); len(d.Fields) > 0 {
			d.What, d.Got = "different", fixtureLine(pair[0])
			diffs = append(diffs, d)
		}
	}
	for i := range got {
		if slices.Contains(left[got[i].Position], &got[i]) {
			diffs = append(diffs, difference{Sink: sink, Position: got[i].Position.String(), What: "unexpected", Got: fixtureLine(&got[i])})
		}
	}
	if len(diffs) == 0 && ordered {
		diffs = diffOrder(sink, want, got, group)
	}
	return diffs
}

// diffOrder finds the first record of each group that stands at another place.
func diffOrder(sink string, want, got []pipeline.Record, group func(*pipeline.Record) string) (diffs []difference) {
	if group == nil {
		group = func(*pipeline.Record) string { return "" }
	}
	split := func(recs []pipeline.Record) (names []string, groups map[string][]*pipeline.Record) {
		groups = map[string][]*pipeline.Record{}
		for i := range recs {
			g := group(&recs[i])
			if groups[g] == nil {
				names = append(names, g)
			}
			groups[g] = append(groups[g], &recs[i])
		}
		return names, groups
	}
	names, wants := split(want)
	_, gots := split(got)
	for _, g := range names {
		for i, w := range wants[g] {
			if i < len(gots[g]) && w.Position != gots[g][i].Position {
				diffs = append(diffs, difference{Sink: sink, Position: w.Position.String(), What: "order", Expected: fixtureLine(w), Got: fixtureLine(gots[g][i])})
				break
			}
		}
	}
	return diffs
}

// diffRecord names what differs in two records of one position.
func diffRecord(want, got *pipeline.Record) (diffs []fieldDiff) {
	add := func(field, w, g string) {
		if w != g {
			diffs = append(diffs, fieldDiff{field, w, g})
		}
	}
	add("ts", showTime(want.Time), showTime(got.Time))
	add("key", showBytes(want.Key()), showBytes(got.Key()))
	if w, g := showHeaders(want.Headers()), showHeaders(got.Headers()); w != g {
		diffs = append(diffs, diffHeaders(want.Headers(), got.Headers())...)
	}
	w, g := want.Value(), got.Value()
	if bytes.Equal(w, g) && (w == nil) == (g == nil) {
		return diffs
	}
	fields, same := diffJSON("", w, g)
	switch {
	case same:
		add("payload", "(equal JSON, other bytes) "+showBytes(w), showBytes(g))
	case fields == nil:
		add("payload", showBytes(w), showBytes(g))
	}
	return append(diffs, fields...)
}

func showTime(t int64) string {
	if t == pipeline.NoTime {
		return "none"
	}
	return strconv.FormatInt(t, 10)
}

func showBytes(b []byte) string {
	if b == nil {
		return "null"
	}
	if json.Valid(b) {
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

// diffJSON names the fields in which two JSON objects differ, down to the innermost. same
// says that they are equal as JSON. nil and false: they differ, and one is no object.
func diffJSON(path string, want, got []byte) (diffs []fieldDiff, same bool) {
	w, wKeys := objectOf(want)
	g, gKeys := objectOf(got)
	if w == nil || g == nil {
		return nil, sameJSON(want, got)
	}
	for _, k := range gKeys {
		if _, there := w[k]; !there {
			wKeys = append(wKeys, k)
		}
	}
	same = true
	for _, k := range wKeys {
		wv, wThere := w[k]
		gv, gThere := g[k]
		at := strings.TrimPrefix(path+"."+k, ".")
		switch {
		case !wThere:
			diffs = append(diffs, fieldDiff{at, "(absent)", string(gv)})
		case !gThere:
			diffs = append(diffs, fieldDiff{at, string(wv), "(absent)"})
		case !sameJSON(wv, gv):
			inner, _ := diffJSON(at, wv, gv)
			if inner == nil {
				inner = []fieldDiff{{at, string(wv), string(gv)}}
			}
			diffs = append(diffs, inner...)
		}
	}
	return diffs, same && len(diffs) == 0
}

// objectOf reads a JSON object with its keys in order; nil when it is none.
func objectOf(text []byte) (fields map[string]json.RawMessage, keys []string) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, nil
	}
	fields = map[string]json.RawMessage{}
	for dec.More() {
		t, err := dec.Token()
		var v json.RawMessage
		if err != nil || dec.Decode(&v) != nil {
			return nil, nil
		}
		k, _ := t.(string)
		if _, twice := fields[k]; !twice {
			fields[k] = v
			keys = append(keys, k)
		}
	}
	return fields, keys
}

// sameJSON compares two values whatever their white space and the order of their keys;
// numbers by their digits.
func sameJSON(a, b []byte) bool {
	x, errX := canonical(a)
	y, errY := canonical(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func canonical(text []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}
