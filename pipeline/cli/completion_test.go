package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/expr"
)

// offered gives what a shell is offered for a command line whose last argument is being typed,
// without descriptions, and the directive behind it.
func offered(t *testing.T, args ...string) (all []string, directive string) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := execute(context.Background(), append([]string{"__complete"}, args...), streams{strings.NewReader(""), &out, &errs}, catalog.Kinds()); code != exitDone {
		t.Fatalf("completing %q ends with %d: %s", args, code, errs.String())
	}
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if d, ok := strings.CutPrefix(line, ":"); ok {
			return all, d
		}
		all = append(all, nameOf(line))
	}
	t.Fatalf("completing %q gives no directive: %s", args, out.String())
	return nil, ""
}

func TestCompletion(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.yaml")
	const text = "pipeline: a\nsource: {kafka: {brokers: [127.0.0.1:9092], topics: [a]}}\nstages:\n  - filter: a > 1\n  - name: weather\n" +
		"    http: {url: 'http://127.0.0.1/{a}', into: w}\n    limit: api\nsinks:\n  - stdout: {}\n" +
		"limits: {rates: {api: {rate: 1/s}}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const noFiles, noSpace, byEnding, anyFile = "4", "6", "8", "0"
	for _, c := range []struct {
		args      []string
		want      string // the offers, or those that are among them when it ends in …
		directive string
	}{
		{[]string{"list", "fil"}, "file filter filterValues", noFiles}, {[]string{"list", ""}, "functions filter http kafka …", noFiles}, {[]string{"list", "filter", ""}, "", noFiles},
		{[]string{"list", "functions", "mer"}, "merge mergeDeep", noFiles}, {[]string{"list", "functions", "header", ""}, "", noFiles},
		{[]string{"list", "capt"}, "capture captureAll", noFiles}, {[]string{"run", "--set", "order="}, "order=key order=none order=partition", noFiles}, {[]string{"eval", "a", "--file", file, "--before", ""}, "filter weather", noFiles},
		{[]string{"run", ""}, "yaml yml", byEnding}, {[]string{"check", file, ""}, "yaml yml", byEnding}, {[]string{"config", "show", ""}, "yaml yml", byEnding}, {[]string{"replay", ""}, "yaml yml", byEnding}, {[]string{"replay", file, ""}, "", anyFile}, {[]string{"test", ""}, "", anyFile}, {[]string{"version", ""}, "", noFiles},
		{[]string{"why", ""}, "yaml yml", byEnding}, {[]string{"status", ""}, "yaml yml", byEnding}, {[]string{"dead-letter", "ls", "a.yaml", ""}, "", noFiles}, {[]string{"dead-letter", "show", "a.yaml", ""}, "", noFiles}, {[]string{"dashboards", "export", ""}, "", noFiles},
		{[]string{"logs", "fmt", ""}, "", anyFile}, {[]string{"logs", "validate", ""}, "", anyFile}, {[]string{"dashboards", "export", "--output", ""}, "", "16"},
		{[]string{"run", "--log-level", "d"}, "debug info warn error disabled", noFiles}, {[]string{"graph", "--format", ""}, "text mermaid dot svg", noFiles}, {[]string{"replay", "--fail-on", ""}, "dead_letter error", noFiles},
		{[]string{"eval", "--as", ""}, "fixture value", noFiles}, {[]string{"check", "--as", ""}, "fixture value", noFiles}, {[]string{"replay", "--as", ""}, "fixture value", noFiles},
		{[]string{"replay", file, "--until", ""}, "filter weather", noFiles}, {[]string{"replay", "--until", ""}, "", noFiles}, {[]string{"replay", "--key", "upper(id) + low"}, "upper(id) + lower(", noSpace}, {[]string{"replay", "--key", "meta.t"}, "meta.time meta.tombstone meta.topic", noSpace},
		{[]string{"run", "--set", "s"}, "sinks. source. stages.", noSpace}, {[]string{"run", "--set", "deliv"}, "delivery=", noSpace}, {[]string{"run", "--set", "delivery="}, "delivery=at_least_once delivery=exactly_once", noFiles},
		{[]string{"run", "--set", "source."}, "source.kafka. source.replay. …", noSpace}, {[]string{"run", file, "--set", "source."}, "source.kafka.", noSpace},
		{[]string{"run", "--set", "stages."}, "stages.0.", noSpace}, {[]string{"run", "--set", "stages.3.retry.a"}, "stages.3.retry.attempts=", noSpace}, {[]string{"run", "--set", "stages[3].retry.a"}, "stages[3].retry.attempts=", noSpace}, {[]string{"run", "--set", "stages.0.filter."}, "stages.0.filter.when=", noSpace},
		{[]string{"check", file, "--set", "stages."}, "stages.0. stages.1. stages.filter. stages.weather.", noSpace}, {[]string{"check", file, "--set", "stages.weather.wo"}, "stages.weather.workers=", noSpace}, {[]string{"check", file, "--set", "stages.filter.dead"}, "", noSpace}, {[]string{"check", file, "--set", "stages.weather.dead"}, "stages.weather.deadline=", noSpace},
		{[]string{"check", file, "--set", "stages.weather.http.redirects="}, "stages.weather.http.redirects=any_host stages.weather.http.redirects=same_host", noFiles}, {[]string{"run", "--set", "limits.dr"}, "limits.drain=", noSpace}, {[]string{"run", "--set", "nothing.x."}, "", noSpace}, {[]string{"run", "--set", "nothing="}, "", noFiles},
		{[]string{"check", file, "--set", "limits.rates."}, "limits.rates.api.", noSpace}, {[]string{"check", file, "--set", "limits.rates.api."}, "limits.rates.api.burst= limits.rates.api.per= limits.rates.api.rate=", noSpace},
		{[]string{"check", "--set", "limits.rates."}, "", noSpace}, {[]string{"check", file, "--set", "stages.weather.b"}, "stages.weather.breaker.", noSpace}, {[]string{"check", file, "--set", "stages.weather.breaker="}, "stages.weather.breaker=off", noFiles},
		{[]string{"dead-letter", "ls", file, "--step", ""}, "filter stdout weather", noFiles}, {[]string{"dead-letter", "replay", file, "--step", "w"}, "weather", noFiles}, {[]string{"dead-letter", "show", "--step", ""}, "", noFiles},
		{[]string{"dead-letter", "replay", file, "--reason", "http_4"}, "http_429 http_4xx", noFiles}, {[]string{"dead-letter", "ls", "--reason", ""}, "attempts egress too_large …", noFiles},
		{[]string{"dead-letter", "ls", ""}, "yaml yml", byEnding}, {[]string{"dead-letter", "show", ""}, "yaml yml", byEnding}, {[]string{"dead-letter", "replay", ""}, "yaml yml", byEnding}, {[]string{"dead-letter", "replay", file, ""}, "", noFiles},
		{[]string{"dead-letter", "ls", file, "--step", "weather,"}, "weather,filter weather,stdout", noFiles}, {[]string{"dead-letter", "replay", file, "--step", "weather,s"}, "weather,stdout", noFiles},
		{[]string{"dead-letter", "show", file, "--reason", "http_429,http_4"}, "http_429,http_4xx", noFiles}, {[]string{"dead-letter", "replay", file, "--to", ""}, "start step", noFiles}, {[]string{"dead-letter", "ls", "--by", ""}, "reason step hour", noFiles},
		{[]string{"dead-letter", "ls", "--from", ""}, "", anyFile}, {[]string{"dead-letter", "ls", "--limit", ""}, "", noFiles}, {[]string{"dead-letter", "replay", "--rate", ""}, "", noFiles}, {[]string{"dead-letter", "replay", "--max-replays", ""}, "", noFiles},
		{[]string{"logs", "fmt", "a.log", ""}, "", anyFile}, {[]string{"logs", "validate", "a.log", ""}, "", anyFile}, {[]string{"logs", "fmt", "--pipeline", ""}, "", noFiles},
		{[]string{"pause", ""}, "yaml yml", byEnding}, {[]string{"loglevel", "d"}, "debug disabled", noFiles}, {[]string{"loglevel", "debug", ""}, "yaml yml", byEnding},
		{[]string{"workers", "s", ""}, "", noFiles}, {[]string{"workers", "s", "3", ""}, "yaml yml", byEnding}, {[]string{"rate", ""}, "", noFiles}, {[]string{"skip", "k", ""}, "yaml yml", byEnding},
		{[]string{"run", "--set", "sinks.0.kafka.partitioner=m"}, "sinks.0.kafka.partitioner=murmur2", noFiles},
	} {
		got, directive := offered(t, c.args...)
		want := strings.Fields(c.want)
		right := strings.Join(got, " ") == c.want
		if n := len(want) - 1; n >= 0 && want[n] == "…" {
			right = !slices.ContainsFunc(want[:n], func(w string) bool { return !slices.Contains(got, w) })
		}
		if !right || directive != c.directive {
			t.Errorf("%q: %q, directive %s, want %s, %s", c.args, got, directive, c.want, c.directive)
		}
	}
	if got, _ := offered(t, "list", "functions", ""); len(got) != len(expr.Functions()) {
		t.Errorf("%d functions are offered, there are %d", len(got), len(expr.Functions()))
	}
}

