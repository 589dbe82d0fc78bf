package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/source/tail"
)

// eventPages are the pages that tell operators about events and their keys in words. Those of queries are held against the contract
// as programs too (pipeline/dashboards).
var eventPages = []string{
	"README.md", "docs/operations.md", "docs/queries.md", "docs/dashboards.md", "docs/dashboards-prometheus.md", "docs/architecture.md",
}

// otherNames stand in the pages and look like names of the log or of a pipeline file, and are neither.
var otherNames = []string{
	"connections.max.reauth.ms", "max.message.bytes", "offsets.retention.minutes", "retention.ms", "transaction.timeout.ms", // settings of Kafka
	"tls_config", "scrape_native_histograms", "job_name", "relabel_configs", // of Prometheus
	"dropped_total", "written_total", // in log of /api/v1/stats
	"left_out",                                                                  // in the lines of /api/v1/tap
	"not_kafka",                                                                 // an error_type of brokers
	"last_seen",                                                                 // a key that a program of queries.md makes
	"pipeline_extracted",                                                        // Loki's name for a key that is a label too
	"penstock.log",                                                              // a file
	"default_transaction_read_only",                                             // of PostgreSQL
	"auth_enabled",                                                              // of Loki
	"log_dropped_total", "e2e_ms", "latency_ms", "rate_errors", "rate_rejected", // members of top --json
}

// gaps are the reasons of source.gap.
var gaps = []string{kafka.GapDeleted, kafka.GapBeyond, kafka.GapRecreated, "log_cut", "topic_deleted", tail.GapCut, tail.GapGone}

var (
	inBackticks = regexp.MustCompile("`[^`\n]+`")
	fenced      = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	plainName   = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	likeName    = regexp.MustCompile(`^[a-z][a-z0-9]*(?:[._][a-z0-9]+)+$`)
	fileName    = regexp.MustCompile(`\.(?:md|ya?ml|jsonl?|go|jq|pem|log|txt)$`)
	joined      = regexp.MustCompile(`^(?:,? and |,? or |, | \(| \| | )$`)
	// An event in a text of a program, or behind a flag.
	eventInFence = regexp.MustCompile(`"(?:process|config|pipeline|source|step|sink|record|error|circuit|backpressure|commit|transaction|panic|log|replay)\.[a-z_.]+"`)
	snakeCase    = regexp.MustCompile(`\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b`)
	belongsTo    = regexp.MustCompile(`^ (?:of|in) $`)
)

// A contractOfPages is what names in the pages may be.
type contractOfPages struct {
	keys   map[string]map[string]event.Field // of each event
	always map[string]bool                   // names that are known from elsewhere: settings, reasons, values
	named  map[string]bool                   // those that are settings
}

