package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
)

// TestExamplesAreListedAndRun: every pipeline file under docs/examples is right without a warning, stands
// on the page that lists them, and is run by a case, which TestCases does.
func TestExamplesAreListedAndRun(t *testing.T) {
	dir := filepath.Join(repo, "docs", "examples")
	page, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	cases, err := findCases([]string{dir}, catalog.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	run := map[string]bool{}
	for _, c := range cases {
		text, err := os.ReadFile(filepath.Join(c.dir, "case.yaml"))
		file := filepath.Join(c.dir, "pipeline.yaml")
		for line := range strings.Lines(string(text)) {
			if other, ok := strings.CutPrefix(line, "pipeline: "); ok && err == nil {
				file = filepath.Join(c.dir, strings.TrimSpace(other))
			}
		}
		run[file] = true
	}
	none := func(string) (string, bool) { return "", false }
	examples := 0
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".yaml" || d.Name() == "case.yaml" {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil || !strings.Contains("\n"+string(text), "\npipeline: ") {
			return err
		}
		examples++
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if !strings.Contains(string(page), "]("+filepath.ToSlash(rel)+")") {
			t.Errorf("the page does not list %s", rel)
		}
		if !run[name] {
			t.Errorf("no case runs %s", rel)
		}
		set, err := (&config.Loader{Kinds: catalog.Kinds(), Env: none}).Load(name)
		if err != nil {
			t.Errorf("%s: %v", rel, err)
		} else if len(set.Warnings) > 0 {
			t.Errorf("%s:\n%s", rel, set.Warnings.Detail())
		}
		return nil
	})
	if err != nil || examples < 5 {
		t.Errorf("%d examples, %v", examples, err)
	}
}
