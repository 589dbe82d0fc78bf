package pipeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func jsonRecord(value string) *Record {
	r := new(Record)
	r.Init(Position{Topic: "t"}, nil, []byte(value), nil, NoTime)
	return r
}

func TestField(t *testing.T) {
	for _, c := range []struct{ value, name, want string }{
		{`{"a":1}`, "a", "1"}, {` { "a" : [ 1 , 2 ] , "b":"x"} `, "a", "[ 1 , 2 ]"}, {`{"a":1.10,"b":2}`, "b", "2"}, {`{}`, "a", ""}, {`{"a":null}`, "a", "null"},
		{`{"a":1,"a":2}`, "a", "1"}, {`{"b":{"a":1},"a":3}`, "a", "3"}, {`{"a":"}\",{"}`, "a", `"}\",{"`},
		// Names are literal.
		{`{"a*":1,"a.b":2}`, "a.b", "2"}, {`{"a.b":2,"a*":1}`, "a*", "1"}, {`{"a":{"b":1}}`, "a.b", ""}, {`{"ab":1}`, "a*", ""}, {`{"a":[1]}`, "a|@reverse", ""}, {`{"a|@x":5}`, "a|@x", "5"}, {`{"@this":1}`, "@this", "1"}, {`{"#":1,"a":[]}`, "#", "1"},
		{`{"\u0061":1}`, "a", "1"}, {`{"a":1}`, `\u0061`, ""}, {`{"\\u0061":1}`, `\u0061`, "1"}, {`{"q\"q":1}`, `q"q`, "1"}, {`{"q\"q":1}`, `q\"q`, ""}, {`{"a":1,"b":2}`, `a":1,"b`, ""}, {`{"":7}`, "", "7"}, {`{"ü":1}`, "ü", "1"}, {`{"\ud83d\ude00":1}`, "😀", "1"}, {`{"a\/b":1}`, "a/b", "1"},
		{`{"\u0061":1,"a":2}`, "a", "1"}, {`{"a":1,"\u0061":2}`, "a", "1"}, {`{"\u0062":1,"a":2}`, "a", "2"},
		// More fields than the index holds.
		{`{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9 , "j" : 10,"a":11}`, "j", "10"}, {`{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"\u006a":10}`, "j", "10"}, {`{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9}`, "z", ""}, {`{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8}`, "h", "8"},
	} {
		got, err := jsonRecord(c.value).Field(c.name)
		if err != nil || string(got) != c.want || (got == nil) != (c.want == "") {
			t.Errorf("%.60s: field %q is %q, %v; want %q", c.value, c.name, got, err, c.want)
		}
	}
}

// What is no object has no fields: reading one is an error, which a condition that is
// false for a missing field would hide.
func TestReadingWhatIsNoObject(t *testing.T) {
	deeper := jsonRecord(strings.Repeat(`{"a":[`, 5001) + "1" + strings.Repeat("]}", 5001))
	if err := deeper.CheckJSON(); err == nil || !strings.Contains(err.Error(), "deeper than 10,000") {
		t.Error(err)
	}
	deep := strings.Repeat("[", 9999) + strings.Repeat("]", 9999)
	for _, v := range []string{`[1]`, `"a"`, ` 12 `, `null`, `true`, `[{"a":1}]`, deep} {
		r := jsonRecord(v)
		_, one := r.Field("a")
		all := r.Fields(func(string, []byte) bool { t.Errorf("%.60s has a field", v); return true })
		for _, err := range []error{one, all} {
			if reason, _ := IsPermanent(err); reason != ReasonNotObject || !strings.HasPrefix(err.Error(), "reading a field: ") {
				t.Errorf("%.60s: %v", v, err)
			}
		}
		if err := r.CheckJSON(); err != nil {
			t.Errorf("%.60s is JSON: %v", v, err)
		}
	}
	for v, want := range map[string]string{`{"a":1}`: "", `{`: ReasonInvalidJSON, ``: ReasonInvalidJSON} {
		if reason, _ := IsPermanent(jsonRecord(v).CheckJSON()); reason != want {
			t.Errorf("%q: %q, want %q", v, reason, want)
		}
	}
	tombstone := new(Record)
	tombstone.Init(Position{}, []byte("k"), nil, nil, 0)
	if err := tombstone.CheckJSON(); err != nil {
		t.Error(err)
	}
}

