package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/event"
)

// causesOf gives the constants of a type Cause in a file.
func causesOf(t *testing.T, file string) (all []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := v.Type.(*ast.Ident); !ok || of.Name != "Cause" {
			return true
		}
		word, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, word)
		return true
	})
	return all
}

// TestCausesAreExplained: what a record may wait for is a closed set, and the page of causes has a row for each, with what it means,
// what its text says and what to do; the events of a stall have the same words.
func TestCausesAreExplained(t *testing.T) {
	causes := causesOf(t, filepath.Join(repo, "pipeline", "engine", "hold.go"))
	if len(causes) < 15 {
		t.Fatalf("found only %v", causes)
	}
	slices.Sort(causes)
	text, err := os.ReadFile(filepath.Join(repo, "docs", "reference", "causes.md"))
	if err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(string(text), "What else is known")
	var rows []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|(.*)\\|$").FindAllStringSubmatch(table, -1) {
		rows = append(rows, m[1])
		cells := strings.Split(m[2], " | ")
		if len(cells) != 3 || slices.ContainsFunc(cells, func(s string) bool { return strings.TrimSpace(s) == "" }) {
			t.Errorf("the row of %s has no meaning, no text or nothing to do", m[1])
		}
	}
	slices.Sort(rows)
	if !slices.Equal(rows, causes) {
		t.Errorf("the page explains %v, and there is %v", rows, causes)
	}
	found := 0
	for i := range event.Registry {
		d := &event.Registry[i]
		for _, f := range d.Fields() {
			if f.Key != "cause" {
				continue
			}
			found++
			if enum := slices.Sorted(slices.Values(f.Enum)); !slices.Equal(enum, causes) {
				t.Errorf("%s has %v, and there is %v", d.Name, enum, causes)
			}
		}
	}
	if found < 2 {
		t.Errorf("%d events have a cause", found)
	}
}
