package expr

import (
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
