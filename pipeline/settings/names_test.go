package settings

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// What reads as a path is no name; with a backslash every name can be written.
func TestFieldName(t *testing.T) {
	for text, want := range map[string]string{ // !: an error
		"id": "id", "flight number": "flight number", "$schema": "$schema", "a/b": "a/b", "a:b": "a:b", "7": "7", "é.": "!", "#": "#", "a-b": "a-b", "@type": "@type", "it's": "it's",
		`user\.id`: "user.id", `a\[0\]`: "a[0]", `\*`: "*", `a\\b`: `a\b`, `\$`: "$", `\/a/b`: "/a/b", `\"q"`: `"q"`, `\ a\ `: " a ", `\$\.a`: "$.a", `\7`: "7",
		"user.id": "!", "a..b": "!", "a.": "!", ".a": "!", ".": "!", "$": "!", "$.user.id": "!", "$.a[*].b": "!", "a[0]": "!", "a[]": "!", "[a]": "!", "a]": "!",
		"*": "!", "a.*": "!", "tmp_*": "!", "/user/id": "!", `$env["user.id"]`: "!", `user["id"]`: "!", `"id"`: "!", " id": "!", "id ": "!", "id\n": "!",
		"user\\.id.b": "!", "order.items[*]": "!", "a.0.b": "!", "a.#.b": "!", "a[0][1].b": "!",
		"a?.b": "!", "{a.b}": "!", "a->b": "!", "a->'b'->>'c'": "!", "a[-1].b": "!", "a[0:2]": "!", "$..b": "!", "a,b": "!", "a.b, a.c": "!", "{a}": "!",
		`a\,b`: "a,b", `a-\>b`: "a->b", `\{a\}`: "{a}", "Price (EUR)": "Price (EUR)", "paid?": "paid?", "-": "-", "a|b": "a|b", "dc:title": "dc:title", "-1": "-1", `a\?.b`: "!",
		"": "!", `a\b`: "!", `a\`: "!", `\é`: "!",
		"id\u00a0": "!", "\ufeffid": "!", "id\u200b": "!", "a\u00a0b": "a\u00a0b", "\\\u00a0id\\\u200b": "\u00a0id\u200b",
	} {
		var n FieldName
		err := n.UnmarshalText([]byte(text))
		var e *NameError
		if errors.As(err, &e) {
			if want != "!" {
				t.Errorf("%q: %v, want the name %q", text, err, want)
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
		if steps, err := FieldPath(asName(name)).Path(); err != nil || len(steps) != 1 || steps[0] != (jsontext.Step{Name: name}) {
			t.Errorf("%q as the path %q: %+v, %v", name, asName(name), steps, err)
		}
	})
}

func ptr[T any](v T) *T { return &v }

func mustText(n FieldName) string {
	text, _ := n.MarshalText()
	return string(text)
}

// Every way to write a path, and what it leads to.
func TestFieldPath(t *testing.T) {
	for text, want := range map[string]string{
		"a": "a", "a.b": "a b", "a.*.b": "a <*> b", "*": "<*>", `a\.b.c`: "a.b c", `\*`: "*", `a.\*`: "a *", `\0.a`: "0 a", `a.\7`: "a 7", "a b.c": "a b c", "$schema.x": "$schema x", `a\[0\]`: "a[0]", "x1.2y": "x1 2y",
		"a[0].b": "a <0> b", "a[-1].b": "a <-1> b", "order.items[*]": "order items <[*]>", "[*].a": "<[*]> a", "a[0][1]": "a <0> <1>", "*[0]": "<*> <0>", "a.*[*].b": "a <*> <[*]> b", "[0]": "<0>",
		`paid\?`: "paid?", `Price \(EUR\)`: "Price (EUR)", `a\|b`: "a|b", `\#`: "#", "@type": "@type", "a/b": "a/b", "dc:title": "dc:title", "a-b": "a-b", `\$env.a`: "$env a", `a\\b`: `a\b`, "it's": "it's",
		"7": "7", "-1": "-1", "#": "#", "paid?": "paid?", "Price (EUR)": "Price (EUR)", "a|b": "a|b", "a;b": "a;b", "@": "@", // alone they are names
	} {
		steps, err := FieldPath(text).Path()
		var got []string
		for _, s := range steps {
			switch {
			case s.Kind == jsontext.EveryMember:
				got = append(got, "<*>")
			case s.Kind == jsontext.EveryElement:
				got = append(got, "<[*]>")
			case s.Kind == jsontext.Indexed:
				got = append(got, fmt.Sprintf("<%d>", s.Index))
			default:
				got = append(got, s.Name)
			}
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q leads to %q, %v; want %q", text, got, err, want)
		}
	}
}

