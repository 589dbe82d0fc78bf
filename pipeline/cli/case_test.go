package cli

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/fixture"
)

var updateCases = flag.Bool("update", false, "rewrite what the cases expect")

// TestCases runs testdata/cases and docs/examples as `penstock test` does, and checks every log line.
func TestCases(t *testing.T) {
	cases, err := findCases([]string{filepath.Join(repo, "testdata", "cases"), filepath.Join(repo, "docs", "examples")}, catalog.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if r := c.run(t.Context(), nil, *updateCases); !r.ok() {
				t.Errorf("\n%s", r.text())
			}
			if err := event.ValidateAll(c.logs.Bytes()); err != nil {
				t.Error(err)
			}
		})
	}
}

const (
	first  = `{"topic":"t","partition":0,"offset":1,"ts":5,"key":"k","headers":["a","1","b",null],"payload_json":{"x":1,"y":{"z":[1,2],"w":"s"}}}`
	second = `{"topic":"t","partition":0,"offset":2,"payload":"text"}`
	third  = `{"topic":"t","partition":0,"offset":3,"payload":null}`
)

func parse(t *testing.T, lines ...string) (recs []pipeline.Record) {
	t.Helper()
	for r := fixture.NewReader(strings.NewReader(strings.Join(lines, "\n")), "test"); ; {
		var rec pipeline.Record
		_, err := r.Next(&rec)
		if err == io.EOF {
			return recs
		}
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, rec)
	}
}

func wanted(t *testing.T, lines ...string) []*fixture.Partial {
	t.Helper()
	want, err := readWanted([]byte(strings.Join(lines, "\n")), "test", false)
	if err != nil {
		t.Fatal(err)
	}
	return want
}

var inOrder = comparison{ordered: true}

func TestDiffRecords(t *testing.T) {
	edit := func(from, to string) string {
		s := strings.Replace(first, from, to, 1)
		if s == first {
			t.Fatalf("%s is not there", from)
		}
		return s
	}
	for name, c := range map[string]struct {
		got  []string
		want string // as JSON: what, position, fields
	}{
		"equal":      {[]string{first, second, third}, ``},
		"missing":    {[]string{first, third}, `missing t/0@2`},
		"unexpected": {[]string{first, second, third, third}, `unexpected t/0@3`},
		"order":      {[]string{first, third, second}, `order t/0@2`},
		"a field":    {[]string{edit(`"x":1`, `"x":2`), second, third}, `different t/0@1 x: 1, 2`},
		"deep":       {[]string{edit(`"w":"s"`, `"w":null`), second, third}, `different t/0@1 y.w: "s", null`},
		"in a list":  {[]string{edit(`[1,2]`, `[1]`), second, third}, `different t/0@1 y.z: [1,2], [1]`},
		"gone":       {[]string{edit(`"x":1,`, ``), second, third}, `different t/0@1 x: 1, (absent)`},
		"new":        {[]string{edit(`"x":1`, `"x":1,"n":0`), second, third}, `different t/0@1 n: (absent), 0`},
		"bytes":      {[]string{edit(`"x":1`, `"x": 1`), second, third}, `different t/0@1 payload: (equal JSON, other bytes)`},
		"a number":   {[]string{edit(`"x":1`, `"x":1.0`), second, third}, `different t/0@1 x: 1, 1.0`},
		"time":       {[]string{edit(`"ts":5,`, ``), second, third}, `different t/0@1 ts: 5, none`},
		"key":        {[]string{edit(`"key":"k"`, `"key":""`), second, third}, `different t/0@1 key: "k", ""`},
		"quoted key": {[]string{edit(`"key":"k"`, `"key":"\"k\""`), second, third}, `different t/0@1 key: "k", "\"k\""`},
		"null text":  {[]string{first, second, `{"topic":"t","partition":0,"offset":3,"payload_json":null}`}, `different t/0@3 payload: null, "null"`},
		"no key":     {[]string{edit(`"key":"k"`, `"key":null`), second, third}, `different t/0@1 key: "k", null`},
		"header":     {[]string{edit(`null]`, `""]`), second, third}, `different t/0@1 header b: null, ""`},
		"headers":    {[]string{edit(`,"b",null`, ``), second, third}, `different t/0@1 headers: "a": "1", "b": null, "a": "1"`},
		"tombstone":  {[]string{first, second, `{"topic":"t","partition":0,"offset":3,"payload":""}`}, `different t/0@3 payload: null, ""`},
		"text":       {[]string{first, `{"topic":"t","partition":0,"offset":2,"payload":"test"}`, third}, `different t/0@2 payload: "text", "test"`},
		"nothing":    {nil, `missing t/0@1; missing t/0@2; missing t/0@3`},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, d := range diffRecords("s", wanted(t, first, second, third), parse(t, c.got...), inOrder) {
				line := d.What + " " + d.Position
				for _, f := range d.Fields {
					line += " " + f.Field + ": " + f.Expected + ", " + f.Got
				}
				got = append(got, line)
			}
			if g := strings.Join(got, "; "); g != c.want && (c.want == "" || !strings.HasPrefix(g, c.want)) {
				t.Errorf("got  %s\nwant %s", g, c.want)
			}
		})
	}
}

