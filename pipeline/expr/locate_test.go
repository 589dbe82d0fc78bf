package expr

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

// TestLocate: where an evaluation fails, the place is that of what failed. In each text ^ stands
// before it, and is taken out.
func TestLocate(t *testing.T) {
	for _, c := range []struct{ text, message string }{
		// Operators and their operands.
		{`n ^+ s`, "+ on a number and a string"},
		{`n + ^missing`, "+ on a missing value"},
		{`^missing * 2`, "* on a missing value"},
		{`1 + o.^none + 2`, "+ on a missing value"},
		{`missing ^- gone`, "- on a missing value"},
		{`yes and n ^/ 0 > 1`, "division by zero"},
		{`n ^>= s`, "ordering a number against a string"},
		{`not ^s`, "a condition gives a string"},
		{`-^s`, "before a string"},
		{`yes and ^n`, "a condition gives a number"},
		{`^s ? 1 : 2`, "a condition gives a string"},
		{`^n contains "b"`, "contains needs two strings"},
		{`s startsWith ^n`, "startsWith needs two strings"},
		{`^n matches "b"`, "matches needs a string"},
		{`s in ^s`, "in needs an array"},
		// Calls, nested and piped.
		{`upper(^n)`, "upper: argument 1 is a number, not a string"},
		{`upper(trim(o.^k))`, "trim: argument 1 is a number"},
		{`lower(upper(^missing))`, "upper: argument 1 is missing"},
		{`replace(s, ^n, "x")`, "replace: argument 2 is a number"},
		{`s | upper() | trimPrefix(^n)`, "trimPrefix: argument 2 is a number"},
		{`^n | upper()`, "upper: argument 1 is a number"},
		{`round(int(^missing))`, "int: argument 1 is missing"},
		{`1 + ^int(s)`, "int: the text is no 64-bit integer"},
		{`header(^n)`, "header: argument 1 is a number"},
		{`string(^date(s))`, "date: the text is no date"},
		// Of try the place is that of the last.
		{`try(upper(n), lower(^n))`, "lower: argument 1 is a number"}, {`1 + try(n / 0, s ^* 2)`, "* on a string"}, {`try(n, 1) ^+ s`, "+ on a number and a string"}, {`^try(upper(n), missing) + "x"`, "+ on a missing value"}, {`map(items, try(upper(.price), .price ^+ .tag))`, "+ on a number and a string"},
		// Members, slices, objects, arrays.
		{`a[^s:]`, "at a string"}, {`a[1:^missing]`, "at a missing value"}, {`n^[1:2]`, "cutting a number"},
		{`{"x": 1, (^n): 2}`, "a field name is a number"},
		{`[1, upper(^n)]`, "upper"},
		{`{a: {b: upper(^n)}}`, "upper"},
		{`get(upper(^n), "x")`, "upper"},
		// Predicates.
		{`filter(^missing, # > 1)`, "filter of a missing array"},
		{`map(^s, #)`, "map of a string"},
		{`filter(items, .^price)`, "a condition gives a number"},
		{`map(items, upper(.^price))`, "upper: argument 1 is a number"},
		{`map(items, .price ^+ .tag)`, "+ on a number and a string"},
		{`sum(items, .^tag)`, "sum of a string"},
		{`^sum(tags)`, "sum of a string"},
		{`count(^[n])`, "a condition gives a number"},
		{`sortBy(items, .^tag)`, "missing"},
		{`map(filter(items, .price > 2), upper(.^tag))`, "upper: argument 1 is missing"},
		{`any(items, any(tags, # ^> n))`, "ordering a string against a number"},
		// Variables, several lines, text of several bytes.
		{`let x = n; upper(^x)`, "upper"},
		{`let x = upper(^n); x`, "upper"},
		{"n > 1 and\n  upper(^n) == s", "upper"},
		{"let total = n + 1;\nlet name = u;\n\n\tname + \"ü\" ^+ (total == 8 ? n : s)", "+ on a string and a number"},
		{`"Zürich ✈ " ^+ n`, "+ on a string and a number"},
		{`u == "Zürich" or upper(^n) == ""`, "upper"},
		{`$env["flight number"] ^+ s`, "+ on a number and a string"},
		{`(missing ?? "x") ^+ n`, "+ on a string and a number"},
		{`yes ? upper(^n) : 1`, "upper"},
	} {
		want := strings.Index(c.text, "^") + 1
		text := strings.Replace(c.text, "^", "", 1)
		e := new(Expr)
		if err := e.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%s: compiling: %v", text, err)
			continue
		}
		rec := record(everything)
		_, err := e.JSON(rec)
		if err == nil {
			t.Errorf("%s does not fail", text)
			continue
		}
		at := e.Locate(rec)
		if at == nil || at.Column != want || !strings.Contains(at.Message, c.message) {
			t.Errorf("%s: %+v, want column %d, %q", text, at, want, c.message)
			continue
		}
		if !strings.HasSuffix(err.Error(), at.Message) {
			t.Errorf("%s: evaluated it says %q, located %q", text, err, at.Message)
		}
	}
}

