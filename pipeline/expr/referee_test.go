package expr

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/expr-lang/expr"
)

// A generator writes random expressions whose types fit, over the fields of a record
// where nothing is missing: there expr-lang and this package must agree.
type generator struct {
	*rand.Rand
	inPredicate bool
}

func (g *generator) pick(choices ...func(depth int) string) func(int) string {
	return choices[g.IntN(len(choices))]
}

func (g *generator) number(depth int) string {
	atoms := []string{"n", "neg", "f", "o.k", "a[0]", strconv.Itoa(g.IntN(20) - 5), fmt.Sprintf("%.2f", g.Float64()*10)}
	if g.inPredicate {
		atoms = append(atoms, "#.price", ".price", "#index")
	}
	if depth <= 0 {
		return atoms[g.IntN(len(atoms))]
	}
	switch d := depth - 1; g.IntN(14) {
	case 0, 1, 2:
		return "(" + g.number(d) + []string{" + ", " - ", " * ", " / "}[g.IntN(4)] + g.number(d) + ")"
	case 3:
		return "(" + g.boolean(d) + " ? " + g.number(d) + " : " + g.number(d) + ")"
	case 4:
		return "len(" + g.text(d) + ")"
	case 5:
		return []string{"abs", "ceil", "floor", "round", "float"}[g.IntN(5)] + "(" + g.number(d) + ")"
	case 6:
		return []string{"min", "max"}[g.IntN(2)] + "(" + g.number(d) + ", " + g.number(d) + ")"
	case 7:
		return "(-" + g.number(d) + ")"
	case 8:
		return "(let x" + strconv.Itoa(depth) + " = " + g.number(d) + "; x" + strconv.Itoa(depth) + " + " + g.number(d) + ")"
	case 9:
		return g.predicate("count", g.number, g.boolean, d)
	case 10:
		return g.predicate("sum", g.number, g.number, d)
	case 11:
		return "indexOf(" + g.text(d) + ", " + g.text(d) + ")"
	}
	return atoms[g.IntN(len(atoms))]
}

func (g *generator) text(depth int) string {
	atoms := []string{"s", "tags[1]", "o.name", `"a"`, `"-x"`, `''`}
	if depth <= 0 {
		return atoms[g.IntN(len(atoms))]
	}
	switch d := depth - 1; g.IntN(10) {
	case 0, 1:
		return "(" + g.text(d) + " + " + g.text(d) + ")"
	case 2:
		return []string{"upper", "lower", "trim", "toBase64"}[g.IntN(4)] + "(" + g.text(d) + ")"
	case 3:
		return "(" + g.boolean(d) + " ? " + g.text(d) + " : " + g.text(d) + ")"
	case 4:
		return "replace(" + g.text(d) + ", " + g.text(d) + ", " + g.text(d) + ")"
	case 5:
		return "join(tags, " + g.text(d) + ")"
	case 6:
		return []string{"trimPrefix", "trimSuffix"}[g.IntN(2)] + "(" + g.text(d) + ", " + g.text(d) + ")"
	case 7:
		return "(" + g.text(d) + " | lower())"
	}
	return atoms[g.IntN(len(atoms))]
}

func (g *generator) boolean(depth int) string {
	if depth <= 0 {
		return []string{"yes", "no", "true", "n > 3", `s == "abc"`}[g.IntN(5)]
	}
	switch d := depth - 1; g.IntN(9) {
	case 0, 1:
		return "(" + g.number(d) + []string{" < ", " <= ", " > ", " >= ", " == ", " != "}[g.IntN(6)] + g.number(d) + ")"
	case 2:
		return "(" + g.text(d) + []string{" < ", " >= ", " == ", " != ", " contains ", " startsWith ", " endsWith "}[g.IntN(7)] + g.text(d) + ")"
	case 3:
		return "(" + g.boolean(d) + []string{" and ", " or ", " && ", " || "}[g.IntN(4)] + g.boolean(d) + ")"
	case 4:
		return "not " + g.boolean(d)
	case 5:
		return "(" + g.text(d) + " in " + []string{"tags", `["a", "abc"]`}[g.IntN(2)] + ")"
	case 6:
		return "(" + g.number(d) + " in " + []string{"a", "[1, 2.5, 7]"}[g.IntN(2)] + ")"
	case 7:
		return g.predicate([]string{"any", "all", "none", "one"}[g.IntN(4)], g.boolean, g.boolean, d)
	}
	return "(" + g.text(depth-1) + ` matches "^[a-c]+$")`
}

