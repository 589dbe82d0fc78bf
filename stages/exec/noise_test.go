package execstage

import (
	"strings"
	"testing"
)

func TestNoise(t *testing.T) {
	for name, tt := range map[string]struct {
		parts []string
		want  string
	}{
		"none":        {nil, ""},
		"little":      {[]string{" a\n", "b\n"}, "a\nb"},
		"just all":    {[]string{strings.Repeat("a", 400), strings.Repeat("b", 600)}, strings.Repeat("a", 400) + strings.Repeat("b", 600)},
		"more":        {[]string{"begin " + strings.Repeat("a", 2000), strings.Repeat("b", 2000) + " end"}, "begin " + strings.Repeat("a", 494) + " … " + strings.Repeat("b", 496) + " end"},
		"bit by bit":  {strings.SplitAfter("begin "+strings.Repeat("a ", 2000)+"end", " "), "begin " + strings.Repeat("a ", 247) + " … " + " " + strings.Repeat("a ", 248) + "end"},
		"half a sign": {[]string{strings.Repeat("a", 499) + "é"}, strings.Repeat("a", 499) + "é"},
	} {
		var n noise
		n.add([]byte("earlier"))
		n.forget()
		for _, p := range tt.parts {
			n.add([]byte(p))
		}
		if got := n.text(); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		if len(n.text()) > 1<<10 {
			t.Errorf("%s: %d bytes", name, len(n.text()))
		}
	}
}

func TestLastLine(t *testing.T) {
	for text, want := range map[string]string{"": "", "a": "a", "a\nb\n\n": "b", "a\n  b  ": "b"} {
		if got := lastLine(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