func TestInvalidJSON(t *testing.T) {
	for _, v := range []string{
		``, ` `, "\n\t", `{`, `}`, `{"a":1`, `{"a":1,}`, `{"a" 1}`, `{a:1}`, `{"a":1}x`, `{"a":1}{}`, `{"a":01}`, `{"a":1.}`, `{"a":.5}`, `{"a":-}`, `{"a":1e}`, `{"a":+1}`, `{"a":tru}`, `{"a":"` + "\n" + `"}`, `{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a":"\u12`, `{"a":"`, `{"a"`, `{"a":`, `{,}`, `[1,]`, `[1 2]`, `nul`, `"a`, `{"a":[}`, `{"a":{]}`, "\xef\xbb\xbf{}", `NaN`, `{"a":NaN}`, `'a'`,
		strings.Repeat("[", 20000), strings.Repeat("[", 20000) + strings.Repeat("]", 20000), strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000),
	} {
		r := jsonRecord(v)
		_, err := r.Field("a")
		if reason, ok := IsPermanent(err); !ok || reason != ReasonInvalidJSON {
			t.Errorf("%.40q: %v", v, err)
		}
		if reason, _ := IsPermanent(r.SetRaw("a", []byte("1"))); reason != ReasonInvalidJSON {
			t.Errorf("%.40q can be edited", v)
		}
		if err := r.Fields(func(string, []byte) bool { return true }); err == nil {
			t.Errorf("%.40q has fields", v)
		}
		if string(r.Value()) != v {
			t.Errorf("%.40q leaves as %q", v, r.Value())
		}
		if json.Valid([]byte(v)) && len(v) < 10000 {
			t.Errorf("%q is valid", v)
		}
	}
}

func TestEdits(t *testing.T) {
	type edit = func(r *Record) error
	set := func(name, text string) edit { return func(r *Record) error { return r.SetRaw(name, []byte(text)) } }
	remove := func(name string) edit { return func(r *Record) error { return r.Remove(name) } }
	value := func(r *Record) error { r.Value(); return nil }
	for _, c := range []struct {
		value string
		edits []edit
		want  string
	}{
		{`{"a":1,"b":2,"c":3}`, nil, `{"a":1,"b":2,"c":3}`},
		{`{"a":1,"b":2,"c":3}`, []edit{set("b", "9")}, `{"a":1,"b":9,"c":3}`},
		{`{"a":1,"b":2,"c":3}`, []edit{remove("a")}, `{"b":2,"c":3}`}, {`{"a":1,"b":2,"c":3}`, []edit{remove("b")}, `{"a":1,"c":3}`}, {`{"a":1,"b":2,"c":3}`, []edit{remove("c")}, `{"a":1,"b":2}`},
		{`{"a":1,"b":2,"c":3}`, []edit{remove("a"), remove("b")}, `{"c":3}`}, {`{"a":1,"b":2,"c":3}`, []edit{remove("b"), remove("c")}, `{"a":1}`}, {`{"a":1,"b":2,"c":3}`, []edit{remove("a"), remove("c")}, `{"b":2}`}, {`{"a":1,"b":2,"c":3}`, []edit{remove("a"), remove("b"), remove("c")}, `{}`},
		{`{"a":1}`, []edit{remove("a"), set("b", "2")}, `{"b":2}`}, {`{}`, []edit{set("a", "1"), set("b", "2")}, `{"a":1,"b":2}`}, {` { } `, []edit{set("a", "1")}, ` {"a":1 } `},
		{`{"a":1,"b":2,"c":3}`, []edit{remove("c"), set("d", "4")}, `{"a":1,"b":2,"d":4}`}, {`{"a":1,"b":2}`, []edit{remove("a"), set("b", "3"), set("c", "4")}, `{"b":3,"c":4}`},
		{"{\n  \"a\": 1,\n  \"b\": [1, 2],\n  \"c\": 3\n}\n", []edit{set("a", "7"), remove("b")}, "{\n  \"a\": 7,\n  \"c\": 3\n}\n"}, {"{\n  \"a\": 1,\n  \"b\": 2\n}", []edit{remove("a")}, "{\n  \"b\": 2\n}"}, {"{\n  \"a\": 1,\n  \"b\": 2\n}", []edit{remove("b")}, "{\n  \"a\": 1\n}"},
		{`{"a":1,"b":2,"a":3}`, []edit{set("a", "9")}, `{"a":9,"b":2}`}, {`{"a":1,"b":2,"a":3}`, []edit{remove("a")}, `{"b":2}`}, {`{"a":1,"\u0061":3,"b":2}`, []edit{set("a", "9")}, `{"a":9,"b":2}`}, {`{"\u0061":3,"b":2}`, []edit{set("a", "9")}, `{"\u0061":9,"b":2}`}, {`{"a":1,"a":2}`, []edit{remove("a")}, `{}`},
		{`{"a":1}`, []edit{set("b", "1"), set("b", "2")}, `{"a":1,"b":2}`}, {`{"a":1}`, []edit{set("b", "1"), remove("b")}, `{"a":1}`}, {`{"a":1}`, []edit{remove("a"), set("a", "2")}, `{"a":2}`}, {`{"a":1}`, []edit{remove("zz")}, `{"a":1}`},
		{`{"a":1}`, []edit{set("q\"\\\n\x00ü", "1")}, `{"a":1,"q\"\\\u000a\u0000ü":1}`}, {`{"a.b":1,"a*":2,"a":{"b":3}}`, []edit{set("a.b", "7"), remove("a*")}, `{"a.b":7,"a":{"b":3}}`}, {`{"a":1}`, []edit{set("a", "")}, `{"a":null}`},
		{`{"a":1}`, []edit{set("b", "2"), value, set("c", "3"), remove("a")}, `{"b":2,"c":3}`}, {`{"id":9007199254740993,"p":1.10}`, []edit{set("x", "0")}, `{"id":9007199254740993,"p":1.10,"x":0}`},
		{`{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":10}`, []edit{set("j", "0"), remove("a"), remove("i")}, `{"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"j":0}`},
	} {
		r := jsonRecord(c.value)
		for _, e := range c.edits {
			if err := e(r); err != nil {
				t.Fatalf("%s: %v", c.value, err)
			}
		}
		if got := r.AppendValue([]byte("x")); string(got) != "x"+c.want {
			t.Errorf("%s becomes %s, want %s", c.value, got[1:], c.want)
		}
		if got := r.Value(); string(got) != c.want {
			t.Errorf("%s becomes %s, want %s", c.value, got, c.want)
		}
		if got := r.Value(); string(got) != c.want {
			t.Errorf("%s becomes %s the second time, want %s", c.value, got, c.want)
		}
	}
}

