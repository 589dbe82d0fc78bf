package expr

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// aText makes a text of few characters, some of them not UTF-8 when bytes are asked for.
func aText(r *rand.Rand, most int, raw bool) string {
	alphabet := []string{"a", "b", "c", "A", "1", " ", "\n", "ü", "-", "_", "€"}
	if raw {
		alphabet = append(alphabet, "\xff", "\xe2\x82", "\xac", "\x00")
	}
	var b strings.Builder
	for range r.IntN(most + 1) {
		b.WriteString(alphabet[r.IntN(len(alphabet))])
	}
	return b.String()
}

// aPattern makes a pattern of RE2 that compiles.
func aPattern(r *rand.Rand, depth int) string {
	atoms := []string{"a", "b", "ü", ".", "[ab]", "[^a]", `\w`, `\d`, `\b`, `\B`, "^", "$", `\A`, `\z`, "(?m)^", "(?m)$", "(?i)A", "(?s).", "", `\s`, "€"}
	if depth == 0 {
		return atoms[r.IntN(len(atoms))]
	}
	switch r.IntN(7) {
	case 0:
		return aPattern(r, depth-1) + aPattern(r, depth-1)
	case 1:
		return "(?:" + aPattern(r, depth-1) + "|" + aPattern(r, depth-1) + ")"
	case 2:
		return "(" + aPattern(r, depth-1) + ")"
	case 3:
		return fmt.Sprintf("(?P<g%d>%s)", r.IntN(1000), aPattern(r, depth-1))
	case 4:
		return "(?:" + aPattern(r, depth-1) + ")" + []string{"*", "+", "?", "*?", "+?", "??", "{2}"}[r.IntN(7)]
	}
	return aPattern(r, depth-1)
}

// run evaluates a call of the function name with constant patterns on the text, as it is within
// the package.
func callOn(t *testing.T, text string, source string) (value, error) {
	t.Helper()
	p, err := compile("let s = $env[\"s\"]; "+source, mAny)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	rec := record(`{}`)
	if err := rec.SetRaw("s", appendQuoted(nil, []byte(text))); err != nil {
		t.Fatal(err)
	}
	m := machines.New().(*machine)
	m.reset(rec, p.vars)
	return p.run(m)
}

func textsOf(v value) (out []string) {
	for _, item := range v.built.items {
		out = append(out, string(item.plainText()))
	}
	return out
}

// TestPatternsAgainstRegexp: matches, splits and replacements are those of package regexp, on
// random patterns and texts.
func TestPatternsAgainstRegexp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	tried := 0
	for range 300 {
		pattern := aPattern(r, 4)
		re, err := regexp.Compile(pattern)
		if err != nil {
			continue // a group stands twice
		}
		tried++
		text := aText(r, []int{12, 400}[r.IntN(2)], true)
		quotedPattern, _ := json.Marshal(pattern)
		arg := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(quotedPattern))

		all, err := callOn(t, text, `findAll(s, `+arg+`)`)
		if want := re.FindAllString(text, -1); err != nil || fmt.Sprintf("%q", textsOf(all)) != fmt.Sprintf("%q", want) {
			t.Fatalf("findAll(%q, %s) = %q, %v; want %q", text, pattern, textsOf(all), err, want)
		}
		parts, err := callOn(t, text, `splitMatch(s, `+arg+`)`)
		if want := re.Split(text, -1); err != nil || fmt.Sprintf("%q", textsOf(parts)) != fmt.Sprintf("%q", want) {
			t.Fatalf("splitMatch(%q, %s) = %q, %v; want %q", text, pattern, textsOf(parts), err, want)
		}
		by := "<$0>$$${0}"
		for i := range re.NumSubexp() {
			by += fmt.Sprintf("|${%d}", i+1)
		}
		replaced, err := callOn(t, text, `replaceMatch(s, `+arg+`, "`+by+`")`)
		if want := re.ReplaceAllString(text, by); err != nil || string(replaced.plainText()) != want {
			t.Fatalf("replaceMatch(%q, %s) = %q, %v; want %q", text, pattern, replaced.plainText(), err, want)
		}
		captured, err := callOn(t, text, `captureAll(s, `+arg+`)`)
		want := re.FindAllStringSubmatchIndex(text, -1)
		if err != nil || len(captured.built.items) != len(want) {
			t.Fatalf("captureAll(%q, %s): %d, %v; want %d", text, pattern, len(captured.built.items), err, len(want))
		}
		for i, at := range want {
			checkGroups(t, re, text, captured.built.items[i], at)
		}
		first, err := callOn(t, text, `capture(s, `+arg+`)`)
		if at := re.FindStringSubmatchIndex(text); err != nil || (first.kind == kNil) != (at == nil) {
			t.Fatalf("capture(%q, %s): %v", text, pattern, err)
		} else if at != nil {
			checkGroups(t, re, text, first, at)
		}
	}
	if tried < 150 {
		t.Errorf("only %d patterns", tried)
	}
}

