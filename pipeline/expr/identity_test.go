package expr

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// What has one identity is what == calls equal, for every pair of many values.
func TestIdentityIsEquality(t *testing.T) {
	values := []string{
		`1`, `1.0`, `1e0`, `10e-1`, `"1"`, `-1`, `0`, `-0`, `-0.0`, `0.0`, `""`, `"0"`, `true`, `"true"`, `false`, `"false"`, `null`, `"null"`,
		`1.5`, `15e-1`, `0.1`, `0.10`, `1e-320`, `9007199254740993`, `9007199254740992`, `9007199254740992.0`, `9223372036854775807`,
		`9223372036854775808`, `9223372036854775808.0`, `-9223372036854775808`, `-9223372036854775808.0`, `18446744073709551616`, `1.8446744073709551616e19`,
		`1e22`, `10000000000000000000000`, `1e300`, `"a"`, `"\u0061"`, `"a\n"`, `"a\\n"`, `"Zürich"`, `"Z\u00fcrich"`,
		`[]`, `[1]`, `[1.0]`, `["1"]`, `[1,2]`, `[12]`, `[[1],2]`, `[[1,2]]`, `[null]`, `[""]`, `["",""]`, `["]"]`,
		`{}`, `{"a":1}`, `{"a":1.0}`, `{"a":"1"}`, `{"a":1,"b":2}`, `{"b":2,"a":1}`, ` { "b" : 2 , "a" : 1 } `, `{"a":{"b":2}}`, `{"a":null}`, `{"a":1,"a":2}`,
		`"{}"`, `"[]"`, `"` + strings.Repeat("x", 100_000) + `"`, `"` + strings.Repeat("x", 100_000) + `y"`,
	}
	x, y, same := mustCompile(t, "x"), mustCompile(t, "y"), mustCompile(t, "x == y")
	for _, a := range values {
		for _, b := range values {
			rec := record(fmt.Sprintf(`{"x":%s,"y":%s}`, a, b))
			left, err := x.Identity(rec)
			if err != nil {
				t.Fatal(a, err)
			}
			right, err := y.Identity(rec)
			if err != nil {
				t.Fatal(b, err)
			}
			want, err := same.Condition(rec)
			if err != nil {
				t.Fatal(a, b, err)
			}
			if got := bytes.Equal(left, right); got != want {
				t.Errorf("%.40s and %.40s: one identity %v, equal %v", a, b, got, want)
			}
		}
	}
}

func TestIdentity(t *testing.T) {
	for _, c := range []struct {
		text string
		none bool
		want string // of another expression with the same identity, or a part of the error
	}{
		{text: `missing`, none: true}, {text: `null`, none: true}, {text: `o.x`, none: true},
		{text: `[1, "x"]`, want: `[1.0, 'x']`}, {text: `{b: n, a: [f]}`, want: `{a: [2.5], b: 7.0}`}, {text: `o`, want: `{k: 1.5, b: {c: "deep"}}`},
		{text: `huge`, want: `huge`}, {text: `[missing]`, want: `[nil]`}, {text: `date(date)`, want: `date("2001-01-02T00:00:00Z")`},
		{text: `n + missing`, want: `!+ on a missing value`},
	} {
		got, err := mustCompile(t, c.text).Identity(record(everything))
		if part, fails := strings.CutPrefix(c.want, "!"); fails {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: error %v", c.text, err)
			}
			continue
		}
		if err != nil || (got == nil) != c.none {
			t.Errorf("%s: %q, %v", c.text, got, err)
			continue
		}
		if !c.none {
			other, err := mustCompile(t, c.want).Identity(record(everything))
			if err != nil || !bytes.Equal(got, other) {
				t.Errorf("%s and %s: %q, %q, %v", c.text, c.want, got, other, err)
			}
		}
	}
	if a, _ := mustCompile(t, "huge").Identity(record(everything)); bytes.Equal(a, must(mustCompile(t, "huger").Identity(record(everything)))) {
		t.Error("two numbers beyond float64 are one")
	}
	for _, long := range []string{
		strings.Repeat("[", 5000) + strings.Repeat("]", 5000), `"` + strings.Repeat("x", 5<<20) + `"`, `"\n` + strings.Repeat("x", 5<<20) + `"`,
	} {
		if _, err := mustCompile(t, "x").Identity(record(`{"x":` + long + `}`)); err != nil {
			t.Errorf("a long key %.5s: %v", long, err)
		}
	}
}

func must(b []byte, _ error) []byte { return b }