// TestLocateHints: what fails because something is nil says what to do about that, and nothing
// else does.
func TestLocateHints(t *testing.T) {
	rec := record(everything)
	for text, hint := range map[string]bool{
		`missing + 1`: true, `upper(missing)`: true, `-missing`: true, `sum(missing)`: true, `sort([n, missing])`: true, `mapValues(missing, #)`: true, `{(missing): 1}`: true,
		`parseKeyValue("=" + s)`: false, `upper(n)`: false, `n + s`: false, `date(s)`: false,
	} {
		if at := mustCompile(t, text).Locate(rec); at == nil || (at.Suggestion != "") != hint {
			t.Errorf("%s: %+v", text, at)
		}
	}
}

// TestLocateOfConditions: a condition fails where an expression gives something else, and what
// does not fail has no place.
func TestLocateOfConditions(t *testing.T) {
	rec := record(everything)
	for text, column := range map[string]int{`n`: 1, `o.b`: 3, `yes and o.k`: 11, `yes`: 0, `missing`: 0, `n > 1`: 0, `missing > 1 or upper(n) == s`: 22} {
		c := new(Condition)
		if err := c.UnmarshalText([]byte(text)); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		at := c.Locate(rec)
		if got := 0; at != nil {
			got = at.Column
			if got != column {
				t.Errorf("%s: column %d, want %d", text, got, column)
			}
		} else if column != 0 {
			t.Errorf("%s: no place, want column %d", text, column)
		}
		if _, err := c.Condition(rec); (err != nil) != (column != 0) {
			t.Errorf("%s: evaluating gives %v", text, err)
		}
	}
	if at := new(Expr).Locate(rec); at != nil {
		t.Errorf("nothing compiled: %+v", at)
	}
}

// TestLocateOfRecords: an error that is the record's own has the place of what reads it.
func TestLocateOfRecords(t *testing.T) {
	for value, message := range map[string]string{`[1, 2]`: "object", `{"a": `: "JSON"} {
		e := new(Expr)
		if err := e.UnmarshalText([]byte(`meta.topic + upper(delay)`)); err != nil {
			t.Fatal(err)
		}
		rec := record(value)
		if at := e.Locate(rec); at == nil || at.Column != 20 || !strings.Contains(at.Message, message) {
			t.Errorf("%s: %+v", value, at)
		}
	}
	e := new(Expr)
	if err := e.UnmarshalText([]byte(`map(1..1000, map(1..1000, map(1..1000, n)))`)); err != nil {
		t.Fatal(err)
	}
	if at := e.Locate(record(everything)); at == nil || at.Column < 5 || !strings.Contains(at.Message, "too many steps") && !strings.Contains(at.Message, "builds too much") {
		t.Errorf("too many steps: %+v", at)
	}
}

