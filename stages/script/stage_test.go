package script

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
	"github.com/penstockio/penstock/pipeline/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func stage(t *testing.T, code string, change ...func(*Settings)) *Stage {
	t.Helper()
	s := Defaults()
	s.Code = Code(code)
	for _, c := range change {
		c(&s)
	}
	made, err := New(s)
	if err != nil {
		t.Fatalf("%s: %v", code, err)
	}
	return made
}

func value(text string) *pipeline.Record {
	var rec pipeline.Record
	rec.Init(pipeline.Position{Topic: "orders", Partition: 3, Offset: 42}, []byte("k"), []byte(text), []pipeline.Header{{Name: "h", Value: []byte("1")}, {Name: "n"}}, 1000)
	return &rec
}

// came says in one text what became of a record.
func came(rec *pipeline.Record, err error) string {
	reason, permanent := pipeline.IsPermanent(err)
	switch {
	case errors.Is(err, pipeline.Filtered):
		return "filtered"
	case permanent:
		return "rejected: " + reason
	case err != nil:
		return "error: " + err.Error()
	case rec.Tombstone():
		return "tombstone"
	}
	return string(rec.Value())
}

func TestConform(t *testing.T) {
	pipelinetest.Stage(t, func(t *testing.T) pipelinetest.StageUnderTest {
		return pipelinetest.StageUnderTest{
			Stage: stage(t, `
def process(record):
    record["double"] = record["id"] * 2
    record["list"].append(record.pop("code"))
    record["card"]["number"] += "x"
    record["was"] = record["name"]
    record.key = "k" + str(record["id"])
    record.set_header("kit", str(record["id"]))
`),
			Hit: func(n int) []byte {
				return fmt.Appendf(nil, `{"id":%d,"code":"c%d","name":"é\u00e9","list":[%d,{"id":1},null],"card":{"number":"4%d"}}`, n, n%3, n, n)
			},
			Reject: []byte(`{"id":"canary"}`),
		}
	})
}

