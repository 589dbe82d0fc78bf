package expr

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"strings"
	"testing"
)

// TestEdges: rules that hold at the edge too, of one element, of one half of a unit.
func TestEdges(t *testing.T) {
	for text, want := range map[string]string{
		`sort([missing])`: "!sorting a missing value", `sort([o])`: "!ordering an object against an object", `sort([yes])`: "!ordering a boolean against a boolean", `sortBy([o], .none)`: "!sorting a missing value", `sort([s])`: `["abc"]`, `sort([])`: "[]", `sort([date("2024-01-01")])`: `["2024-01-01T00:00:00Z"]`,
		`int(duration("-1.5ms"))`: "-1", `int(duration("1.5ms"))`: "1", `int(duration("-0.5ms"))`: "0", `int(date(-1))`: "-1",
		`float(s + "0x1p3")`: "!no number", `float(string(n) + "_0")`: "!no number", `float("-007.50e+1")`: "-75.0", `float("+1")`: "1.0", `float(string(n) + ".")`: "!no number",
		`inCIDR("10.1.2.3", "::ffff:10.0.0.0/104")`: "true", `inCIDR("11.1.2.3", "::ffff:10.0.0.0/104")`: "false", `inCIDR("::ffff:10.1.2.3", "10.0.0.0/8")`: "true", `inCIDR("10.1.2.3", "::/0")`: "false", `inCIDR("2001:db8::1", "2001:db8::/32")`: "true",
		`bitand(f, 1)`: "!bitand: argument 1 needs an integer, this is a number with a fraction", `get(a, f)`: "!get: argument 2 needs an integer", `date(f)`: "!date: a number with a fraction is no date",
		`fromJSON(repeat("[", 10000 + n))`: "!nested deeper than 10,000", `fromJSON(repeat("[", n))`: "!not valid JSON", `try(fromJSON(repeat("[", 10000 + n)), 1)`: "1",
		`try(range(0, 10000 + n), "x")`: "!more than 10,000 integers", `try(range(0, n, n - 7), "x")`: `"x"`,
	} {
		e := new(Expr)
		if err := e.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := e.JSON(record(everything))
		if message, fails := strings.CutPrefix(want, "!"); fails != (err != nil) || fails && !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		} else if !fails && string(got) != want && string(got)+".0" != want {
			t.Errorf("%s = %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]string{`bitand(1.5, 1)`: "needs an integer here, this is a number with a fraction", `range(0, 1.5)`: "needs an integer here", `get(a, 2.0)`: "needs an integer here", `date(1.5)`: "a number with a fraction is no date", `try(range(0, 20000), 1)`: "more than 10,000 integers"} {
		if err := new(Expr).UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestTryIsNoWayAroundALimit: what holds more than an evaluation may build fails in a try too.
func TestTryIsNoWayAroundALimit(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(make([]byte, 2*maxResult)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	rec := record(`{"bomb":"` + base64.StdEncoding.EncodeToString(packed.Bytes()) + `"}`)
	if got, err := mustCompile(t, `try(fromGzip(fromBase64(bomb)), "x")`).JSON(rec); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := mustCompile(t, `try(fromGzip(bomb), "x")`).JSON(rec); err != nil || string(got) != `"x"` {
		t.Errorf("%s, %v", got, err)
	}
}
