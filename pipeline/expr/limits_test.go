package expr

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

// beyond evaluates what goes beyond a limit, the steps where want says so. Of those it leaves a tenth:
// what would run away does so in a tenth, too, and the tests do not wait for the rest.
func beyond(t *testing.T, text, want string, rec *pipeline.Record) (out []byte, err error) {
	t.Helper()
	e := mustCompile(t, text)
	m, err := e.start(rec)
	if err != nil {
		t.Fatal(err)
	}
	defer e.end(m, &err)
	if strings.Contains(want, "too many steps") {
		m.steps = maxSteps / 10 * 9
	}
	v, err := e.prog.run(m)
	if err != nil {
		return nil, err
	}
	return appendJSON(m, nil, v)
}

// TestLimits: what would run away is an error, when it is compiled or of the record.
func TestLimits(t *testing.T) {
	long := `{"s":"` + strings.Repeat("x", 600<<10) + `","set":"` + strings.Repeat("é", 200<<10) + `x","a":[` + strings.Repeat("1,", 20000) + `1],"n":3}`
	doubling := `let a0 = s;`
	pairs := `let a0 = [s, s];`
	for i := range 40 {
		doubling += fmt.Sprintf(" let a%d = a%d + a%d;", i+1, i, i)
		pairs += fmt.Sprintf(" let a%d = [a%d, a%d];", i+1, i, i)
	}
	for _, c := range []struct{ text, want string }{
		{doubling + " a40", "more than 1 MiB"},
		{pairs + " a40", "more than 1 MiB"},
		{pairs + " a40 == a40", "too many steps"},
		{pairs + " string(a40)", "more than 1 MiB"},
		{pairs + " flatten(a40)", "flatten: takes too many steps"},
		{`trim(s, set)`, "trim: takes too many steps"},
		{`join([s, s])`, "more than 1 MiB"},
		{`s + s`, "more than 1 MiB"},
		{`replace(s, "x", "yyyy")`, "more than 1 MiB"},
		{`replace(s, "", s)`, "more than 1 MiB"},
		{`toBase64(s) + s`, "more than 1 MiB"},
		{`split(s, "")`, "more than 1 MiB"},
		{`map(a, map(a, map(a, 1)))`, "too many steps"},
		{`any(a, any(a, # > 5))`, "too many steps"},
		{`any(a, a[#index] == 7)`, "too many steps"},
		{`count(a, a[-1] == 7)`, "too many steps"},
		{`map(a, a)`, "more than 1 MiB"},
		{`map(a, s)`, "more than 1 MiB"},
		{`len(uniq(map(a, #index)))`, "too many steps"},
		{`s matches "(.*a){20}(.*b){20}(.*c){20}x?x?x?x?"`, "too many steps"},
		{`concat(map(1..1000, a))`, "more than 1 MiB"},
		{`flatten(map(1..1000, a))`, "b"},
		{`append(map(1..1000, a), 1) == union(a, map(1..1000, s))`, "union: takes too many steps"},
		{`zip(a, a, a)`, "more than 1 MiB"},
		{`with({"a": a}, "a[*]", s)`, "more than 1 MiB"},
		{`with({"a": map(a, #)}, "a[*]", s)`, "more than 1 MiB"},
		{`with({"a": a}, "a[*]", a)`, "more than 1 MiB"},
		{`map(a, with({"a": a}, "a[0]", 1))`, "too many steps"},
		{`map(a, without({"a": a}, "a[0]"))`, "too many steps"},
		{`map(a, pick({"a": a}, "a[0]"))`, "too many steps"},
		{`map(a, get({"a": a}, "a[-1]"))`, "too many steps"},
		{`map(1..1000, compact(a))`, "b"},
		{`map(1..1000, merge(mapKeys(fromPairs(map(1..1000, [string(#), #])), #key + "x"), {"a": 1}))`, "b"},
		{`map(1..1000, tally(a))`, "too many steps"},
		{`map(1..1000, mapValues(fromPairs(map(1..1000, [string(#), #])), s))`, "b"},
		{`map(1..1000, flattenKeys(fromPairs(map(1..1000, [string(#), {s: #}]))))`, "b"},
		{`explode({"a": a, "s": s}, "a")`, "b"},
		{`mergeDeep(map(1..1000, fromPairs(map(1..1000, [string(#), {a: #}]))))`, "b"},
		{pairs + ` compact(a40, "deep")`, "b"},
		{pairs + ` get(a40, "[*][*][*][*][*][*][*][*][*][*][*][*][*][*][*][*][*][*][*][*][*][*]")`, "too many steps"},
	} {
		got, err := beyond(t, c.text, c.want, record(long))
		if reason, ok := pipeline.IsPermanent(err); !ok || reason != pipeline.ReasonExpression || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: %d bytes, error %v, want %q", c.text, len(got), err, c.want)
		}
	}
	// A record's own bytes are never too many, and an honest walk through them is not either.
	for text, want := range map[string]int{`trim(s, "x")`: 2, `trim(s, "éx")`: 2, `s`: 600<<10 + 2, `a`: 40003, `[s]`: 600<<10 + 4, `sum(a)`: 5, `len(s)`: 6, `count(a, # == 1 and n == 3)`: 5,
		`len(get({"a": a}, "a[*]"))`: 5, `len(pick({"a": a}, "a[*]").a)`: 5, `get({"a": a}, "a[-1]")`: 1, `len(difference(a, [2]))`: 5, `len(uniq(range(0, n * 1000)))`: 4, `len(without({"s": s, "b": 1}, "b").s)`: 6} {
		if got, err := mustCompile(t, text).JSON(record(long)); err != nil || len(got) != want {
			t.Errorf("%s gives %d bytes, %v; want %d", text, len(got), err, want)
		}
	}
}

