package cli

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestPairs(t *testing.T) {
	rec := func(offset int, payload string) string {
		return fmt.Sprintf(`{"topic":"t","partition":0,"offset":%d,"payload":%q}`, offset, payload)
	}
	for name, c := range map[string]struct {
		want, got []string
		of        string
	}{
		"by position":             {[]string{rec(2, "b"), rec(1, "x")}, []string{rec(1, "a"), rec(2, "b")}, "[1 0]"},
		"in order":                {[]string{`{"payload":"a"}`, `{"payload":"a"}`}, []string{rec(1, "a"), rec(2, "a")}, "[0 1]"},
		"by what fits":            {[]string{`{"payload":"b"}`, `{"payload":"a"}`}, []string{rec(1, "a"), rec(2, "b")}, "[1 0]"},
		"one is missing":          {[]string{`{"payload":"a"}`, `{"payload":"b"}`, `{"payload":"c"}`}, []string{rec(1, "b"), rec(2, "c")}, "[-1 0 1]"},
		"one differs":             {[]string{`{"payload":"a"}`, `{"payload":"x"}`, `{"payload":"c"}`}, []string{rec(1, "a"), rec(2, "b"), rec(3, "c")}, "[0 1 2]"},
		"gives back":              {[]string{`{"topic":"t"}`, `{"payload":"a"}`}, []string{rec(1, "a"), rec(2, "b")}, "[1 0]"},
		"gives back twice":        {[]string{`{"topic":"t"}`, `{"partition":0}`, `{"payload":"a"}`, `{"payload":"b"}`}, []string{rec(1, "a"), rec(2, "b"), rec(3, "c"), rec(4, "d")}, "[2 3 0 1]"},
		"positions come first":    {[]string{`{"payload":"a"}`, rec(1, "a")}, []string{rec(1, "a"), rec(2, "a")}, "[1 0]"},
		"nothing came":            {[]string{`{"payload":"a"}`, rec(1, "a")}, nil, "[-1 -1]"},
		"an offset is no place":   {[]string{`{"offset":2}`, `{"offset":1}`}, []string{rec(1, "a"), rec(2, "b")}, "[1 0]"},
		"of one position in turn": {[]string{rec(1, "b"), rec(1, "a")}, []string{rec(1, "a"), rec(1, "b")}, "[0 1]"},
	} {
		if of := fmt.Sprint(pairs(wanted(t, c.want...), parse(t, c.got...), comparison{})); of != c.of {
			t.Errorf("%s: got %s, want %s", name, of, c.of)
		}
	}
}

// However records come, and whatever their lines leave out: as many are paired as came, and
// none differs.
func TestPairsInAnyOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var want, got []string
		for i := range 1 + r.IntN(12) {
			payload := fmt.Sprintf(`"payload":"%d"`, r.IntN(4))
			key := fmt.Sprintf(`"key":"%d"`, r.IntN(3))
			got = append(got, fmt.Sprintf(`{"topic":"t","offset":%d,%s,%s}`, i, key, payload))
			want = append(want, []string{`{` + payload + `}`, `{` + key + `}`, `{` + key + `,` + payload + `}`, `{"topic":"t"}`}[r.IntN(4)])
		}
		r.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		recs := parse(t, got...)
		if d := diffRecords("s", wanted(t, want...), recs, comparison{}); len(d) != 0 {
			t.Fatalf("want\n%s\ngot\n%s\n%+v", strings.Join(want, "\n"), strings.Join(got, "\n"), d)
		}
		of := pairs(wanted(t, want...), recs, comparison{})
		slices.Sort(of)
		if len(slices.Compact(of)) != len(got) {
			t.Fatalf("a record is paired twice: %v", of)
		}
	}
}