func TestEvaluate(t *testing.T) {
	for text, want := range map[string]Value{
		`n`: {[]byte("7"), "int"}, `f`: {[]byte("2.5"), "float"}, `missing`: {[]byte("null"), "nil"}, `yes`: {[]byte("true"), "bool"},
		`tags`: {[]byte(`["x","y"]`), "array"}, `o`: {nil, "map"}, `s`: {[]byte(`"abc"`), "string"},
		`date("2001-01-02")`: {[]byte(`"2001-01-02T00:00:00Z"`), "date"}, `duration("1h")`: {[]byte(`"1h0m0s"`), "duration"},
	} {
		e := new(Expr)
		if err := e.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		got, err := e.Evaluate(record(everything))
		if err != nil || got.Type != want.Type || want.JSON != nil && string(got.JSON) != string(want.JSON) {
			t.Errorf("%s: %s, a %s, %v; want %s, a %s", text, got.JSON, got.Type, err, want.JSON, want.Type)
		}
	}
	e := new(Expr)
	if err := e.UnmarshalText([]byte(`upper(n)`)); err != nil {
		t.Fatal(err)
	}
	_, err := e.Evaluate(record(everything))
	if reason, ok := pipeline.IsPermanent(err); !ok || reason != pipeline.ReasonExpression {
		t.Errorf("upper(n): %v", err)
	}
	var none *Error
	if errors.As(err, &none) {
		t.Error("an evaluation looks for its place by itself, which costs")
	}
}

// TestLocateWithin: whatever stands around what fails, the place is the same part of it.
func TestLocateWithin(t *testing.T) {
	failing := []string{`upper(^n)`, `n ^+ s`, `missing ^- gone`, `"ü✈" + o.^none`, `int(n) + ^int(s)`, `map(items, .price ^+ .tag)`, `upper(s[0:^missing])`, `^n matches "b"`}
	around := []string{
		`(X)`, `[1, X]`, `{"ü": X}`, `(X) ?? 1`, `yes ? (X) : 1`, `no ? 1 : (X)`, `let z = (X); z`, `"é" + string(X)`, `map(tags, (X))`, `filter(tags, (X) == #)`,
		`type(X)`, `len([X])`, `(X) | string() | upper()`, `any(items, any(tags, (X) == 1))`, "\n  (X)", `first([X, 2])`, `yes and (X) == 1`, `[X][0]`, `get({a: X}, "a")`, `1; (X)`, `not ((X) == 1)`, `(X) in [1, 2]`, `if (X) == 1 { 1 } else { 2 }`,
	}
	r := rand.New(rand.NewPCG(1, 2))
	rec := record(everything)
	checked := 0
	for range 2000 {
		marked := failing[r.IntN(len(failing))]
		for range 1 + r.IntN(6) {
			marked = strings.Replace(around[r.IntN(len(around))], "X", marked, 1)
		}
		want := strings.Index(marked, "^") + 1
		e := new(Expr)
		if err := e.UnmarshalText([]byte(strings.Replace(marked, "^", "", 1))); err != nil {
			continue // what is around takes no such type, or is too long
		}
		_, err := e.JSON(rec)
		if err == nil {
			continue
		}
		checked++
		if at := e.Locate(rec); at == nil || at.Column != want {
			t.Errorf("%s: %v, located at %+v, want column %d", marked, err, at, want)
		}
	}
	if checked < 1000 {
		t.Errorf("only %d expressions failed", checked)
	}
}

// TestLocateOfEveryFunction: whatever function fails, of whatever it is called with, there is a place.
func TestLocateOfEveryFunction(t *testing.T) {
	found := 0
	for _, name := range Functions() {
		for _, args := range []string{"[1]", "[yes, n]", "tags", "items", "o", "s", "n", "missing", "[nil]", "[{}, 1]", "items, .price", "items, .tag", "o, #", "s, s", "n, n", "a, n, s", "s, n, n"} {
			e := new(Expr)
			if e.UnmarshalText([]byte(name+"("+args+")")) != nil {
				continue
			}
			if _, err := e.JSON(record(everything)); err == nil {
				continue
			}
			found++
			at := e.Locate(record(everything))
			if at == nil || at.Column < 1 || at.Column > len(e.String()) || strings.Contains(at.Message, "internal") {
				t.Errorf("%s: %+v", e, at)
			}
		}
	}
	if found < 200 {
		t.Errorf("only %d calls fail", found)
	}
}