// TestLongTextsWithEscapes: a record's own text is never too long, whether it has escapes or not.
func TestLongTextsWithEscapes(t *testing.T) {
	for _, size := range []int{maxResult + 100, 3 << 20} {
		rec := record(`{"u":"` + strings.Repeat("x", size) + `\n"}`)
		for text, want := range map[string]string{
			`u == "x"`: "false", `u == u`: "true", `len(u)`: fmt.Sprint(size + 1), `u contains "y"`: "false", `u endsWith "\n"`: "true", `u matches "^xx"`: "true", `len(sha256(u)) > 0`: "true", `u < "y"`: "true", `u[0]`: `"x"`,
			`[len(u), len(u)][0] == len(u)`: "true",
		} {
			if got, err := mustCompile(t, text).JSON(rec); err != nil || string(got) != want {
				t.Errorf("%s of %d bytes: %.80s, %v; want %s", text, size, got, err, want)
			}
		}
	}
	// What is kept of one long text is not taken for another.
	rec := record(`{"a":"` + strings.Repeat("a", 5000) + `\n","b":"` + strings.Repeat("b", 5000) + `\n"}`)
	for text, want := range map[string]string{`upper(a)[0] + upper(b)[0] + upper(a)[0]`: `"ABA"`, `a == b`: "false", `[a, b, a] == [a, b, a]`: "true"} {
		if got, err := mustCompile(t, text).JSON(rec); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
}

// TestErrorsQuoteNoValues: whatever fails, no message holds a value of the record.
func TestErrorsQuoteNoValues(t *testing.T) {
	value := `{"s":"CANARY","n":424242,"a":["CANARY",424242],"o":{"CANARY":424242},"big":42424242424242424242,"f":4242.42}`
	names, ops := []string{"s", "n", "a", "o", "big", "f", "missing"}, []string{"+", "-", "*", "/", "%", "**", ">", "in", "contains", "and"}
	var texts []string
	for _, x := range names {
		for _, y := range names {
			for _, op := range ops {
				texts = append(texts, x+" "+op+" "+y)
			}
		}
		for _, f := range Functions() {
			texts = append(texts, f+"("+x+")", f+"("+x+", "+x+")", f+"(a, "+x+")", f+"("+x+", "+x+", "+x+")", f+"(a, # > "+x+")")
		}
		texts = append(texts, x+"[n:s]", x+" ? 1 : 2", "-"+x, "date("+x+", s)", x+` matches "a"`)
	}
	fails := 0
	for _, text := range texts {
		e := new(Expr)
		if e.UnmarshalText([]byte(text)) != nil {
			continue
		}
		_, err := e.JSON(record(value))
		_, err2 := e.Condition(record(value))
		for _, err := range []error{err, err2} {
			if err == nil {
				continue
			}
			fails++
			if strings.Contains(err.Error(), "CANARY") || strings.Contains(err.Error(), "4242") || strings.Contains(err.Error(), "internal") {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
	if fails < 500 {
		t.Errorf("only %d of %d failed", fails, len(texts))
	}
}

func TestCondition(t *testing.T) {
	for _, c := range []struct {
		text, value string
		ok          bool
		reason      string
	}{
		{`delay >= 15`, flight, true, ""}, {`delay >= 67`, flight, false, ""}, {`nothing`, flight, false, ""}, {`nothing >= 5`, flight, false, ""},
		{`delay`, flight, false, pipeline.ReasonExpression}, {`origin`, flight, false, pipeline.ReasonExpression}, {`origin >= 5`, flight, false, pipeline.ReasonExpression},
		{`delay >= 15`, `{"delay":`, false, pipeline.ReasonInvalidJSON}, {`meta.offset == 77`, `no JSON`, true, ""},
		{`delay >= 15`, `[1]`, false, pipeline.ReasonNotObject}, {`delay == nil`, `"x"`, false, pipeline.ReasonNotObject}, {`delay ?? true`, `7`, false, pipeline.ReasonNotObject}, {`$env["a b"]?.c == 1`, `null`, false, pipeline.ReasonNotObject},
		{`any([1], delay > 0)`, `[1]`, false, pipeline.ReasonNotObject}, {`let d = delay; true`, `[1]`, false, pipeline.ReasonNotObject}, {`not (delay > 1)`, `[1]`, false, pipeline.ReasonNotObject}, {`get(delay, "x") == nil`, `[1]`, false, pipeline.ReasonNotObject},
		// What reads no field, or does not come to it, is about no value.
		{`meta.offset == 77`, `[1]`, true, ""}, {`header("type") == nil`, `[1]`, true, ""}, {`1 < 2`, `[1]`, true, ""}, {`meta.offset == 77 or delay > 1`, `[1]`, true, ""}, {`meta.offset == 78 and delay > 1`, `[1]`, false, ""},
		{`yes`, `{"yes":true}`, true, ""}, {`nil`, flight, false, ""}, {`find([true], #)`, flight, true, ""},
	} {
		var e Condition
		if err := e.UnmarshalText([]byte(c.text)); err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		ok, err := e.Condition(record(c.value))
		reason, _ := pipeline.IsPermanent(err)
		if ok != c.ok || reason != c.reason || (err == nil) != (c.reason == "") {
			t.Errorf("%s of %.20s: %v, %v; want %v, %q", c.text, c.value, ok, err, c.ok, c.reason)
		}
	}
	for _, text := range []string{`1`, `"x"`, `upper(origin)`, `delay + 1`, `[1]`, `{}`, `meta.topic + "x"`, `len(a)`, `cond ? 1 : "x"`, `date(x)`} {
		err := new(Condition).UnmarshalText([]byte(text))
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Message, "a condition must") || e.Suggestion == "" {
			t.Errorf("the condition %s: %v", text, err)
		}
		if err := new(Expr).UnmarshalText([]byte(text)); err != nil {
			t.Errorf("the value %s: %v", text, err)
		}
	}
	if _, err := new(Condition).Condition(record(flight)); err == nil {
		t.Error("a condition that was never compiled holds")
	}
}

func TestBytes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`s`, `abc`}, {`u`, `Zürich "x"`}, {`esc`, "abc\n"}, {`price`, `1.10`}, {`id`, `9007199254740993`}, {`yes`, `true`}, {`o`, `{"b":{"c":"deep"},"k":1.50}`}, {`[n, s]`, `[7,"abc"]`}, {`empty`, ``}, {`s + "\n"`, "abc\n"}, {`meta.key`, `k1`},
	} {
		got, err := mustCompile(t, c.text).Bytes(record(everything))
		if err != nil || got == nil || string(got) != c.want {
			t.Errorf("%s = %q, %v; want %q", c.text, got, err, c.want)
		}
	}
	for _, text := range []string{`missing`, `null`, `o.x`} {
		if got, err := mustCompile(t, text).Bytes(record(everything)); got != nil || err != nil {
			t.Errorf("%s = %q, %v; want nil", text, got, err)
		}
	}
}

