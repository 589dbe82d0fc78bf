package expr

import (
	"fmt"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// TestReads: which places an expression names, each with the column of its last step; a ? for
// each of the first steps that the expression reckons may lead to nothing.
func TestReads(t *testing.T) {
	for text, want := range map[string]string{
		`delay >= 15`: "delay:1", `user.mail`: "user.mail:6", `user["e mail"].x`: "user.e mail.x:16", `$env["in"].x`: "in.x:12",
		`items[0].sku`: "items[0].sku:10", `items[-1]`: "items[-1]:7", `a[i].b`: "a:1 i:3",
		`user.mail ?? "none"`: "user.mail??:6", `a ?? b.c ?? "x"`: "a?:1 b.c??:8", `any(lines ?? [], .qty > 1)`: "lines?:5 lines[*].qty?:19", `a == nil or nil != b.c`: "a?:1 b.c??:22", `user?.mail`: "user.mail?:7",
		`map(items, .price * n)`: "items:5 items[*].price:13 n:21", `filter(items, .sku == "x")[0].price`: "items:8 items[*].sku:16 items[0].price:31",
		`find(orders, any(.lines, .sku == s)).id`: "orders:6 orders[*].lines:19 orders[*].lines[*].sku:27 s:34 orders[*].id:38",
		`map(tags, # + "!")`:                      "tags:5 tags[*]:5", `let u = user; u.mail + u.name`: "user?:9 user.mail:17 user.name:26",
		`meta.topic + header("x")`: "", `"k" in o`: "o:8", `type(x)`: "x?:6",
		`get(o, "a.b")`: "o.a.b:8", `get(o, s)`: "o:5 s:8", `upper("ü" + a.é)`: "a.é:16",
		`{x: a, (b): [c.d]}`: "a:5 b:9 c.d:16", `yes ? a : b.c`: "yes:1 a?:7 b.c??:13", "a +\n  b.c": "a:1 b.c:9", `s | upper() | trim(x)`: "s:1 x:20",
		`$env`: "", `merge($env, {x: a})`: "a:17", `keys($env)`: "", `"host" in $env`: "host?:1", `type($env)`: "", `let v = $env; v.a.b`: "a.b:19", `$env.a.b`: "a.b:8", `pick($env, "a.b")`: "a.b:12", `map($env, .a)`: "[*].a:12",
		`try(int(a.b), c, 0)`: "a.b??:11 c?:15", `try(a.b, "x")`: "a.b??:7", `map(try(items, []), .sku)`: "items?:9 items[*].sku?:22", `try(sum(items, .price), 0) + x`: "items?:9 items[*].price???:17 x:30", `try(upper(x), $env)`: "x?:11",
		`uniqBy(items, .sku)[0].price`: "items:8 items[*].sku:16 items[0].price:24",
		`sortBy(items, .price)[0].sku`: "items:8 items[*].price:16 items[0].sku:26",
	} {
		e := new(Expr)
		if err := e.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got []string
		for _, r := range e.Reads() {
			optional := strings.Repeat("?", r.Optional)
			for i, step := range r.Path {
				if at := text[r.Columns[i]-1:]; step.Kind == jsontext.Named && at[0] != '"' && !strings.HasPrefix(at, step.Name) {
					t.Errorf("%s: step %d of %s is placed at %q", text, i, r.Path, at)
				}
			}
			got = append(got, fmt.Sprintf("%s%s:%d", r.Path, optional, r.Columns[len(r.Columns)-1]))
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%s reads %s, want %s", text, g, want)
		}
	}
}

// TestReadsNil: what is compared with nil is known, and nothing else is.
func TestReadsNil(t *testing.T) {
	e := new(Expr)
	if err := e.UnmarshalText([]byte(`a.b == nil or nil != c or a.b.d == 1 or (e ?? f) == nil or g?.h != nil`)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range e.Reads() {
		got = append(got, fmt.Sprintf("%s %t", r.Path, r.Nil))
	}
	if g := strings.Join(got, ", "); g != "a.b true, c true, a.b.d false, e false, f false, g.h true" {
		t.Errorf("reads: %s", g)
	}
}

func TestParts(t *testing.T) {
	tmpl := new(Template)
	if err := tmpl.UnmarshalText([]byte(`ü/{{x}}/{origin}-{upper(b.c)}`)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range tmpl.Parts() {
		got = append(got, fmt.Sprintf("%d %s", p.Offset, p.Expr))
	}
	if g := strings.Join(got, ", "); g != "10 origin, 19 upper(b.c)" {
		t.Errorf("parts: %s", g)
	}
}
