package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/pipeline/source/replay"
	"github.com/penstockio/penstock/sinks"
	filesink "github.com/penstockio/penstock/sinks/file"
	"github.com/penstockio/penstock/stages"
	httpstage "github.com/penstockio/penstock/stages/http"
)

// put writes files into a folder of their own and gives it.
func put(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const small = `pipeline: NAME
source:
  replay: {files: [in.jsonl], as: value}
sinks:
  - stdout: {}
`

func named(name string) string { return strings.Replace(small, "NAME", name, 1) }

// found gives the problems of a load, one line each, without the folder.
func found(dir string, err error) string {
	var invalid *config.InvalidError
	if !errors.As(err, &invalid) {
		return fmt.Sprint(err)
	}
	var lines []string
	for _, p := range invalid.Problems {
		lines = append(lines, strings.ReplaceAll(p.String(), dir+"/", ""))
	}
	return strings.Join(lines, "\n")
}

func mustLoad(t *testing.T, l *config.Loader, paths ...string) *config.Set {
	t.Helper()
	set, err := l.Load(paths...)
	if err != nil {
		t.Fatal(detail(err))
	}
	return set
}

// A folder stands for its pipeline files, in order; what belongs to the process may
// stand in one of them, or be equal.
func TestSeveralFiles(t *testing.T) {
	dir := put(t, map[string]string{
		"b.yaml":    named("second") + "limits: {drain: 9s}\n",
		"a.yaml":    named("first") + "log: {level: warn}\nlimits: {drain: 9s, in_flight: 7}\nadmin: {listen: localhost:9600}\n",
		"c.yml":     named("third"),
		"other.txt": "not yaml: [",
	})
	set := mustLoad(t, loader(), dir)
	var names []string
	for _, p := range set.Pipelines {
		names = append(names, p.Name)
		if p.Limits.Drain != 9*time.Second || p.Limits.InFlight != 7 || p.Log.Level != "warn" || p.Admin == nil || p.Admin.Listen != "localhost:9600" {
			t.Errorf("%s has another process: %+v", p.Name, p.Process)
		}
	}
	if got := strings.Join(names, " "); got != "first second third" {
		t.Errorf("pipelines %s", got)
	}
	if set.Process.Limits.InFlightBytes != 256<<20 || set.Process.Log.StatsEvery != 15*time.Second {
		t.Errorf("defaults of the process: %+v", set.Process)
	}
}

func TestFilesThatContradict(t *testing.T) {
	dir := put(t, map[string]string{
		"a.yaml": named("same") + "limits: {drain: 9s, in_flight: 7}\nlog: {level: info}\n",
		"b.yaml": named("same") + "limits:\n  drain: 8s\n  in_flight: 7\nlog: {level: warn}\nnope: 1\n",
	})
	_, err := loader().Load(filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml"), filepath.Join(dir, "gone.yaml"))
	want := `b.yaml:1:11: a second pipeline of the name "same"; the first is a.yaml:1
b.yaml:7:10: limits.drain belongs to the process: it is 8s here and 9s in a.yaml:6
b.yaml:9:14: log.level belongs to the process: it is warn here and info in a.yaml:7
b.yaml:10:1: unknown key "nope" in a pipeline file
gone.yaml: reading the file: no such file or directory`
	if got := found(dir, err); got != want {
		t.Errorf("found\n%s\nwant\n%s", got, want)
	}
}

func TestWhatIsNoFile(t *testing.T) {
	dir := put(t, map[string]string{"big.yaml": named("a") + "#" + strings.Repeat("x", 1<<20), "latin.yaml": "pipeline: caf\xe9\n"})
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := loader().Load(empty, filepath.Join(dir, "big.yaml"), filepath.Join(dir, "latin.yaml"))
	got := found(dir, err)
	for _, want := range []string{
		"empty: the folder holds no pipeline file",
		"big.yaml: the file has 1048660 bytes; a pipeline file has at most 1048576",
		"latin.yaml:1:14: the file is no valid UTF-8 here",
	} {
		if !strings.Contains(got+"\n", want+"\n") {
			t.Errorf("found\n%s\nwant in it\n%s", got, want)
		}
	}
}

// A file says how large it may be, and how long its lines.
func TestLongLine(t *testing.T) {
	dir := put(t, map[string]string{"a.yaml": named("a") + "# " + strings.Repeat("x", 40<<10) + "\n"})
	_, err := loader().Load(filepath.Join(dir, "a.yaml"))
	if got, want := found(dir, err), "a.yaml:6:1: the line has 40962 bytes; a line of a pipeline file has at most 32768"; got != want {
		t.Errorf("found %s\nwant %s", got, want)
	}
}

// What is reported of one file has an end.
func TestManyProblems(t *testing.T) {
	var b strings.Builder
	b.WriteString(named("a"))
	for i := range 5000 {
		fmt.Fprintf(&b, "key%d: 1\n", i)
	}
	dir := put(t, map[string]string{"a.yaml": b.String()})
	_, err := loader().Load(filepath.Join(dir, "a.yaml"))
	var invalid *config.InvalidError
	if !errors.As(err, &invalid) || len(invalid.Problems) != 201 || !strings.Contains(invalid.Problems[200].Text, "more than 200 problems") {
		t.Errorf("%d problems, the last: %s", len(invalid.Problems), invalid.Problems[len(invalid.Problems)-1])
	}
}

// The detail of a problem shows the line, marks the place and says what to do.
func TestDetail(t *testing.T) {
	dir := put(t, map[string]string{"a.yaml": named("a") + "lmits:\t{drain: 5s}\nlog: {level: 'über', format: jsn}\n"})
	_, err := loader().Load(filepath.Join(dir, "a.yaml"))
	got := strings.ReplaceAll(detail(err), dir+"/", "")
	want := "a.yaml:6:1: unknown key \"lmits\" in a pipeline file\n" +
		"    6 | lmits:\t{drain: 5s}\n" +
		"      | ^^^^^\n" +
		"        = did you mean limits?\n" +
		"a.yaml:7:14: level is one of debug, info, warn, error, disabled, not \"über\"\n" +
		"    7 | log: {level: 'über', format: jsn}\n" +
		"      |              ^^^^^^\n" +
		"a.yaml:7:30: format is one of auto, json, console, not \"jsn\"\n" +
		"    7 | log: {level: 'über', format: jsn}\n" +
		"      |                              ^^^\n" +
		"        = did you mean json?\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Windows line ends and a byte order mark change neither values nor places.
func TestLineEnds(t *testing.T) {
	text := strings.ReplaceAll(named("a")+"stages:\n  - filter: \"x\" == y\n  - filter: b >\n", "\n", "\r\n")
	dir := put(t, map[string]string{"a.yaml": "\ufeff" + text})
	_, err := loader().Load(filepath.Join(dir, "a.yaml"))
	want := "a.yaml:7:17: reading YAML: something follows the closing \"\na.yaml:8:16: filter: the expression ends too early"
	if got := found(dir, err); got != want {
		t.Errorf("found\n%s\nwant\n%s", got, want)
	}
}

const overridden = `pipeline: p
source:
  replay: {files: [in.jsonl], as: value}
stages:
  - filter: delay >= 15
  - filter: delay >= 20
  - name: weather
    http: {url: "http://127.0.0.1/x", into: w}
sinks:
  - http: {url: "http://127.0.0.1/x"}
  - stdout: {}
`

func TestSet(t *testing.T) {
	dir := put(t, map[string]string{"a.yaml": overridden})
	l := loader()
	l.Set = []string{
		"pipeline=q", "source.replay.files=[x.jsonl, y.jsonl]", "stages.filter-2.filter=delay == 1 ? true : false",
		"stages.weather.workers=8", "stages[2].http.into=v", "stages.weather.retry.attempts=2", "sinks.http.batch.records=5", "sinks.1.stdout.as=${AS:-fixture}",
		"limits.drain=3s", "admin.listen=127.0.0.1:1",
	}
	p := mustLoad(t, l, filepath.Join(dir, "a.yaml")).Pipelines[0]
	if p.Name != "q" || len(p.Source.Settings.(*replay.Settings).Files) != 2 || string(p.Source.Settings.(*replay.Settings).Files[1]) != filepath.Join(dir, "y.jsonl") {
		t.Errorf("source %+v of %s", p.Source.Settings, p.Name)
	}
	if got := p.Stages[1].Settings.(*stages.FilterSettings).When.String(); got != "delay == 1 ? true : false" {
		t.Errorf("expression %q", got)
	}
	w := p.Stages[2]
	if w.Workers != 8 || w.Window != 512 || w.Retry.Attempts != 2 || w.Settings.(*httpstage.Settings).Into != "v" {
		t.Errorf("step %+v", w)
	}
	if p.Sinks[0].Name != "http" || p.Sinks[0].Batch.Records != 5 {
		t.Errorf("sinks %+v", p.Sinks)
	}
	if p.Sinks[1].Settings.(*sinks.StdoutSettings).As != "fixture" || p.Limits.Drain != 3*time.Second || p.Admin.Listen != "127.0.0.1:1" {
		t.Errorf("%+v %+v", p.Sinks[1].Settings, p.Process)
	}
}

func TestSetErrors(t *testing.T) {
	dir := put(t, map[string]string{"a.yaml": overridden})
	l := loader()
	l.Set = []string{
		"nonsense", "=3", "stages.wether.workers=8", "stages[9].workers=1", "stages.weather.wrkers=8", "stages.weather.timeout=500",
		"stages.filter.filter=delay >= uper(a)", "limits.drain=${NOWHERE}", "limits[0]=1", "lmits.drain=3s", "stages.filter.filter=!active",
		"log={level: info, level: debug}", "order={key: concat(a, b)}",
	}
	_, err := l.Load(filepath.Join(dir, "a.yaml"))
	want := `--set:1:1: this is no path=value
--set:2:1: this is no path=value
--set:3:8: there is no wether
--set:4:7: there is no [9]
--set:5:16: unknown key "wrkers" in a stage
--set:6:24: timeout takes a duration like 500ms or 10s, not 500
--set:8:14: the variable NOWHERE is not set
--set:9:7: [0] stands behind what is no list
--set:10:1: unknown key "lmits" in a pipeline file
--set:12:19: the key "level" stands twice
--set:13:13: reading YAML: within { } and [ ], a comma ends the text`
	if got := found(dir, err); got != want {
		t.Errorf("found\n%s\nwant\n%s", got, want)
	}
}

// A path is relative to its file, wherever the process stands.
func TestPaths(t *testing.T) {
	dir := put(t, map[string]string{"a.yaml": `pipeline: p
source:
  replay: {files: [in.jsonl, /abs/in.jsonl, "-"]}
sinks:
  - file: {path: "out/{origin}.jsonl"}
  - file: {path: "/abs/{origin}.jsonl"}
`})
	p := mustLoad(t, loader(), filepath.Join(dir, "a.yaml")).Pipelines[0]
	files := p.Source.Settings.(*replay.Settings).Files
	if fmt.Sprint(files) != fmt.Sprint([]settings.Path{settings.Path(filepath.Join(dir, "in.jsonl")), "/abs/in.jsonl", "-"}) {
		t.Errorf("files %v", files)
	}
	path := p.Sinks[0].Settings.(*filesink.Settings).Path
	if path.String() != filepath.Join(dir, "out/{origin}.jsonl") {
		t.Errorf("path %q", path.String())
	}
	if s := p.Sinks[1].Settings.(*filesink.Settings).Path; s.String() != "/abs/{origin}.jsonl" {
		t.Errorf("path %q", s.String())
	}
	if p.Dir != dir {
		t.Errorf("folder %q", p.Dir)
	}
}

func TestVariables(t *testing.T) {
	p := mustLoad(t, loader(), filepath.Join(testdata, "variables.good.yaml")).Pipelines[0]
	if p.Stages[0].Workers != 3 || p.Stages[0].Settings.(*stages.FilterSettings).When.String() != "delay >= 15" {
		t.Errorf("filter %+v", p.Stages[0])
	}
	got := map[string]string{}
	for _, f := range p.Stages[1].Settings.(*stages.MapSettings).Set {
		got[string(f.Name)] = f.Value.String()
	}
	for name, want := range map[string]string{"literal": "'${HOST} and $HOST'", "host": "'example'", "not_yaml": `"a: [b, #c"`} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if f := p.Source.Settings.(*replay.Settings).Files[0]; filepath.Base(string(f)) != "example.jsonl" {
		t.Errorf("file %s", f)
	}
	if p.Limits.Drain != 5*time.Second {
		t.Errorf("drain %v", p.Limits.Drain)
	}
}

// A mapping whose order counts keeps it.
func TestOrderOfFields(t *testing.T) {
	dir := put(t, map[string]string{"a.yaml": named("a") + "stages:\n  - map: {set: {z: a, b: c, y: d, a: e}}\n"})
	p := mustLoad(t, loader(), filepath.Join(dir, "a.yaml")).Pipelines[0]
	var names []string
	for _, f := range p.Stages[0].Settings.(*stages.MapSettings).Set {
		names = append(names, string(f.Name))
	}
	if got := strings.Join(names, ""); got != "zbya" {
		t.Errorf("order %s", got)
	}
}

func TestWarnings(t *testing.T) {
	dir := put(t, map[string]string{"a.yaml": `pipeline: p
source:
  replay: {files: [in.jsonl], as: value}
stages:
  - filter: origin == "A" # B"
  - http: {url: "http://127.0.0.1/x", into: w}
    deadline: 30s
    window: 1000
sinks:
  - stdout: {}
    timeout: 40s
limits: {in_flight: 500}
`})
	set := mustLoad(t, loader(), filepath.Join(dir, "a.yaml"))
	var lines []string
	for _, w := range set.Warnings {
		if w.Severity != config.SeverityWarning || w.Suggestion == "" {
			t.Errorf("warning %+v", w)
		}
		lines = append(lines, strings.TrimPrefix(w.String(), dir+"/"))
	}
	want := `a.yaml:5:27: warning: filter ends here: to YAML, # begins a comment
a.yaml:7:15: warning: the deadline 30s is above the drain budget of 25s: records may be abandoned at a stop
a.yaml:8:13: warning: a window of 1000 never fills: the process has at most 500 records in flight
a.yaml:11:14: warning: the timeout 40s is above the drain budget of 25s: a write may be cut off at a stop`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("warnings\n%s\nwant\n%s", got, want)
	}
}

// The names that a file leaves out are given once each, around those that it gives.
func TestNames(t *testing.T) {
	dir := put(t, map[string]string{"a.yaml": `pipeline: p
source:
  replay: {files: [in.jsonl]}
stages:
  - filter: a
  - filter: b
  - name: filter-2
    filter: c
  - http: {url: "http://127.0.0.1/x", into: w}
sinks:
  - http: {url: "http://127.0.0.1/x"}
  - stdout: {}
  - stdout: {}
`})
	p := mustLoad(t, loader(), filepath.Join(dir, "a.yaml")).Pipelines[0]
	var names []string
	for _, s := range p.Stages {
		names = append(names, s.Name)
	}
	for _, s := range p.Sinks {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "filter filter-3 filter-2 http http-2 stdout stdout-2" {
		t.Errorf("names %s", got)
	}
}

// Secrets stand in no output: neither shown, nor in errors, nor in the hash.
func TestSecrets(t *testing.T) {
	text := `pipeline: p
source:
  replay: {files: [in.jsonl]}
stages:
  - http:
      url: "http://127.0.0.1/x?token=hunter1"
      into: w
      headers: {X-Token: "${file:token}"}
      secret_headers: {Authorization: hunter2}
  - sql: {driver: postgres, dsn: "postgres://u:hunter4@127.0.0.1/db", query: "SELECT 1 WHERE $1", args: [a], into: x}
sinks:
  - stdout: {}
`
	dir := put(t, map[string]string{"a.yaml": text, "token": "hunter3\n"})
	name := filepath.Join(dir, "a.yaml")
	set, err := loader().Load(name)
	if err != nil {
		t.Fatal(detail(err))
	}
	p := set.Pipelines[0]
	shown, err := p.Show()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(shown), "hunter") || strings.Count(string(shown), "***") != 4 {
		t.Errorf("shown:\n%s", shown)
	}
	if s := p.Summary(p.Stages[0].Component, 500) + p.Summary(p.Stages[1].Component, 500); strings.Contains(s, "hunter") {
		t.Errorf("summary %s", s)
	}
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("hunter5"), 0o644); err != nil {
		t.Fatal(err)
	}
	if again := mustLoad(t, loader(), name); again.Hash != set.Hash {
		t.Error("the hash depends on a secret")
	}
	bad := strings.NewReplacer("into: x", "into: x, max_rows: \"${file:token}\"", "into: w", "into: w\n      max_bytes: \"${file:token}\"").Replace(text)
	bad = strings.Replace(bad, "- sql", "- filter: ${file:token} >\n  - sql", 1)
	if err := os.WriteFile(name, []byte(bad), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = loader().Load(name)
	var invalid *config.InvalidError
	if !errors.As(err, &invalid) || len(invalid.Problems) != 3 {
		t.Fatalf("problems %s", detail(err))
	}
	if strings.Contains(detail(err), "hunter") {
		t.Errorf("a message quotes a secret:\n%s", detail(err))
	}
	one := `pipeline: p
source:
  replay: {files: [in.jsonl]}
stages:
  - sql: {driver: postgres, dsn: "postgres://u:hunter4@127.0.0.1/db", qury: x, into: x}
  - http: {url: "http://127.0.0.1/", into: x, secret_headers: {A: hunter5}, nope: 1}
  - sql:
      dsn: "hunter6" y
      path: {a: hunter7, password: hunter8 "x" @}
sinks: []
`
	if err := os.WriteFile(name, []byte(one), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = loader().Load(name)
	if got := detail(err); strings.Count(got, "hunter") != 1 || !strings.Contains(got, "{a: hunter7, password: *******") || !strings.Contains(got, "unknown key \"nope\"") {
		t.Errorf("a message quotes a secret:\n%s", got)
	}
}

// The hash is of what a file means: comments, order of keys and the folder do not
// change it, every value does.
func TestHash(t *testing.T) {
	hash := func(text string) string {
		dir := put(t, map[string]string{"a.yaml": text})
		return mustLoad(t, loader(), filepath.Join(dir, "a.yaml")).Hash
	}
	base := hash(overridden)
	if len(base) != 12 || strings.Trim(base, "0123456789abcdef") != "" {
		t.Errorf("hash %q", base)
	}
	same := strings.Replace(overridden, "pipeline: p\n", "# a comment\n", 1) + "pipeline: p\ndelivery: at_least_once\nlimits: {drain: 25s}\n"
	if hash(same) != base {
		t.Error("the hash depends on how the file is written")
	}
	for _, change := range [][2]string{{"delay >= 15", "delay >= 16"}, {"in.jsonl", "on.jsonl"}, {"name: weather", "name: wether"}, {"into: w}", "into: w}\n    timeout: 9s"}, {"- stdout: {}", "- stdout: {as: fixture}"}} {
		if hash(strings.Replace(overridden, change[0], change[1], 1)) == base {
			t.Errorf("the hash does not see %s", change[1])
		}
	}
}

// What show prints is a pipeline file that means the same.
func TestShow(t *testing.T) {
	for _, name := range []string{"whole", "minimal", "expressions", "anchors", "unix", "admin", "http-statuses"} {
		p := mustLoad(t, loader(), filepath.Join(testdata, name+".good.yaml")).Pipelines[0]
		shown, err := p.Show()
		if err != nil {
			t.Fatal(err)
		}
		dir := put(t, map[string]string{"a.yaml": string(shown)})
		again := mustLoad(t, loader(), filepath.Join(dir, "a.yaml")).Pipelines[0]
		for i := range again.Stages {
			if p.Stages[i].Workers == 0 {
				again.Stages[i].Workers = 0 // the number shown is this machine's
			}
		}
		if got, want := fmt.Sprintf("%+v", plain(again)), fmt.Sprintf("%+v", plain(p)); got != want {
			t.Errorf("%s: shown means\n%s\nwant\n%s", name, got, want)
		}
	}
}

// A list that the file leaves empty is not one that the file leaves out, and what is
// filled in because of the rest of the file is marked as a default.
func TestShowOfListsThatAreFilledIn(t *testing.T) {
	p := mustLoad(t, loader(), filepath.Join(testdata, "http-statuses.good.yaml")).Pipelines[0]
	shown, err := p.Show()
	if err != nil {
		t.Fatal(err)
	}
	var lists []string
	for _, part := range strings.Split(string(shown), "hold_status:")[1:] {
		text, _, _ := strings.Cut(part, "batch:")
		lists = append(lists, strings.Join(strings.Fields(text), " "))
	}
	want := []string{
		"- 3xx # default - 401-402 # default - 405-407 # default - 410-412 # default - 414-417 # default - 421 # default",
		"- 401-402 # default - 407 # default - 421 # default",
		"- 401-404 - 410",
		"[]",
	}
	for i := range want {
		if i >= len(lists) || !strings.HasPrefix(lists[i], want[i]) {
			t.Fatalf("list %d is not %s in\n%s", i, want[i], shown)
		}
	}
	if text := p.Summary(p.Sinks[1].Component, 500); text != "url: http://127.0.0.1/{a}" {
		t.Errorf("the summary says what the file does not: %s", text)
	}
}

func plain(p *config.Pipeline) []any {
	all := []any{p.Name, p.Order.Keep, p.Delivery, p.Limits, p.Log}
	for _, s := range p.Stages {
		all = append(all, s.StageSettings)
	}
	for _, s := range p.Sinks {
		all = append(all, s.Name, s.OutputSettings)
	}
	return all
}

// A library user's own kinds work like those of the catalog.
func TestOwnKinds(t *testing.T) {
	type settings struct {
		Rate  float64        `yaml:"rate" min:"0" max:"1" doc:"share"`
		Any   any            `yaml:"any"`
		Words map[string]int `yaml:"words" min:"1"`
	}
	kinds := append(catalog.Kinds(), config.Kind{
		Section: config.StageSection, Name: "sample", Settings: func() any { return &settings{Rate: 0.5} },
	})
	dir := put(t, map[string]string{
		"good.yaml": named("a") + "stages:\n  - sample: {any: {a: [1, 2.5, true, null, x, \"7\"]}, words: {b: 1}}\n",
		"bad.yaml":  named("a") + "stages:\n  - sample: {rate: 2, words: {}, any: [!x y]}\n",
	})
	l := &config.Loader{Kinds: kinds, Env: lookup}
	s := mustLoad(t, l, filepath.Join(dir, "good.yaml")).Pipelines[0].Stages[0].Settings.(*settings)
	if got := fmt.Sprintf("%v %v %v", s.Rate, s.Any, s.Words); got != "0.5 map[a:[1 2.5 true <nil> x 7]] map[b:1]" {
		t.Errorf("settings %s", got)
	}
	_, err := l.Load(filepath.Join(dir, "bad.yaml"))
	want := "bad.yaml:7:20: rate is at most 1\nbad.yaml:7:30: words has 0 entries; at least 1\nbad.yaml:7:40: the YAML tag !x means nothing here"
	if got := found(dir, err); got != want {
		t.Errorf("found\n%s\nwant\n%s", got, want)
	}
}