// TestResultsAreTheCallers: neither a result nor a failure touches what is not its own.
func TestResultsAreTheCallers(t *testing.T) {
	rec := record(`{"s":"abc","n":1}`)
	for _, text := range []string{`s`, `n`, `[s]`, `s + s`, `"const"`} {
		e := mustCompile(t, text)
		first, _ := e.JSON(rec)
		want := string(first)
		for i := range first {
			first[i] = '#'
		}
		plain, _ := e.Bytes(rec)
		for i := range plain {
			plain[i] = '#'
		}
		if again, err := e.JSON(rec); err != nil || string(again) != want {
			t.Errorf("%s = %s after a result was changed, want %s", text, again, want)
		}
	}
	if out, err := mustCompile(t, `[s, s + n]`).AppendJSON([]byte("keep"), rec); err == nil || string(out) != "keep" {
		t.Errorf("a failure leaves %q, %v", out, err)
	}
	if out, err := mustCompile(t, `missing`).AppendJSON([]byte("keep"), rec); err != nil || string(out) != "keepnull" {
		t.Errorf("appended: %q, %v", out, err)
	}
}

func TestFieldsThatAreRead(t *testing.T) {
	e := mustCompile(t, `let x = b; filter(a, .c > d and x)[0].e + $env["f g"] + meta.topic + header("h") + upper(b)`)
	if got := strings.Join(e.Fields(), ","); got != "a,b,d,f g" {
		t.Errorf("fields %s", got)
	}
	text, _ := e.MarshalText()
	if string(text) != e.String() || e.IsZero() || !new(Expr).IsZero() {
		t.Error("the text of an expression is lost")
	}
	if err := e.UnmarshalText([]byte(`uper(x)`)); err == nil || e.String() != string(text) {
		t.Error("a failed compilation changes the expression")
	}
}

