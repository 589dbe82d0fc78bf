package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// What is larger needs a reason beside it: a line of its doc comment that begins with
// sizeReason and goes on in the same line. Tests are free.
const (
	maxFields  = 20 // of a struct; an embedded one counts as one
	maxLines   = 60 // of a function, from func to its last brace
	sizeReason = "Reason for its size: "
)

// A large thing is a struct or a function above the bounds.
type large struct {
	at     token.Position
	name   string
	size   int
	reason bool
}

// largeThings gives what of a file is above the bounds.
func largeThings(t *testing.T, name string, src any) (list []large) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	note := func(n ast.Node, name string, size, most int, docs ...*ast.CommentGroup) {
		if size <= most {
			return
		}
		l := large{at: fset.Position(n.Pos()), name: name, size: size}
		for _, doc := range docs {
			for line := range strings.Lines(doc.Text()) {
				reason, ok := strings.CutPrefix(line, sizeReason)
				l.reason = l.reason || ok && strings.TrimSpace(reason) != ""
			}
		}
		list = append(list, l)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			for _, s := range n.Specs {
				if s, ok := s.(*ast.TypeSpec); ok {
					if st, ok := s.Type.(*ast.StructType); ok {
						note(s, s.Name.Name, st.Fields.NumFields(), maxFields, n.Doc, s.Doc)
					}
				}
			}
		case *ast.FuncDecl:
			lines := fset.Position(n.End()).Line - fset.Position(n.Pos()).Line + 1
			note(n, n.Name.Name, lines, maxLines, n.Doc)
		}
		return true
	})
	return list
}

func TestNothingIsLargeWithoutAReason(t *testing.T) {
	for file := range goFiles(t) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, l := range largeThings(t, filepath.Join(repo, file), nil) {
			if !l.reason {
				t.Errorf("%s:%d: %s has %d fields or lines: divide it, or say why not in its doc comment, in a line %q",
					file, l.at.Line, l.name, l.size, "// "+sizeReason+"…")
			}
		}
	}
}

func TestTheSizeRulesBite(t *testing.T) {
	fields := func(n int) string { return "struct {\n" + strings.Repeat("a, b int\n", n/2) + "}\n" }
	lines := func(n int) string { return "func f() {\n" + strings.Repeat("_ = 0\n", n-2) + "}\n" }
	const reason = "// F.\n//\n// " + sizeReason + "it is a test.\n"
	for _, c := range []struct {
		src            string
		large, reasons int
	}{
		{"type s " + fields(20), 0, 0},
		{"type s " + fields(22), 1, 0},
		{reason + "type s " + fields(22), 1, 1},
		{"type (\n" + reason + "s " + fields(22) + ")", 1, 1},
		{"func f() {\ntype s " + fields(22) + "}", 1, 0},
		{lines(60), 0, 0},
		{lines(61), 1, 0},
		{reason + lines(61), 1, 1},
		{"// F.\n//\n// " + sizeReason + "\n" + lines(61), 1, 0},
		{strings.TrimSuffix(reason, "\n") + "\n\n" + lines(61), 1, 0},
	} {
		list, reasons := largeThings(t, "x.go", "package x\n\n"+c.src), 0
		for _, l := range list {
			if l.reason {
				reasons++
			}
		}
		if len(list) != c.large || reasons != c.reasons {
			t.Errorf("%d large, %d with a reason, want %d and %d, in\n%s", len(list), reasons, c.large, c.reasons, c.src)
		}
	}
}
