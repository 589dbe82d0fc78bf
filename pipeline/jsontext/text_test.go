package jsontext

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzAppendString: any text becomes a JSON string that encoding/json reads back, with U+FFFD
// for what is not UTF-8.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "Boston", `a"b\c`, "\x00\n\r\t\x1f\x7f", "\u2028é\U0001f600", "\xff\xfe", "a\xc3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := AppendString([]byte("before"), s)
		var got string
		if err := json.Unmarshal(text[len("before"):], &got); err != nil {
			t.Fatalf("%q became %s: %v", s, text, err)
		}
		var want strings.Builder
		for _, r := range s { // as for encoding/json: one for each byte that is none
			want.WriteRune(r)
		}
		if got != want.String() {
			t.Errorf("%q became %s, which reads as %q", s, text, got)
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