func TestEditsOfWhatIsNoObject(t *testing.T) {
	for _, v := range []string{`[1]`, `"x"`, `1`, `null`} {
		r := jsonRecord(v)
		for _, err := range []error{r.SetRaw("a", []byte("1")), r.Remove("a")} {
			if reason, _ := IsPermanent(err); reason != ReasonNotObject {
				t.Errorf("%s: %v", v, err)
			}
		}
		if string(r.Value()) != v {
			t.Errorf("%s leaves as %s", v, r.Value())
		}
	}
	r := new(Record)
	r.Init(Position{}, []byte("k"), nil, nil, 0)
	if err := errors2(r.SetRaw("a", []byte("1")), r.Remove("a")); err != nil || !r.Tombstone() || r.Value() != nil {
		t.Errorf("a tombstone is edited: %v", err)
	}
	if f, err := r.Field("a"); f != nil || err != nil {
		t.Errorf("a tombstone has a field: %s, %v", f, err)
	}
	if err := r.Fields(func(string, []byte) bool { t.Error("a tombstone has fields"); return true }); err != nil {
		t.Error(err)
	}
	r.SetValue([]byte(`{}`))
	if err := r.SetRaw("a", []byte("1")); err != nil || string(r.Value()) != `{"a":1}` {
		t.Errorf("a value set on a tombstone: %s, %v", r.Value(), err)
	}
	r.SetValue(nil)
	if !r.Tombstone() {
		t.Error("SetValue(nil) makes no tombstone")
	}
}

func errors2(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestFields(t *testing.T) {
	r := jsonRecord(`{"a":1,"b":2,"a":3,"\u0063":4}`)
	_ = r.SetRaw("b", []byte("9"))
	_ = r.SetRaw("d", []byte("5"))
	_ = r.Remove("c")
	var got []string
	err := r.Fields(func(name string, text []byte) bool {
		got = append(got, name+"="+string(text))
		_ = r.Remove(name) // what a stage that keeps some fields does
		return true
	})
	if want := "a=1 b=9 d=5"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("fields %v, %v; want %s", got, err, want)
	}
	if got := r.Value(); string(got) != `{}` {
		t.Errorf("all removed: %s", got)
	}
	n := 0
	_ = jsonRecord(`{"a":1,"b":2}`).Fields(func(string, []byte) bool { n++; return false })
	if n != 1 {
		t.Errorf("Fields goes on after false: %d", n)
	}
	var many bytes.Buffer
	for i := range 100 {
		fmt.Fprintf(&many, `,"f%d":%d`, i%60, i)
	}
	n = 0
	_ = jsonRecord("{" + many.String()[1:] + "}").Fields(func(name string, text []byte) bool {
		if name != "f"+string(text) {
			t.Errorf("%s=%s is not the first", name, text)
		}
		n++
		return true
	})
	if n != 60 {
		t.Errorf("%d fields of 60", n)
	}
}