// TestFlagWordsAreThoseOfTheHelp: the words that are offered stand in the flag's own text.
func TestFlagWordsAreThoseOfTheHelp(t *testing.T) {
	root, _ := newRoot(streams{}, catalog.Kinds())
	all := root.Commands()
	for _, c := range root.Commands() {
		all = append(all, c.Commands()...)
	}
	for name, flags := range flagWords {
		for flag, words := range flags {
			found := false
			for _, c := range all {
				f := c.Flags().Lookup(flag)
				if c.Name() != name || f == nil { // several commands have that name
					continue
				}
				found = true
				for _, w := range words {
					if !strings.Contains(f.Usage, w) && flag != "event" && flag != "kind" { // of those there are many: a list has them
						t.Errorf("%s --%s does not say %s", name, flag, w)
					}
				}
			}
			if !found {
				t.Errorf("no command %s has a flag --%s", name, flag)
			}
		}
	}
}

// TestArgumentsByTheUsageLine: what a command takes is what its usage line says.
func TestArgumentsByTheUsageLine(t *testing.T) {
	c := &cobra.Command{Use: "try EXPR [FILE...]"}
	f := argumentsOf(c, completeFiles("yaml"))
	if got, _ := f(c, nil, "1 + roun"); len(got) == 0 || nameOf(got[0]) != "1 + round(" {
		t.Errorf("an expression is offered %q", got)
	}
	if got, directive := f(c, []string{"1"}, ""); got != nil || directive != cobra.ShellCompDirectiveDefault {
		t.Errorf("behind an expression there is %q, %v", got, directive)
	}
	if argumentsOf(&cobra.Command{Use: "test [PATH...]"}, nil) != nil {
		t.Error("a PATH is not any file")
	}
}
