package expr

import (
	"errors"
	"strings"
	"testing"
)

// TestEveryFunctionHasAManual: usage, a sentence, and examples that give what they say.
func TestEveryFunctionHasAManual(t *testing.T) {
	all := Reference()
	if len(all) != len(Functions()) {
		t.Errorf("the reference has %d functions, there are %d", len(all), len(Functions()))
	}
	for _, f := range all {
		if f.Says == "" || strings.HasSuffix(f.Says, ".") || strings.HasSuffix(f.Fails, ".") || len(f.Examples) == 0 || f.Gives == "" {
			t.Errorf("%s needs a sentence without a full stop, and an example: %+v", f.Name, f)
		}
		if !strings.HasPrefix(f.Usage, f.Name+"(") || !strings.HasSuffix(f.Usage, ")") {
			t.Errorf("the usage of %s is %q", f.Name, f.Usage)
		}
		for _, e := range f.Examples {
			if !strings.Contains(e.Text, f.Name) {
				t.Errorf("the example %s is not about %s", e.Text, f.Name)
			}
			runExample(t, e)
		}
	}
}

// TestUsagesNameTheArguments: as many as the function takes, with those marked that may be left
// out or follow.
func TestUsagesNameTheArguments(t *testing.T) {
	for name, f := range functions {
		least, most := 0, 0
		for _, a := range f.takes() {
			if most++; !a.Optional {
				least++
			}
			if a.Many {
				most = -1
				break
			}
		}
		if least != f.least || most != f.most {
			t.Errorf("%s takes %d to %d arguments, %s says %d to %d", name, f.least, f.most, f.usage, least, most)
		}
	}
	for name, p := range predicates {
		if takes := p.takes(); len(takes) < 2 || takes[1].Optional != p.optional || (takes[1].Name == "condition") != p.truth {
			t.Errorf("%s is not as %s says", name, p.usage)
		}
	}
}

// runExample evaluates an example of the reference over its record.
func runExample(t *testing.T, e Example) {
	t.Helper()
	var x Expr
	err := x.UnmarshalText([]byte(e.Text))
	var got []byte
	if err == nil {
		got, err = x.JSON(Sample())
	}
	givesWhat(t, e, string(got), err)
}

func givesWhat(t *testing.T, e Example, got string, err error) {
	t.Helper()
	want, fails := strings.CutPrefix(e.Gives, "error: ")
	var located *Error
	switch {
	case fails && err == nil:
		t.Errorf("%s gives %s, want an error with %q", e.Text, got, want)
	case fails && errors.As(err, &located) && strings.Contains(located.Message, want):
	case fails && (want == "" || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: %v, want an error with %q", e.Text, err, want)
	case !fails && (err != nil || got != want):
		t.Errorf("%s gives %s, %v, want %s", e.Text, got, err, e.Gives)
	}
}

func TestTypes(t *testing.T) {
	for want, m := range map[string]mask{
		"any": mAny, "any but nil": mAny &^ mNil, "integer": mInt, "number": mNumber, "number or nil": mNumber | mNil, "string or integer": mString | mInt, "array": 1 << kList,
		"float": 1 << kFloat, "string or number or date or duration": mNumber | mString | mTime | mDuration, "array or object": mArray | mObject,
	} {
		if got := m.types(); got != want {
			t.Errorf("%b: %s, want %s", m, got, want)
		}
	}
}

// TestTheLanguageIsAsTheReferenceSays: the sections beside the functions have examples too, and
// name every field of meta.
func TestTheLanguageIsAsTheReferenceSays(t *testing.T) {
	says := ""
	for _, s := range Language() {
		says += s.Says
		if s.Title == "" || s.Says == "" || len(s.Examples) == 0 {
			t.Errorf("%q needs a title, a text and examples", s.Title)
		}
		for _, e := range s.Examples {
			if !s.Templates {
				runExample(t, e)
				continue
			}
			var tpl Template
			err := tpl.UnmarshalText([]byte(e.Text))
			got := ""
			if err == nil {
				got, err = tpl.Text(Sample())
			}
			givesWhat(t, e, got, err)
		}
	}
	for _, name := range metaFields {
		if !strings.Contains(says, "`meta."+name+"`") {
			t.Errorf("no section names meta.%s", name)
		}
	}
}