// TestOfARecord goes through what a script can do with a record.
func TestOfARecord(t *testing.T) {
	const in = `{"a": 1, "b": {"c" : [1.50, {"d": 2e3}], "x": 1.0}, "n": null, "s": "é\u00e9"}`
	for _, c := range []struct{ body, want string }{
		{`pass`, in},
		{`return None`, in},
		{`return record`, in},
		{`record["a"] = 1`, in},
		{`record["a"] += 0`, in},
		{`record["b"]["c"].append(record["b"]["c"].pop())`, in},
		{`record["a"] = 2`, strings.Replace(in, `1,`, `2,`, 1)},
		{`record["s"] = "é"`, strings.Replace(in, `é\u00e9`, `é`, 1)},
		{`record["b"]["c"][1]["d"] = 3`, strings.Replace(in, `[1.50, {"d": 2e3}]`, `[1.50,{"d":3}]`, 1)},
		{`record["b"]["x"] = 2`, strings.Replace(in, `1.0`, `2`, 1)},
		{`record["b"].pop("x")`, strings.Replace(in, `, "x": 1.0`, ``, 1)},
		{`record["b"]["y"] = [None]`, strings.Replace(in, `1.0}`, `1.0,"y":[null]}`, 1)},
		{`record.value["b"]["y"] = [None]`, strings.Replace(in, `1.0}`, `1.0,"y":[null]}`, 1)},
		{"b = record['b']\n  record.value['a'] = 2\n  b['x'] = 3\n  record['n'] = 4", `{"a": 2, "b": {"c" : [1.50, {"d": 2e3}], "x": 3}, "n": 4, "s": "é\u00e9"}`},
		{"record['a'] = 5\n  return record.value['a']", `5`},
		{"record.pop('a')\n  return record.value.get('a', 'gone')", `"gone"`},
		{"record['z'] = 5\n  return record.keys()", `["a","b","n","s","z"]`},
		{`return record.pop("z", 7)`, `7`},
		{`record.pop("a")`, strings.Replace(in, `"a": 1, `, ``, 1)},
		{`return [record.get("n", 7)]`, `[null]`},
		{`return "n" in record`, `true`},
		{`return ["z" in record, "a" in record, "z" not in record]`, `[false,true,true]`},
		{`return record["z"]`, `rejected: script_failed`},
		{`record[1] = 2`, `rejected: script_failed`},
		{`record["a"] = set()`, `rejected: script_failed`},
		{`record["a"] = float("nan")`, `rejected: script_failed`},
		{`record["a"] = b"x"`, `rejected: script_failed`},
		{`record["a"] = {1: 2}`, `rejected: script_failed`},
		{`record["b"][1] = 2`, `rejected: script_failed`},
		{`return [record.topic, record.partition, record.offset, record.key, record.time, record.header("h"), record.header("n"), record.header("z")]`,
			`["orders",3,42,"k",1000,"1",null,null]`},
		{`return record.headers`, `[["h","1"],["n",null]]`},
		{"record.set_header('h', 'x')\n  record.set_header('n', None)\n  record.set_header('z', b'y')\n  return record.headers", `[["h","x"],["z","y"]]`},
		{"record.key = None\n  record.time = None\n  return [record.key, record.time]", `[null,null]`},
		{`record.value = [1, {"b": 2}]`, `[1,{"b":2}]`},
		{"record.value = [1]\n  record.value.append(2)", `[1,2]`},
		{"record.value = 3\n  record['a'] = 1", `rejected: script_failed`},
		{`return b"{ }"`, `{ }`},
		{`return str(record.bytes)[:6]`, `"{\"a\": "`},
		{`return tombstone`, `tombstone`},
		{`record.value = tombstone`, `tombstone`},
		{`filter()`, `filtered`},
		{"record['a'] = 2\n  filter()", `filtered`},
		{`reject("x")`, `rejected: script_rejected`},
		{`fail("x")`, `rejected: script_failed`},
		{`return record.nothing`, `rejected: script_failed`},
		{`record.topic = "x"`, `rejected: script_failed`},
		{`record.time = "x"`, `rejected: script_failed`},
		{`record.key = 3`, `rejected: script_failed`},
		{`return json.decode("[1, 2.5]") + [json.encode({"a": 1})]`, `[1,2.5,"{\"a\":1}"]`},
		{`return json.decode("[1")`, `rejected: script_failed`},
		{`return math.sqrt(16)`, `4`},
		{`return -9223372036854775808 * 2`, `-18446744073709551616`},
		{`return [1e30, 1e-9, 0.1 + 0.2, 2.0, -0.0]`, `[1e+30,1e-09,0.30000000000000004,2,-0]`},
	} {
		rec := value(in)
		if got := came(rec, stage(t, "def process(record):\n  "+c.body).Process(t.Context(), rec)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.body, got, c.want)
		}
	}
}

// TestOfAValueThatIsNoObject: a script may take any value, and says what it needs of one.
func TestOfAValueThatIsNoObject(t *testing.T) {
	for _, c := range []struct{ in, body, want string }{
		{`[1.50, 2]`, `record.value.append(3)`, `[1.50,2,3]`},
		{`[1.50, 2]`, `pass`, `[1.50, 2]`},
		{`[1]`, `return record["a"]`, `rejected: not_object`},
		{`[1]`, `return record.get("a")`, `rejected: not_object`},
		{`[1]`, `return "a" in record`, `rejected: not_object`},
		{`[1]`, `record["a"] = 1`, `rejected: not_object`},
		{`17`, `return record.value + 1`, `18`},
		{`no`, `return record.value`, `rejected: invalid_json`},
		{`no`, `return {"text": str(record.bytes)}`, `{"text":"no"}`},
		{`no`, `pass`, `no`},
		{`{"a":1,"a":2}`, `return record["a"]`, `1`},
		{`{"a":1,"a":2}`, `return record.value`, `{"a":1,"a":2}`},
		{`{"a":1,"a":2}`, `return dict(record.value)`, `{"a":1}`},
		{`{"a":{"b":1,"b":2}}`, `record["a"]["c"] = 3`, `{"a":{"b":1,"b":2,"c":3}}`},
	} {
		rec := value(c.in)
		if got := came(rec, stage(t, "def process(record):\n  "+c.body).Process(t.Context(), rec)); got != c.want {
			t.Errorf("%s of %s: got %s, want %s", c.body, c.in, got, c.want)
		}
	}
	rec := new(pipeline.Record)
	rec.Init(pipeline.Position{}, nil, nil, nil, pipeline.NoTime)
	if got := came(rec, stage(t, "def process(record): reject('called')").Process(t.Context(), rec)); got != "tombstone" {
		t.Errorf("a tombstone: %s", got)
	}
}

