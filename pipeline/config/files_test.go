package config_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
)

var update = flag.Bool("update", false, "rewrite the expected messages of testdata/config/*.bad.yaml and *.warn.yaml")

const testdata = "../../testdata/config"

// environment is what variables of the test files mean.
var environment = map[string]string{
	"NOT_A_NUMBER":      "hunter2",
	"NOT_AN_EXPRESSION": "hunter2 hunter3",
	"HOST":              "example",
	"GROUP":             "blue",
	"MIN_DELAY":         "15",
}

func lookup(name string) (string, bool) {
	v, ok := environment[name]
	return v, ok
}

func loader() *config.Loader { return &config.Loader{Kinds: catalog.Kinds(), Env: lookup} }

// openList is a list in a suggestion that grows with the catalog.
var openList = regexp.MustCompile(`(one of|steps that wait|steps whose answers do|known here): .*`)

// wanted writes problems as the head of a bad file has them: # want: line:column: text,
// and # hint: with the suggestion below.
func wanted(problems config.Problems) []string {
	var lines []string
	here, err := filepath.Abs(testdata)
	if err != nil {
		return []string{err.Error()}
	}
	for _, p := range problems {
		_, text, _ := strings.Cut(p.String(), p.File+":")
		text = strings.ReplaceAll(text, here+"/", "")
		if p.Line == 0 {
			text = strings.TrimSpace(text)
		}
		lines = append(lines, "# want: "+text)
		if p.Suggestion != "" {
			lines = append(lines, "#   hint: "+openList.ReplaceAllString(p.Suggestion, "$1: …"))
		}
	}
	return lines
}

func isHead(line string) bool {
	return strings.HasPrefix(line, "# want: ") || strings.HasPrefix(line, "#   hint: ")
}

// Every bad file names all its mistakes in its first lines, and nothing else is found.
func TestBadFiles(t *testing.T) { heads(t, "bad", 30) }

// Every file that is right and hardly means what was meant names what is doubtful.
func TestWarnFiles(t *testing.T) { heads(t, "warn", 4) }

func heads(t *testing.T, kind string, least int) {
	files, err := filepath.Glob(filepath.Join(testdata, "*."+kind+".yaml"))
	if err != nil || len(files) < least {
		t.Fatalf("%d %s files, %v", len(files), kind, err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), "."+kind+".yaml"), func(t *testing.T) {
			if *update {
				rewrite(t, name)
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(text)) {
				if isHead(line) {
					want = append(want, strings.TrimRight(line, "\n"))
				}
			}
			problems := problemsOf(t, name)
			if kind == "warn" && len(problems.Errors()) > 0 {
				t.Error("there are errors among them")
			}
			got := wanted(problems)
			if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w || g == "" {
				t.Errorf("found:\n%s\n\nwanted:\n%s", g, w)
			}
		})
	}
}

func problemsOf(t *testing.T, name string) config.Problems {
	t.Helper()
	set, err := loader().Load(name)
	if err == nil && strings.HasSuffix(name, ".warn.yaml") {
		return set.Warnings
	}
	var invalid *config.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("%s is taken: %v", name, err)
	}
	return invalid.Problems
}

// rewrite puts what is found at the head of a bad file. The lines that it adds move
// the places that they name, so it settles in rounds.
func rewrite(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	body := ""
	for line := range strings.Lines(string(text)) {
		if !isHead(line) {
			body += line
		}
	}
	head := ""
	for range 4 {
		if err := os.WriteFile(name, []byte(head+body), 0o644); err != nil {
			t.Fatal(err)
		}
		next := strings.Join(wanted(problemsOf(t, name)), "\n") + "\n"
		if next == head {
			return
		}
		head = next
	}
	t.Fatalf("%s does not settle", name)
}

func TestGoodFiles(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testdata, "*.good.yaml"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%d good files, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			set, err := loader().Load(name)
			if err != nil {
				t.Fatal(detail(err))
			}
			if len(set.Warnings) > 0 {
				t.Errorf("warnings:\n%s", set.Warnings.Detail())
			}
			if len(set.Hash) != 12 || set.Hash != set.Pipelines[0].Hash {
				t.Errorf("hash %q of the set, %q of the pipeline", set.Hash, set.Pipelines[0].Hash)
			}
		})
	}
}

func detail(err error) string {
	var invalid *config.InvalidError
	if errors.As(err, &invalid) {
		return invalid.Problems.Detail()
	}
	return fmt.Sprint(err)
}
