package pipeline

import (
	"fmt"
	"testing"
)

// setIn sets a field to a text in the record's room.
func setIn(r *Record, name string, text string, room int) error {
	b := append(r.Room(room), text...)
	return r.SetRaw(name, b)
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

	shared := r.Clone()
	_ = setIn(&r, "e", "5", 1)
	_ = setIn(shared, "e", "6", 1)
	is(&r, `{"a":1,"b":"one","c":"two","d":"2nd attempt","e":5}`)
	is(shared, `{"a":1,"b":"one","c":"two","d":"2nd attempt","e":6}`)
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
	var part Record
	var parts [3]Record
	for i := range parts {
		part.Init(Position{}, nil, []byte(`{}`), nil, 0)
		_ = setIn(&part, "x", fmt.Sprint(i), 8)
		part.copyTo(&parts[i])
	}
	for i := range parts {
		if got := parts[i].AppendValue(nil); string(got) != fmt.Sprintf(`{"x":%d}`, i) {
			t.Errorf("part %d is %s", i, got)
		}
	}
}

// What a record's extras take is told once, and again when they serve another.
func TestExtrasAreTold(t *testing.T) {
	var before int64
	told := func(r *Record) (bytes, growth int64) {
		if !r.touched {
			return 0, 0
		}
		added, growth, owed := r.grown()
		defer func() { before = added }()
		return added - before + owed, growth
	}
	init := func(r *Record) { r.Init(Position{}, nil, []byte(`{"a":1}`), nil, 0) }
	var r, next Record
	init(&r)
	if _, err := r.Field("a"); err != nil {
		t.Fatal(err)
	}
	if d, _ := told(&r); d != extrasSize {
		t.Errorf("%d bytes are told for reading a field, not %d", d, extrasSize)
	}
	_ = setIn(&r, "b", "12", 10)
	want := int64(len(`,"b":12`)) + fewEdits*editSize + smallRoom
	if d, growth := told(&r); d != want || growth != int64(len(`,"b":12`)) {
		t.Errorf("%d bytes are told for setting one, not %d; the value grows by %d", d, want, growth)
	}
	if d, _ := told(&r); d != 0 {
		t.Errorf("%d bytes are told when nothing has changed", d)
	}
	_ = r.Remove("b")
	if d, _ := told(&r); d != -2 {
		t.Errorf("%d bytes are told for what has become shorter", d)
	}

	x := r.leave()
	if v, err := r.Field("b"); v != nil || err != nil {
		t.Errorf("a record that has left its extras has %s, %v", v, err)
	}
	next.lend(x)
	init(&next)
	before = 0
	if d, _ := told(&next); d != 0 {
		t.Errorf("%d bytes are told before the extras are used", d)
	}
	if v, err := next.Field("b"); v != nil || err != nil {
		t.Errorf("the next record has %s, %v", v, err)
	}
	if d, _ := told(&next); d != keptExtrasSize {
		t.Errorf("%d bytes are told for extras of another, not %d", d, keptExtrasSize)
	}
}

// Headers that are set take their places too, and those that are as they came, as a part of a split has them, nothing.
func TestHeadersThatAreSetAreTold(t *testing.T) {
	few := []Header{{Name: "a", Value: []byte("12345")}, {Name: "b"}}
	var r Record
	r.Init(Position{}, nil, []byte(`{}`), few, 0)
	r.SetHeaders(r.Headers())
	if added, _, _ := r.grown(); added != 0 {
		t.Errorf("%d bytes are told for the headers that are there", added)
	}
	r.SetHeaders(append(r.Headers(), Header{Name: "c", Value: []byte("678")}))
	if added, _, _ := r.grown(); added != int64(3*headerSize+8) {
		t.Errorf("%d bytes are told for three headers with 8 bytes", added)
	}
}
