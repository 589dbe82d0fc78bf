package jsontext

import (
	"slices"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	name := func(s string) Step { return Step{Name: s} }
	for text, want := range map[string]Path{
		"a":             {name("a")},
		"a.b":           {name("a"), name("b")},
		"user.e-mail.0": {name("user"), name("e-mail"), name("0")},
		`a\.b.c`:        {name("a.b"), name("c")},
		`\*`:            {name("*")},
		`a\\b`:          {name(`a\b`)},
		`a\[0\]`:        {name("a[0]")},
		"a*":            {name("a*")},
		"*":             {{Kind: EveryMember}},
		"*.*":           {{Kind: EveryMember}, {Kind: EveryMember}},
		"[0]":           {{Kind: Indexed}},
		"a[0]":          {name("a"), {Kind: Indexed}},
		"a[-1].b":       {name("a"), {Kind: Indexed, Index: -1}, name("b")},
		"a[*][2].b":     {name("a"), {Kind: EveryElement}, {Kind: Indexed, Index: 2}, name("b")},
		"ü.\n":          {name("ü"), name("\n")},
	} {
		path, err := ParsePath(text)
		if err != nil || len(path) != len(want) {
			t.Errorf("%q is %v, %v; want %v", text, path, err, want)
			continue
		}
		many := false
		for i := range path {
			if path[i] != want[i] {
				t.Errorf("step %d of %q is %+v, want %+v", i, text, path[i], want[i])
			}
			many = many || want[i].Kind >= EveryMember
		}
		if path.Many() != many {
			t.Errorf("%q leads to many: %v", text, path.Many())
		}
	}
	for text, want := range map[string]string{
		"": "empty", ".": "empty", "a.": "empty", ".a": "empty", "a..b": "empty", "a.[0]": "empty",
		"a[": "no ]", "a[0": "no ]", "a]": "has no [", "a[]": "number of an element", "a[+1]": "number of an element", "a[x]": "number of an element", "a[1.5]": "number of an element", "a[99999999999999999999]": "number of an element",
		"a[0]b": "dot is missing", `a\`: "before nothing", `a\n`: "before nothing",
		strings.Repeat("a.", maxSteps) + "a": "more than 1000", strings.Repeat("[0]", maxSteps+1): "more than 1000",
	} {
		if path, err := ParsePath(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q is %v, %v; the error has no %q", text, path, err, want)
		}
	}
	if path, err := ParsePath(strings.Repeat("a.", maxSteps-1) + "a"); err != nil || len(path) != maxSteps {
		t.Errorf("%d steps: %v", len(path), err)
	}
}

// FuzzParsePath: what is read is written so that it reads back as the same.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"a.b", `a\.b[0][*].*`, "[-1]", `\[x\]`, `\*`, "a*", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path, err := ParsePath(text)
		if err != nil {
			return
		}
		again, err := ParsePath(path.String())
		if err != nil || again.String() != path.String() || len(again) != len(path) {
			t.Fatalf("%q is %+v, as text %q, which is %+v, %v", text, path, path, again, err)
		}
		for i := range path {
			if again[i] != path[i] {
				t.Fatalf("%q: step %d is %+v and then %+v", text, i, path[i], again[i])
			}
		}
	})
}

// What is written for a name is read as that name, whatever it would mean elsewhere.
func TestPathAsText(t *testing.T) {
	for name, want := range map[string]string{
		"a": "a", "a b": "a b", "$schema": "$schema", "a->b": `a-\>b`, "a,b": `a\,b`, "7": `\7`, "-1": `\-1`, "-": "-", "#": `\#`, "$env": `\$env`, "/a": `\/a`, "a/b": "a/b",
		"a?": `a\?`, "(a)|b;^": `\(a\)\|b\;\^`, `"a"`: `\"a\"`, "it's": "it's", " a\u00a0": "\\ a\\\u00a0", "{a}": `\{a\}`, "**": `\*\*`, `a\b`: `a\\b`, "": "",
	} {
		if got := (Path{{Name: name}}).String(); got != want {
			t.Errorf("%q is written %s, want %s", name, got, want)
		}
	}
}

func TestParseSteps(t *testing.T) {
	for text, want := range map[string][]int{"a": {0}, `a\.b.c`: {0, 5}, "[0][*].ü.b": {0, 3, 7, 10}, "a[0].*": {0, 1, 5}} {
		path, begins, err := ParseSteps(text)
		if err != nil || !slices.Equal(begins, want) || len(path) != len(want) {
			t.Errorf("the steps of %s begin at %v, %v; want %v", text, begins, err, want)
		}
	}
}
