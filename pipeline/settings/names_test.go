package settings

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// What reads as a path is no name; with a backslash every name can be written.
func TestFieldName(t *testing.T) {
	for text, want := range map[string]string{ // a want that starts with ! is the path of the error
		"id": "id", "flight number": "flight number", "$schema": "$schema", "a/b": "a/b", "a:b": "a:b", "7": "7", "é.": "!é", "#": "#", "a-b": "a-b", "@type": "@type", "it's": "it's",
		`user\.id`: "user.id", `a\[0\]`: "a[0]", `\*`: "*", `a\\b`: `a\b`, `\$`: "$", `\/a/b`: "/a/b", `\"q"`: `"q"`, `\ a\ `: " a ", `\$\.a`: "$.a", `\7`: "7",
		"user.id": "!user id", "a..b": "!", "a.": "!a", ".a": "!a", ".": "!", "$": "!", "$.user.id": "!user id", "$.a[*].b": "!a [*] b", "a[0]": "!a [0]", "a[]": "!a [*]", "[a]": "!a", "a]": "!",
		"*": "!*", "a.*": "!a *", "tmp_*": "!", "/user/id": "!user id", `$env["user.id"]`: "!", `user["id"]`: "!user id", `"id"`: "!id", " id": "!id", "id ": "!id", "id\n": "!id",
		"user\\.id.b": `!user\.id b`, "order.items[*]": "!order items [*]", "a.0.b": "!a [0] b", "a.#.b": "!a [*] b", "a[0][1].b": "!a [0] [1] b",
		"a?.b": "!a b", "{a.b}": "!a b", "a->b": "!a b", "a->'b'->>'c'": "!a b c", "a[-1].b": "!a [-1] b", "a[0:2]": "!a [0:2]", "$..b": "!", "a,b": "!", "a.b, a.c": "!", "{a}": "!a",
		`a\,b`: "a,b", `a-\>b`: "a->b", `\{a\}`: "{a}", "Price (EUR)": "Price (EUR)", "paid?": "paid?", "-": "-", "a|b": "a|b", "dc:title": "dc:title", "-1": "-1", `a\?.b`: "!",
		"": "!", `a\b`: "!", `a\`: "!", `\é`: "!",
		"id\u00a0": "!id", "\ufeffid": "!id", "id\u200b": "!id", "a\u00a0b": "a\u00a0b", "\\\u00a0id\\\u200b": "\u00a0id\u200b",
	} {
		var n FieldName
		err := n.UnmarshalText([]byte(text))
		var e *NameError
		if errors.As(err, &e) {
			if got := "!" + strings.Join(e.Path, " "); got != want {
				t.Errorf("%q can be read as %q, want %q", text, got, want)
			}
		} else if err != nil || string(n) != want {
			t.Errorf("%q is the name %q, %v; want %q", text, n, err, want)
		}
	}
}

// What is written for a name is read as that name again.
func FuzzFieldName(f *testing.F) {
	for _, s := range []string{"id", "a.b", `\`, "$", "*", "/a", `"a"`, " a ", "'", "a[0]", "$.a", "\xff", "é\t", "\u00a0a\u200b", "\u2003"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if name == "" {
			return
		}
		for i, read := range []interface {
			UnmarshalText([]byte) error
			MarshalText() ([]byte, error)
		}{ptr(FieldName(name)), ptr(HeaderName(name))} {
			text, _ := read.MarshalText()
			if err := read.UnmarshalText(text); err != nil || reflect.ValueOf(read).Elem().String() != name {
				t.Errorf("%d: %q is written %q: %v", i, name, text, err)
			}
		}
		if steps, err := FieldPath(mustText(FieldName(name))).Path(); err == nil && (len(steps) != 1 || steps[0] != (jsontext.Step{Name: name})) {
			t.Errorf("%q as a path: %+v", name, steps)
		}
	})
}

func ptr[T any](v T) *T { return &v }

func mustText(n FieldName) string {
	text, _ := n.MarshalText()
	return string(text)
}

// A path that can lead to no field as it is written is an error: what it should redact
// would leak.
func TestFieldPath(t *testing.T) {
	for text, want := range map[string]string{
		"a": "a", "a.b": "a b", "a.*.b": "a * b", "*": "*", `a\.b.c`: "a.b c", `\*`: "=*", `a.\*`: "a =*", `\0.a`: "0 a", `a.\7`: "a 7", "a b.c": "a b c", "$schema.x": "$schema x", `a\[0\]`: "a[0]", "x1.2y": "x1 2y",
	} {
		steps, err := FieldPath(text).Path()
		var got []string
		for _, s := range steps {
			switch {
			case s.Kind == jsontext.EveryMember:
				got = append(got, "*")
			case s.Name == "*":
				got = append(got, "=*")
			default:
				got = append(got, s.Name)
			}
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q leads to %q, %v; want %q", text, got, err, want)
		}
	}
	for text, write := range map[string]string{
		"$.user.mail": "'user.mail'", "$": "user.mail", "$user": "", "order.items[*]": "'order.items'", "a[0].b": "'a.b'", "a[].b": "'a.b'", "a.[].b": "'a.b'", "[*].a": "'a'", "a..b": "each level", "..mail": "each level", "$..mail": "each level",
		"user?.mail": "'user.mail'", "us?r.mail": "user.mail", "{user.mail}": "'user.mail'", "user->mail": "'user.mail'", "user->>'mail'": "'user.mail'", "user.mail,user.id": "an item", "a;b": "an item", "@.user.mail": "'user.mail'",
		"$env.user.mail": "'user.mail'", "a.-1.b": "'a.b'", "a[-1].b": "'a.b'", "a[0:2].b": "'a.b'", `a["b","c"].d`: "an item", "a[?x].b": "user.mail", `header("x")`: "user.mail", "^a": "user.mail", "a|b": "user.mail", "a.(b)": "user.mail", "a.": "'a'", ".a": "'a'", ".": "user.mail", "": "user.mail",
		"/user/mail": "'user.mail'", `user["mail"]`: "'user.mail'", `$['user']['mail']`: "'user.mail'", `$env["mail"]`: "'mail'", `user."mail"`: "'user.mail'", "a.**": "user.*", "**.a": "user.*", "a.mail*": "for each name", "*mail": "for each name",
		"user.mail\u00a0": "'user.mail'", "user\u200b.mail": "'user.mail'", "\ufeffmail": "'mail'",
		"a.0.b": "'a.b'", "0": "user.mail", "a.#.b": "'a.b'", "a.$.b": "'a.b'", "a. b": "'a.b'", "a .b": "'a.b'", `a\b`: `\\`, `a\`: `\\`, `a.*[*]`: "'a.*'",
	} {
		if write == "" {
			continue
		}
		var p FieldPath
		err := p.UnmarshalText([]byte(text))
		var e *NameError
		if !errors.As(err, &e) || !strings.Contains(e.Suggestion, write) || p != "" {
			t.Errorf("%q: %v, want an error that says %s: %+v", text, err, write, e)
		}
	}
}

func TestHeaderName(t *testing.T) {
	for text, want := range map[string]string{
		"authorization": "authorization", "X-Trace.Id": "X-Trace.Id", `a\*`: "a*", "a b": "a b", "/a": "/a", "$x": "$x", `\ x`: " x", `a\,b`: "a,b", "dc:x": "dc:x",
		" x": "", "x ": "", "a,b": "", "a, b": "", "a|b": "", "^a": "", "a.+": "", "a-%": "", "{x}": "", "x\t": "", "x\u00a0": "", "\u200bx": "", "\\\u00a0x": "\u00a0x",
		"penstock-*": "", "*": "", `header("x")`: "", "x[0]": "", "x?": "", "": "", `"x"`: "",
	} {
		var h HeaderName
		err := h.UnmarshalText([]byte(text))
		if string(h) != want || (err == nil) != (want != "") {
			t.Errorf("%q is the header %q, %v; want %q", text, h, err, want)
		}
	}
}
