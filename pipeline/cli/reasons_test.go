package cli

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The reasons for which records are rejected are a public format: dead letters, events and
// dashboards hold them. The page of them is made from the constants in the code and the
// sentence beside each, and the tests here keep the two together: a reason that some call
// gives and no sentence explains is an error.

// takeReason are the functions that take a reason as their first argument.
var takeReason = map[string]bool{
	"pipeline.Reject":        true,
	"stages/sql.refuse":      true,
	"pipeline/kafka.refuses": true, // rows of the table of codes
}

// findReason are the functions that give a reason which they found out, with the names of
// all that it may be.
var findReason = map[string][]string{
	"stages/sql.refuse":           {}, // its callers name it
	"pipeline/client.StatusError": {"Type3xx", "Type4xx", "Type429", "Type5xx"},
	"sinks/kafka.classify":        {}, // that of a kafka.RefusedError, which refuses and the literals name
	"pipeline/kafka.refuse":       {}, // likewise
}

// A reasonConst is a constant whose value may be a reason.
type reasonConst struct{ name, value, text string }

// reasonSource is what the code says of reasons.
type reasonSource struct {
	consts map[string]reasonConst // by folder and name
	alias  map[string]string      // names of a constant of another folder
	given  map[string]bool        // likewise: those that are given as reasons
	loose  []string               // places where a reason is given that no constant names
}

var reasonName = regexp.MustCompile(`^([Rr]eason|Refused)[A-Z]`)

// readReasons reads all code but tests.
func readReasons(t *testing.T) *reasonSource {
	s := &reasonSource{consts: map[string]reasonConst{}, alias: map[string]string{}, given: map[string]bool{}}
	files := map[string][]*ast.File{}
	fset := token.NewFileSet()
	for _, top := range []string{"pipeline", "stages", "sinks"} {
		err := filepath.WalkDir(filepath.Join(repo, top), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
			dir, _ := filepath.Rel(repo, filepath.Dir(path))
			files[dir] = append(files[dir], file)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for dir, all := range files {
		for _, file := range all {
			s.constants(dir, file)
		}
	}
	for key, of := range s.alias {
		s.consts[key] = s.consts[of]
	}
	for dir, all := range files {
		for _, file := range all {
			for _, decl := range file.Decls {
				s.uses(fset, dir, decl)
			}
		}
	}
	for key, c := range s.consts {
		// Those of lines that the log lost are of no record.
		if reasonName.MatchString(c.name) && dirOf(key) != "pipeline/event" {
			s.given[key] = true
		}
	}
	for name, gives := range findReason {
		for _, g := range gives {
			s.given[dirOf(name)+"."+g] = true
		}
	}
	return s
}

func dirOf(key string) string { return key[:strings.LastIndexByte(key, '.')] }

// constants takes in the string constants of a file.
func (s *reasonSource) constants(dir string, file *ast.File) {
	for _, decl := range file.Decls {
		g, ok := decl.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			if len(v.Names) != 1 || len(v.Values) != 1 {
				continue
			}
			if lit, ok := v.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, _ := strconv.Unquote(lit.Value)
				s.consts[dir+"."+v.Names[0].Name] = reasonConst{v.Names[0].Name, text, strings.TrimSpace(v.Comment.Text())}
			} else if sel, ok := v.Values[0].(*ast.SelectorExpr); ok {
				if pkg, ok := sel.X.(*ast.Ident); ok {
					s.alias[dir+"."+v.Names[0].Name] = "pipeline/" + pkg.Name + "." + sel.Sel.Name
				}
			}
		}
	}
}

// uses finds the reasons that a declaration gives.
func (s *reasonSource) uses(fset *token.FileSet, dir string, decl ast.Decl) {
	in := ""
	if f, ok := decl.(*ast.FuncDecl); ok {
		in = f.Name.Name
	}
	own := dir + "." + in
	ast.Inspect(decl, func(n ast.Node) bool {
		var arg ast.Expr
		switch n := n.(type) {
		case *ast.CallExpr:
			if !takeReason[s.named(dir, n.Fun)] || len(n.Args) < 2 {
				return true
			}
			arg = n.Args[0]
		case *ast.CompositeLit:
			if id, ok := n.Type.(*ast.Ident); !ok || id.Name != "RefusedError" || len(n.Elts) == 0 {
				return true
			}
			arg = n.Elts[0]
		default:
			return true
		}
		key := s.named(dir, arg)
		if _, ok := s.consts[key]; ok {
			s.given[key] = true
		} else if _, ok := findReason[own]; !ok {
			s.loose = append(s.loose, fset.Position(arg.Pos()).String())
		}
		return true
	})
}

// named gives the folder and the name of what an expression names: packages that have
// reasons for others are imported under the name of their folder.
func (s *reasonSource) named(dir string, e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return dir + "." + e.Name
	case *ast.SelectorExpr:
		if pkg, ok := e.X.(*ast.Ident); ok {
			for _, at := range []string{"", "pipeline/"} {
				if key := at + pkg.Name + "." + e.Sel.Name; s.consts[key].name != "" || takeReason[key] {
					return key
				}
			}
		}
	}
	return ""
}

// sentences gives each reason with what the constants say of it, and who gives it.
func (s *reasonSource) sentences(t *testing.T) (byReason map[string][]string) {
	byReason = map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(s.given)) {
		c := s.consts[key]
		if c.value == "" {
			t.Errorf("%s is said to be a reason and is no constant", key)
		}
		if c.text != "" && !slices.Contains(byReason[c.value], c.text) {
			byReason[c.value] = append(byReason[c.value], c.text)
		} else if byReason[c.value] == nil {
			byReason[c.value] = []string{}
		}
	}
	return byReason
}

const reasonsHead = `# Reasons of rejected records

A record that will never pass is rejected, for one of these reasons: in the header ` + "`penstock-reason`" + ` of its dead letter, in
` + "`reason`" + ` of ` + "`record.rejected`" + `, and in counters. Generated from the code; ` + "`go test ./pipeline/cli -run ReasonsReference -update`" + `
rewrites it. Stages of your own may give others. Errors that are tried again have [types](#types-of-errors) too.

| Reason | The record is rejected because |
|---|---|
`

// TestReasonsReference keeps the page of reasons, and the list that commands have of them, current and complete.
func TestReasonsReference(t *testing.T) {
	s := readReasons(t)
	for _, place := range s.loose {
		t.Errorf("%s: a reason that is no constant: the page of reasons cannot name it", place)
	}
	var page, list bytes.Buffer
	page.WriteString(reasonsHead)
	all := s.sentences(t)
	for _, reason := range slices.Sorted(maps.Keys(all)) {
		if len(all[reason]) == 0 {
			t.Errorf("the reason %s has no sentence: write it beside its constant", reason)
		}
		fmt.Fprintf(&page, "| `%s` | %s |\n", reason, strings.Join(all[reason], "; "))
		fmt.Fprintf(&list, "%s\t%s\n", reason, strings.Join(all[reason], "; "))
	}
	writeErrorTypes(&page)
	if len(all) < 20 {
		t.Errorf("found only %d reasons", len(all))
	}
	for path, want := range map[string][]byte{filepath.Join(repo, "docs", "reference", "reasons.md"): page.Bytes(), "reasons.txt": list.Bytes()} {
		if *updateCases {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not current: go test ./pipeline/cli -run ReasonsReference -update (%v)", path, err)
		}
	}
}
