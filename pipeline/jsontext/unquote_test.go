package jsontext

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzAppendUnquoted: every string has the characters that encoding/json gives, and one without
// escapes those between its quotes.
func FuzzAppendUnquoted(f *testing.F) {
	for _, s := range []string{`""`, `"a b"`, `"a\"b\\\/\u00e9\n\b\f\r\t"`, `"\ud83d\ude00\ud83d"`, `"\ud83d\u0041"`, `"\ude00x\ud83d\ud83d\ude00"`, "\"\xff\"", "\"\xff\\n\xc3\"", `"\uFFFD\u0000"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, quoted []byte) {
		if len(quoted) < 2 || quoted[0] != '"' || Value(quoted, 0, 0) != len(quoted) {
			return
		}
		want := string(quoted[1 : len(quoted)-1])
		if bytes.IndexByte(quoted, '\\') >= 0 {
			if err := json.Unmarshal(quoted, &want); err != nil {
				t.Fatal(err)
			}
		}
		if got := Unquote(quoted); got != want {
			t.Errorf("%q became %q, want %q", quoted, got, want)
		}
		want = "before" + want
		if got := string(AppendUnquoted([]byte("before"), quoted)); got != want {
			t.Errorf("%q became %q, want %q", quoted, got, want)
		}
	})
}
