package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/expr"
)

type beside struct {
	Name string            `yaml:"name" required:"true" doc:"its name"`
	Set  []string          `yaml:"set" doc:"what is set"`
	Env  map[string]string `yaml:"env" doc:"variables"`
	Mode string            `yaml:"mode" enum:"a|b" doc:"a or b"`
	Key  *expr.Expr        `yaml:"key" doc:"a key"`
}

func loadBeside(t *testing.T, text string) (beside, *SideFile, string, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "beside.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var b beside
	l := Loader{Env: func(name string) (string, bool) { return "value of " + name, name == "KNOWN" }}
	side, err := l.LoadBeside(name, "a beside", &b)
	return b, side, name, err
}

func TestLoadBeside(t *testing.T) {
	b, side, name, err := loadBeside(t, "name: ${KNOWN}\nset:\n  - a.b=1\n  - \"cc.dd=2\"\nenv: {X: y}\nkey: id + 1\n")
	if err != nil || b.Name != "value of KNOWN" || len(b.Set) != 2 || b.Env["X"] != "y" || b.Key == nil {
		t.Fatalf("got %+v, %v", b, err)
	}
	for _, c := range []struct {
		path       string
		column     int
		wantPlace  string
		wantSource string
	}{
		{"set[0]", 3, ":3:7: what", "  - a.b=1"},
		{"set[1]", 4, ":4:9: what", `  - "cc.dd=2"`},
		{"set[1]", 100, ":4:13: what", `  - "cc.dd=2"`},
		{"name", 1, ":1:7: what", "name: ${KNOWN}"},
	} {
		p := side.Move(Problem{File: "--set", Line: 1, Column: c.column, Severity: SeverityError, Text: "what", Suggestion: "do"}, c.path)
		if p.String() != name+c.wantPlace || p.Source != c.wantSource || p.Suggestion != "do" {
			t.Errorf("%s, column %d: got %s in %q", c.path, c.column, strings.TrimPrefix(p.String(), name), p.Source)
		}
	}
	elsewhere := Problem{File: "--set", Line: 3, Text: "what"}
	if p := side.Move(elsewhere, "nothing"); !reflect.DeepEqual(p, elsewhere) {
		t.Errorf("a path that is not there: got %+v", p)
	}
}

func TestLoadBesideErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"set: [a]\n", `the file has no "name", which is required`},
		{"nam: x\n", `:1:1: unknown key "nam" in a beside`},
		{"name: x\nmode: c\n", ":2:7: mode"},
		{"name: ${MISSING}\n", ":1:7: the variable MISSING is not set"},
		{"name: x\nkey: id +\n", ":2:"},
		{"- a\n", "a beside takes a mapping, not a list"},
		{"name: [\n", ":1:"},
	} {
		_, _, name, err := loadBeside(t, c.text)
		var invalid *InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(invalid.Problems.Detail(), c.want) || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%q: got %v", c.text, err)
		}
	}
	var l Loader
	if _, err := l.LoadBeside(filepath.Join(t.TempDir(), "none.yaml"), "a beside", new(beside)); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no file: got %v", err)
	}
}

func TestWithin(t *testing.T) {
	p := Problem{File: "in", Line: 3, Column: 7}
	if got := p.Within("in", "larger", 10); got.File != "larger" || got.Line != 13 || got.Column != 7 {
		t.Errorf("got %+v", got)
	}
	if got := p.Within("other", "larger", 10); !reflect.DeepEqual(got, p) {
		t.Errorf("of another file: got %+v", got)
	}
	if got := (Problem{File: "in"}).Within("in", "larger", 10); got.Line != 10 || got.Column != 1 {
		t.Errorf("of the file as a whole: got %+v", got)
	}
}