// TestUntouched: what no edit is about leaves as the very bytes that came.
func TestUntouched(t *testing.T) {
	in := []byte(` {"a" : 1.10 , "a":2} `)
	r := new(Record)
	headers := make([]Header, 1, 4)
	r.Init(Position{}, []byte("k"), in, headers, 5)
	_, _ = r.Field("a")
	_ = r.Remove("missing")
	if out := r.Value(); &out[0] != &in[0] || len(out) != len(in) {
		t.Error("an untouched value has been copied")
	}
	_ = r.SetRaw("b", []byte("1"))
	_ = r.Value()
	r.SetHeaders(append(r.Headers(), Header{Name: "x"}))
	r.SetKey(nil)
	key, value, came := r.Original()
	if string(key) != "k" || &value[0] != &in[0] || len(came) != 1 || headers[:2][1].Name != "" {
		t.Errorf("the original is lost: %s %s %v", key, value, came)
	}
	if string(in) != ` {"a" : 1.10 , "a":2} ` {
		t.Errorf("the bytes of the source have changed: %s", in)
	}
}

func TestFieldDoesNotAllocate(t *testing.T) {
	value, key := []byte(bigEvent), []byte("k")
	var r Record
	text := []byte(`"x"`)
	n := testing.AllocsPerRun(100, func() {
		r.Init(Position{}, key, value, nil, 0)
		for _, name := range []string{"service", "status", "tags", "missing"} {
			if _, err := r.Field(name); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.SetRaw("status", text); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzRecord holds reading and editing against encoding/json.
func FuzzRecord(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":"x"}`, `{"a":{"b":[1,2,{"c":null}]},"a":2}`, `[1,2]`, `{"\u0061":1,"a*":2,"":3}`, ` {} `, `{"a":"\ud800\"","b":1e5}`, bigEvent, ``, `{"a":1,}`} {
		f.Add([]byte(s), "a", "b", []byte(`{"x":[1]}`))
	}
	f.Fuzz(func(t *testing.T, value []byte, one, two string, text []byte) {
		if !utf8.Valid(value) || !utf8.ValidString(one) || !utf8.ValidString(two) {
			_, _ = jsonRecord(string(value)).Field(one) // the model reads such names as others
			return
		}
		r := jsonRecord(string(value))
		got, err := r.Field(one)
		model, order, isObject := readModel(value)
		if json.Valid(value) != (r.CheckJSON() == nil) {
			t.Fatalf("%q is %v for encoding/json, the error is %v", value, json.Valid(value), r.CheckJSON())
		}
		if isObject != (err == nil) {
			t.Fatalf("%q is an object: %v, the error is %v", value, isObject, err)
		}
		if want, ok := model[one]; ok != (got != nil) || !bytes.Equal(got, want) {
			t.Fatalf("field %q of %q is %q, want %q", one, value, got, want)
		}
		if err != nil || !isObject || !json.Valid(text) {
			return
		}
		text = bytes.TrimSpace(text)
		if err := errors2(r.SetRaw(one, text), r.Remove(two)); err != nil {
			t.Fatal(err)
		}
		if _, ok := model[one]; !ok {
			order = append(order, one)
		}
		model[one] = text
		delete(model, two)
		order = slices.DeleteFunc(order, func(s string) bool { return s == two })
		var seen []string
		_ = r.Fields(func(name string, text []byte) bool {
			if !bytes.Equal(text, model[name]) {
				t.Fatalf("%q of %q edited is %q, want %q", name, value, text, model[name])
			}
			seen = append(seen, name)
			return true
		})
		if !slices.Equal(seen, order) {
			t.Fatalf("%q edited has the fields %q, want %q", value, seen, order)
		}
		out := r.Value()
		if !json.Valid(out) {
			t.Fatalf("%q edited is %q", value, out)
		}
		after, _, _ := readModel(out)
		if len(after) != len(model) {
			t.Fatalf("%q edited is %q", value, out)
		}
		for name, text := range model {
			if !bytes.Equal(after[name], text) {
				t.Fatalf("%q edited is %q: %q is %q", value, out, name, after[name])
			}
		}
	})
}

// readModel reads the top-level fields with encoding/json, the first of each name.
func readModel(value []byte) (fields map[string][]byte, order []string, ok bool) {
	fields = map[string][]byte{}
	dec := json.NewDecoder(bytes.NewReader(value))
	if !json.Valid(value) {
		return fields, nil, false
	}
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return fields, nil, false
	}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return fields, nil, false
		}
		var text json.RawMessage
		if dec.Decode(&text) != nil {
			return fields, nil, false
		}
		name := tok.(string)
		if _, there := fields[name]; !there {
			fields[name] = text
			order = append(order, name)
		}
	}
	return fields, order, true
}