func checkGroups(t *testing.T, re *regexp.Regexp, text string, got value, at []int) {
	t.Helper()
	want := map[string]any{}
	for i, name := range re.SubexpNames() {
		if name == "" {
			name = fmt.Sprint(i)
		}
		want[name] = nil
		if at[2*i] >= 0 {
			want[name] = text[at[2*i]:at[2*i+1]]
		}
	}
	have := map[string]any{}
	for i, name := range got.built.names {
		have[name] = nil
		if v := got.built.items[i]; v.kind != kNil {
			have[name] = string(v.plainText())
		}
	}
	if fmt.Sprintf("%q", have) != fmt.Sprintf("%q", want) {
		t.Fatalf("%s of %q: groups %q, want %q", re, text, have, want)
	}
}

// TestPatternsTakeLinearSteps: patterns that read the rest of the text for each match, which is
// quadratic, run out of steps; an honest one over as much text does not.
func TestPatternsTakeLinearSteps(t *testing.T) {
	long := strings.Repeat("a", 30<<10)
	for _, call := range []string{`findAll(s, "a*b|a")`, `len(captureAll(s, "(a)(.*b)?"))`, `replaceMatch(s, "a(.*b)?", "")`, `findAll(s, "(?:a{500}b|a)")`} {
		if _, err := beyond(t, call, "too many steps", record(`{"s":"`+long+`"}`)); err == nil || !strings.Contains(err.Error(), "too many steps") {
			t.Errorf("%s: %v", call, err)
		}
	}
	honest := strings.Repeat("key=value ", 10<<10)
	for _, call := range []string{`len(findAll(s, "[a-z]+"))`, `replaceMatch(s, "([a-z]+)=", "$1:")`, `capture(s, "x$")`} {
		if _, err := callOn(t, honest, call); err != nil {
			t.Errorf("%s: %v", call, err)
		}
	}
}

func TestPatternErrors(t *testing.T) {
	for text, want := range map[string]string{
		`capture(s, s)`:       "needs a constant pattern",
		`findAll(s, "(")`:     "an invalid pattern",
		`findAll(s, "(?=a)")`: "an invalid pattern",
		`findAll(s, "` + strings.Repeat("a", 1001) + `")`:           "more than 1,000 bytes",
		`findAll(s, "(((a{100}){10}){10}){10}")`:                    "an invalid pattern",
		`replaceMatch(s, "(a)", "$2")`:                              "no such group",
		`replaceMatch(s, "(a)", "$1x")`:                             "no such group",
		`replaceMatch(s, "(a)", "${1")`:                             "without its }",
		`replaceMatch(s, "(?P<n>a)", "${m}")`:                       "no such group",
		`splitMatch(s, 5)`:                                          "needs a string",
		`replaceMatch(s, "` + strings.Repeat("b", 1000) + `c", "")`: "more than 1,000 bytes",
	} {
		if err := new(Expr).UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
	// What is not constant is no template: a record cannot name groups.
	if got, err := mustCompile(t, `replaceMatch("x-y", "(x)", s)`).JSON(record(`{"s":"$1$0${1}$$"}`)); err != nil || string(got) != `"$1$0${1}$$-y"` {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := mustCompile(t, `replaceMatch(s, "b", "$$ $ 5$")`).JSON(record(`{"s":"abc"}`)); err != nil || string(got) != `"a$ $ 5$c"` {
		t.Errorf("%s, %v", got, err)
	}
}