func TestNoTime(t *testing.T) {
	rec := record(`{}`)
	rec.Init(pipeline.Position{}, nil, []byte(`{}`), nil, pipeline.NoTime)
	for _, text := range []string{`meta.time`, `meta.key`} {
		if got, err := mustCompile(t, text).JSON(rec); err != nil || string(got) != "null" {
			t.Errorf("%s = %s, %v", text, got, err)
		}
	}
}

// TestFieldsSetByStages: an edit is what the next expression reads, even a broken one.
func TestFieldsSetByStages(t *testing.T) {
	rec := record(`{"a":1}`)
	_ = rec.SetRaw("a", []byte(" 2 "))
	if got, err := mustCompile(t, `a + 1`).JSON(rec); err != nil || string(got) != "3" {
		t.Errorf("%s, %v", got, err)
	}
	for _, broken := range []string{`{"x`, `[1,`, `"`, `tru`, `-`, `"a\`, `{`, `[[[`, `1.2.3`, `"\u12`} {
		_ = rec.SetRaw("a", []byte(broken))
		for _, text := range []string{`a.x`, `a[0]`, `a == 1`, `len(a)`, `map(a, #)`, `a + "x"`, `[a]`, `keys(a)`, `a[1:2]`, `a in a`} {
			e := mustCompile(t, text)
			if _, err := e.JSON(rec); err != nil && strings.Contains(err.Error(), "internal") {
				t.Errorf("%s of %s: %v", text, broken, err)
			}
		}
	}
}

// TestConcurrent: one expression may be used by many at once.
func TestConcurrent(t *testing.T) {
	e := mustCompile(t, `let x = filter(items, .price > n - 5); [len(x), map(x, .price + n), upper(s) + s, {k: x}]`)
	tpl := mustTemplate(t, `{s}-{n}`)
	want, err := e.JSON(record(everything))
	if err != nil || !json.Valid(want) {
		t.Fatal(string(want), err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				rec := record(everything)
				if got, err := e.JSON(rec); err != nil || string(got) != string(want) {
					t.Errorf("%s, %v; want %s", got, err, want)
				}
				if got, err := tpl.Text(rec); err != nil || got != "abc-7" {
					t.Errorf("%s, %v", got, err)
				}
				if _, err := e.Condition(rec); err == nil {
					t.Error("an array is a condition")
				}
			}
		})
	}
	wg.Wait()
}

// TestLimit: an expression whose limit is lower fails earlier, whichever way it is evaluated, and others are as they were.
func TestLimit(t *testing.T) {
	rec := record(`{"a":[` + strings.Repeat("1,", 999) + `1],"n":3}`)
	for _, text := range []string{`count(a, # == 1) == 1000`, `n == 3`} {
		var c Condition
		if err := c.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		for steps, ok := range map[int]bool{100: text == `n == 3`, 100_000: true, 10_000_000: true} {
			c := c
			c.Limit(steps)
			got, err := c.Condition(rec)
			if got != ok || (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "too many steps") {
				t.Errorf("%s with %d steps: %v, %v", text, steps, got, err)
			}
		}
		if got, err := c.Condition(rec); !got || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}
