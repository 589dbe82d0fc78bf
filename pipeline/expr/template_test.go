package expr

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

func mustTemplate(t testing.TB, text string) *Template {
	t.Helper()
	tpl := new(Template)
	if err := tpl.UnmarshalText([]byte(text)); err != nil {
		t.Fatalf("compiling %s: %v", text, err)
	}
	return tpl
}

func TestTemplate(t *testing.T) {
	text := func(tpl *Template, r *pipeline.Record) (string, error) { return tpl.Text(r) }
	path := func(tpl *Template, r *pipeline.Record) (string, error) { return tpl.Path(r) }
	filled := func(tpl *Template, r *pipeline.Record) (string, error) { return tpl.Filled(r) }
	url := func(tpl *Template, r *pipeline.Record) (string, error) { return tpl.URL(r) }
	doc := func(tpl *Template, r *pipeline.Record) (string, error) { b, err := tpl.JSON(r); return string(b), err }
	const value = `{"origin":"DTW","evil":"../a/b\\c\u0000","dot":".x","dots":"..","n":1.10,"id":9007199254740993,"empty":"","q":"a\"b\nc","sp":"a b&c=d/é","nil":null,"o":{"k":1.0},"tpl":"{origin}","t":true,` +
		`"one":".","path":"a/b c/d.e","up":"a/../b","end":"x/.","link":"https://u:p@x:1/a/../b c?d#e","host":"h:8080","at":"a@b"}`
	for _, c := range []struct {
		name   string
		render func(*Template, *pipeline.Record) (string, error)
		text   string
		want   string
	}{
		{"text", text, `plain`, `plain`}, {"text", text, ``, ``}, {"text", text, `{{{origin}}}`, `{DTW}`}, {"text", text, `{{}}`, `{}`}, {"text", text, `a{nil}b{empty}c`, `abc`}, {"text", text, `{n} {id} {o} {t}`, `1.10 9007199254740993 {"k":1.0} true`},
		{"text", text, `{"}"}{'{'}{"\"}"}`, `}{"}`}, {"text", text, `{{a: origin}.a}`, "!"}, {"text", text, `{ {a: origin}.a }`, `DTW`}, {"text", text, `{origin + "-" + string(n)}`, `DTW-1.10`},
		{"text", text, `{tpl}`, `{origin}`}, {"text", text, `{q}`, "a\"b\nc"}, {"text", text, "{`}`}", `}`}, {"text", text, `{n + origin}`, "!+ on a number and a string"},
		{"filled", filled, `a:{q}:{n}`, "a:a\"b\nc:1.10"}, {"filled", filled, `a:{empty}`, "!the value is empty"}, {"filled", filled, `a:{nil}`, "!the value is missing"}, {"filled", filled, `{dots}`, `..`},
		{"path", path, `out/{origin}.jsonl`, `out/DTW.jsonl`}, {"path", path, `{evil}`, `%2E.%2Fa%2Fb%5Cc%00`}, {"path", path, `out/{dot}`, `out/%2Ex`}, {"path", path, `{dots}`, `%2E.`}, {"path", path, `{empty}`, "!the value is empty"}, {"path", path, `{nil}`, "!the value is missing"}, {"path", path, `{missing}`, "!the value is missing"}, {"path", path, `a/{n}`, `a/1.10`}, {"path", path, `{tpl}`, `{origin}`},
		{"url", url, `http://h/{origin}?q={sp}`, `http://h/DTW?q=a%20b%26c%3Dd%2F%C3%A9`}, {"url", url, `http://h/{dots}`, "!path of the URL"}, {"url", url, `http://h/?q={dots}`, `http://h/?q=..`}, {"url", url, `{empty}`, "!the value is empty"}, {"url", url, `{missing}`, "!the value is missing"}, {"url", url, `{dot}`, `.x`},
		{"url", url, `http://h/a/../{dot}`, `http://h/a/../.x`}, {"url", url, `http://h/.{one}`, "!path of the URL"}, {"url", url, `http://h/{one}{one}?x`, "!path of the URL"}, {"url", url, `http://h/{one}x`, `http://h/.x`},
		{"url", url, `http://h/s/{raw(path)}?q={raw(path)}`, `http://h/s/a/b%20c/d.e?q=a/b%20c/d.e`}, {"url", url, `http://h/{ raw( path + ")" ) }`, `http://h/a/b%20c/d.e%29`}, {"url", url, `http://h/{raw(up)}`, "!path of the URL"}, {"url", url, `http://h/{up}`, `http://h/a%2F..%2Fb`},
		{"url", url, `http://h/{raw(end)}`, "!path of the URL"}, {"url", url, `http://h/.{raw(end)}`, "!path of the URL"}, {"url", url, `http://h/{raw(empty)}`, "!the value is empty"}, {"url", url, `http://h/{raw(path, 1)}`, "!"}, {"url", url, `http://h/{raw(path) + "x"}`, "!"},
		{"url", url, `{link}`, `https://u:p@x:1/a/../b c?d#e`}, {"url", url, `{host}://{origin}`, `h:8080://DTW`}, {"url", url, `http://{host}/{origin}`, `http://h:8080/DTW`}, {"url", url, `http://{evil}/`, `http://..%2Fa%2Fb%5Cc%00/`}, {"url", url, `http://{at}/`, `http://a%40b/`},
		{"path", path, `{raw(path)}`, `a%2Fb c%2Fd.e`}, {"text", text, `{raw(path)}`, `a/b c/d.e`},
		{"json", doc, `{{"a": {origin}, "b": "{origin} and {q}", "c": {missing}, "d": "{missing}", "e": {o}, "f": "{o}", "g": {n}}}`, `{"a": "DTW", "b": "DTW and a\"b\nc", "c": null, "d": "", "e": {"k":1.0}, "f": "{\"k\":1.0}", "g": 1.10}`},
		{"json", doc, `["\"{origin}\"", {origin}]`, `["\"DTW\"", "DTW"]`},
		{"json", doc, `"{origin + q}"`, `"DTWa\"b\nc"`},
	} {
		tpl := new(Template)
		err := tpl.UnmarshalText([]byte(c.text))
		if c.want == "!" {
			if err == nil {
				t.Errorf("%s compiles", c.text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		got, err := c.render(tpl, record(value))
		if want, fails := strings.CutPrefix(c.want, "!"); fails {
			if reason, _ := pipeline.IsPermanent(err); reason != pipeline.ReasonExpression || !strings.Contains(err.Error(), want) {
				t.Errorf("%s of %s: %v, want %q", c.name, c.text, err, want)
			}
		} else if err != nil || got != c.want {
			t.Errorf("%s of %s = %q, %v; want %q", c.name, c.text, got, err, c.want)
		}
	}
}

// TestTemplateJSON: a template that CheckJSON accepts gives JSON whatever the record holds.
func TestTemplateJSON(t *testing.T) {
	tpl := mustTemplate(t, `{{"a": {v}, "b": "x{v}y", "c": ["{v}", {v}, {upper(string(v))}]}}`)
	if err := tpl.CheckJSON(); err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{`"a\"\\\u0000\ud83d\ude00"`, `"}{"`, `1e5`, `{"x":["\""]}`, `[]`, `true`, `"\ud800"`, `"\n\t\u001f"`} {
		out, err := tpl.JSON(record(`{"v":` + v + `}`))
		if err != nil || !json.Valid(out) {
			t.Errorf("%s gives %s, %v", v, out, err)
		}
	}
	for _, bad := range []string{`{{"a": "{v}}}`, `{{ {v}: 1}}`, `{v}{v}`} {
		if mustTemplate(t, bad).CheckJSON() == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestTemplateErrors(t *testing.T) {
	for _, c := range []struct {
		text    string
		column  int
		message string
	}{
		{`out/{origin`, 5, "a { without its }"}, {`a}b`, 2, "closes nothing"}, {`a{}b`, 2, "without an expression"}, {`a{ }b`, 2, "without an expression"},
		{`out/{uper(origin)}.x`, 6, "there is no function uper"}, {`{a} and {1 +}`, 13, "ends too early"}, {`{"a": 1}`, 5, "unexpected :"}, {`{"abc}`, 1, "a { without its }"},
	} {
		err := new(Template).UnmarshalText([]byte(c.text))
		var e *Error
		if !errors.As(err, &e) || e.Column != c.column || !strings.Contains(e.Message, c.message) {
			t.Errorf("%s: %+v, want column %d, %q", c.text, err, c.column, c.message)
		}
	}
}

func TestTemplateStatic(t *testing.T) {
	if !mustTemplate(t, `a{{b}}`).Static() || mustTemplate(t, `a{b}`).Static() {
		t.Error("Static is wrong")
	}
	if got := strings.Join(mustTemplate(t, `{b}{a + c}{meta.topic}{b}`).Fields(), " "); got != "a b c" {
		t.Errorf("fields %q", got)
	}
	if _, err := new(Template).Text(record(`{}`)); err == nil {
		t.Error("a template that was never compiled renders")
	}
	if new(Template).IsZero() != true || mustTemplate(t, ``).IsZero() {
		t.Error("IsZero is wrong")
	}
}

func TestRawStandsInThePathOfAURL(t *testing.T) {
	for text, ok := range map[string]bool{
		"http://h/{raw(a)}": true, "http://h/{a}": true, "http://{a}/{raw(b)}?c={d}": true, "{a}/{raw(b)}": true,
		"{raw(a)}": false, "http://{raw(a)}/": false, "http://h/?{raw(a)}": false, "http://h/#{raw(a)}": false,
	} {
		tpl := mustTemplate(t, text)
		if err := tpl.CheckRaw(); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
		host, scheme := tpl.GivesHost()
		if wantHost, wantScheme := strings.Contains(text, "http://{"), text[0] == '{'; host != (wantHost || wantScheme) || scheme != wantScheme {
			t.Errorf("%s gives host %v, scheme %v", text, host, scheme)
		}
		if tpl.Raw() != strings.Contains(text, "raw") {
			t.Errorf("%s: Raw gives %v", text, tpl.Raw())
		}
	}
}