func newContractOfPages(t *testing.T, registry []event.Definition) *contractOfPages {
	t.Helper()
	c := &contractOfPages{keys: map[string]map[string]event.Field{}, always: map[string]bool{}, named: map[string]bool{}}
	for i := range registry {
		keys := map[string]event.Field{}
		for _, f := range append(event.Envelope(), registry[i].Fields()...) {
			keys[f.Key] = f
			for _, v := range f.Enum {
				c.always[v] = true
			}
		}
		c.keys[registry[i].Name] = keys
	}
	for _, f := range event.Envelope() {
		c.always[f.Key] = true
	}
	for _, name := range otherNames {
		c.always[name] = true
	}
	text, err := os.ReadFile(filepath.Join(repo, "docs", "reference", "reasons.md")) // which is made of the code
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)`").FindAllSubmatch(text, -1) {
		c.always[string(m[1])] = true
	}
	schema, err := config.Schema(catalog.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(schema, &tree); err != nil {
		t.Fatal(err)
	}
	c.settings(tree)
	return c
}

// settings takes the names of settings out of a JSON Schema.
func (c *contractOfPages) settings(v any) {
	switch x := v.(type) {
	case map[string]any:
		properties, _ := x["properties"].(map[string]any)
		for name := range properties {
			c.always[name], c.named[name] = true, true
		}
		for _, inner := range x {
			c.settings(inner)
		}
	case []any:
		for _, inner := range x {
			c.settings(inner)
		}
	}
}

// known says whether a name that looks like one of the log or of a file exists: an event, a key of one, a value, a reason,
// or a setting, with those that it stands under.
func (c *contractOfPages) known(name string) bool {
	if c.keys[name] != nil || c.always[name] {
		return true
	}
	for _, keys := range c.keys {
		if _, ok := keys[name]; ok {
			return true
		}
	}
	parts := strings.Split(name, ".")
	return len(parts) > 1 && !slices.ContainsFunc(parts, func(p string) bool { return !c.named[p] })
}

// has says whether an event has a key, or a key that may have that value.
func (c *contractOfPages) has(ev, name string) bool {
	if _, ok := c.keys[ev][name]; ok {
		return true
	}
	for _, f := range c.keys[ev] {
		if slices.Contains(f.Enum, name) || ev == "source.gap" && f.Key == "reason" && slices.Contains(gaps, name) || f.Key == "reason" && f.Enum == nil && c.always[name] {
			return true
		}
	}
	return false
}

// A naming is a key that a page says an event has.
type naming struct{ event, key string }

// inFences gives what is wrong in the blocks of code of a page: names of events in all of them, and in what a terminal shows words
// that look like keys, values and reasons. Queries are held against the contract as programs (pipeline/dashboards).
func (c *contractOfPages) inFences(page, text string) (problems []string, named int) {
	for _, block := range fenced.FindAllString(text, -1) {
		lang, _, _ := strings.Cut(strings.TrimLeft(block, " `"), "\n")
		for _, name := range eventInFence.FindAllString(block, -1) {
			name = strings.Trim(name, `"`)
			if named++; c.keys[name] == nil && !fileName.MatchString(name) {
				problems = append(problems, page+": "+name+" in a block of code is no event")
			}
		}
		if lang != "" && lang != "text" || strings.Contains(block, "jq ") {
			continue
		}
		for _, name := range snakeCase.FindAllString(block, -1) {
			if named++; !c.known(name) {
				problems = append(problems, page+": "+name+" in a block of code is no key, value, reason or setting")
			}
		}
	}
	return problems, named
}

// check holds a page against the contract. It gives what is wrong, and what the page names.
func (c *contractOfPages) check(page, text string) (problems []string, events []string, namings []naming, loose []string) {
	problems, _ = c.inFences(page, text)
	text = fenced.ReplaceAllString(text, "")
	fail := func(format string, args ...any) {
		problems = append(problems, page+": "+fmt.Sprintf(format, args...))
	}
	for line := range strings.Lines(text) {
		ev, before := "", "" // the event that the words before are about, and the name in front
		end := 0             // of the name in front
		for _, at := range inBackticks.FindAllStringIndex(line, -1) {
			name, between := line[at[0]+1:at[1]-1], line[end:at[0]]
			if !joined.MatchString(between) {
				if belongsTo.MatchString(between) && c.keys[name] != nil && plainName.MatchString(before) {
					namings = append(namings, naming{name, before})
					if !c.has(name, before) {
						fail("%s has no key %s", name, before)
					}
				}
				ev = ""
			}
			switch {
			case fileName.MatchString(name):
			case c.keys[name] != nil:
				ev, events = name, append(events, name)
			case ev != "" && plainName.MatchString(name):
				namings = append(namings, naming{ev, name})
				if !c.has(ev, name) {
					fail("%s has no key %s, and no key that may be it", ev, name)
				}
			case likeName.MatchString(name):
				loose = append(loose, name)
				if !c.known(name) {
					fail("%s is no event, key, value, reason or setting", name)
				}
			}
			before, end = name, at[1]
		}
	}
	return problems, events, namings, loose
}