// TestNothingIsLeft: a script that fails, filters or rejects leaves no edit.
func TestNothingIsLeft(t *testing.T) {
	for _, end := range []string{"filter()", "reject('x')", "fail('x')", "return set()", "while True: pass", "return [0] * 1000000000", "record['b'] = lambda: 0"} {
		rec := value(`{"a": 1}`)
		s := stage(t, "def process(record):\n  record['a'] = 2\n  record.key = 'x'\n  record.time = 5\n  record.set_header('h', '2')\n  "+end)
		if err := s.Process(t.Context(), rec); err == nil {
			t.Fatalf("%s: no error", end)
		}
		if string(rec.Value()) != `{"a": 1}` || string(rec.Key()) != "k" || rec.Time != 1000 || string(rec.Headers()[0].Value) != "1" {
			t.Errorf("%s: left %s", end, rec.Value())
		}
	}
}

// TestErrorsQuoteNothing: what a script says of a record stands in the detail.
func TestErrorsQuoteNothing(t *testing.T) {
	const canary = "canary-7f3"
	for _, c := range []struct{ body, want, detail string }{
		{`return {}[record["a"]]`, "running the script: a key is not in the dict (in process at line 2, column 12)", `key "canary-7f3" not in dict (in process at line 2, column 12)`},
		{`return int(record["a"])`, "running the script: int failed on a value (in process at line 2, column 13)", canary},
		{`return record[record["a"]]`, "running the script: a key is not in the record (in process at line 2, column 16)", canary},
		{`return getattr(record, record["a"])`, "running the script: a record has no field or method of that name (in process at line 2, column 17)", canary},
		{`return {}.pop(record["a"])`, "running the script: ", ""},
		{`return record["a"] + 1`, "running the script: unknown binary op: string + int (in process at line 2, column 22)", ""},
		{`return record["nothing"]`, `running the script: key "nothing" not in record (in process at line 2, column 16)`, ""},
		{`fail(record["a"])`, "running the script: it called fail (in process at line 2, column 7)", canary},
		{`fail("no good")`, "running the script: it called fail: no good (in process at line 2, column 7)", ""},
		{`reject(record["a"])`, "the script rejects the record (in process at line 2, column 9)", canary},
		{`reject("no good")`, "the script rejects the record: no good (in process at line 2, column 9)", ""},
		{`return "%d" % record["a"]`, "running the script: ", ""},
		{`return {record["a"]: 1, record["a"]: 2}`, "running the script: an operation failed on a value", canary},
		{"def g(a): pass\n  g(**{record['a']: 1})", "running the script: ", canary},
		{`return ",".join([1])`, "running the script: join", ""},
		{`return sorted([1, record["a"]])`, "running the script: ", ""},
		{`return record["a"].index("z")`, "running the script: ", ""},
		{`return json.decode(record["a"])`, "running the script: json.decode: the text is no JSON", ""},
	} {
		rec := value(`{"a": "` + canary + `"}`)
		err := stage(t, "def process(record):\n  "+c.body).Process(t.Context(), rec)
		if err == nil {
			t.Errorf("%s: no error", c.body)
			continue
		}
		if text := err.Error(); strings.Contains(text, canary) || !strings.HasPrefix(text, c.want) {
			t.Errorf("%s: %s", c.body, text)
		}
		var d pipeline.Detailer
		if !errors.As(err, &d) || !strings.Contains(d.Detail(), c.detail) {
			t.Errorf("%s: the detail %v lacks %s", c.body, d, c.detail)
		}
	}
}