// TestDiffOfParts: several records of one position are paired in their order.
func TestDiffOfParts(t *testing.T) {
	a, b := `{"topic":"t","partition":0,"offset":1,"payload":"a"}`, `{"topic":"t","partition":0,"offset":1,"payload":"b"}`
	if d := diffRecords("s", wanted(t, a, b), parse(t, a, b), inOrder); len(d) != 0 {
		t.Errorf("equal: %v", d)
	}
	if d := diffRecords("s", wanted(t, a, b), parse(t, b, a), inOrder); len(d) != 2 {
		t.Errorf("exchanged: %v", d)
	}
	if d := diffRecords("s", wanted(t, a, b), parse(t, a), inOrder); len(d) != 1 || d[0].What != "missing" {
		t.Errorf("one missing: %v", d)
	}
}

// TestDiffWithinGroups: with order by key only the order within a key counts.
func TestDiffWithinGroups(t *testing.T) {
	line := func(offset, key string) string {
		return `{"topic":"t","partition":0,"offset":` + offset + `,"key":"` + key + `","payload":""}`
	}
	byKey := func(r *pipeline.Record) string { return string(r.Key()) }
	want := wanted(t, line("1", "a"), line("2", "b"), line("3", "a"))
	grouped := comparison{ordered: true, group: byKey}
	if d := diffRecords("s", want, parse(t, line("2", "b"), line("1", "a"), line("3", "a")), grouped); len(d) != 0 {
		t.Errorf("other keys in between: %v", d)
	}
	turned := parse(t, line("3", "a"), line("2", "b"), line("1", "a"))
	if d := diffRecords("s", want, turned, grouped); len(d) != 1 || d[0].What != "order" {
		t.Errorf("one key turned round: %v", d)
	}
	if d := diffRecords("s", want, turned, comparison{}); len(d) != 0 {
		t.Errorf("without order: %v", d)
	}
}

