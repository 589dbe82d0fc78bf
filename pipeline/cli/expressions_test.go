package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/expr"
)

// TestExpressionReference keeps the page of the expression language current: -update rewrites it.
// The examples on it are run in package expr.
func TestExpressionReference(t *testing.T) {
	path := filepath.Join(repo, "docs", "reference", "expressions.md")
	want := expressionReference()
	if *updateCases {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not current: go test ./pipeline/cli -run ExpressionReference -update", path)
	}
}

// TestTheExpressionReferenceIsFound: who reads a page that speaks of expressions finds the way.
func TestTheExpressionReferenceIsFound(t *testing.T) {
	for _, page := range []string{"README.md", "docs/public.md", "docs/reference/pipeline-file.md"} {
		text, err := os.ReadFile(filepath.Join(repo, page))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, link := range linksIn(text) {
			found = found || filepath.Join(filepath.Dir(page), link) == filepath.Join("docs", "reference", "expressions.md")
		}
		if !found {
			t.Errorf("%s does not link to docs/reference/expressions.md", page)
		}
	}
}

const expressionHead = `# Expressions

Generated from the tables of the functions in package ` + "`expr`; `go test ./pipeline/cli -run ExpressionReference -update`" + ` rewrites it.
Every example is run by a test. ` + "`penstock list functions NAME`" + ` prints one function.

Expressions are the conditions, values and parts of templates in a [pipeline file](pipeline-file.md). The syntax is that of
[expr-lang](https://expr-lang.org); what names, nil and functions mean is written here. An expression reads one record and nothing else,
cannot run away, and is compiled, with its mistakes at line and column, when the file is read.

The examples read this record of the topic ` + "`orders`, partition 3, offset 42, with the key `A-17`, the time 1772368200000 and the\nheaders `trace: t1` and `source: shop`" + `:

` + "```json\n"

// expressionReference writes the page.
func expressionReference() []byte {
	var b bytes.Buffer
	b.WriteString(expressionHead + expr.SampleValue + "\n```\n")
	for _, s := range expr.Language() {
		fmt.Fprintf(&b, "\n## %s\n\n", s.Title)
		for part := range strings.SplitSeq(s.Says, "\n\n") {
			if !strings.HasPrefix(part, "|") { // a table
				part = wrapped(part)
			}
			b.WriteString(strings.TrimSuffix(part, "\n") + "\n\n")
		}
		examples(&b, s.Examples)
	}
	fmt.Fprintf(&b, "\n## Functions\n\nAn argument that is missing or of another type is an error in all of them, unless its type is any. `?` marks arguments\n"+
		"that may be left out, `...` that more may follow. There are %d.\n", len(expr.Functions()))
	group := ""
	for _, f := range expr.Reference() {
		if f.Group != group {
			group = f.Group
			fmt.Fprintf(&b, "\n## Functions: %s\n", lowerFirst(group))
		}
		functionReference(&b, f)
	}
	return b.Bytes()
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

func functionReference(b *bytes.Buffer, f expr.Function) {
	fmt.Fprintf(b, "\n### `%s`\n\n%s", f.Usage, wrapped(capital(f.Says)+"."))
	b.WriteString(wrapped("Takes " + takenBy(f) + ". Gives " + f.Gives + "."))
	if f.Fails != "" {
		b.WriteString(wrapped("An error when " + f.Fails + "."))
	}
	b.WriteByte('\n')
	examples(b, f.Examples)
}

// examples writes what gives what as a block. It is no block of YAML or JSON: nothing colours it.
func examples(b *bytes.Buffer, all []expr.Example) {
	width := 0
	for _, e := range all {
		width = max(width, len([]rune(e.Text)))
	}
	b.WriteString("```text\n")
	for _, e := range all {
		fmt.Fprintf(b, "%-*s  →  %s\n", width, e.Text, e.Gives)
	}
	b.WriteString("```\n")
}

// wrapped breaks a paragraph at 120 characters.
func wrapped(text string) string {
	var b strings.Builder
	at := 0
	for word := range strings.FieldsSeq(text) {
		switch n := len([]rune(word)); {
		case at == 0:
			at = n
		case at+1+n > 120:
			b.WriteByte('\n')
			at = n
		default:
			b.WriteByte(' ')
			at += 1 + n
		}
		b.WriteString(word)
	}
	return b.String() + "\n"
}
