package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/fixture"
)

// TestCasesReference: the page about cases has every setting of a case.yaml, and its archive and
// its wanted lines are right.
func TestCasesReference(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repo, "docs", "reference", "cases.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for f := range reflect.TypeFor[caseSettings]().Fields() {
		if name := f.Tag.Get("yaml"); !strings.Contains(page, "\n| `"+name+"` |") {
			t.Errorf("the table of case.yaml has no row of %s", name)
		}
	}
	inFence := func(lang, part string) string {
		for _, block := range strings.Split(page, "```"+lang+"\n")[1:] {
			if block, _, _ = strings.Cut(block, "```"); strings.Contains(block, part) {
				return block
			}
		}
		t.Fatalf("no block %s holds %s", lang, part)
		return ""
	}
	wanted(t, inFence("json", "penstock-reason"))
	file := filepath.Join(t.TempDir(), "flights.txtar")
	if err := os.WriteFile(file, []byte(inFence("text", "-- pipeline.yaml --")), 0o600); err != nil {
		t.Fatal(err)
	}
	cases, err := findCases([]string{file}, catalog.Kinds())
	if err != nil || len(cases) != 2 || cases[0].name != "flights/late" {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		if r := c.run(t.Context(), nil, false); !r.ok() || r.records != 1 {
			t.Errorf("%s: %d records\n%s", c.name, r.records, r.text())
		}
	}
}

// TestAnswersReference: the page about cases has every key of an answer, and its answers can be read.
func TestAnswersReference(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repo, "docs", "reference", "cases.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Answers\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for f := range reflect.TypeFor[answer]().Fields() {
		if name := f.Tag.Get("json"); !strings.Contains(section, "\n| `"+name+"` |") || !strings.Contains(answerFields, name) {
			t.Errorf("the table of answers or their errors have no %s", name)
		}
	}
	_, lines, _ := strings.Cut(section, "```json\n")
	lines, _, _ = strings.Cut(lines, "```")
	read := 0
	for line := range strings.Lines(lines) {
		a, err := readAnswer([]byte(line))
		if err != nil || len(a.Headers)%2 != 0 {
			t.Errorf("%s: %v", line, err)
		}
		read++
	}
	if read < 3 {
		t.Errorf("%d answers", read)
	}
}

// TestFixturesReference: the page about fixtures has every key of a line with an example that has it,
// and what it says of what is written is so.
func TestFixturesReference(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repo, "docs", "reference", "fixtures.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	read := func(line string) *pipeline.Record {
		t.Helper()
		rec := new(pipeline.Record)
		if _, err := fixture.NewReader(strings.NewReader(line), "in.jsonl").Next(rec); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		return rec
	}
	_, err = fixture.NewReader(strings.NewReader(`{"none":1}`), "x").NextPartial() // it names those that there are
	_, names, found := strings.Cut(err.Error(), "known are ")
	names, _, _ = strings.Cut(names, ";")
	if !found {
		t.Fatal(err)
	}
	for _, key := range strings.Split(names, ", ") {
		_, row, found := strings.Cut(page, "\n| `"+key+"` | `")
		example, _, _ := strings.Cut(row, "` |")
		if !found || !strings.Contains(example, `"`+key+`":`) {
			t.Errorf("no row of %s with an example", key)
			continue
		}
		plain := read(`{"payload":"x"}`)
		if rec := read(example); key != "sink" && string(fixture.Append(nil, rec, "")) == string(fixture.Append(nil, plain, "")) {
			t.Errorf("%s says nothing of %s", example, key)
		}
	}
	pairs := 0
	for row := range strings.Lines(page) {
		line, written, both := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(row, "| `"), "` |\n"), "` | `")
		if !both || line[0] != '{' {
			continue
		}
		pairs++
		if got := string(fixture.Append(nil, read(line), "")); got != written+"\n" {
			t.Errorf("%s is written as %s", line, got)
		}
	}
	blocks := strings.Split(page, "```json\n")[1:]
	for _, block := range blocks {
		line, _, _ := strings.Cut(block, "\n")
		read(line)
	}
	if pairs < 5 || len(blocks) != 3 {
		t.Errorf("%d lines as they are written, %d blocks", pairs, len(blocks))
	}
}

// TestTheReferenceOfFixturesIsFound: who reads of fixtures and cases finds the way.
func TestTheReferenceOfFixturesIsFound(t *testing.T) {
	for _, page := range []string{"README.md", "docs/public.md", "docs/reference/cases.md"} {
		text, err := os.ReadFile(filepath.Join(repo, page))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(linksIn(text), func(link string) bool { return filepath.Base(link) == "fixtures.md" }) {
			t.Errorf("%s does not link to the page about fixtures", page)
		}
	}
}

// TestUnpackedFilesGo: a case of an archive leaves nothing behind, whether it passes or not.
func TestUnpackedFilesGo(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	file := filepath.Join(t.TempDir(), "a.txtar")
	if err := os.WriteFile(file, []byte("-- pipeline.yaml --\npipeline: a\nsource: {replay: {files: [input.jsonl]}}\nsinks: [stdout: {}]\n"+
		"-- good/input.values --\nx\n-- good/want/stdout.values --\nx\n-- bad/input.values --\nx\n-- worse/input.jsonl --\nx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases, err := findCases([]string{file}, catalog.Kinds())
	if err != nil || len(cases) != 3 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for i, c := range cases {
		if r := c.run(t.Context(), nil, false); r.ok() != (i == 0) {
			t.Errorf("%s: %v, %s", c.name, r.ok(), r.text())
		}
	}
	left, err := os.ReadDir(temp)
	if err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