// A record that a line fits may stand where another is wanted: then it is shown as a whole.
func TestOrderOfWhatFits(t *testing.T) {
	got := parse(t, `{"offset":1,"payload":"a"}`, `{"offset":2,"payload":"b"}`)
	d := diffRecords("s", wanted(t, `{"key":null}`, `{"payload":"a"}`), got, inOrder)
	if len(d) != 1 || d[0].What != "order" || d[0].Expected != `{"key":null}` || d[0].Got != `{"topic":"test","partition":0,"offset":1,"payload":"a"}` {
		t.Errorf("got %+v", d)
	}
	for _, key := range []string{`"null"`, `""`} {
		d := diffRecords("s", wanted(t, `{"key":null}`), parse(t, `{"key":`+key+`,"payload":"a"}`), inOrder)
		if len(d) != 1 || len(d[0].Fields) != 1 || d[0].Fields[0] != (fieldDiff{"key", "null", key}) || d[0].Got != `{"key":`+key+`}` {
			t.Errorf("no key and the key %s: %+v", key, d)
		}
	}
}

// Without positions the order counts too, where the pipeline keeps one.
func TestOrderWithoutPositions(t *testing.T) {
	got := parse(t, `{"offset":1,"payload":"a"}`, `{"offset":2,"payload":"b"}`)
	turned := wanted(t, `{"payload":"b"}`, `{"payload":"a"}`)
	if d := diffRecords("s", turned, got, inOrder); len(d) != 1 || d[0].What != "order" || d[0].Position != "line 1" || d[0].Got != `{"payload":"a"}` {
		t.Errorf("got %+v", d)
	}
	if d := diffRecords("s", turned, got, comparison{}); len(d) != 0 {
		t.Errorf("got %+v", d)
	}
}

func TestSameMeaning(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{`{"a":1,"b":[1,{"c":null}]}`, ` { "b" : [ 1.0 , {"c":null} ], "a" : 10e-1 } `, true},
		{`{"a":1}`, `{"a":1,"b":2}`, false},
		{`{"a":1,"b":2}`, `{"a":1}`, false},
		{`{"a":1,"a":2}`, `{"a":1}`, true},
		{`[1,2]`, `[2,1]`, false},
		{`[1]`, `[1,1]`, false},
		{`"\u0041\/"`, `"A/"`, true},
		{`"1"`, `1`, false},
		{`0`, `-0.0e5`, true},
		{`1`, `-1`, false},
		{`100`, `1e2`, true},
		{`0.10`, `1E-1`, true},
		{`12345678901234567890.1`, `12345678901234567890.2`, false},
		{`1e400`, `10e399`, true},
		{`1e99999999999999999999`, `1e99999999999999999999`, true},
		{`1e99999999999999999999`, `1e99999999999999999998`, false},
		{`true`, `true`, true},
		{`true`, `null`, false},
		{`{}`, `[]`, false},
		{`text`, `text`, true},
		{`text`, `text `, false},
		{``, `null`, false},
	} {
		if same := sameMeaning([]byte(c.a), []byte(c.b)); same != c.same {
			t.Errorf("%s and %s: %v", c.a, c.b, same)
		}
	}
	if sameMeaning(nil, []byte("")) || sameMeaning(nil, []byte("null")) {
		t.Error("a tombstone is neither an empty value nor null")
	}
	if !sameJSON([]byte(`{"a":1,"b":"A","a":2}`), []byte(` {"b":"\u0041", "a":1,"a":3}`)) || sameJSON([]byte(`1`), []byte(`1.0`)) || sameJSON([]byte(`{"a":1,"a":2}`), []byte(`{"a":2}`)) {
		t.Error("of members of one name the first counts, of numbers their digits")
	}
	if d, same := diffJSON(nil, []byte(`{"a.b":{"c":1},"d":[]}`), []byte(`{"a.b":{"c":2},"d":[]}`), sameJSON); same || len(d) != 1 || d[0] != (fieldDiff{`a\.b.c`, "1", "2"}) {
		t.Errorf("what differs is named as a path: %+v", d)
	}
	want := wanted(t, `{"payload_json":{"a":{"b":1.0,"c":2},"d":"x"}}`)
	d := diffRecords("s", want, parse(t, `{"payload_json":{"d":"x","a":{"c":3,"b":1}}}`), comparison{meaning: true})
	if len(d) != 1 || len(d[0].Fields) != 1 || d[0].Fields[0] != (fieldDiff{"a.c", "2", "3"}) {
		t.Errorf("only what differs by meaning is shown: %+v", d)
	}
}
