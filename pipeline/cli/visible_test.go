package cli

import (
	"strings"
	"testing"
	"unicode"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/deadletter"
)

// TestTerminalIsLeftAlone: what records, servers and daemons say is shown without a character that a
// terminal obeys.
func TestTerminalIsLeftAlone(t *testing.T) {
	const bad = "\x1b]0;owned\a\x1b[2J\u009b2J\u202e\rx"
	l := &deadletter.Letter{Pipeline: "late", Step: "step" + bad, Reason: "reason" + bad, Error: "error" + bad, Detail: "detail" + bad, Redacted: []string{"redacted" + bad}}
	l.Record.Init(pipeline.Position{Topic: "topic" + bad}, []byte("key"+bad), []byte("value"+bad), []pipeline.Header{{Name: "header" + bad, Value: []byte(bad)}}, 5)
	l.At.Topic = "dead" + bad
	list := func(by string) func(*strings.Builder) error {
		return func(b *strings.Builder) error {
			p := &letterPrinter{w: b, flags: &listFlags{by: by}, groups: map[string]*letterGroup{}}
			if err := p.add(l, new(bool)); err != nil {
				return err
			}
			return p.end()
		}
	}
	why := admin.Why{Pipelines: []admin.PipelineWhy{{Pipeline: "late", State: "failed", Error: "error" + bad, Holds: []admin.Hold{{Says: "says" + bad}}}}}
	for _, c := range []struct {
		name  string
		print func(*strings.Builder) error
		want  []string
	}{
		{"show", func(b *strings.Builder) error { return showLetter(b, l, new(bool), false) },
			[]string{"step", "reason", "error", "detail", "redacted", "topic", "key", "value", "header", "dead"}},
		{"ls", list(""), []string{"step", "reason", "error", "topic", "dead"}},
		{"ls --by step", list("step"), []string{"step"}},
		{"counts", func(b *strings.Builder) error { printCounts(b, map[string]int64{stepAndReason(l): 1}); return nil }, []string{"step", "reason"}},
		{"why", func(b *strings.Builder) error { return showWhy(b, why) }, []string{"error", "says"}},
		{"status", func(b *strings.Builder) error {
			return (&statusView{w: b}).printTable([]pipelineStatus{{Pipeline: "late" + bad, State: "running" + bad, Bottleneck: "ask" + bad}})
		}, []string{"late", "running", "ask"}},
		{"refused", func(b *strings.Builder) error {
			printError(b, &admin.AnswerError{Address: "127.0.0.1:1", Path: "/api/v1/stats", Status: 500, Why: "refused" + bad})
			return nil
		}, []string{"refused"}},
	} {
		var b strings.Builder
		if err := c.print(&b); err != nil {
			t.Fatal(err)
		}
		for _, r := range b.String() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("%s prints %q:\n%q", c.name, r, b.String())
				break
			}
		}
		for _, want := range c.want {
			if !strings.Contains(b.String(), want+`\x1b]0;owned\a`) {
				t.Errorf("%s: no %s in\n%s", c.name, want, b.String())
			}
		}
	}
}
