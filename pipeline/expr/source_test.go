package expr

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf16"
)

// TestWhatTheParserWouldPassOver: what is written in other languages and would silently be something
// else is an error at its place, which ^ stands before.
func TestWhatTheParserWouldPassOver(t *testing.T) {
	for _, c := range []struct{ text, message, hint string }{
		{`s ^// "none"`, "// is no operator", "write ?? for a default"}, {`7 ^// 2`, "// is no operator", "int(a / b)"}, {"s +\n  n ^// why", "// is no operator", "at the beginning of a line"},
		{`"a//b" + "\"//" ^// x`, "// is no operator", ""}, {"`a//` /* // */ ^// x", "// is no operator", ""},
		{`s; ^n`, "comes to nothing", "let a"}, {`let x = s; x; ^n`, "comes to nothing", "let a"}, {`map(a, {#; ^n})`, "comes to nothing", "let a"},
		{`"a^\ud83d"`, "half of a surrogate pair", "both halves"}, {`"^\ude00\ud83d"`, "half of a surrogate pair", ""}, {`"^\u{d83d}"`, "half of a surrogate pair", ""}, {`"a^\U0000DE00"`, "half of a surrogate pair", ""}, {`'^\ud83dx'`, "half of a surrogate pair", ""}, {`"\ud83d\ude00^\ud83d"`, "half of a surrogate pair", ""},
		{`not s ^== "ok"`, "not goes with", "write not (a == b) or a != b"}, {`not s ^!= "ok"`, "not goes with", "a == b"}, {`! s ^== "ok"`, "! goes with", "not (a == b)"}, {`yes and not s ^in a`, "not goes with", "a not in b"},
		{`not s ^contains "x"`, "not goes with", "a not contains b"}, {`not n ^> 3`, "not goes with", "not (a > b)"}, {`not (n) ^== 3`, "not goes with", ""}, {`not o[")"] ^== 3`, "not goes with", ""}, {`not s ^matches "x"`, "not goes with", ""},
	} {
		want, text := strings.Index(c.text, "^")+1, strings.Replace(c.text, "^", "", 1)
		err := new(Expr).UnmarshalText([]byte(text))
		var e *Error
		if !errors.As(err, &e) || e.Column != want || !strings.Contains(e.Message, c.message) || !strings.Contains(e.Suggestion, c.hint) {
			t.Errorf("%s: %+v; want %q at %d", text, e, c.message, want)
		}
	}
	for text, want := range map[string]string{
		"// a comment\n1 +\n  // another, with \" and \\u\n 2": "3", `/* a // b */ 1`: "1", `"http://x"`: `"http://x"`, "`//`": `"//"`, `let a = 1; a + 1;`: "2", `8 /* by */ / 2`: "4",
		`"\ud83d\ude00" == "😀"`: "true", `'\uD83D\uDE00x' + "\ud83d\ude00\u00e9"`: `"😀x😀é"`, `len("\ud83d\ude00")`: "1", `{"\ud83d\ude00": 1}["😀"]`: "1", "`\\ud83d`": `"\\ud83d"`, `"\\ud83d"`: `"\\ud83d"`, `"\u{1f600}" == "😀"`: "true",
		`(not yes) == false`: "true", `not (s == "ok")`: "true", `s not in ["x"]`: "true", `not (s) and n == 7`: "!", `!missing == !gone`: "true", `not missing and n == 7`: "true", `n == 7 and not missing`: "true", `(not (missing)) == yes`: "true", `s not contains "q"`: "true",
	} {
		e := new(Expr)
		if err := e.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := e.JSON(record(everything)); (string(got) != want || err != nil) && want != "!" {
			t.Errorf("%s = %s, %v; want %s", text, got, err, want)
		}
	}
	// A column behind a pair is that of the text as it is written.
	err := new(Expr).UnmarshalText([]byte(`"\ud83d\ude00" + nofunction(1)`))
	var e *Error
	if !errors.As(err, &e) || e.Column != 18 {
		t.Errorf("%+v", e)
	}
}

// TestLiteralsAreThoseOfJSON: a text that is written with the escapes of JSON, pairs of surrogates
// among them, is what JSON means, wherever it stands.
func TestLiteralsAreThoseOfJSON(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	characters := []rune("aü✈😀𝄞\U0010FFFF\U00010000\"\\/*'`\n\t;(){}[]")
	for range 2000 {
		var text []rune
		for range r.IntN(8) {
			text = append(text, characters[r.IntN(len(characters))])
		}
		literal := `"`
		for _, c := range text {
			if c >= ' ' && c != '"' && c != '\\' && r.IntN(3) == 0 {
				literal += string(c)
				continue
			}
			for _, u := range utf16.Encode([]rune{c}) {
				literal += fmt.Sprintf(`\u%04x`, u)
			}
		}
		literal += `"`
		var want string
		if err := json.Unmarshal([]byte(literal), &want); err != nil || want != string(text) {
			t.Fatal(literal, err)
		}
		e := new(Expr)
		if err := e.UnmarshalText([]byte(`/* "` + "`" + ` */ {(` + literal + `): [` + literal + `]}["" + ` + literal + `][0] | trimPrefix("")`)); err != nil {
			t.Fatalf("%s: %v", literal, err)
		}
		if got, err := e.Bytes(record(`{}`)); err != nil || string(got) != want {
			t.Fatalf("%s = %q, %v; want %q", literal, got, err, want)
		}
		// What stands behind it keeps its place.
		var at *Error
		if err := new(Expr).UnmarshalText([]byte(literal + ` + nowhere(1)`)); !errors.As(err, &at) || at.Column != len(literal)+4 {
			t.Fatalf("%s: %+v", literal, at)
		}
	}
}
