package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
)

// setIn sets a field to a text in the record's room.
func setIn(r *Record, name string, text string, room int) error {
	b := append(r.Room(room), text...)
	return r.Set(name, b)
}

// Texts in the room of a record stay what they are: whatever is set after them, by an
// attempt that is undone, in a copy, or in a record that has the place afterwards.
func TestRoomOfARecord(t *testing.T) {
	var r Record
	init := func() { r.Init(Position{}, nil, []byte(`{"a":1}`), nil, 0) }
	is := func(r *Record, want string) {
		t.Helper()
		if got := r.AppendValue(nil); string(got) != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for range 3 { // the room stays with the place
		init()
		for i, name := range []string{"b", "c", "d"} {
			if err := setIn(&r, name, fmt.Sprintf(`"%030d"`, i), 32); err != nil { // more than the first room
				t.Fatal(err)
			}
		}
		is(&r, fmt.Sprintf(`{"a":1,"b":"%030d","c":"%030d","d":"%030d"}`, 0, 1, 2))
	}
	init()
	_ = setIn(&r, "b", `"one"`, 8)
	if a, b := r.Room(8), r.Room(8); &a[:1][0] == &b[:1][0] {
		t.Error("the same room is given twice")
	}
	part := r // as Split has it
	_ = setIn(&part, "b", `"of a part"`, 16)
	_ = setIn(&r, "c", `"two"`, 4) // does not fit: it moves
	is(&part, `{"a":1,"b":"of a part"}`)
	is(&r, `{"a":1,"b":"one","c":"two"}`)

	var s savepoint
	s.Save(&r)
	_ = setIn(&r, "b", `"1st attempt"`, 16)
	_ = setIn(&r, "d", `"more of it"`, 64)
	s.Restore(&r)
	is(&r, `{"a":1,"b":"one","c":"two"}`)
	_ = setIn(&r, "d", `"2nd attempt"`, 16)
	is(&r, `{"a":1,"b":"one","c":"two","d":"2nd attempt"}`)

	shared := item{&r, new(track)}.share()
	_ = setIn(&r, "e", "5", 1)
	_ = setIn(shared.rec, "e", "6", 1)
	is(&r, `{"a":1,"b":"one","c":"two","d":"2nd attempt","e":5}`)
	is(shared.rec, `{"a":1,"b":"one","c":"two","d":"2nd attempt","e":6}`)
}

// A clone and its record are changed apart from each other, whichever is changed first.
func TestClone(t *testing.T) {
	is := func(r *Record, want, key string, headers int) {
		t.Helper()
		if got := r.AppendValue(nil); string(got) != want || string(r.Key()) != key || len(r.Headers()) != headers {
			t.Errorf("%s with key %q and %d headers, want %s, %q, %d", got, r.Key(), len(r.Headers()), want, key, headers)
		}
		if k, v, h := r.Original(); string(k) != "k" || string(v) != `{"a":1,"b":2}` || len(h) != 1 {
			t.Errorf("the original is %q, %s, %d headers", k, v, len(h))
		}
	}
	for name, change := range map[string]func(r *Record){
		"set":       func(r *Record) { _ = setIn(r, "c", "4", 1) },
		"set again": func(r *Record) { _ = setIn(r, "b", "5", 1) },
		"value":     func(r *Record) { r.SetValue([]byte(`{"a long name before it":1,"b":7}`)); _, _ = r.Field("b") },
		"key":       func(r *Record) { r.SetKey([]byte("new")); r.SetHeaders(nil) },
		"restored":  func(r *Record) { c := r.Clone(); _ = setIn(r, "c", "6", 1); *r = *c },
	} {
		for _, edited := range []bool{false, true} {
			r := new(Record)
			r.Init(Position{}, []byte("k"), []byte(`{"a":1,"b":2}`), []Header{{Name: "h"}}, 0)
			want := `{"a":1,"b":2}`
			if edited {
				want = `{"a":1,"b":2,"c":3}`
				_ = setIn(r, "c", "3", 1)
			}
			c := r.Clone()
			change(r)
			is(c, want, "k", 1)
			changed, key, headers := string(r.AppendValue(nil)), string(r.Key()), len(r.Headers())
			change(c)
			is(r, changed, key, headers)
			if is(c, changed, key, headers); t.Failed() {
				t.Fatalf("%s, edited before: %v", name, edited)
			}
		}
	}
}

// A part that is initialized again for the next one leaves those as they are that were
// emitted before.
func TestRoomOfAPartThatIsUsedAgain(t *testing.T) {
	var c cutter
	var part Record
	for i := range 3 {
		part.Init(Position{}, nil, []byte(`{}`), nil, 0)
		_ = setIn(&part, "x", fmt.Sprint(i), 8)
		c.emit(&part)
	}
	for i, it := range c.parts {
		if got := it.rec.AppendValue(nil); string(got) != fmt.Sprintf(`{"x":%d}`, i) {
			t.Errorf("part %d is %s", i, got)
		}
	}
}

// What a record's extras take is charged once, and again when they serve another.
func TestExtrasAreCharged(t *testing.T) {
	it := item{new(Record), new(track)}
	init := func(r *Record) { r.Init(Position{}, nil, []byte(`{"a":1}`), nil, 0) }
	init(it.rec)
	it.measure()
	if _, err := it.rec.Field("a"); err != nil {
		t.Fatal(err)
	}
	if d := it.regrow(); d != extrasSize {
		t.Errorf("%d bytes are charged for reading a field, not %d", d, extrasSize)
	}
	weight := it.weight
	_ = setIn(it.rec, "b", "12", 10)
	want := int64(len(`,"b":12`)) + fewEdits*editSize + smallRoom
	if d := it.regrow(); d != want {
		t.Errorf("%d bytes are charged for setting one, not %d", d, want)
	}
	if d := it.regrow(); d != 0 {
		t.Errorf("%d bytes are charged when nothing has changed", d)
	}
	if it.weight != weight+int32(len(`,"b":12`)) {
		t.Errorf("the record weighs %d more", it.weight-weight)
	}
	_ = it.rec.Remove("b")
	if d := it.regrow(); d != -2 {
		t.Errorf("%d bytes are charged for what has become shorter", d)
	}

	next := item{new(Record), new(track)}
	x := it.rec.leave()
	if v, err := it.rec.Field("b"); v != nil || err != nil {
		t.Errorf("a record that has left its extras has %s, %v", v, err)
	}
	next.rec.lend(x)
	init(next.rec)
	next.measure()
	if d := next.regrow(); d != 0 {
		t.Errorf("%d bytes are charged before the extras are used", d)
	}
	if v, err := next.rec.Field("b"); v != nil || err != nil {
		t.Errorf("the next record has %s, %v", v, err)
	}
	if d := next.regrow(); d != besideSize {
		t.Errorf("%d bytes are charged for extras of another, not %d", d, besideSize)
	}
}

// Extras go from filtered records to others, and each record has what is its own: the
// fields, the edits, the texts, and what it was when it came, in its dead letter too.
func TestExtrasOfFilteredRecords(t *testing.T) {
	const n = 5000
	value := func(_, i int) string { return fmt.Sprintf(`{"id":%d,"s":"%d"}`, i, i*i) }
	edit := func(r *Record) error {
		id, err := r.Field("id")
		if err != nil {
			return err
		}
		_ = setIn(r, "copy", string(id), 4)
		r.SetKey(bytes.Clone(id))
		return r.Remove("s")
	}
	read := does(func(_ context.Context, r *Record) error {
		if r.Offset%7 == 1 { // some have no extras at all
			return nil
		}
		if err := edit(r); err != nil {
			return err
		}
		if r.Offset%3 == 0 {
			return Filtered
		}
		return nil
	})
	more := does(func(_ context.Context, r *Record) error {
		if r.Offset%11 == 2 {
			return Filtered
		}
		if r.Offset%13 == 3 {
			return Permanent(errors.New("no"))
		}
		return edit(r)
	})
	out, dead := map[int64]string{}, map[int64]string{}
	into := func(m map[int64]string) writes {
		return func(r *Record) { m[r.Offset] = string(r.Key()) + string(r.AppendValue(nil)) }
	}
	_, err := run(t, Options{
		Source: &memory{lanes: 1, records: n, batch: 300, value: value, key: func(int, int) string { return "key" }},
		Steps:  []Step{{Name: "read", Stage: read, Workers: 2}, {Name: "more", Stage: more, Workers: 2}},
		Sinks:  []Output{{Name: "out", Sink: into(out)}}, DeadLetter: Output{Name: "dead", Sink: into(dead)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(n) {
		o, d := "", ""
		switch {
		case i%7 != 1 && i%3 == 0, i%11 == 2:
		case i%13 == 3:
			d = "key" + value(0, int(i))
		default:
			o = fmt.Sprintf(`%d{"id":%d,"copy":%d}`, i, i, i)
		}
		if out[i] != o || dead[i] != d {
			t.Fatalf("record %d: out %q, want %q; dead letter %q, want %q", i, out[i], o, dead[i], d)
		}
	}
}
