package expr_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/expr"
)

// doubts gives column and message of each doubt about a text, read as what v is.
func doubts(t *testing.T, v interface {
	UnmarshalText([]byte) error
	Doubts() []*expr.Error
}, text string) string {
	t.Helper()
	if err := v.UnmarshalText([]byte(text)); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var all []string
	for _, d := range v.Doubts() {
		if d.Suggestion == "" {
			t.Errorf("%s: %q has no suggestion", text, d.Message)
		}
		word, _, _ := strings.Cut(d.Message, " ")
		all = append(all, fmt.Sprint(d.Column, " ", word))
	}
	return strings.Join(all, ", ")
}

func TestDoubtsOfAnExpression(t *testing.T) {
	for text, want := range map[string]string{
		`this.a > 1`:                       "1 this",
		`a > 1 and this["b"] == 2`:         "11 this",
		`"ä" + this.a`:                     "8 this", // a column counts bytes
		`$a + $b`:                          "1 $a, 6 $b",
		`a == null or b == True`:           "6 null, 19 True",
		`any(legs, this.late)`:             "11 this",
		`a.this`:                           "",
		`any(legs, .this)`:                 "",
		`let this = a; this.b`:             "",
		`let null = 1; a == null`:          "",
		`$env["this"] == $env["null"]`:     "",
		`$type == "x" and $oid.x == 1`:     "",
		`{"this": a}.this`:                 "",
		`{this: a}`:                        "",
		`"this.a" + 'null'`:                "",
		`root.a + record.b + thisis.c`:     "",
		`a == nil and b == true`:           "",
		`now > 5`:                          "1 now",
		`now() - date(a)`:                  "",
		`$env["now"] == o.now`:             "",
		`header("this") == meta.key`:       "",
		`$env.amount > 1`:                  "",
		`a ?? this.b ? this.c : undefined`: "6 this, 15 this, 24 undefined",
	} {
		if got := doubts(t, new(expr.Expr), text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestDoubtsOfATemplate(t *testing.T) {
	for text, want := range map[string]string{
		`out/{{origin}}.jsonl`:            "5 {{",
		`{{ .origin }}/{{- $.id -}}`:      "1 {{, 15 {{",
		`{{ origin | upper }}`:            "1 {{",
		`%{origin}/{this.id}`:             "1 the, 12 this",
		`{{"a": "{{origin}}"}}`:           "9 {{",
		`{{"a": {{"b": {{}}}}}}`:          "",
		`{{literal}}/{origin}`:            "", // whoever writes a part knows what two braces are
		`{{{origin}}}`:                    "",
		`{{{{origin}}}}`:                  "",
		`{{}}`:                            "",
		`{{1}}`:                           "",
		`100%/{origin}`:                   "",
		`{"%"}{origin}`:                   "",
		`$count/{origin}`:                 "",
		`{$env["this"]}`:                  "",
		`{{ "a": 1, "b": "a {late} x" }}`: "",
	} {
		if got := doubts(t, new(expr.Template), text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestAlone(t *testing.T) {
	for text, want := range map[string]string{
		`amount`:                  "amount",
		`(amount)`:                "amount",
		`not amount`:              "amount",
		`!!amount`:                "amount",
		`order.amount`:            "order.amount",
		`order?.amount`:           "order.amount",
		`$env["amount"]`:          "amount",
		`$env["order amount"].x`:  `$env["order amount"].x`,
		`legs[0]`:                 "",
		`legs[0].late`:            "",
		`amount > 3`:              "",
		`a and b`:                 "",
		`a ?? false`:              "",
		`true`:                    "",
		`meta.key`:                "",
		`header("late")`:          "",
		`let late = a > 1; late`:  "",
		`late ? true : cancelled`: "",
	} {
		var e expr.Expr
		if err := e.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, _ := e.Alone(); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestBoolean(t *testing.T) {
	for text, want := range map[string]bool{
		`a > 1`: true, `not a`: true, `a > 1 and b`: true, `true`: true, `a contains "x" ? true : nil`: true,
		`a`: false, `1`: false, `a > 1 ? 1 : 2`: false, `string(a > 1)`: false,
	} {
		var e expr.Expr
		if err := e.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if e.Boolean() != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
}

// Whatever stands in a text of another language, what the suggestion says compiles.
func TestSuggestionsCompile(t *testing.T) {
	for _, text := range []string{
		"{id}", "EUR {amount}", "{amount} EUR", "{a}-{b.c}", "{{amount}}", "{{ .amount }} EUR", "%{amount} EUR", "#{a + 1}", "{{id}}/{day}",
		"x {upper(a)} y", "100 % {a}",
	} {
		var e expr.Expr
		err, ok := e.UnmarshalText([]byte(text)).(*expr.Error)
		if !ok {
			t.Errorf("%s is taken", text)
			continue
		}
		_, write, ok := strings.Cut(err.Suggestion, "write ")
		if !ok {
			t.Errorf("%s: %q", text, err.Suggestion)
			continue
		}
		if err := e.UnmarshalText([]byte(strings.Trim(write, "'"))); err != nil {
			t.Errorf("%s: %s: %v", text, write, err)
		}
	}
}

// What a text says about a template's part is about a text that never changes.
func TestPartsInAText(t *testing.T) {
	for text, want := range map[string]string{
		`"EUR {amount}"`:              "1 the",
		`'{{ .amount }} EUR'`:         "1 the",
		`"{" + "amount}"`:             "",
		`"EUR {amount}" + x`:          "",
		`route == "/users/{id}"`:      "",
		`name matches "\\p{L}{2}"`:    "",
		`"{}"`:                        "",
		`"{1}"`:                       "",
		`"${HOST} and {origin}"`:      "",
		`{"a": "{amount}"}`:           "",
		`late ? "{a}" : "{b}"`:        "",
		`header("{x}") ?? "{origin}"`: "",
	} {
		if got := doubts(t, new(expr.Expr), text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if got := doubts(t, new(expr.Template), `{"{a}"}/{b}`); got != "" {
		t.Errorf("a part that is a text: %q", got)
	}
}
