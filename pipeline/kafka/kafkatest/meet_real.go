//go:build real

package kafkatest

import (
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
)

// meet are the names of the tests in folder dir that may come to a real broker or another real
// server: they are in a file that is built with the tag real alone, or mention what leads to a
// broker, or something of the folder that does. Others do what they do without the tag. A type
// does so when one of its methods does: there are too many rather than too few.
func meet(dir string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	var all []declared
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("reading the tests: %w", err)
		}
		real := needsReal(file)
		for _, d := range file.Decls {
			all = append(all, declarations(file, d, real)...)
		}
	}
	led := map[string]bool{}
	for changed := true; changed; {
		changed = false
		for _, d := range all {
			if !led[d.name] && (d.leads || slices.ContainsFunc(d.mentions, func(name string) bool { return led[name] })) {
				led[d.name], changed = true, true
			}
		}
	}
	var tests []string
	for _, d := range all {
		if d.test && led[d.name] {
			tests = append(tests, d.name)
		}
	}
	slices.Sort(tests)
	return tests, nil
}

// A declared is something that a file declares, with all names that stand in it.
type declared struct {
	name     string
	test     bool
	leads    bool // by itself
	mentions []string
}

// needsReal says whether a file is built with the tag real and not without.
func needsReal(file *ast.File) bool {
	for _, group := range file.Comments {
		for _, c := range group.List {
			if c.Pos() > file.Package || !constraint.IsGoBuild(c.Text) {
				continue
			}
			x, err := constraint.Parse(c.Text)
			return err == nil && !x.Eval(func(tag string) bool { return tag != "real" })
		}
	}
	return false
}

// declarations are what a declaration declares; a method is part of its type. What needs no name, as the
// functions init, is left out.
func declarations(file *ast.File, d ast.Decl, real bool) (list []declared) {
	add := func(n ast.Node, names ...*ast.Ident) {
		mentions, leads := mentioned(file, n)
		for _, name := range names {
			if name.Name != "_" && name.Name != "init" && name.Name != "TestMain" {
				list = append(list, declared{name: name.Name, leads: real || leads, mentions: mentions})
			}
		}
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv != nil {
			real = false // who calls it is in such a file too
			add(d, receiver(d.Recv.List[0].Type))
			break
		}
		add(d, d.Name)
		for i, l := range list {
			list[i].test = strings.HasPrefix(l.name, "Test") || strings.HasPrefix(l.name, "Fuzz") || strings.HasPrefix(l.name, "Example")
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.ValueSpec:
				add(s, s.Names...)
			case *ast.TypeSpec:
				add(s, s.Name)
			}
		}
	}
	return list
}

// receiver is the name of a type that has a method.
func receiver(x ast.Expr) *ast.Ident {
	var name *ast.Ident
	ast.Inspect(x, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == nil {
			name = id
		}
		return name == nil
	})
	return name
}

// mentioned gives the names of the package that stand in n, and says whether one of another leads to a broker.
func mentioned(file *ast.File, n ast.Node) (names []string, leads bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "kafkatest" && slices.Contains([]string{"Start", "StartReal", "At", "Env"}, n.Sel.Name) {
				leads = true
			}
			more, leadsToo := mentioned(file, n.X) // and not the field or method
			names, leads = append(names, more...), leads || leadsToo
			return false
		case *ast.Ident:
			if n.Obj == nil || file.Scope.Lookup(n.Name) == n.Obj { // no local one
				names = append(names, n.Name)
			}
		}
		return true
	})
	return names, leads
}