func TestAnswers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "http.jsonl")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"url":"/a?x=1","status":503,"headers":["Retry-After","1"]}` + "\n\n" +
		`{"url":"${HTTP}/a?x=1","body":{"b":[1]},"delay_ms":1}` + "\n" +
		`{"method":"POST","url":"/p","status":201,"headers":{"Content-Type":"text/plain","retry-\u0061fter":"7"},"body":"text"}` + "\n")
	s, err := serveAnswers(file)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	ask := func(method, path string) string {
		req, err := http.NewRequestWithContext(t.Context(), method, s.base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Status + " " + resp.Header.Get("Retry-After") + " " + resp.Header.Get("Content-Type") + " " + string(body)
	}
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/a?x=1", "503 Service Unavailable 1"},
		{"GET", "/a?x=1", `200 OK  application/json {"b":[1]}`},
		{"GET", "/a?x=1", `200 OK  application/json {"b":[1]}`},
		{"POST", "/p", "201 Created 7 text/plain text"},
		{"GET", "/p", "404 Not Found"},
		{"GET", "/a", "404 Not Found"},
	} {
		if got := ask(c.method, c.path); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s %s: got %q, want %q", c.method, c.path, got, c.want)
		}
	}
	if got := strings.Join(s.unanswered(), ", "); got != "GET /p, GET /a" {
		t.Errorf("unanswered: %s", got)
	}
	if got := string(s.hideAddress([]byte("calling " + s.base + "/x at " + strings.TrimPrefix(s.base, "http://")))); got != "calling ${HTTP}/x at ${HTTP}" {
		t.Errorf("hidden: %s", got)
	}

	for text, want := range map[string]string{
		`{"url":"a"}`:                  ":1: url is a path",
		"\n{\"url\":":                  ":2: ",
		`{"url":"/a","headers":["x"]}`: "flat list",
		`{"url":"/a","statu":200}`:     "unknown field",
		`{"url":"/a","status":20}`:     "status 20",

		"{\"url\":\"/a\"}\n" + `{"url":"/a","headers":{"x":1}}`: `:2: headers is an object, {"name": "value"}, or a flat list`,
		`{"url":"/a","headers":["x",null]}`:                     ":1: headers is an object",
		`{"url":"/a","headers":"x"}`:                            ":1: headers is an object",
		`{"url":"/a","status":"200"}`:                           ":1: status is a whole number from 200 to 599",
		`{"url":["/a"]}`:                                        ":1: url is a text: a path like",
		`{"url":"/a","delay_ms":0.5}`:                           ":1: delay_ms is a whole number of milliseconds",
		`{"url":"/a","method":1}`:                               ":1: method is a text",
		`{"url":"/a"} {"url":"/b"}`:                             ":1: there is more behind the answer",
		`["/a"]`:                                                ":1: an answer is an object with method, url, status, headers, body, delay_ms",
		`{"url":"/a",}`:                                         ":1: not valid JSON",
	} {
		write(text)
		if _, err := serveAnswers(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestReports(t *testing.T) {
	results := []*caseResult{
		{name: "good", records: 3},
		{name: "bad <x>", problems: []string{"one\ntwo"}, diffs: diffRecords("out", wanted(t, first, second), parse(t, strings.Replace(first, `"x":1`, `"x":2`, 1), third), inOrder)},
		{name: "written", updated: []string{"want/out.jsonl"}},
	}
	for format, wants := range map[string][]string{
		"pretty": {"ok   good (0.00s, 3 records)\n", "FAIL bad <x> (0.00s)\n  one\n  two\n  out: t/0@1 differs\n    x: expected 1, got 2\n    expected {", "    got      {",
			"  out: t/0@2 is missing\n", "  out: t/0@3 was not expected\n", "new  written: want/out.jsonl\n", "2 passed, 1 failed\n"},
		"json":  {`{"case":"good","passed":true,`, `"problems":["one\ntwo"],"differences":[{"sink":"out","position":"t/0@1","what":"different","fields":[{"field":"x","expected":"1","got":"2"}]`},
		"junit": {`<testsuite name="penstock test" tests="3" failures="1"`, `<testcase name="bad &lt;x&gt;"`, `<failure message="1 problems, 3 records differ">`},
	} {
		var b bytes.Buffer
		report, err := newCaseReport(format, &b)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if err := report.add(r); err != nil {
				t.Fatal(err)
			}
		}
		if err := report.end(); err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: %q is missing in\n%s", format, want, b.String())
			}
		}
		if format == "json" {
			for line := range bytes.Lines(b.Bytes()) {
				if !json.Valid(line) {
					t.Errorf("no JSON: %s", line)
				}
			}
		}
	}
}

func TestManyDifferencesAreCut(t *testing.T) {
	var lines []string
	for i := range 25 {
		lines = append(lines, `{"topic":"t","partition":0,"offset":`+string(rune('0'+i/10))+string(rune('0'+i%10))+`,"payload":""}`)
	}
	for i := range lines {
		lines[i] = strings.Replace(lines[i], `"offset":0`, `"offset":`, 1)
	}
	r := &caseResult{diffs: diffRecords("s", wanted(t, lines...), nil, inOrder)}
	if text := r.text(); !strings.Contains(text, "and 15 more records") || strings.Count(text, "missing") != 10 {
		t.Errorf("got %s", text)
	}
}

func TestScreen(t *testing.T) {
	var b bytes.Buffer
	s := newScreen(&b)
	p := event.ReplayProgress{Fixture: "f.jsonl", RecordsDone: 50, RecordsExpected: 100, RateIn: 25, EtaMs: 2000}
	if s.show(p) {
		t.Error("a buffer is no terminal")
	}
	s.terminal = true
	if !s.show(p) {
		t.Error("nothing is shown on a terminal")
	}
	const line = "f.jsonl [============            ] 50/100 25/s 2s left"
	if _, err := s.Write([]byte("a log line\n")); err != nil {
		t.Fatal(err)
	}
	s.clear()
	if _, err := s.Write([]byte("another\n")); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), clearLine+line+clearLine+"a log line\n"+line+clearLine+"another\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
