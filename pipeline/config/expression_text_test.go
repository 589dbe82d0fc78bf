package config_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
	filesink "github.com/penstockio/penstock/sinks/file"
	"github.com/penstockio/penstock/stages"
)

func aRecord() *pipeline.Record {
	rec := new(pipeline.Record)
	rec.Init(pipeline.Position{Topic: "t", Offset: 7}, nil, []byte(`{"s":"text","n":1}`), nil, 1700000000000)
	return rec
}

// keys are secrets that would break out of a string, or change it, if they were put in as they
// stand.
var keys = []string{
	"CANARYplain", `CANARY"CANARY`, `CANARY'CANARY`, "CANARY`CANARY", "CANARY``", `CANARY\`, `\CANARY`, `\"CANARY\\`, `CANARY\n\u0041`,
	`CANARY", "md5") + string(1) + hmac(s, "x`, `") or true or (s == "CANARY`, "CANARY\nCANARY\r\nCANARY", "CANARY{s}", "CANARY}}{{", "{{CANARY", "CANARY/* // #", "CANARY${HOST}", "CANARYü€\u2028",
}

// TestVariablesWithinStrings: whatever a variable holds, it stays within the quotes that it stands
// in, and nothing prints it.
func TestVariablesWithinStrings(t *testing.T) {
	for _, key := range keys {
		sum := hmac.New(sha256.New, []byte(key))
		sum.Write([]byte("text"))
		want := hex.EncodeToString(sum.Sum(nil))
		for _, quote := range []string{`"`, `'`, "`"} {
			for _, variable := range []string{"${file:key}", "${KEY}"} {
				call := "hmac(s, " + quote + variable + quote + ")"
				text := "pipeline: p\nsource:\n  replay: {files: [in.jsonl]}\nstages:\n  - filter: |-\n      " + call + " == \"" + want + "\"\n" +
					"  - filter: |-\n      " + call + " > n\n  - filter: |-\n      let k = " + quote + variable + quote + "; /* it's */ hmac(s, k) > n\n      // \"\n" +
					"sinks:\n  - file:\n      path: |-\n        /out/{" + call + "}\n  - file:\n      path: |-\n        /{{{" + call + " + n}\n    name: other\n"
				dir := put(t, map[string]string{"a.yaml": text, "key": key})
				l := loader()
				l.Env = func(name string) (string, bool) { return key, name == "KEY" }
				p := mustLoad(t, l, filepath.Join(dir, "a.yaml")).Pipelines[0]
				holds(t, call+" of "+key, p, want)
				canary(t, call+" of "+key, p)
			}
		}
	}
}

func holds(t *testing.T, what string, p *config.Pipeline, want string) {
	t.Helper()
	if ok, err := p.Stages[0].Settings.(*stages.FilterSettings).When.Condition(aRecord()); !ok || err != nil {
		t.Errorf("%s: %v, %v", what, ok, err)
	}
	path := p.Sinks[0].Settings.(*filesink.Settings).Path
	if got, err := path.Text(aRecord()); got != "/out/"+want || err != nil {
		t.Errorf("%s: %q, %v; want %q", what, got, err, "/out/"+want)
	}
}

// canary looks for the key in what is shown of the pipeline and in the errors of its expressions.
func canary(t *testing.T, what string, p *config.Pipeline) {
	t.Helper()
	said := []string{}
	for _, i := range []int{1, 2} {
		_, err := p.Stages[i].Settings.(*stages.FilterSettings).When.Condition(aRecord())
		said = append(said, fmt.Sprint(err))
	}
	path := p.Sinks[1].Settings.(*filesink.Settings).Path
	_, err := path.Text(aRecord())
	said = append(said, fmt.Sprint(err))
	for _, s := range said {
		if !strings.Contains(s, "evaluating") || !strings.Contains(s, "hmac(s, ") {
			t.Errorf("%s: no error of the expression: %s", what, s)
		}
	}
	shown, err := p.Show()
	if err != nil {
		t.Fatal(err)
	}
	said = append(said, string(shown), p.Summary(p.Stages[0].Component, 500), p.Summary(p.Sinks[0].Component, 500))
	for _, s := range said {
		if strings.Contains(s, "CANARY") {
			t.Errorf("%s: the key shows:\n%s", what, s)
		}
	}
}

