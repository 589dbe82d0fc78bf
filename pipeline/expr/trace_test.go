package expr

import (
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

// TestTrace: of what an expression names, what was evaluated on none of the records.
func TestTrace(t *testing.T) {
	records := []string{`{"amount": 5, "name": "a", "items": [{"sku": "x", "price": 3}]}`, `{"amount": 7, "name": "b", "items": [], "user": {"mail": "m"}}`}
	for text, want := range map[string]string{
		`gh != nil and gh.x > 1`: "gh.x", `gh == nil or gh.x > 1`: "gh.x", `gh != nil ? gh.x > 1 : true`: "gh.x",
		`type(gh) == "map" and gh.x > 1`: "gh.x", `"gh" in $env and gh.x > 1`: "gh.x", `"gh" in $env and get(gh, "x.y") == 1`: "gh.x.y",
		`amount > 100 ? big.x : 1`: "big.x", `amount > 1000 and refund.total > 1 or amount > 1`: "refund.total",
		`amount > 6 and gh.x > 1`: "", `amuont > 5`: "", `amuont == "x" and big`: "big", `name == "a" and nmae == "x"`: "", `not gh.x`: "", `name in [a, b.c]`: "",
		`upper(user.mail) + big.x`: "", `upper(usr.mail) + big.x`: "big.x", `user?.mail`: "", `user.mail ?? big.x`: "", `name ?? big.x`: "big.x",
		`any(items, .price > 6)`: "", `sum(items, .prise)`: "", `any(lines ?? [], .qty > n)`: "lines[*].qty n", `sortBy(items, .price)[0].sku + items[-1].sku`: "",
		`let u = gh; u != nil and u.x`: "gh.x", `get(user, "mail") == get(gh, "x")`: "", `{a: x.y, b: [z]}`: "", `try(int(a.b), c, 0)`: "", `$env.a.b + $env["c"]`: "", "count(items, .sku == name) > 0 and\n  name matches \"a|b\" and é.x": "name é.x",
		`name[0:n]`: "", `-amuont`: "", `amount + amuont * 2 > 5 && x ** 2 > 1`: "x", `pick($env, "a.b") == nil`: "", `items | filter(.sku == "y") | map(.prise)`: "items[*].prise",
	} {
		e := new(Expr)
		if err := e.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		trace := e.Trace()
		for _, value := range records {
			rec := new(pipeline.Record)
			rec.Init(pipeline.Position{}, nil, []byte(value), nil, 0)
			trace.Evaluate(rec)
		}
		var missed []string
		for _, r := range e.Reads() {
			if !trace.Reached(r) {
				missed = append(missed, r.Path.String())
			}
		}
		if got := strings.Join(missed, " "); got != want {
			t.Errorf("%s does not come to %q, want %q", text, got, want)
		}
	}
}
