package dashboards_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/dashboards/internal/query"
	"github.com/penstockio/penstock/pipeline/event"
)

// A fence is a block of code of a page.
type fence struct{ where, lang, text string }

var (
	fenceOf     = regexp.MustCompile("(?ms)^ *```([a-z]*)\n(.*?)^ *```")
	jqProgram   = regexp.MustCompile(`(?:^|[|;&(\s])jq\s[^']*'([^']*)'`)
	promProgram = regexp.MustCompile(`promtool query [^']*'([^']*)'`)
	eventFlag   = regexp.MustCompile(`--event[ =]([a-z_.]+)`)
	eventOfLine = regexp.MustCompile(`"event_name": ?"([a-z_.]+)"`)
	logQLStream = regexp.MustCompile(`\{service_name *=`)
)

func fencesOf(page, text string) (all []fence) {
	for _, m := range fenceOf.FindAllStringSubmatchIndex(text, -1) {
		line := 1 + strings.Count(text[:m[0]], "\n")
		all = append(all, fence{fmt.Sprintf("%s:%d", page, line), text[m[2]:m[3]], text[m[4]:m[5]]})
	}
	return all
}

// problems holds what a fence asks of a log or of metrics against what these have. asked counts queries, lines and names.
func (f fence) problems() (wrong []string, asked int) {
	note := func(err error) {
		if asked++; err != nil {
			wrong = append(wrong, f.where+": "+err.Error())
		}
	}
	switch {
	case f.lang == "logql" || logQLStream.MatchString(f.text):
		note(query.Check(f.text, event.Registry, "service_name"))
		return wrong, asked
	case f.lang == "jq":
		note(query.CheckJQ(f.text, event.Registry))
		return wrong, asked
	case f.lang == "promql":
		note(f.promQL(f.text))
		return wrong, asked
	}
	for _, m := range jqProgram.FindAllStringSubmatch(f.text, -1) {
		note(query.CheckJQ(m[1], event.Registry))
	}
	for _, m := range promProgram.FindAllStringSubmatch(f.text, -1) {
		note(f.promQL(m[1]))
	}
	for line := range strings.Lines(f.text) {
		if strings.HasPrefix(line, "{") && strings.Contains(line, `"event_name"`) {
			note(event.ValidateAll([]byte(line)))
			continue
		}
		for _, m := range slices.Concat(eventFlag.FindAllStringSubmatch(line, -1), eventOfLine.FindAllStringSubmatch(line, -1)) {
			var err error
			if !slices.ContainsFunc(event.Registry, func(d event.Definition) bool { return d.Name == m[1] }) {
				err = fmt.Errorf("there is no event %s", m[1])
			}
			note(err)
		}
	}
	return wrong, asked
}

func (f fence) promQL(expr string) error {
	if _, faults := checkPromQL(metricsThere(), expr); len(faults) > 0 {
		return fmt.Errorf("%s", strings.Join(faults, "; "))
	}
	return nil
}

// TestFencesAskForWhatThereIs: what a block of code of any page asks of a log or of metrics, in LogQL, jq, PromQL or for a shell, names
// events, keys and metrics that there are, and a line of a log in it is a valid one.
func TestFencesAskForWhatThereIs(t *testing.T) {
	oneGoroutine(t)
	root := filepath.Join("..", "..")
	pages, asked := []string{"README.md", "CHANGELOG.md"}, map[string]int{}
	err := fs.WalkDir(os.DirFS(root), "docs", func(p string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(p, ".md") {
			pages = append(pages, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(fencesOf(page, string(text))); 2*n != len(regexp.MustCompile("(?m)^ *```").FindAll(text, -1)) {
			t.Errorf("%s: %d blocks of code can be read, and there are others", page, n)
		}
		for _, f := range fencesOf(page, string(text)) {
			wrong, n := f.problems()
			for _, w := range wrong {
				t.Error(w)
			}
			asked[page] += n
		}
	}
	for page, least := range map[string]int{"docs/queries.md": 60, "docs/reference/panels.md": 200, "docs/dashboards.md": 1, "docs/operations.md": 1} {
		if asked[page] < least {
			t.Errorf("%s asks %d times, want %d at least", page, asked[page], least)
		}
	}
}

// TestFencesAreRead: a name that there is not is found in each kind of block, and one that there is passes.
func TestFencesAreRead(t *testing.T) {
	var line bytes.Buffer
	event.New(&line, event.Options{Instance: "a-1"}).Emit(event.ConfigApplied{ConfigHash: "aaaaaaaaaaaa", Trigger: "start"}, "")
	for _, c := range []struct{ lang, right, wrong string }{
		{"logql", "sum(count_over_time({service_name=\"a\"} |= `\"event_name\":\"step.stats\"` [1m]))", "step.stats step.stat"},
		{"", "{service_name=\"a\"} |= `\"event_name\":\"step.stats\"` | json v=\"lat_p99_ms\"", "lat_p99_ms lat_p99"},
		{"jq", `lines("step.stats"; 60) | sum_over(["step"]; .records_out)`, ".records_out .records_done_out"},
		{"sh", "jq -c 'select(.event_name == \"source.gap\")\n  | {topic, from: .offset_from}' penstock.log", "source.gap source.hole"},
		{"sh", "cat penstock.log | jq -r 'select(.throttled > 0) | .step'", ".throttled .held"},
		{"", "jq -s --argjson at 1 \\\n  \"$(cat penstock.jq)\"' lines(\"step.stats\"; 60)' penstock.log", "step.stats step.stat"},
		{"sh", "penstock logs schema --event step.stats", "step.stats step.stat"},
		{"sh", `grep '"event_name":"step.stalled"' penstock.log`, "step.stalled step.hangs"},
		{"json", line.String(), "config.applied config.taken"},
		{"", line.String(), "config_hash config_hashes"},
		{"promql", `rate(penstock_pipeline_records_in_total[5m])`, "records_in records_read"},
		{"sh", `promtool query instant http://127.0.0.1:9090 'penstock_pipeline_state{state="failed"}'`, "failed dead"},
	} {
		from, to, _ := strings.Cut(c.wrong, " ")
		page := "# A page\n\n```" + c.lang + "\n" + strings.TrimSuffix(c.right, "\n") + "\n```\n"
		for _, f := range fencesOf("page.md", page) {
			if wrong, asked := f.problems(); len(wrong) > 0 || asked != 1 {
				t.Errorf("%q: %v, asked %d times", c.right, wrong, asked)
			}
		}
		found := 0
		for _, f := range fencesOf("page.md", strings.ReplaceAll(page, from, to)) {
			wrong, _ := f.problems()
			found += len(wrong)
		}
		if found != 1 {
			t.Errorf("%q with %s: %d problems", c.right, to, found)
		}
	}
}
