//go:build unix

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/deadletter"
)

// linesOf gives the lines of a file; one that is empty when it is not there.
func linesOf(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// stepFile writes a pipeline whose first step must not see a record twice, whose second calls a
// server, and which has two sinks.
func stepFile(t *testing.T, dir string, o *outage, named string, stages ...string) string {
	t.Helper()
	file := filepath.Join(dir, "steps.yaml")
	text := fmt.Sprintf(`pipeline: steps
source:
  replay: {files: [in.jsonl]}
stages:
  - map: {set: {n: n + 1}}
  - http: {url: "http://%s/{n}", into: answer}
    name: weather
    breaker: off
    retry: {attempts: 2, backoff: 1ms}
%s
sinks:
  - file: {path: all.jsonl}
    name: all
  - file: {path: "%s"}
    name: named
dead_letter:
  file: {path: dead.jsonl}
log: {format: json}
`, o.address, strings.Join(stages, "\n"), named)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestReplayGoesOnWhereItFailed has a sink refuse records: they go on at that sink alone, with the
// value that they had there, and what is in front of it is passed over.
func TestReplayGoesOnWhereItFailed(t *testing.T) {
	o, dir := newOutage(t), t.TempDir()
	var in []string
	for n := range 10 {
		name := "one"
		if n >= 7 {
			name = strings.Repeat("long", 100)
		}
		in = append(in, fmt.Sprintf(`{"topic":"t","partition":2,"offset":%d,"key":"k","payload_json":{"n":%d,"name":%q}}`, 100+n, n, name))
	}
	if err := os.WriteFile(filepath.Join(dir, "in.jsonl"), []byte(strings.Join(in, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	file := stepFile(t, dir, o, "named-{name}.jsonl", "  - map: {set: {m: n * 10}}")

	if code, _, log := penstock(t, "run", file); code != exitDone {
		t.Fatalf("the run ended with %d\n%s", code, log)
	}
	letters := linesOf(t, at("dead.jsonl"))
	if len(letters) != 3 || !strings.Contains(letters[0], `"penstock-step","named"`) {
		t.Fatalf("the letters are %v", letters)
	}

	// Mended: the sink that refused them takes them now, and it alone gets them.
	file = stepFile(t, dir, o, "named.jsonl", "  - map: {set: {m: n * 10}}")
	code, out, log := penstock(t, "dead-letter", "replay", file, "--to", "step")
	if code != exitDone || !strings.Contains(out, "3 delivered, 0 filtered, 0 rejected again\n") {
		t.Fatalf("the replay ended with %d\n%s%s", code, out, log)
	}
	if all := linesOf(t, at("all.jsonl")); len(all) != 10 {
		t.Errorf("the other sink has %d records, not 10: it had them already", len(all))
	}
	for i, line := range linesOf(t, at("named.jsonl")) {
		n := int64(7 + i + 1)
		if gjson.Get(line, "n").Int() != n || gjson.Get(line, "m").Int() != 10*n || gjson.Get(line, "answer.seen").String() != fmt.Sprintf("/%d", n) {
			t.Errorf("line %d is %s", i, line)
		}
	}
}

// TestReplayOfAttempts replays records in this process to a server that fails, twice: they are
// tried at the step that rejected them, with what the step before has made of them, and the
// attempts add up. The errors name the record where it was read.
func TestReplayOfAttempts(t *testing.T) {
	o, dir := newOutage(t), t.TempDir()
	o.fail.Store(true)
	in := `{"topic":"t","partition":2,"offset":41,"key":"k","headers":["trace","x"],"payload_json":{"n":1,"name":"one"}}` + "\n"
	if err := os.WriteFile(filepath.Join(dir, "in.jsonl"), []byte(in), 0o644); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	file := stepFile(t, dir, o, "named.jsonl")
	if code, _, log := penstock(t, "run", file); code != exitDone {
		t.Fatalf("the run ended with %d\n%s", code, log)
	}
	for life := 2; life <= 3; life++ {
		code, out, log := penstock(t, "dead-letter", "replay", file, "--to", "step")
		if code != exitExpectation || !strings.Contains(out, "1 of 1 letter replayed") || !strings.Contains(out, "1 rejected again\n") ||
			!strings.Contains(log, `"topic":"t","partition":2,"offset":41`) {
			t.Fatalf("replay %d ended with %d\n%s%s", life, code, out, log)
		}
		lines := linesOf(t, at("dead.jsonl"))
		if len(lines) != life {
			t.Fatalf("after %d lives there are %d letters", life, len(lines))
		}
		headers := map[string]string{}
		all := gjson.Get(lines[life-1], "headers").Array()
		for i := 0; i < len(all); i += 2 {
			headers[all[i].String()] = all[i+1].String()
		}
		if headers[deadletter.Attempts] != fmt.Sprint(2*life) || headers[deadletter.Replays] != fmt.Sprint(life-1) ||
			headers[deadletter.Value] != `{"n":2,"name":"one"}` || headers[deadletter.Replayed] != "" || headers["trace"] != "x" ||
			gjson.Get(lines[life-1], "payload_json.n").Int() != 1 || headers[deadletter.Offset] != "41" {
			t.Fatalf("in its life %d the letter is %s", life, lines[life-1])
		}
	}
	o.fail.Store(false)
	if code, out, log := penstock(t, "dead-letter", "replay", file, "--to", "step"); code != exitDone || !strings.Contains(out, "1 delivered, 0 filtered, 0 rejected again\n") {
		t.Fatalf("the last replay ended with %d\n%s%s", code, out, log)
	}
	if got := linesOf(t, at("all.jsonl")); len(got) != 1 || got[0] != `{"n":2,"name":"one","answer":{"seen":"/2"}}` {
		t.Errorf("in the end came %v", got)
	}
}

// TestWhereLettersGoOn places letters of a file by their step.
func TestWhereLettersGoOn(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p.yaml")
	text := `pipeline: p
source:
  replay: {files: [in.jsonl]}
stages:
  - filter: a > 0
  - dedupe: id
  - map: {set: {a: 1}}
    name: value
  - validate: {schema: {inline: {type: object}}}
  - redact: {headers: [x]}
    name: headers
  - split: legs
sinks:
  - file: {path: out.jsonl}
    name: out
dead_letter:
  file: {path: dead.jsonl}
`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, g := newRoot(streams{}, catalog.Kinds())
	box, err := openLetters(g, file, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		step    string
		changed bool
		begins  int
		sink    string
		refused string
	}{
		{"filter", false, 0, "", ""},
		{"key", false, 0, "", ""},
		{"value", false, 2, "", ""},
		{"validate", false, 0, "", refusedValue},
		{"validate", true, 3, "", ""},
		{"headers", true, 4, "", ""},
		{"split", true, 0, "", refusedRest},
		{"out", true, 0, "", refusedRest},
		{"gone", true, 0, "", refusedStep},
		{"filter", true, 0, "", refusedSteps},
	} {
		l := &deadletter.Letter{Step: c.step, Changed: c.changed}
		got, refused := box.toStep(l)
		if refused != c.refused || refused == "" && (got.step != c.begins || got.sink != c.sink) {
			t.Errorf("%s, value there %v: goes to %d %s, refused %q", c.step, c.changed, got.step, got.sink, refused)
		}
	}
	stages := box.file.Stages
	box.file.Stages = stages[:4]
	if got, refused := box.toStep(&deadletter.Letter{Step: "out", Changed: true}); refused != "" || got.step != 4 || got.sink != "out" {
		t.Errorf("of a sink: %+v, %q", got, refused)
	}
	box.file.Stages = []config.Stage{stages[5], stages[2]} // since the letter was written a split was put in front
	if _, refused := box.toStep(&deadletter.Letter{Step: "value", Changed: true}); refused != refusedValue {
		t.Errorf("behind a split: refused %q", refused)
	}

	chooser := &letterChooser{box: box, maxReplays: 3, place: toFirst}
	for _, c := range []struct {
		l    deadletter.Letter
		want string
	}{
		{deadletter.Letter{Replays: 2}, ""},
		{deadletter.Letter{Replays: 3}, refusedReplays},
		{deadletter.Letter{Redacted: []string{"key"}}, refusedRedacted},
		{deadletter.Letter{Redacted: []string{"key", "value"}}, refusedNoValue},
	} {
		if _, got := chooser.judge(&c.l); got != c.want {
			t.Errorf("%+v: refused %q", c.l, got)
		}
	}
	back := box.toTopics(map[string]int32{"t": 2})
	for _, c := range []struct {
		pos  pipeline.Position
		want string
	}{
		{pipeline.Position{Topic: "t", Partition: 1}, ""},
		{pipeline.Position{Topic: "t", Partition: 2}, refusedPartition},
		{pipeline.Position{Topic: "u", Partition: 1}, refusedTopic},
	} {
		l := &deadletter.Letter{}
		l.Record.Position = c.pos
		if _, got := back(l); got != c.want {
			t.Errorf("%v: refused %q", c.pos, got)
		}
	}
}