// A path that can lead to no field as it is written is an error: what it should redact
// would leak. What the suggestion says to write is a path.
func TestWrongFieldPath(t *testing.T) {
	alone := map[string]string{ // refused where the path is a name alone only where that is strict
		"0": `'\0'`, "#": `'\#'`, "^a": `'\^a'`, "a|b": `'a\|b'`, `header("x")`: `'header\("x"\)'`, "paid?": `'paid\?'`, "Price (EUR)": `'Price \(EUR\)'`, "a;b": "an item", "$env": `'\$env'`,
	}
	all := map[string]string{
		"$.user.mail": "'user.mail'", "$": `'\$'`, "a[].b": "'a[*].b'", "a.[].b": "'a[*].b'", "a.[0].b": "'a[0].b'", "a..b": "each level", "..mail": "each level", "$..mail": "each level",
		"user?.mail": "'user.mail'", "us?r.mail": "user.mail", "{user.mail}": "'user.mail'", "user->mail": "'user.mail'", "user->>'mail'": "'user.mail'", "user.mail,user.id": "an item", "a;b.c": "an item", "@.user.mail": "'user.mail'",
		"$env.user.mail": "'user.mail'", "a.-1.b": "'a[-1].b'", "a[0:2].b": "a[*] for all", `a["b","c"].d`: "an item", "a[?x].b": "user.mail", "a.(b)": "user.mail", "a.": "'a'", ".a": "'a'", ".": "user.mail", "": literally,
		"/user/mail": "'user.mail'", "/items/0/sku": "'items[0].sku'", `user["mail"]`: "'user.mail'", `$['user']['mail']`: "'user.mail'", `$env["mail"]`: "'mail'", `user."mail"`: "'user.mail'", "a.**": "user.*", "**.a": "user.*", "a.mail*": "for each name", "*mail": `'\*mail'`,
		"user.mail\u00a0": "'user.mail'", "user\u200b.mail": "'user.mail'", "\ufeffmail": "'mail'", "$.order.items[*].sku": "'order.items[*].sku'", "$[0].a": "'[0].a'",
		"a.0.b": "'a[0].b'", "0.a": "user.mail", "a.#.b": "'a[*].b'", "a.$.b": "'a.b'", "a. b": "'a.b'", "a .b": "'a.b'", `a\b`: `\\`, `a\`: `\\`,
		"a[0]b": "'a[0].b'", "a[0": `'a\[0'`, "a]": `'a\]'`, "a[x]": "'a.x'", "a[+1]": "'a[1]'", "a[ 0 ]": "'a[0]'", "a[99999999999999999999]": literally, `"id"`: "'id'",
	}
	maps.Copy(all, alone)
	for text, write := range all {
		var p FieldPath
		err := p.UnmarshalText([]byte(text))
		if alone[text] != "" {
			if err != nil || string(p) != text {
				t.Errorf("%q alone: %v", text, err)
			}
			_, err = p.Strict()
			p = ""
		}
		var e *NameError
		if !errors.As(err, &e) || !strings.Contains(e.Suggestion, write) || p != "" {
			t.Errorf("%q: %v, want an error that says %s: %+v", text, err, write, e)
			continue
		}
		for _, quoted := range regexp.MustCompile(`written? '(.*?)'(;|$)`).FindAllStringSubmatch(e.Suggestion, -1) {
			if _, err := FieldPath(quoted[1]).Path(); err != nil {
				t.Errorf("%q: %s: %v", text, e.Suggestion, err)
			}
		}
	}
}

// Whatever somebody writes, it is a path or an error; what leads somewhere is read back, and what is
// suggested leads somewhere.
func FuzzFieldPath(f *testing.F) {
	for _, s := range []string{"a.b[0].*", "$.a[*]", `a\.b`, "a[", "/a/0", "a->'b'", "..", "[*]", "a[0:2]", "a['b']", "{a}", "0", "a,b", " a", "#", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path, err := FieldPath(text).Path()
		if err == nil {
			if again, err := jsontext.ParsePath(path.String()); err != nil || !slices.Equal(again, path) {
				t.Errorf("%q leads to %+v, written %s: %+v, %v", text, path, path, again, err)
			}
			return
		}
		var e *NameError
		if !errors.As(err, &e) || e.Suggestion == "" {
			t.Fatalf("%q: %v", text, err)
		}
		if write, ok := strings.CutPrefix(e.Suggestion, "write '"); ok {
			write, _, _ = strings.Cut(write, "'; a ")
			if _, err := FieldPath(write).Path(); err != nil {
				t.Errorf("%q: %s: %v", text, e.Suggestion, err)
			}
		}
	})
}

// A path that leads to several places, or begins at an array, is refused where neither makes sense.
func TestPlace(t *testing.T) {
	for text, want := range map[string][2]bool{ // within an object, and one place
		"a.b[0].c": {true, true}, "a[-1]": {true, true}, "a[*]": {true, false}, "*": {true, false}, "a.*.b": {true, false}, "[0].a": {false, false}, "[*]": {false, false}, "a..b": {false, false},
	} {
		_, within := FieldPath(text).Within()
		_, place := FieldPath(text).Place()
		if got := [2]bool{within == nil, place == nil}; got != want {
			t.Errorf("%q: %v %v", text, within, place)
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

// A header or all of them: * alone is all, and what is no name of a header is none here.
func TestHeaderOrAll(t *testing.T) {
	for text, want := range map[string]HeaderOrAll{
		"*": {All: true}, `\*`: {Name: "*"}, "trace": {Name: "trace"}, `x-\*`: {Name: "x-*"},
	} {
		var h HeaderOrAll
		if err := h.UnmarshalText([]byte(text)); err != nil || h != want {
			t.Errorf("%s is %+v, %v", text, h, err)
		}
		if out, err := h.MarshalText(); err != nil || string(out) != text {
			t.Errorf("%+v is written %s, %v", h, out, err)
		}
	}
	for text, hint := range map[string]string{"x-*": "* alone stands for all headers", "**": "* alone", " *": "* alone", "": "", "a,b": "name each header"} {
		h := HeaderOrAll{Name: "before"}
		err := h.UnmarshalText([]byte(text))
		var wrong *NameError
		if !errors.As(err, &wrong) || !strings.HasPrefix(wrong.Suggestion, hint) {
			t.Errorf("%q: %+v, %v", text, h, err)
		}
	}
}
