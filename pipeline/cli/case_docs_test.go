package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/catalog"
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