// TestErrorsQuoteWhatIsWritten: an error of an expression quotes it as the file has it.
func TestErrorsQuoteWhatIsWritten(t *testing.T) {
	text := strings.Replace(named("a"), "- stdout: {}", "- file: {path: '/x/{s}/{s + n + \"${KEY}\"}'}", 1) + "stages:\n  - filter: s + '${KEY}' > n\n"
	dir := put(t, map[string]string{"a.yaml": text})
	l := loader()
	l.Env = func(string) (string, bool) { return "CANARY'\"", true }
	p := mustLoad(t, l, filepath.Join(dir, "a.yaml")).Pipelines[0]
	_, err := p.Stages[0].Settings.(*stages.FilterSettings).When.Condition(aRecord())
	if s := fmt.Sprint(err); strings.Contains(s, "CANARY") || !strings.Contains(s, "evaluating s + '${KEY}' > n: ") {
		t.Error(s)
	}
	path := p.Sinks[0].Settings.(*filesink.Settings).Path
	_, err = path.Text(aRecord())
	if s := fmt.Sprint(err); strings.Contains(s, "CANARY") || !strings.Contains(s, `evaluating /x/{s}/{s + n + "${KEY}"}: `) {
		t.Error(s)
	}
}

// TestAnyVariableWithinStrings: a string has the bytes of its variable, whatever they are, in an
// expression and in a part of a template, beside others and behind a backslash.
func TestAnyVariableWithinStrings(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	characters := []string{`"`, `'`, "`", `\`, "{", "}", "{{", "}}", "$", "${A}", "$${", "\n", "\r", "\t", "/", "*", "//", "#", " ", "a", "n", "x41", "u0041", "ü", "\u2028", "\x01", "(", ")", ";", "+"}
	const text = `pipeline: p
source:
  replay: {files: [in.jsonl]}
stages:
  - filter: |
      toHex("${A}x${B}") + toHex('${A}\${B}') + toHex(` + "`${A}`" + `) == want /* "${A}" */
      // ${B}"
sinks:
  - file:
      path: |
        /{{{toHex("${A}x${B}")}}}{toHex('${A}\${B}') + {a: toHex(` + "`${A}`" + `)}.a}
`
	for range 400 {
		v := map[string]string{}
		for _, name := range []string{"A", "B"} {
			for range r.IntN(6) {
				v[name] += characters[r.IntN(len(characters))]
			}
		}
		dir := put(t, map[string]string{"a.yaml": text})
		l := loader()
		l.Env = func(name string) (string, bool) { return v[name], true }
		set, err := l.Load(filepath.Join(dir, "a.yaml"))
		if err != nil {
			t.Fatalf("%q: %s", v, detail(err))
		}
		first, second, third := hex.EncodeToString([]byte(v["A"]+"x"+v["B"])), hex.EncodeToString([]byte(v["A"]+`\`+v["B"])), hex.EncodeToString([]byte(v["A"]))
		rec := new(pipeline.Record)
		rec.Init(pipeline.Position{}, nil, []byte(`{"want":"`+first+second+third+`"}`), nil, 0)
		if ok, err := set.Pipelines[0].Stages[0].Settings.(*stages.FilterSettings).When.Condition(rec); !ok || err != nil {
			t.Fatalf("%q: %v, %v", v, ok, err)
		}
		path := set.Pipelines[0].Sinks[0].Settings.(*filesink.Settings).Path
		if got, err := path.Text(rec); got != "/{"+first+"}"+second+third || err != nil {
			t.Fatalf("%q: %s, %v", v, got, err)
		}
	}
}

// TestKeysInTheFile: a key that the file itself has shows as little, and its hash does not tell of
// it.
func TestKeysInTheFile(t *testing.T) {
	dir := put(t, map[string]string{"a.yaml": named("a") + "stages:\n  - filter: hmac(s, upper(\"canaryCANARY\") + 'CANARY2') > n\n"})
	p := mustLoad(t, loader(), filepath.Join(dir, "a.yaml")).Pipelines[0]
	_, err := p.Stages[0].Settings.(*stages.FilterSettings).When.Condition(aRecord())
	shown, _ := p.Show()
	if s := fmt.Sprint(err) + string(shown); strings.Contains(s, "CANARY") || !strings.Contains(s, `hmac(s, upper("***") + "***") > n`) {
		t.Error(s)
	}
}

// TestVariablesOutsideOfStrings: there a variable is a piece of the expression, as ever, and of a
// template when it is the whole of it; a secret never is.
func TestVariablesOutsideOfStrings(t *testing.T) {
	env := map[string]string{"OP": ">=", "COND": `n == 1 and s == "text"`, "T": "/o/{s}", "W": "te", "B": "{s}", "BS": `\d`}
	text := `pipeline: p
source:
  replay: {files: [in.jsonl]}
stages:
  - filter: n ${OP} 1 and (${COND}) and s == "${W}xt"
  - filter: '// it''s ${COND}

      "$${" + s == "$${text" and "a\${W}" == "a\\te" and "1\\${BS}" == "1\\\\d"'
sinks:
  - file: {path: "${T}"}
  - file: {path: "/{{${B}}}/{s + '${B}'}/${B}"}
    name: second
  - file: {path: "${file:secret}"}
    name: third
  - file:
      path: |
        /${W}/{n}
    name: fourth
`
	dir := put(t, map[string]string{"a.yaml": text, "secret": "/x/{s}"})
	l := loader()
	l.Env = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	p := mustLoad(t, l, filepath.Join(dir, "a.yaml")).Pipelines[0]
	for i := range p.Stages {
		if ok, err := p.Stages[i].Settings.(*stages.FilterSettings).When.Condition(aRecord()); !ok || err != nil {
			t.Errorf("filter %d: %v, %v", i, ok, err)
		}
	}
	for i, want := range []string{"/o/text", "/{{s}}/text{s}/{s}", "/x/{s}", "/te/1"} {
		path := p.Sinks[i].Settings.(*filesink.Settings).Path
		if got, err := path.Text(aRecord()); got != want || err != nil {
			t.Errorf("path %d is %q, %v; want %q", i, got, err, want)
		}
	}
}

// TestErrorsOfSecretsInStrings: what does not compile does not show them either.
func TestErrorsOfSecretsInStrings(t *testing.T) {
	for _, text := range []string{
		`hmac(s, "${file:key}"`, `hmac(s, "${file:key}", "${file:key}")`, `s matches "${file:key}"`, `"${file:key}" "x"`, `s "${file:key}"`, `hmac("${file:key}")`, `${file:key} == "`, `fromHex("${file:key}")`, `date("${file:key}") > 1`, `formatTime(date(n), "${file:key}")`, `n in "${file:key}"`,
	} {
		for _, key := range []string{`CANARY(`, `CANARY"\CANARY(`} {
			dir := put(t, map[string]string{"a.yaml": named("a") + "stages:\n  - filter: |-\n      " + text + "\n", "key": key})
			_, err := loader().Load(filepath.Join(dir, "a.yaml"))
			if err == nil || strings.Contains(detail(err), "CANARY") {
				t.Errorf("%s: %v", text, detail(err))
			}
		}
	}
	if _, err := os.Stat("key"); err == nil {
		t.Error("a test has written beside the sources")
	}
}

// TestRepeatable: a loader that is asked for it makes every expression repeatable, each with a
// chance of its own.
func TestRepeatable(t *testing.T) {
	text := strings.Replace(named("a"), "- stdout: {}", "- file: {path: \"/{uuid()}/{uuid()}\"}\n  - file: {path: \"/{uuid() + uuid()}\"}\n    name: b", 1) +
		"stages:\n  - filter: now() == date(1700000000000)\n"
	dir := put(t, map[string]string{"a.yaml": text})
	run := func(repeatable bool) (paths string, ok bool) {
		l := loader()
		l.Repeatable = repeatable
		p := mustLoad(t, l, filepath.Join(dir, "a.yaml")).Pipelines[0]
		for i := range p.Sinks {
			path := p.Sinks[i].Settings.(*filesink.Settings).Path
			got, err := path.Text(aRecord())
			if err != nil {
				t.Fatal(err)
			}
			paths += got
		}
		ok, err := p.Stages[0].Settings.(*stages.FilterSettings).When.Condition(aRecord())
		if err != nil {
			t.Fatal(err)
		}
		return paths, ok
	}
	first, ok := run(true)
	if again, _ := run(true); again != first || !ok {
		t.Errorf("repeated: %s, %s, %v", first, again, ok)
	}
	seen := map[string]bool{}
	for s := strings.ReplaceAll(first, "/", ""); len(s) >= 36; s = s[36:] {
		seen[s[:36]] = true
	}
	if len(seen) != 4 {
		t.Errorf("not each call has a chance of its own: %s", first)
	}
	live, ok := run(false)
	if again, _ := run(false); live == again || live == first || ok {
		t.Errorf("live: %s, %s, %v", live, again, ok)
	}
}