// predicate gives name(items, body), or flat within another predicate: one level is
// enough.
func (g *generator) predicate(name string, flat, body func(int) string, depth int) string {
	if g.inPredicate {
		return flat(0)
	}
	g.inPredicate = true
	defer func() { g.inPredicate = false }()
	return name + "(items, " + body(depth) + ")"
}

func (g *generator) array(depth int) string {
	switch d := depth - 1; g.IntN(10) {
	case 7:
		return "take(" + g.array(d) + ", " + strconv.Itoa(g.IntN(3)) + ")"
	case 8:
		return "flatten([" + g.array(d) + ", [" + g.number(d) + "]])"
	case 9:
		return []string{"sort(map(items, .price), \"desc\")", "values({\"a\": " + g.number(d) + "})", "[get(a, " + strconv.Itoa(g.IntN(5)) + "), first(tags), last(a)]"}[g.IntN(3)]
	case 0:
		return g.predicate("filter", nil, g.boolean, d)
	case 1:
		return g.predicate("map", nil, g.pick(g.number, g.text, g.boolean), d)
	case 2:
		return "[" + g.number(d) + ", " + g.text(d) + ", " + g.boolean(d) + "]"
	case 3:
		return "a[" + strconv.Itoa(g.IntN(3)) + ":" + strconv.Itoa(g.IntN(5)) + "]"
	case 4:
		return "reverse(concat(tags, [" + g.text(d) + "]))"
	case 5:
		return "uniq(a)"
	}
	return "split(" + g.text(depth-1) + `, "b")`
}

// TestAgainstExprLang holds this package against the virtual machine of expr-lang.
// What it refuses on purpose (an overflow, a division by zero) is left out.
func TestAgainstExprLang(t *testing.T) {
	const value = `{"n":7,"neg":-3,"f":2.5,"s":"abc","yes":true,"no":false,"a":[1,2.5,7],"tags":["x","abc"],"o":{"k":1.5,"name":"b"},"items":[{"price":1},{"price":5.5},{"price":3}]}`
	seed := rand.Uint64()
	if s := os.Getenv("SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("SEED=%d", seed)
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
	dec := json.NewDecoder(strings.NewReader(value))
	dec.UseNumber()
	var env map[string]any
	if err := dec.Decode(&env); err != nil {
		t.Fatal(err)
	}
	env = numbersOf(env).(map[string]any)
	compared := 0
	for range 3000 {
		text := g.pick(g.number, g.text, g.boolean, g.array)(1 + g.IntN(4))
		program, err := expr.Compile(text, expr.Env(map[string]any{}), expr.AllowUndefinedVariables())
		if err != nil {
			continue // it refuses some that fit: [1, "x"] in places where types must agree
		}
		want, err := expr.Run(program, env)
		if err != nil {
			continue
		}
		e := new(Expr)
		if err := e.UnmarshalText([]byte(text)); err != nil {
			if !onPurpose(err) {
				t.Errorf("%s does not compile: %v", text, err)
			}
			continue
		}
		got, err := e.JSON(record(value))
		if err != nil {
			if !onPurpose(err) {
				t.Errorf("%s: %v, want %v", text, err, want)
			}
			continue
		}
		wantJSON, err := json.Marshal(want)
		if err != nil {
			continue // an infinity
		}
		if !sameJSON(got, wantJSON) {
			t.Errorf("%s = %s, want %s", text, got, wantJSON)
		}
		compared++
	}
	t.Logf("%d compared", compared)
	if compared < 1000 {
		t.Errorf("only %d expressions were compared", compared)
	}
}

func onPurpose(err error) bool {
	for _, s := range []string{"division by zero", "64 bits", "float64"} {
		if strings.Contains(err.Error(), s) {
			return true
		}
	}
	return false
}

func sameJSON(a, b []byte) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	p, _ := json.Marshal(unsigned(x))
	q, _ := json.Marshal(unsigned(y))
	return bytes.Equal(p, q)
}