// TestContextEndsAScript: a script ends soon when its step gives it up, and what that means depends on who did.
func TestContextEndsAScript(t *testing.T) {
	s := stage(t, "def process(record):\n  while True: pass", func(s *Settings) { s.Steps = 1 << 36 })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Process(ctx, value(`{}`)) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 1)
	defer cancel()
	if got := came(nil, s.Process(ctx, value(`{}`))); got != "rejected: "+ReasonTime {
		t.Errorf("timed out: %s", got)
	}
	rec := value(`{}`)
	if got := came(rec, stage(t, "def process(record): return 1").Process(t.Context(), rec)); got != "1" {
		t.Errorf("the next: %s", got)
	}
}

// TestMistakes: a script that cannot be is refused before the first record, at its place.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ code, field, want string }{
		{"def process(record)\n  pass", "code", "got newline, want ':'"},
		{"def other(record): pass", "function", "the script has no function process: it needs a def process(record)"},
		{"process = 3", "function", "process is a int in the script, and no function"},
		{"def process(): pass", "function", "process is called with the record alone"},
		{"def process(a, b): pass", "function", "process is called with the record alone"},
		{"def process(a, *, b): pass", "function", "process is called with the record alone"},
		{"def process(a): print(a)", "code", "undefined: print"},
		{"def process(a): open(a)", "code", "undefined: open"},
		{"load('x', 'y')\ndef process(a): pass", "code", "load is not there"},
		{"x = 1 // 0\ndef process(a): pass", "code", "running the top level of the script: floored division by zero"},
		{"while True: pass\ndef process(a): pass", "code", "it takes more steps than it may"},
		{"x = 'a' * 1000000000\ndef process(a): pass", "code", "it takes more memory than it may"},
		{"l = []\nl.append(l)\ndef process(a): pass", "code", "a value is nested deeper than 1000, or holds itself"},
		{"def process(a):\n  reject('x'", "code", "got newline, want ','"},
		{"def process(a): return [1 for a[0] in [2]]", "code", "cannot be the variable of a comprehension"},
		{"x = 1\nx = 2\ndef process(a): pass", "code", "cannot reassign global x"},
	} {
		s := Defaults()
		s.Code = Code(c.code)
		_, err := New(s)
		var at *settings.FieldError
		if !errors.As(err, &at) || at.Field != c.field || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.code, err)
		}
	}
	for _, good := range []string{"def process(a, b=1): pass", "def process(*a): pass", "def process(a, *b, **c): pass", "process = lambda r: None", "def process(a, *, b=1): pass"} {
		if err := stage(t, good).Process(t.Context(), value(`{}`)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

// TestPlaces: a mistake is placed at its byte, whatever stands before it.
func TestPlaces(t *testing.T) {
	for code, want := range map[string]int{"x = ": 5, "a = 1\nb = c": 11, "# äö\nb = 'äö' + c": 21, "\tx": 2} {
		var c Code
		var at *expr.Error
		if err := c.UnmarshalText([]byte(code)); !errors.As(err, &at) || at.Column != want {
			t.Errorf("%q: %v at byte %d, want %d", code, err, at.Column, want)
		}
	}
}

// TestOfAFile: a script may stand in a file, which errors name.
func TestOfAFile(t *testing.T) {
	put := func(text string) settings.Path {
		name := filepath.Join(t.TempDir(), "price.star")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return settings.Path(name)
	}
	s := Defaults()
	s.File, s.Function = put("def price(record):\n  return record['x']\n"), "price"
	made, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Process(t.Context(), value(`{}`)); err == nil || err.Error() != `running the script: key "x" not in record (price.star: in price at line 2, column 16)` {
		t.Error(err)
	}
	for _, c := range []struct {
		file settings.Path
		want string
	}{
		{put("def price(record)"), "file: price.star:1:18: got end of file, want ':'"},
		{put("def price(record): return y"), "file: price.star:1:27: undefined: y"},
		{put(strings.Repeat("#", 300<<10)), "file: reading price.star: it has more than 256 KiB"},
		{settings.Path(t.TempDir()), "it is no plain file"},
		{"/none/price.star", "file: reading price.star: no such file or directory"},
	} {
		s.File = c.file
		if _, err := New(s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	for _, wrong := range []Settings{{}, {Code: "x", File: "y"}, {Code: "x", Function: "f"}} {
		if err := wrong.Validate(); err == nil {
			t.Errorf("%+v is taken", wrong)
		}
	}
}
