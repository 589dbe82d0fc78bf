package jsontext

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// FuzzAppendString: any text becomes what encoding/json makes of it, byte for byte.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "Boston", `a"b\c<&>`, "\x00\b\f\n\r\t\x1f\x7f", "\u2028\u2029é\U0001f600", "\xff\xfe", "a\xc3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(s); err != nil {
			t.Fatal(err)
		}
		want := "before" + strings.TrimSuffix(b.String(), "\n")
		if got := string(AppendString([]byte("before"), s)); got != want {
			t.Errorf("%q became %s, want %s", s, got, want)
		}
	})
}

func TestUnquote(t *testing.T) {
	for text, want := range map[string]string{
		`""`: "", `"a b"`: "a b", `"a\"b\\\u00e9\n"`: "a\"b\\é\n", `"\ud83d\ude00"`: "\U0001f600", `"\ud83d"`: "\uFFFD",
		"\"\xff\"": "\xff", "\"\xff\\n\"": "\uFFFD\n",
	} {
		if got := Unquote([]byte(text)); got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
}
