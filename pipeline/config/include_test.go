package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/stages"
)

// with is a pipeline whose stages are given.
func with(stages string) string { return named("a") + "stages:\n" + stages }

type included struct {
	Any     any              `yaml:"any"`
	Number  int              `yaml:"number"`
	Words   []string         `yaml:"words"`
	File    settings.Path    `yaml:"file"`
	Secret  settings.Secret  `yaml:"secret"`
	Include string           `yaml:"include"`
	Inner   map[string]inner `yaml:"inner"`
	Names   map[string]string
}

type inner struct {
	A int `yaml:"a" required:"true"`
	B int `yaml:"b"`
}

func including() *config.Loader {
	kinds := append(catalog.Kinds(), config.Kind{Section: config.StageSection, Name: "own", Settings: func() any { return &included{} }})
	return &config.Loader{Kinds: kinds, Env: lookup}
}

func own(t *testing.T, set *config.Set, i int) *included {
	t.Helper()
	s, ok := set.Pipelines[0].Stages[i].Settings.(*included)
	if !ok {
		t.Fatalf("stage %d is %T", i, set.Pipelines[0].Stages[i].Settings)
	}
	return s
}

// A value is what it was where it was given: a number, a text, a list; an own name means what the
// component says; a file is beside the file in which its name stands.
func TestIncludedValues(t *testing.T) {
	dir := put(t, map[string]string{
		"p.yaml": with(`  - include: sub.yaml
    with: {any: 5, number: 7, words: [a, "${HOST}"], file: t.csv}
  - include: sub.yaml
    with: {any: "5", number: "${MIN_DELAY}", words: [b]}
  - include: sub.yaml
    with: {any: {x: null}, number: 1, words: []}
`),
		"sub.yaml": `parameters:
  any:
  number: {doc: how many}
  words: {}
  file: {default: "sub.csv"}
stages:
  - own:
      any: {v: "${any}", text: "<${number}>", "k${number}": 1, "$${number}": 2}
      number: ${number}
      words: ${words}
      file: ${file}
      include: nowhere.yaml
      names: {include: nowhere.yaml}
      inner: {x: {include: inner.yaml, a: 2}}
`,
		"inner.yaml": "a: 1\nb: 3\n",
	})
	set := mustLoad(t, including(), filepath.Join(dir, "p.yaml"))
	var got []string
	for i := range 3 {
		s := own(t, set, i)
		b, err := json.Marshal(s.Any)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(string(b), s.Number, s.Words, strings.TrimPrefix(string(s.File), dir), s.Include, s.Names, s.Inner))
	}
	want := []string{
		`{"${number}":2,"k7":1,"text":"\u003c7\u003e","v":5}7 [a example]/t.csvnowhere.yamlmap[include:nowhere.yaml] map[x:{2 3}]`,
		`{"${number}":2,"k15":1,"text":"\u003c15\u003e","v":"5"}15 [b]/sub.csvnowhere.yamlmap[include:nowhere.yaml] map[x:{2 3}]`,
		`{"${number}":2,"k1":1,"text":"\u003c1\u003e","v":{"x":null}}1 []/sub.csvnowhere.yamlmap[include:nowhere.yaml] map[x:{2 3}]`,
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
	if at := set.Pipelines[0].Place("stages[1].own"); at != filepath.Join(dir, "sub.yaml")+":7:5" {
		t.Errorf("place %s", at)
	}
}

