package expr

import (
	"errors"
	"strings"
	"testing"
)

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

// TestForeignSyntax: what other languages write has a suggestion, and what is no text is not told to
// be one.
func TestForeignSyntax(t *testing.T) {
	const asText = "a text has quotes of its own"
	long := "many words " + strings.Repeat("and more ", 50)
	for text, want := range map[string]string{
		`5 % 2.5`: "", `1e400`: "", `nil + 1`: "", `order.id in 5`: "", `typeof a`: "write type(a)", `CASE WHEN a THEN b END`: "a ? b : c", `hello world`: asText, `New York, NY`: asText,
		`map(a, x => x.b)`: "there is no =>", `root.x = this.y`: "behind the =", `delay = 5`: "write == to compare",
		`contains(a, "x")`: `write a contains "x"`, `startsWith(a, "x")`: `write a startsWith "x"`, `matches(a, "x")`: `write a matches "x"`, `b and endsWith(a, "x")`: `write a endsWith "x"`,
		`if true {1}`: "else", `a.contains("x")`: `write a contains "x"`, `a.b.split(",")`: `write split(a.b, ",")`, `JSON.parse(a)`: "write fromJSON(a)", `JSON.stringify(a.b)`: "write toJSON(a.b)", `Math.round(a)`: "write round(a)", `a.toLowerCase()`: "write lower(name)", `a.filter(b)`: "write filter(a, b)", `(a + b).trim()`: "write trim(x)", `a.replace("x", b + 1, 2)`: `write replace(a, "x", …, 2)`, `a?.upper()`: "write upper(a)",
		`tonumber(a)`: "float", `formatDate(a)`: "formatTime", `COALESCE(a, b)`: "??", `to_entries(a)`: "toPairs", `trunc(a)`: "int(", `lenght(a)`: "len(", `env("A")`: "${NAME}", `"x" in "xyz"`: `"xyz" contains "x"`, long: asText,
	} {
		err := new(Expr).UnmarshalText([]byte(text))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if !strings.Contains(e.Suggestion, want) || want == "" && strings.Contains(e.Suggestion, asText) || want != "" && want != asText && strings.Contains(e.Suggestion, asText) || len(e.Suggestion) > 250 {
			t.Errorf("%.60s: %q, %q; want %q", text, e.Message, e.Suggestion, want)
		}
	}
}
