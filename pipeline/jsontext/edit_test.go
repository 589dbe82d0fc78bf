package jsontext

import (
	"errors"
	"strings"
	"testing"
)

func mustPath(t *testing.T, text string) Path {
	t.Helper()
	path, err := ParsePath(text)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

const odd = " {\n\t\"a\" : { \"b\":1.10 , \"c\" : [ 1 ,  {\"d\":null},\t\"x,]}\" ] } ,\"\\u0061b\":2, \"e\":{ }, \"f\":[\n], \"g\\\"h\":\"]\\\"\" , \"\":0 }\n"

func TestFind(t *testing.T) {
	for _, c := range []struct{ text, path, want string }{
		{odd, "a.b", "1.10"}, {odd, "a.c", "[ 1 ,  {\"d\":null},\t\"x,]}\" ]"}, {odd, "a.c[0]", "1"}, {odd, "a.c[1].d", "null"}, {odd, "a.c[2]", `"x,]}"`},
		{odd, "a.c[-1]", `"x,]}"`}, {odd, "a.c[-3]", "1"}, {odd, "a.c[-4]", ""}, {odd, "a.c[3]", ""}, {odd, "a.c[1].d.x", ""},
		{odd, "ab", "2"}, {odd, "e", "{ }"}, {odd, "e.x", ""}, {odd, "f[0]", ""}, {odd, "f[-1]", ""}, {odd, "f[*]", ""}, {odd, `g"h`, `"]\""`}, {odd, "zz", ""},
		{odd, "a[0]", ""}, {odd, "a.c.d", ""}, {odd, "a.b.x", ""}, {odd, "[0]", ""}, {odd, "a.b[0]", ""},
		{odd, "a.*", "1.10"}, {odd, "*.c[0]", "1"}, {odd, "a.c[*].d", "null"}, {odd, "a.c[*]", "1"}, {odd, "*.*.*", ""},
		{`[1,[2,3]]`, "[1][0]", "2"}, {` 7 `, "a", ""}, {` "s" `, "[0]", ""},
		{`{"a":1,"a":2}`, "a", "1"}, {`{"a":1,"a":{"b":2}}`, "a.b", ""}, {`{"\u0061":1,"a":2}`, "a", "1"}, {`{"a":1,"a":{"b":2}}`, "*.b", "2"},
		{`{"a\u00e9":1,"aé":2}`, "aé", "1"}, {`{"x":1e5,"y":-0}`, "y", "-0"}, {`{"x":"\\","y":3}`, "y", "3"}, {`{"long name of a member":1,"long name of a member2":2}`, "long name of a member2", "2"},
		{`{"a":true ,"b":12345678901234567890 ,"c":1234567.5e-3}`, "c", "1234567.5e-3"},
	} {
		if got := Find([]byte(c.text), mustPath(t, c.path)); string(got) != c.want || (got == nil) != (c.want == "") {
			t.Errorf("%s of %s is %q, want %q", c.path, c.text, got, c.want)
		}
	}
	if got := Find([]byte(" [1] "), nil); string(got) != "[1]" {
		t.Errorf("the empty path leads to %q", got)
	}
	text, path := []byte(odd), mustPath(t, "a.c[-1]")
	if n := testing.AllocsPerRun(10, func() { Find(text, path) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestEach(t *testing.T) {
	for _, c := range []struct{ text, path, want string }{
		{odd, "a.c[*]", `1 {"d":null} "x,]}"`}, {odd, "a.*", "1.10 [ 1 ,  {\"d\":null},\t\"x,]}\" ]"}, {odd, "a.b", "1.10"}, {odd, "a.c[*].d", "null"}, {odd, "f[*]", ""}, {odd, "e.*", ""},
		{`{"a":[{"b":[1,2]},{"b":[3]},{"c":4},5]}`, "a[*].b[*]", "1 2 3"}, {`{"a":[{"b":[1,2]},{"b":[3]}]}`, "a[*].b[-1]", "2 3"}, {`{"a":1,"a":2,"b":3}`, "*", "1 2 3"}, {`{"a":1,"a":2}`, "a", "1"},
	} {
		var got []string
		Each([]byte(c.text), mustPath(t, c.path), func(v []byte) bool { got = append(got, string(v)); return true })
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s of %s is %q, want %q", c.path, c.text, got, c.want)
		}
	}
	n := 0
	Each([]byte(`[[1,2],[3]]`), mustPath(t, "[*][*]"), func([]byte) bool { n++; return n < 2 })
	if n != 2 {
		t.Errorf("%d values after false", n)
	}
}

func TestSet(t *testing.T) {
	for _, c := range []struct{ text, path, value, want string }{
		{`{"a":1}`, "a", "2", `{"a":2}`}, {` { "a" : 1 } `, "a", "[2]", ` { "a" : [2] } `}, {`{"a":{"b":1,"c":2}}`, "a.c", "3", `{"a":{"b":1,"c":3}}`}, {`[1,2,3]`, "[1]", "x", `[1,x,3]`}, {`[ 1 , 2 ]`, "[-1]", "9", `[ 1 , 9 ]`},
		// What is missing is made, behind what is there.
		{`{}`, "a", "1", `{"a":1}`}, {`{ }`, "a", "1", `{"a":1 }`}, {"{ \"a\":1\n}", "b", "2", "{ \"a\":1,\"b\":2\n}"}, {`{"a":{}}`, "a.b.c", "1", `{"a":{"b":{"c":1}}}`}, {`{}`, "a.b.c", "1", `{"a":{"b":{"c":1}}}`},
		{`{"a":null,"z":1}`, "a.b", "1", `{"a":{"b":1},"z":1}`}, {` null `, "a.b", "1", ` {"a":{"b":1}} `}, {`[null]`, "[0].a", "1", `[{"a":1}]`}, {`{"a":null}`, "a", "1", `{"a":1}`}, {`{}`, `q"x\\`, "1", `{"q\"x\\":1}`},
		// Of members of one name the first takes the value, and the others go.
		{`{"a":1,"b":2,"a":3}`, "a", "9", `{"a":9,"b":2}`}, {`{"a":1,"a":2,"a":3}`, "a", "9", `{"a":9}`}, {`{ "a":1 , "a":2 , "b":3 }`, "a", "9", `{ "a":9 , "b":3 }`}, {`{"\u0061":1,"a":2}`, "a", "9", `{"\u0061":9}`}, {`{"a":{"x":1},"a":5}`, "a.y", "2", `{"a":{"x":1,"y":2}}`},
		// Only what is there is set where a path leads to many.
		{`{"a":[{"b":1},{"b":2},{}]}`, "a[*].b", "0", `{"a":[{"b":0},{"b":0},{"b":0}]}`}, {`{"a":[]}`, "a[*].b", "0", `{"a":[]}`}, {`{"b":1}`, "a[*].b", "0", `{"b":1}`}, {`{"a":null}`, "a[*]", "0", `{"a":null}`}, {`{"a":null}`, "a.*", "0", `{"a":null}`}, {`{"a":{}}`, "a.b.*", "0", `{"a":{}}`},
		{`{"a":1,"b":{"c":2}}`, "*", "0", `{"a":0,"b":0}`}, {`[ 1,[] ]`, "[*]", "0", `[ 0,0 ]`}, {`{"a":[null,{"b":1}]}`, "a[*].b", "2", `{"a":[{"b":2},{"b":2}]}`}, {`{"a":1,"a":2}`, "*", "0", `{"a":0}`},
		{`{"a":{"b":1 , "c":2 , "\u0062":3 , "b":{"x":1}}, "z":1}`, "a.*", "0", `{"a":{"b":0 , "c":0}, "z":1}`}, {`[{"x":{"b":1},"x":{"c":7}}]`, "[*].*.b", "0", `[{"x":{"b":0}}]`},
	} {
		if !Valid([]byte(c.text)) {
			t.Fatalf("%s is not valid", c.text)
		}
		got, err := Set([]byte("before"), []byte(c.text), mustPath(t, c.path), []byte(c.value))
		if err != nil || string(got) != "before"+c.want {
			t.Errorf("%s of %s set is %s, %v; want %s", c.path, c.text, got, err, c.want)
		}
	}
	if got, err := Set(nil, []byte(" 1 "), nil, []byte("2")); err != nil || string(got) != " 2 " {
		t.Errorf("the empty path sets %q, %v", got, err)
	}
}

// What a path adds is known before it is added, to the byte where nothing is made and no name stands
// twice.
func TestGrowth(t *testing.T) {
	for _, c := range []struct {
		text, path, value string
		more              int // than what is added
	}{
		{`{"a":[{"b":1},{"b":[2, 3]},{"c":0}]}`, "a[*].b", `"value"`, 2}, // the braces stand there
		{`{"a":[{"b":1},{"b":[2, 3]},{}]}`, "a[*].b", `"value"`, 3},      // and no comma
		{`{"a":[{},null]}`, "a[*].b.c", `"value"`, 10},                   // and null goes
		{`{"a":{"b":10000,"c":20000}}`, "a.*", "1", 0},
		{`[[[1],[2,3]],[[]]]`, "[*][*][*]", `"value"`, 0},
		{`[[[1],[2,3]],[[4]]]`, "[*][*][0]", `"value"`, 0},
		{`{"b":1}`, "a[*].b", `"value"`, 0},
		{`{"a":{"b":1,"c":2,"b":3}}`, "a.*", `"value"`, 12},
	} {
		path := mustPath(t, c.path)
		got, err := Set(nil, []byte(c.text), path, []byte(c.value))
		if n := Growth([]byte(c.text), path, len(c.value)); err != nil || n != len(got)-len(c.text)+c.more {
			t.Errorf("%s of %s adds %d bytes, not %d: %s, %v", c.path, c.text, len(got)-len(c.text), n, got, err)
		}
	}
}

func TestSetMeetsSomethingElse(t *testing.T) {
	for _, c := range []struct{ text, path, want string }{
		{`{"a":1}`, "a.b", "a is no object"}, {`{"a":"s"}`, "a.b.c", "a is no object"}, {`{"a":[1]}`, "a.b", "a is no object"}, {`{"a":{"b":true}}`, "a.b.c", "a.b is no object"}, {`[1]`, "a", "the value is no object"}, {`{"a":1}`, "[0]", "the value is no array"},
		{`{"a":{}}`, "a[0]", "a is no array"}, {`{"a":[1]}`, "a[1]", "a has no element [1]"}, {`{"a":[1]}`, "a[-2]", "a has no element [-2]"}, {`{"a":[]}`, "a[-1].b", "a has no element [-1]"}, {`{}`, "a[0]", "a is no array"}, {`{}`, "a.b[0].c", "a.b is no array"}, {`{"a":null}`, "a[0]", "a is no array"}, {`{"a":null}`, "a.b[1]", "a.b is no array"},
		{`{"a":[{"b":1},2]}`, "a[*].b", "a[*] is no object"}, {`{"a":1}`, "a[*]", "a is no array"}, {`{"a":1}`, "a.*", "a is no object"}, {`{"a":1}`, "*.b", "* is no object"}, {`{"secret \\ . name":1}`, `secret \\ \. name.x`, `secret \\ \. name is no object`},
	} {
		got, err := Set([]byte("before"), []byte(c.text), mustPath(t, c.path), []byte("0"))
		var no *NoPathError
		if !errors.As(err, &no) || err.Error() != c.want || string(got) != "before" {
			t.Errorf("%s of %s: %q, %v; want %s", c.path, c.text, got, err, c.want)
		}
	}
}

func TestRemove(t *testing.T) {
	for _, c := range []struct{ text, path, want string }{
		{`{"a":1,"b":2,"c":3}`, "a", `{"b":2,"c":3}`}, {`{"a":1,"b":2,"c":3}`, "b", `{"a":1,"c":3}`}, {`{"a":1,"b":2,"c":3}`, "c", `{"a":1,"b":2}`}, {`{"a":1}`, "a", `{}`}, {`{ "a" : 1 }`, "a", `{  }`}, {`{ "a":1 , "b":2 }`, "a", `{ "b":2 }`}, {`{ "a":1 , "b":2 }`, "b", `{ "a":1 }`},
		{`[1,2,3]`, "[0]", `[2,3]`}, {`[1,2,3]`, "[1]", `[1,3]`}, {`[1,2,3]`, "[-1]", `[1,2]`}, {`[1]`, "[0]", `[]`}, {`[1,2,3]`, "[3]", `[1,2,3]`}, {`[1,2,3]`, "[-4]", `[1,2,3]`}, {`[]`, "[-1]", `[]`},
		// Every one of a name goes, and with it one comma.
		{`{"a":1,"b":2,"a":3}`, "a", `{"b":2}`}, {`{"a":1,"a":2,"b":3,"c":4}`, "a", `{"b":3,"c":4}`}, {`{"b":3,"a":1,"a":2}`, "a", `{"b":3}`}, {`{"b":3,"a":1,"c":4,"a":2,"d":5}`, "a", `{"b":3,"c":4,"d":5}`}, {`{"a":1,"a":2}`, "a", `{}`}, {`{"\u0061":1,"a":2,"b":3}`, "a", `{"b":3}`}, {`{"a":{"x":1},"a":{"x":2,"y":3}}`, "a.x", `{"a":{},"a":{"y":3}}`},
		{`{"a":1,"b":2}`, "*", `{}`}, {`{ "a":1 , "b":2 , "c":3 }`, "*", `{  }`}, {`[1,2,3]`, "[*]", `[]`}, {`{"a":[{"b":1,"c":2},{"b":3},4,[]]}`, "a[*].b", `{"a":[{"c":2},{},4,[]]}`}, {`{"x":{"b":1},"y":{"b":2}}`, "*.b", `{"x":{},"y":{}}`}, {`{"a":[[1,2],[3]]}`, "a[*][0]", `{"a":[[2],[]]}`},
		// What is not there is not removed.
		{odd, "zz", odd}, {odd, "a.b.c", odd}, {odd, "a[0]", odd}, {odd, "e.x", odd}, {odd, "f[*]", odd}, {odd, "a.c.x", odd}, {`7`, "a", `7`}, {`null`, "a.b", `null`},
		{odd, `g"h`, strings.Replace(odd, ", \"g\\\"h\":\"]\\\"\"", "", 1)}, {odd, "a", strings.Replace(odd, "\"a\" : { \"b\":1.10 , \"c\" : [ 1 ,  {\"d\":null},\t\"x,]}\" ] } ,", "", 1)},
	} {
		got := string(Remove([]byte("before"), []byte(c.text), mustPath(t, c.path)))
		if got != "before"+c.want || !Valid([]byte(got[len("before"):])) {
			t.Errorf("%s of %s removed is %s, want %s", c.path, c.text, got, c.want)
		}
	}
	if got := Remove([]byte("x"), []byte("1"), nil); string(got) != "x" {
		t.Errorf("the empty path gives %q", got)
	}
}

// A Place is what Find finds, and where Set and Remove cut.
func TestPlace(t *testing.T) {
	const text = ` {"a":{"b":1 , "c":[10, 20 ,30]},"d":null,"e":{ },"f":1,"f":2}`
	at := func(s string) int { return strings.Index(text, s) }
	for path, want := range map[string]Place{
		"a.b":      {Done: 2, At: at(`1 ,`), End: at(` , "c"`), In: at(`{"b"`), Begin: at(`"b"`), Before: -1, Next: at(`"c"`)},
		"a.c":      {Done: 2, At: at(`[10`), End: at(`},"d"`), In: at(`{"b"`), Begin: at(`"c"`), Before: at(` , "c"`), Next: -1},
		"a.c[1]":   {Done: 3, At: at(`20`), End: at(` ,30`), In: at(`[10`), Begin: at(`20`), Before: at(`, 20`), Next: at(`30`)},
		"a.c[-1]":  {Done: 3, At: at(`30`), End: at(`]}`), In: at(`[10`), Begin: at(`30`), Before: at(` ,30`), Next: -1},
		"a.c[3].x": {Done: 2, At: at(`[10`), End: at(`},"d"`), In: at(`{"b"`), Begin: at(`"c"`), Before: at(` , "c"`), Next: -1},
		"a.x.y":    {Done: 1, At: at(`{"b"`), End: at(`,"d"`), In: 1, Begin: 2, Before: -1, Next: at(`"d"`), Tail: at(`},"d"`)},
		"d.x":      {Done: 1, At: at(`null`), End: at(`,"e"`), In: 1, Begin: at(`"d"`), Before: at(`,"d"`), Next: at(`"e"`)},
		"e.x":      {Done: 1, At: at(`{ }`), End: at(`,"f":1`), In: 1, Begin: at(`"e"`), Before: at(`,"e"`), Next: at(`"f"`), Tail: at(` },"f"`), Empty: true},
		"f":        {Done: 1, At: at(`1,"f"`), End: at(`,"f":2`), In: 1, Begin: at(`"f":1`), Before: at(`,"f":1`), Next: at(`"f":2`), Twice: true},
		"zz":       {At: 1, End: len(text), In: -1, Begin: -1, Before: -1, Next: -1, Tail: len(text) - 1},
		"[0]":      {At: 1, End: len(text), In: -1, Begin: -1, Before: -1, Next: -1},
		"a.*.x":    {Done: 1, At: at(`{"b"`), End: at(`,"d"`), In: 1, Begin: 2, Before: -1, Next: at(`"d"`)},
	} {
		var got Place
		if got.Follow([]byte(text), mustPath(t, path)); got != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
}

func TestReplace(t *testing.T) {
	twice := func(dst, value []byte) ([]byte, error) {
		return append(append(dst, value...), value...), nil
	}
	for _, c := range []struct{ text, path, want string }{
		{` { "a" : 1 , "b":2}`, "a", ` { "a" : 11 , "b":2}`}, {`{"a":1,"\u0061":2}`, "a", `{"a":11,"\u0061":2}`}, {`[1, 2,3]`, "[*]", `[11, 22,33]`}, {`[1, 2,3]`, "[-2]", `[1, 22,3]`}, {`[1]`, "[1]", `[1]`},
		{`{"a":[{"b":1},{"c":2},{"b":[]}]}`, "a[*].b", `{"a":[{"b":11},{"c":2},{"b":[][]}]}`}, {`{"a":1,"b":{"x":2}}`, "*.x", `{"a":1,"b":{"x":22}}`}, {`[1]`, "a", `[1]`}, {`{"a":1}`, "[0]", `{"a":1}`},
	} {
		path, err := ParsePath(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Replace([]byte("x"), []byte(c.text), path, twice); err != nil || string(got) != "x"+c.want {
			t.Errorf("%s at %s: %s, %v; want %s", c.text, c.path, got, err, c.want)
		}
	}
	failed := errors.New("no")
	got, err := Replace([]byte("x"), []byte(`[1,2]`), Path{{Kind: EveryElement}}, func(dst, value []byte) ([]byte, error) {
		if string(value) == "2" {
			return nil, failed
		}
		return append(dst, value...), nil
	})
	if err != failed || string(got) != "x" {
		t.Errorf("got %s, %v", got, err)
	}
}