// $${name} is a text in a key too: it uses no parameter, and stays when a value is handed on.
func TestEscapedParameters(t *testing.T) {
	dir := put(t, map[string]string{
		"p.yaml":  with("  - include: s.yaml\n    with: {n: x}\n"),
		"q.yaml":  with("  - include: ok.yaml\n    with: {n: x}\n"),
		"s.yaml":  "parameters: {n: }\nstages:\n  - own: {names: {\"$${n}\": 1}}\n",
		"ok.yaml": "parameters: {n: }\nstages:\n  - own: {names: {\"$${n}\": \"$${n} ${n}\", \"$${n}-${n}\": b}}\n",
		"e.yaml":  with("  - include: m.yaml\n    with: {n: x}\n"),
		"m.yaml":  "parameters: {n: }\nstages:\n  - map: {set: {a: '\"$${n} ${n} ${HOST}\"'}}\n",
	})
	_, err := including().Load(filepath.Join(dir, "p.yaml"))
	if got := found(dir, err); !strings.Contains(got, `the parameter "n" is used nowhere`) {
		t.Errorf("got %s", got)
	}
	if got := own(t, mustLoad(t, including(), filepath.Join(dir, "q.yaml")), 0).Names; !reflect.DeepEqual(got, map[string]string{"${n}": "${n} x", "${n}-x": "b"}) {
		t.Errorf("got %v", got)
	}
	s, ok := mustLoad(t, including(), filepath.Join(dir, "e.yaml")).Pipelines[0].Stages[0].Settings.(*stages.MapSettings)
	if !ok || s.Set[0].Value.Written() != `"$${n} x ${HOST}"` || s.Set[0].Value.String() != `"${n} x example"` {
		t.Errorf("got %s, written %s", s.Set[0].Value.String(), s.Set[0].Value.Written())
	}
}

// What stands where there is no include is the user's, and stays.
func TestIncludeAsAName(t *testing.T) {
	dir := put(t, map[string]string{"p.yaml": with("  - map: {set: {include: with, with: include}}\n")})
	mustLoad(t, including(), filepath.Join(dir, "p.yaml"))
}

// Files include files: parameters are handed on, a file name stays relative to where it was
// written, and of a block the nearest wins.
func TestIncludesOfIncludes(t *testing.T) {
	dir := put(t, map[string]string{
		"p.yaml":        "include: base.yaml\npipeline: p\nlimits: {drain: 3s, include: limits.yaml}\n",
		"base.yaml":     small + "stages:\n  - include: outer.yaml\n    with: {n: 3, file: rows}\n",
		"outer.yaml":    "parameters: {n: , file: }\nstages:\n  - include: inner.yaml\n    with: {number: \"${n}\", file: \"${file}.csv\"}\n  - filter: a == ${n}\n",
		"inner.yaml":    "parameters: {number: , file: }\nstages:\n  - own: {number: \"${number}\", file: \"${file}\"}\n",
		"limits.yaml":   "include: defaults.yaml\nin_flight: 7\ndrain: 9s\n",
		"defaults.yaml": "drain: 11s\nin_flight: 8\nin_flight_bytes: 5MiB\n",
	})
	set := mustLoad(t, including(), filepath.Join(dir, "p.yaml"))
	p := set.Pipelines[0]
	if s := own(t, set, 0); s.Number != 3 || string(s.File) != filepath.Join(dir, "rows.csv") || p.Name != "p" || p.Stages[1].Name != "filter" {
		t.Errorf("%+v of %s, %s", s, p.Name, p.Stages[1].Name)
	}
	if l := p.Limits; l.Drain.String() != "3s" || l.InFlight != 7 || l.InFlightBytes != 5<<20 {
		t.Errorf("limits %+v", l)
	}
}