// unsigned takes the sign off zeros: rounding an integer gives one here, and a float
// in expr-lang.
func unsigned(v any) any {
	switch v := v.(type) {
	case float64:
		return v + 0
	case []any:
		for i := range v {
			v[i] = unsigned(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = unsigned(v[k])
		}
	}
	return v
}

// numbersOf turns json.Number into int or float64.
func numbersOf(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.Atoi(v.String()); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case map[string]any:
		for k := range v {
			v[k] = numbersOf(v[k])
		}
	case []any:
		for i := range v {
			v[i] = numbersOf(v[i])
		}
	}
	return v
}

// FuzzExpr: whatever the text and the record are, compiling and evaluating end, do not
// panic, and give JSON. The limits are in steps, so that a fuzzer finds what they miss
// as a timeout.
func FuzzExpr(f *testing.F) {
	for _, s := range []string{`delay >= 15`, `let x = a; filter(x, .b > #index)[1:].c ?? {a: 1}`, `a.b["c"][-1] + "x"`, `$env["x"] matches "a+"`, `map(1..9, # ** 9)`, `sort(keys(o)) | join("-")`, `if a { b } else { c }`, `date(a) - duration("1h")`, `groupBy(a, #) == fromPairs(b)`, `with(pick(o, "b.c", "a[*]"), a, b) | mapValues(#key + #)`, `get(o, a, without(b, "a[-1].*"))`, `nestKeys(flattenKeys(o, a), b) == mergeDeep(o, b)`, `union(a, chunk(b, a))[0] ?? compact(zip(a, b), "deep")`, `meta.headers[a] + meta.value`, `{a + "}"}`} {
		f.Add(s, []byte(everything))
	}
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		for _, x := range functions[name].examples {
			f.Add(x.Text, []byte(everything))
		}
	}
	f.Add(`a == b`, []byte(`{"a":1e999999999,"b":-1e999999999}`))
	f.Add(`a > b`, []byte(`{"a":123456789012345678901234567890,"b":1.2345678901234568e29}`))
	f.Fuzz(func(t *testing.T, text string, value []byte) {
		internal := func(err error) {
			if err != nil && (strings.Contains(err.Error(), "internal error") || strings.Contains(err.Error(), "cannot be compiled (")) {
				t.Fatalf("%q of %q: %v", text, value, err)
			}
		}
		var c Condition
		var e Expr
		var tpl Template
		internal(c.UnmarshalText([]byte(text)))
		internal(e.UnmarshalText([]byte(text)))
		internal(tpl.UnmarshalText([]byte(text)))
		rec := record(string(value))
		if !e.IsZero() {
			out, err := e.JSON(rec)
			internal(err)
			if err == nil && !json.Valid(out) {
				t.Fatalf("%q of %q gives %q", text, value, out)
			}
			_, err = e.Bytes(rec)
			internal(err)
		}
		if !c.IsZero() {
			_, err := c.Condition(rec)
			internal(err)
		}
		if !tpl.IsZero() {
			_, err := tpl.Path(rec)
			internal(err)
			_, err = tpl.URL(rec)
			internal(err)
			out, err := tpl.JSON(rec)
			internal(err)
			if err == nil && tpl.CheckJSON() == nil && !json.Valid(out) {
				t.Fatalf("the template %q of %q gives %q", text, value, out)
			}
		}
	})
}
