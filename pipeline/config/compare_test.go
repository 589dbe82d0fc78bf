package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const compared = `pipeline: late
source:
  kafka:
    topics: [flights]
    brokers: [127.0.0.1:9092]
    sasl: {mechanism: plain, username: u, password: "${SECRET}"}
order: partition
stages:
  - name: one
    script: {file: one.star}
  - name: two
    filter: delay >= 15
  - name: ask
    http: {url: "http://127.0.0.1:1/", into: w, auth: {bearer: {token: "${TOKEN}"}}}
    workers: 4
    limit: [api]
sinks:
  - name: out
    when: delay > 30
    file: {path: out.jsonl}
  - name: all
    stdout: {}
dead_letter:
  file: {path: dead.jsonl}
limits:
  drain: 10s
  rates:
    api: {rate: 5/s}
log:
  level: info
`

// TestCompare: what of a file is another than before, which of that a running process cannot change, and where that stands. A comment, the order
// of keys, a default that is written out and what a file beside it holds count as what they are.
func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string // in the file; "": the same
		script   string // what the script holds then
		env      map[string]string
		want     string // of each stage and sink, whether it is the same; or the first problem
	}{
		"nothing":              {want: "stages [true true true] sinks [true true] whens [true true] dead true order true none true"},
		"a comment":            {"order: partition", "# as it comes\norder: partition # in lanes", "", nil, "stages [true true true] sinks [true true] whens [true true] dead true order true none true"},
		"the order of keys":    {"    workers: 4\n    limit: [api]", "    limit: [api]\n    workers: 4", "", nil, "stages [true true true] sinks [true true] whens [true true] dead true order true none true"},
		"a default":            {"    workers: 4", "    timeout: 10s\n    workers: 4", "", nil, "stages [true true true] sinks [true true] whens [true true] dead true order true none true"},
		"a stage":              {"delay >= 15", "delay >= 16", "", nil, "stages [true false true] sinks [true true] whens [true true] dead true order true none false"},
		"workers":              {"workers: 4", "workers: 5", "", nil, "stages [true true false] sinks [true true] whens [true true] dead true order true none false"},
		"a script":             {"", "", "def process(r):\n  return None\n", nil, "stages [false true true] sinks [true true] whens [true true] dead true order true none false"},
		"a secret":             {"", "", "", map[string]string{"TOKEN": "other"}, "stages [true true false] sinks [true true] whens [true true] dead true order true none false"},
		"a when":               {"delay > 30", "delay > 31", "", nil, "stages [true true true] sinks [true true] whens [false true] dead true order true none false"},
		"a sink":               {"out.jsonl", "other.jsonl", "", nil, "stages [true true true] sinks [false true] whens [true true] dead true order true none false"},
		"a name":               {"name: two", "name: deux", "", nil, "stages [true false true] sinks [true true] whens [true true] dead true order false none false"},
		"one less":             {"  - name: two\n    filter: delay >= 15\n", "", "", nil, "stages [true true] sinks [true true] whens [true true] dead true order false none false"},
		"the dead letters":     {"dead.jsonl", "d.jsonl", "", nil, "stages [true true true] sinks [true true] whens [true true] dead false order true none false"},
		"the level":            {"level: info", "level: warn", "", nil, "stages [true true true] sinks [true true] whens [true true] dead true order true none true"},
		"a rate":               {"5/s", "6/s", "", nil, "stages [true true true] sinks [true true] whens [true true] dead true order true none true"},
		"the kind of a rate":   {"rate: 5/s", "rate: 5/s, per: host", "", nil, "p.yaml:28:10: limits.rates.api: whether it is per host is another than in the process that runs"},
		"the source":           {"topics: [flights]", "topics: [delays]", "", nil, "p.yaml:3:3: source is another than in the process that runs"},
		"a secret of a source": {"", "", "", map[string]string{"SECRET": "0ther"}, "p.yaml:3:3: source is another than in the process that runs"},
		"the order":            {"order: partition", "order: key", "", nil, "p.yaml:7:8: order is another than in the process that runs"},
		"the drain":            {"drain: 10s", "drain: 11s", "", nil, "p.yaml:26:10: limits.drain is another than in the process that runs"},
		"a limit more":         {"drain: 10s", "drain: 10s\n  in_flight: 7", "", nil, "p.yaml:27:14: limits.in_flight is another than in the process that runs"},
		"an endpoint":          {"log:", "admin: {listen: 127.0.0.1:9600}\nlog:", "", nil, "p.yaml:29:8: admin is another than in the process that runs"},
		"traces":               {"log:", "traces: {endpoint: \"http://127.0.0.1:4318\"}\nlog:", "", nil, "p.yaml:29:9: traces is another than in the process that runs"},
		"the pipeline":         {"pipeline: late", "pipeline: early", "", nil, `p.yaml:1:11: the process does not run a pipeline of the name "early"`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := put(t, map[string]string{"p.yaml": compared, "one.star": "def process(r):\n  return r\n"})
			env := map[string]string{"SECRET": "s3cret", "TOKEN": "t0ken"}
			l := loader()
			l.Env = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
			before := mustLoad(t, l, filepath.Join(dir, "p.yaml"))
			now := compared
			if c.old != "" {
				now = strings.Replace(now, c.old, c.new, 1)
				if now == compared {
					t.Fatal("nothing is replaced")
				}
			}
			if c.script != "" {
				if err := os.WriteFile(filepath.Join(dir, "one.star"), []byte(c.script), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for k, v := range c.env {
				env[k] = v
			}
			if err := os.WriteFile(filepath.Join(dir, "p.yaml"), []byte(now), 0o600); err != nil {
				t.Fatal(err)
			}
			after := mustLoad(t, l, filepath.Join(dir, "p.yaml"))
			all, err := after.Compare(before)
			got := found(dir, err)
			if err == nil {
				d := all[0]
				got = fmt.Sprintf("stages %v sinks %v whens %v dead %v order %v none %v", d.Stages, d.Sinks, d.Whens, d.DeadLetter, d.Order, d.IsNone())
			}
			if first, _, _ := strings.Cut(got, "\n"); first != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if strings.Contains(detail(err), "t0ken") || strings.Contains(detail(err), "s3cret") {
				t.Error("a secret is shown")
			}
			if changed := after.ChangedRates(before); len(changed) != map[bool]int{true: 1}[strings.Contains(name, "rate")] {
				t.Errorf("changed rates: %v", changed)
			}
		})
	}
}