// Two includes of one file give their steps names of their own; a name in it stands once.
func TestNamesInIncludedFiles(t *testing.T) {
	dir := put(t, map[string]string{
		"p.yaml": with("  - include: s.yaml\n  - include: s.yaml\n"),
		"s.yaml": "- filter: a\n- map: {remove: [a]}\n",
		"q.yaml": with("  - include: n.yaml\n  - include: n.yaml\n"),
		"n.yaml": "- filter: a > 1\n  name: only\n",
	})
	var names []string
	for _, s := range mustLoad(t, including(), filepath.Join(dir, "p.yaml")).Pipelines[0].Stages {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "filter map filter-2 map-2" {
		t.Errorf("names %s", got)
	}
	_, err := including().Load(filepath.Join(dir, "q.yaml"))
	if got := detail(err); !strings.Contains(got, "n.yaml:2:9: the name \"only\" stands twice; first at line 2") || !strings.Contains(got, "= the file is included twice: leave the name out, or make it a parameter") ||
		!strings.Contains(got, "= included from "+filepath.Join(dir, "q.yaml")+":8:14") {
		t.Errorf("got\n%s", got)
	}
}

// What includes without end, or too much, is refused in time that does not grow with it.
func TestBoundsOfIncludes(t *testing.T) {
	files := map[string]string{
		"deep.yaml": with("  - include: d0.yaml\n"),
		"many.yaml": with(strings.Repeat("  - include: one.yaml\n", 501)),
		"wide.yaml": with("  - include: w0.yaml\n"),
		"big.yaml":  with("  - include: b0.yaml\n"),
		"one.yaml":  "- filter: a == 1\n",
		"same.yaml": with("  - include: ../" + "DIR/same.yaml\n"),
	}
	for i := range 20 {
		files[fmt.Sprintf("d%d.yaml", i)] = fmt.Sprintf("- include: d%d.yaml\n", i+1)
		files[fmt.Sprintf("w%d.yaml", i)] = strings.Repeat(fmt.Sprintf("- include: w%d.yaml\n", i+1), 50)
		files[fmt.Sprintf("b%d.yaml", i)] = strings.Repeat("#"+strings.Repeat("-", 1000)+"\n", 1000) + fmt.Sprintf("- include: b%d.yaml\n", i+1)
	}
	dir := put(t, files)
	if err := os.WriteFile(filepath.Join(dir, "same.yaml"), []byte(with("  - include: ../"+filepath.Base(dir)+"/same.yaml\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"deep.yaml": "d15.yaml:1:12: files include one another more than 16 deep",
		"many.yaml": "many.yaml:507:14: more than 500 includes in one pipeline",
		"wide.yaml": "more than 500 includes in one pipeline",
		"big.yaml":  "b3.yaml:1001:12: the included files have more than 4 MiB together",
		"same.yaml": "the file includes itself: ",
	} {
		_, err := including().Load(filepath.Join(dir, name))
		if got := found(dir, err); !strings.Contains(got, want) {
			t.Errorf("%s: got %.600s", name, got)
		}
	}
}

// A secret that is a parameter shows in no problem, whatever is wrong beside it.
func TestSecretParameters(t *testing.T) {
	dir := put(t, map[string]string{
		"p.yaml": with("  - include: s.yaml\n    with: {pw: hunter2hunter, n: x}\n  - include: s.yaml\n    with: {pw: \"${file:pw}\", n: y}\n"),
		"s.yaml": "parameters: {pw: , n: }\nstages:\n  - own: {secret: \"${pw}\", number: \"${n}\", words: \"${pw}\"}\n  - map: {remove: [\"${pw}\"], set: {\"a${pw}\": 1}}\n",
		"pw":     "hunter2hunter\n",
	})
	_, err := including().Load(filepath.Join(dir, "p.yaml"))
	var invalid *config.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	b, err := json.Marshal(invalid.Problems)
	if err != nil {
		t.Fatal(err)
	}
	if all := string(b) + invalid.Problems.Detail() + invalid.Error(); strings.Contains(all, "hunter") || !strings.Contains(all, "is a secret, and a key is shown") {
		t.Errorf("got\n%s", all)
	}
}

// What a setting of any type holds is shown as it stands, and is the same when it is read again.
func TestShowOfAnything(t *testing.T) {
	dir := put(t, map[string]string{
		"p.yaml": with("  - own: {any: {n: null, m: {}, l: [], e: '', z: 0, f: false, t: \"7\", big: 18446744073709551617, exact: 0.1000000000000000055511151231257827, \"a.b\": [null, {}]}}\n"),
		"q.yaml": with("  - own: {}\n"),
	})
	set := mustLoad(t, including(), filepath.Join(dir, "p.yaml"))
	shown, err := set.Pipelines[0].Show()
	if err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(dir, "again.yaml")
	if err := os.WriteFile(again, shown, 0o644); err != nil {
		t.Fatal(err)
	}
	a, b := own(t, set, 0).Any, own(t, mustLoad(t, including(), again), 0).Any
	if !reflect.DeepEqual(a, b) || fmt.Sprint(a) != "map[a.b:[<nil> map[]] big:18446744073709551617 e: exact:0.1000000000000000055511151231257827 f:false l:[] m:map[] n:<nil> t:7 z:0]" {
		t.Errorf("%v\n%v\n%s", a, b, shown)
	}
	shown, err = mustLoad(t, including(), filepath.Join(dir, "q.yaml")).Pipelines[0].Show()
	if err != nil || strings.Contains(string(shown), "any:") {
		t.Errorf("%v %s", err, shown)
	}
}

// A default counts where nothing is given, and a variable in it need not be set elsewhere.
func TestDefaultsOfParameters(t *testing.T) {
	dir := put(t, map[string]string{
		"p.yaml": with("  - include: s.yaml\n    with: {n: 4}\n"),
		"q.yaml": with("  - include: s.yaml\n"),
		"s.yaml": "parameters: {n: {default: \"${NOBODY_SETS_IT}\"}, m: {default: \"${MIN_DELAY}\"}}\nstages:\n  - own: {number: \"${n}\", any: \"${m}\"}\n",
	})
	if s := own(t, mustLoad(t, including(), filepath.Join(dir, "p.yaml")), 0); s.Number != 4 || fmt.Sprint(s.Any) != "15" {
		t.Errorf("%+v", s)
	}
	_, err := including().Load(filepath.Join(dir, "q.yaml"))
	if got := found(dir, err); got != "s.yaml:1:28: the variable NOBODY_SETS_IT is not set" {
		t.Errorf("got %s", got)
	}
}

// The mapping of order is a block of settings.
func TestOrderIncludes(t *testing.T) {
	dir := put(t, map[string]string{
		"p.yaml": named("a") + "order: {include: o.yaml, with: {f: a}}\n", "o.yaml": "parameters: {f: }\nsettings: {key: \"${f}.b\"}\n",
		"q.yaml": named("a") + "order: {include: n.yaml}\n", "n.yaml": "key: a\nkeep: none\n",
	})
	if key := mustLoad(t, including(), filepath.Join(dir, "p.yaml")).Pipelines[0].Order.Key; key == nil || key.String() != "a.b" {
		t.Errorf("%+v", key)
	}
	_, err := including().Load(filepath.Join(dir, "q.yaml"))
	if got := found(dir, err); got != `n.yaml:2:1: unknown key "keep" in order` {
		t.Errorf("got %s", got)
	}
}

// What goes wrong with a parameter is told once, with the places where it is given and used.
func TestMistakesWithParameters(t *testing.T) {
	dir := put(t, map[string]string{
		"p.yaml":   with("  - include: d.yaml\n  - include: l.yaml\n    with: {u: [a, b], n: [{x: 1}]}\n  - include: two.yaml\n"),
		"d.yaml":   "parameters: {first: {default: x}, second: {default: \"${first}y\"}}\nstages:\n  - filter: a == \"${first}${second}\"\n",
		"l.yaml":   "parameters: {u: , n: }\nstages:\n  - own: {file: \"${u}\", words: \"${n}\"}\n  - filter: a == \"x${u}\"\n",
		"two.yaml": "- filter: a == 1\n---\n- filter: b == 1\n",
	})
	_, err := including().Load(filepath.Join(dir, "p.yaml"))
	got := strings.ReplaceAll(detail(err), dir+"/", "")
	for _, want := range []string{
		"d.yaml:1:54: a default is no place for a parameter: ${first} is the variable of the environment, which is not set\n",
		"l.yaml:4:13: ${u} is a list, which stands alone and not within a text\n", "= it is given at p.yaml:9:15\n",
		"p.yaml:9:15: file takes a file name, not a list\n", "= ${u} is used at l.yaml:3:17\n",
		"p.yaml:9:27: words[0] takes a text, not a mapping\n", "= ${n} is used at l.yaml:3:32\n",
		"two.yaml:2:1: a second document begins here; a file that is included holds one list or one block\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	var invalid *config.InvalidError
	if errors.As(err, &invalid); len(invalid.Problems) != 5 {
		t.Errorf("%d and not five:\n%s", len(invalid.Problems), got)
	}
}

// What is nearly an include says what to write.
func TestNearlyIncludes(t *testing.T) {
	dir := put(t, map[string]string{
		"p.yaml": named("a") + "stages: {include: s.yaml}\nlimits: {with: {a: 1}}\ndead_letter: {with: {}, includes: s.yaml}\nlog: {includes: s.yaml}\n",
	})
	_, err := including().Load(filepath.Join(dir, "p.yaml"))
	got := detail(err)
	for _, want := range []string{
		"stages takes a list, not a mapping", "= write stages: [{include: …}]; the file's list takes the place of the item",
		`unknown key "with" in limits`, "= with: stands beside include:", `unknown key "with" in dead_letter`,
		`unknown key "includes" in log`, `unknown key "includes" in dead_letter`, "= did you mean include?",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

// FuzzIncluded reads whatever as an included file: no panic, every problem has a place in a line
// that is there, and the secret that is given does not show.
func FuzzIncluded(f *testing.F) {
	for _, name := range []string{"clean.yaml", "http.yaml", "sinks.yaml", "source.yaml"} {
		text, err := os.ReadFile(filepath.Join(testdata, "include", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("parameters: {field: , pw: {default: x}}\nstages:\n  - own: {secret: \"${pw}\", words: \"${field}\", number: \"x${pw}\"}\n")
	f.Add("parameters: {pw: }\nsettings: {drain: \"${pw}\", include: part.yaml}\n")
	f.Add("- include: p.yaml\n- include: part.yaml\n  with: {pw: 1}\n- &a {filter: x}\n- *a\n")
	f.Fuzz(func(t *testing.T, text string) {
		dir := put(t, map[string]string{
			"p.yaml":    with("  - include: part.yaml\n    with: {field: mail, pw: \"${file:pw}\"}\n") + "limits: {include: part.yaml}\n",
			"part.yaml": text, "pw": "hunter2hunter",
		})
		_, err := including().Load(filepath.Join(dir, "p.yaml"))
		var invalid *config.InvalidError
		if !errors.As(err, &invalid) {
			return
		}
		lines := strings.Count(text, "\n") + strings.Count(text, "\r") + strings.Count(text, "\u2028") + strings.Count(text, "\u2029") + strings.Count(text, "\u0085") + 20
		for _, p := range invalid.Problems {
			if p.Line < 0 || p.Line > lines || p.Line > 0 && p.Column < 1 || strings.HasSuffix(p.File, "part.yaml") != (len(p.Notes) > 0 && strings.HasPrefix(p.Notes[len(p.Notes)-1], "included from")) {
				t.Errorf("place of %+v", p)
			}
		}
		if shown := invalid.Problems.Detail(); strings.Contains(shown, "hunter2hunter") && !strings.Contains(text, "hunter2hunter") {
			t.Errorf("a secret shows:\n%s", shown)
		}
	})
}

// Within quotes of an expression a parameter is a part of the text, and so is a variable in its
// value; outside of them it is a part of the expression.
func TestParametersInExpressions(t *testing.T) {
	dir := put(t, map[string]string{
		"p.yaml": with("  - include: s.yaml\n    with: {text: 'a\"b', cond: 'name == \"${QUOTED}\" or x'}\n"),
		"s.yaml": "parameters: {text: , cond: }\nstages:\n  - filter: name == \"${text}\"\n  - filter: ${cond}\n  - filter: (${cond}) and y\n",
	})
	l := &config.Loader{Kinds: catalog.Kinds(), Env: func(string) (string, bool) { return `"; x`, true }}
	for i, s := range mustLoad(t, l, filepath.Join(dir, "p.yaml")).Pipelines[0].Stages {
		when := s.Settings.(*stages.FilterSettings).When
		want := []string{"name", "name x", "name x y"}[i]
		if got := strings.Join(when.Fields(), " "); got != want {
			t.Errorf("%d reads %s, want %s", i, got, want)
		}
	}
}
