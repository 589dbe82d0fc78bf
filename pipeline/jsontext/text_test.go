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

// What goes from the front of an object or an array takes its commas with it, however many go.
func TestRemoveFromTheFront(t *testing.T) {
	for _, c := range []struct{ text, path, want string }{
		{`{"a":1,"a":2,"b":3}`, "a", `{"b":3}`}, {`{"a":1,"a":2}`, "a", `{}`}, {`{"b":3,"a":1,"a":2}`, "a", `{"b":3}`}, {`{"a":1,"b":3,"a":2}`, "a", `{"b":3}`},
		{`{ "a" : 1, "b":2 }`, "*", `{  }`}, {`[1, 2,3]`, "[*]", `[]`}, {`[[1,2],[3]]`, "[*][*]", `[[],[]]`}, {`[1,2,3]`, "[0]", `[2,3]`}, {`[1,2,3]`, "[-1]", `[1,2]`},
	} {
		path, err := ParsePath(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(Remove(nil, []byte(c.text), path)); got != c.want {
			t.Errorf("%s without %s: %s, want %s", c.text, c.path, got, c.want)
		}
	}
}
