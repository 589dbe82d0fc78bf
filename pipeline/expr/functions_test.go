package expr

import (
	"strings"
	"testing"
)

// TestManualsOfFunctions runs the examples of the tables here, and looks for what a manual lacks.
func TestManualsOfFunctions(t *testing.T) {
	for _, table := range []map[string]function{
		regexFunctions, hashFunctions, codecFunctions, randomFunctions, calendarFunctions, roundingFunctions, wordFunctions, formFunctions,
	} {
		for name, f := range table {
			if !strings.HasPrefix(f.usage, name+"(") || f.says == "" || strings.HasSuffix(f.says, ".") || strings.HasSuffix(f.fails, ".") || len(f.examples) == 0 {
				t.Errorf("%s: its manual lacks something: %+v", name, f.manual)
			}
			for _, x := range f.examples {
				if !strings.Contains(x.Text, name+"(") {
					t.Errorf("%s: the example %s does not call it", name, x.Text)
				}
				checkExample(t, x)
			}
		}
	}
}

func checkExample(t *testing.T, x Example) {
	t.Helper()
	var got []byte
	e := new(Expr)
	err := e.UnmarshalText([]byte(x.Text))
	if err == nil {
		got, err = e.JSON(record(`{}`))
	}
	want, fails := strings.CutPrefix(x.Gives, "error: ")
	switch {
	case fails && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s = %s, %v; want an error with %q", x.Text, got, err, want)
	case !fails && (err != nil || string(got) != want):
		t.Errorf("%s = %s, %v; want %s", x.Text, got, err, want)
	}
}

// TestForeignFunctionsSayWhatExists: what is suggested in place of another language's function
// compiles.
func TestForeignFunctionsSayWhatExists(t *testing.T) {
	for name, hint := range foreignFunctions {
		if _, ok := functions[name]; ok {
			t.Errorf("%s is foreign, and a function", name)
		}
		text, ok := strings.CutPrefix(hint, "write ")
		if !ok || strings.Contains(text, ", ") && !strings.HasSuffix(text, ")") || strings.Contains(text, " or ") || strings.Contains(text, ", which") || strings.Contains(text, "meta.key;") {
			continue
		}
		if err := new(Expr).UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%s: %s: %v", name, text, err)
		}
	}
}