func readPage(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repo, page))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestEventsInTheDocumentsExist: what a page names in backticks beside an event is a key of it, or a value of one, and what
// looks like a name of the log or of a pipeline file is one.
func TestEventsInTheDocumentsExist(t *testing.T) {
	c := newContractOfPages(t, event.Registry)
	events, namings, loose, inCode := 0, 0, 0, 0
	for _, page := range eventPages {
		_, named := c.inFences(page, readPage(t, page))
		inCode += named
		problems, e, n, l := c.check(page, readPage(t, page))
		for _, p := range problems {
			t.Error(p)
		}
		events, namings, loose = events+len(e), namings+len(n), loose+len(l)
	}
	t.Logf("%d events, %d keys beside them, %d other names, %d names in blocks of code", events, namings, loose, inCode)
	if events < 50 || namings < 30 || loose < 60 || inCode < 50 {
		t.Error("the pages name fewer than they should")
	}
}

// renamed gives the registry with an event, or a key of one event or of all, under another name.
func renamed(registry []event.Definition, ev, key string) []event.Definition {
	registry = slices.Clone(registry)
	for i := range registry {
		switch {
		case ev != "" && registry[i].Name != ev:
			continue
		case key == "":
			registry[i].Name += "_renamed"
			continue
		}
		of := reflect.TypeOf(registry[i].Struct)
		var fields []reflect.StructField
		for j := range of.NumField() {
			f := of.Field(j)
			f.Offset, f.Index = 0, nil
			f.Tag = reflect.StructTag(strings.Replace(string(f.Tag), `json:"`+key+`"`, `json:"`+key+`_renamed"`, 1))
			fields = append(fields, f)
		}
		registry[i].Struct = reflect.New(reflect.StructOf(fields)).Elem().Interface()
	}
	return registry
}

// TestARenameFailsTheDocuments renames, one at a time, each event that the pages name, each key that stands beside its event, and in
// all events each key that stands alone: the page is wrong then, and says where. So is a misspelt name.
func TestARenameFailsTheDocuments(t *testing.T) {
	oneGoroutine(t)
	c := newContractOfPages(t, event.Registry)
	n := 0
	for _, page := range eventPages {
		text := readPage(t, page)
		_, events, namings, loose := c.check(page, text)
		wants := func(what, ev, key string) {
			n++
			if problems, _, _, _ := newContractOfPages(t, renamed(event.Registry, ev, key)).check(page, text); len(problems) == 0 {
				t.Errorf("%s: nobody notices that %s has another name", page, what)
			}
		}
		slices.Sort(events)
		for _, ev := range slices.Compact(events) {
			wants(ev, ev, "")
		}
		for _, m := range namings {
			if f, ok := c.keys[m.event][m.key]; ok && !c.envelope(f.Key) {
				wants(m.key+" of "+m.event, m.event, m.key)
			}
		}
		slices.Sort(loose)
		for _, key := range slices.Compact(loose) {
			if !c.always[key] && !strings.Contains(key, ".") {
				wants(key, "", key)
			}
		}
	}
	if n < 55 {
		t.Errorf("only %d renames", n)
	}
	t.Logf("%d renames", n)
	for _, wrong := range []string{"`lag_agee_ms`", "`step.stats` `throttledd`", "`step.stats` (`throttled`, `errorz`)", "`returnedd` of `source.revoked`",
		"`sink.stalledd`", "`source.gap`, `deletedd`", "`pipeline.stopped` `reason` | `failedd`",
		"```sh\ngrep '\"sink.stalledd\"' penstock.log\n```", "```\norders: weather fails with http_5yy\n```"} {
		if problems, _, _, _ := c.check("page.md", wrong); len(problems) != 1 {
			t.Errorf("%s: %v", wrong, problems)
		}
	}
}

func (c *contractOfPages) envelope(key string) bool {
	return slices.ContainsFunc(event.Envelope(), func(f event.Field) bool { return f.Key == key })
}
