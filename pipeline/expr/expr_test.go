package expr

import (
	"errors"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

const flight = `{"date":"2001/01/01 00:47","delay":66,"distance":1750,"origin":"DTW","destination":"LAS"}`

// everything is a record with a field of every type.
const everything = `{"n":7,"neg":-3,"f":2.5,"price":1.10,"id":9007199254740993,"max":9223372036854775807,` +
	`"big":9223372036854775808,"bigger":18446744073709551616,"s":"abc","u":"Zürich \"x\"","esc":"a\u0062c\n",` +
	`"empty":"","yes":true,"no":false,"null":null,"a":[1,2.50,"x",null,[3]],"items":[{"price":1,"tag":"a"},{"price":5,"tag":"b"},{"price":3}],` +
	`"o":{"b":{"c":"deep"},"k":1.50},"date":"2001-01-02","type":"t","count":3,"len":4,"flight number":12,"meta":"m","header":"h","in":"i",` +
	`"huge":1e400,"huger":2e400,"now":"N","tags":["x","y"]}`

func record(value string) *pipeline.Record {
	rec := new(pipeline.Record)
	rec.Init(pipeline.Position{Topic: "flights", Partition: 2, Offset: 77}, []byte("k1"), []byte(value),
		[]pipeline.Header{{Name: "trace", Value: []byte("old")}, {Name: "none"}, {Name: "trace", Value: []byte("t1")}}, 1700000000123)
	return rec
}

func mustCompile(t testing.TB, text string) *Expr {
	t.Helper()
	e := new(Expr)
	if err := e.UnmarshalText([]byte(text)); err != nil {
		t.Fatalf("compiling %s: %v", text, err)
	}
	return e
}

// TestValues goes through the language. A want that starts with ! is a part of the
// error of the record.
func TestValues(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		// Bare fields keep their bytes.
		{`price`, `1.10`}, {`id`, `9007199254740993`}, {`esc`, `"a\u0062c\n"`}, {`a`, `[1,2.50,"x",null,[3]]`}, {`bigger`, `18446744073709551616`},
		{`yes ? price : 0`, `1.10`}, {`o.k`, `1.50`}, {`a[1]`, `2.50`}, {`[price, big]`, `[1.10,9223372036854775808]`}, {`{p: price}`, `{"p":1.10}`},
		{`let p = price; p`, `1.10`}, {`missing ?? price`, `1.10`}, {`huge`, `1e400`},
		// Literals.
		{`1`, `1`}, {`-1`, `-1`}, {`1.5`, `1.5`}, {`"a\"b"`, `"a\"b"`}, {`'x'`, `"x"`}, {`nil`, `null`}, {`true`, `true`}, {`[]`, `[]`}, {`{}`, `{}`}, {`1e3`, `1000`}, {`0x1F`, `31`},
		// Missing.
		{`missing`, `null`}, {`null`, `null`}, {`missing.b.c`, `null`}, {`o.x.y`, `null`}, {`o.b.c`, `"deep"`}, {`o?.b?.c`, `"deep"`}, {`a[9]`, `null`}, {`a[-1]`, `[3]`}, {`a[-9]`, `null`},
		{`missing[0]`, `null`}, {`n.x`, `null`}, {`a["x"]`, `null`}, {`o["b"]["c"]`, `"deep"`}, {`o[s]`, `null`}, {`a[4][0]`, `3`}, {`s[0]`, `"a"`}, {`u[1]`, `"ü"`}, {`s[7]`, `null`},
		{`nil >= 8`, `false`}, {`missing >= 8`, `false`}, {`missing < 8`, `false`}, {`8 > missing`, `false`}, {`nil == nil`, `true`}, {`missing == nil`, `true`}, {`null == nil`, `true`}, {`n != nil`, `true`},
		// The whole value.
		{`"n" in $env`, `true`}, {`"x" in $env`, `false`}, {`merge($env, {n: 8}).n`, `8`}, {`$env.n`, `7`}, {`$env["n"]`, `7`}, {`keys($env)[0]`, `"n"`}, {`type($env)`, `"map"`}, {`let v = $env; [v.n, v["f"], v.x]`, `[7,2.5,null]`},
		{`map([1, 2], $env.f * #)`, `[2.5,5]`}, {`count([1, 2], "n" in $env)`, `2`}, {`map(["n", "f"], $env[#])`, `[7,2.5]`}, {`let k = "n"; $env[k]`, `7`}, {`$env[lower("N")]`, `7`}, {`$env[0]`, `null`}, {`$env == $env`, `true`}, {`pick($env, "n", "f")`, `{"n":7,"f":2.5}`},
		{`get($env, "o.b.c")`, `"deep"`}, {`$env + 1`, `!+`}, {`filterValues($env, # == 7)`, `{"n":7}`}, {`without($env, "n").n`, `null`},
		// Ranges, and pieces of texts.
		{`range(0, n)`, `[0,1,2,3,4,5,6]`}, {`range(n, neg, -4)`, `[7,3,-1]`}, {`range(n, neg)`, `[]`}, {`range(neg, n, -1)`, `[]`}, {`range(1, 2, max)`, `[1]`}, {`range(-max, max, max)`, `[-9223372036854775807,0]`}, {`range(max, -max - 1, -max - 1)`, `[9223372036854775807,-1]`}, {`len(range(0, n * 1428 + 4))`, `10000`}, {`range(0, n * 1428 + 5)`, `!range: more than 10,000 integers`}, {`range(-max, max)`, `!more than 10,000`},
		{`range(0, n, n - 7)`, `!range: the step is 0`}, {`range(0, big)`, `!beyond 64 bits`}, {`range(0, f)`, `!range: argument 2 needs an integer, this is a number with a fraction`}, {`range(missing, 1)`, `!range: argument 1 is missing`}, {`map(range(1, len(tags) + 1), tags[# - 1])`, `["x","y"]`}, {`map(range(0, 10000), map(range(0, n * 1000), #))`, `!builds too much`}, {`n in range(0, 8)`, `true`},
		{`chunk(s, 2)`, `["ab","c"]`}, {`chunk(u, 3)`, `["Zür","ich"," \"x","\""]`}, {`chunk(esc, 1)`, `["a","b","c","\n"]`}, {`chunk(empty, 3)`, `[]`}, {`chunk(s, max)`, `["abc"]`}, {`chunk(s, n - 7)`, `!at least 1 element or character`}, {`chunk(n, 2)`, `!chunk: argument 1 is a number, not a string or an array`}, {`chunk(fromHex("ffc3bcfe"), 1) == [fromHex("ff"), "ü", fromHex("fe")]`, `true`},
		// What fails.
		{`try(int(s), n)`, `7`}, {`try(int("42"), n)`, `42`}, {`try(missing, 1)`, `null`}, {`try(n / 0, try(s * 2, "x"))`, `"x"`}, {`try(n / 0, missing + 1, s)`, `"abc"`}, {`try(n / 0, s * 2)`, `!* on a string`}, {`try(n / 0, s * 2, n % 0)`, `!division by zero`},
		{`try(yes, no) ? 1 : 2`, `1`}, {`try(s ? 1 : 2, 3)`, `3`}, {`map(a, try(# + 1, nil))`, `[2,3.5,null,null,null]`}, {`concat([try(upper(n), "y")], tags)`, `["y","x","y"]`}, {`filter(a, try(# > 1, false))`, `[2.50]`}, {`upper(try(s, missing))`, `"ABC"`}, {`upper(try(n, s))`, `!upper: argument 1 is a number`},
		{`replace(s, try(upper(n), "b"), try(upper(s), "x"))`, `"aABCc"`}, {`let x = try(date(s), "none"); x`, `"none"`}, {`try(map(a, # + 1), "y")`, `"y"`}, {`n | try(0)`, `7`}, {`price | upper() | try(price)`, `1.10`},
		{`try(int("x"), 1)`, `1`}, {`try(1 / 0, 2)`, `2`}, {`try([int("x")], int("y"), n)`, `7`}, {`try(upper(n), price)`, `1.10`}, {`try(repeat(s, 1000000), 1)`, `!more than 1 MiB`}, {`try(map(1..1000, map(1..1000, map(1..1000, #))), 1)`, `!too many steps`}, {`try(map(1..999, repeat(s, 300000)), 1)`, `!builds too much`},
		{`try(fromJSON(esc), try(upper(n), {e: s}))`, `{"e":"abc"}`}, {`try({x: upper(n)}, {})`, `{}`}, {`try(header(n), "h")`, `"h"`},
		// Conditions.
		{`missing and yes`, `false`}, {`not missing`, `true`}, {`missing or yes`, `true`}, {`missing ? 1 : 2`, `2`}, {`if missing { 1 } else { 2 }`, `2`}, {`!yes`, `false`}, {`yes && no || yes`, `true`},
		{`n and yes`, `!a condition gives a number`}, {`not s`, `!a condition gives a string`}, {`s ? 1 : 2`, `!a condition gives a string`}, {`no and n`, `false`}, {`yes or n`, `true`},
		// Ordering and equality.
		{`n >= 7`, `true`}, {`n > 7`, `false`}, {`n <= 7.5`, `true`}, {`f > n`, `false`}, {`s < "abd"`, `true`}, {`1 < n < 10`, `true`}, {`n >= s`, `!ordering a number against a string`}, {`s >= 15`, `!ordering a string against a number`},
		{`yes > no`, `!ordering a boolean`}, {`n == "7"`, `false`}, {`n != "7"`, `true`}, {`7.0 == n`, `true`}, {`esc == "abc\n"`, `true`}, {`u == 'Zürich "x"'`, `true`}, {`a == [1, 2.5, "x", nil, [3]]`, `true`}, {`o == {k: 1.5, b: {c: "deep"}}`, `true`}, {`o == {k: 1.5}`, `false`},
		{`id == 9007199254740993`, `true`}, {`id == 9007199254740992`, `false`}, {`id > 9007199254740992.0`, `true`}, {`max < big`, `true`}, {`big < bigger`, `true`}, {`big == bigger`, `false`}, {`big > 9.2e18`, `true`}, {`big == 9223372036854775808.0`, `true`}, {`bigger > n`, `true`}, {`-3 == neg`, `true`},
		{`huge > big`, `true`}, {`huge == huge`, `true`}, {`huge == huger`, `!beyond float64`}, {`huge > n`, `true`},
		// Arithmetic.
		{`n + 1`, `8`}, {`n / 2`, `3.5`}, {`n * f`, `17.5`}, {`n % 4`, `3`}, {`2 ** 10`, `1024`}, {`-n`, `-7`}, {`id + 1`, `9007199254740994`}, {`max + 1`, `!does not fit 64 bits`}, {`max * 2`, `!does not fit`}, {`-max - 2`, `!does not fit`},
		{`big + 1`, `!beyond 64 bits`}, {`-big`, `!beyond 64 bits`}, {`n / 0`, `!division by zero`}, {`n % 0`, `!division by zero`}, {`f % 2`, `!% needs two integers`}, {`huge + 1`, `!beyond float64`}, {`missing + 1`, `!+ on a missing value`}, {`1 - null`, `!- on a missing value`}, {`s + missing`, `!+ on a missing value`},
		{`s + "-" + u`, `"abc-Zürich \"x\""`}, {`s + n`, `!+ on a string and a number`}, {`s - n`, `!- on a string and a number`}, {`-s`, `!- before a string`}, {`-missing`, `!before a missing value`},
		// Text.
		{`s contains "b"`, `true`}, {`s startsWith "a"`, `true`}, {`s endsWith "x"`, `false`}, {`s matches "^[a-c]+$"`, `true`}, {`missing contains "b"`, `false`}, {`missing matches "b"`, `false`}, {`not (s contains "b")`, `false`}, {`s not contains "b"`, `false`}, {`n contains "b"`, `!contains needs two strings`}, {`n matches "b"`, `!matches needs a string`},
		{`s in ["abc", "x"]`, `true`}, {`"x" in tags`, `true`}, {`s not in tags`, `true`}, {`"k" in o`, `true`}, {`"z" in o`, `false`}, {`s in missing`, `false`}, {`s in s`, `!in needs an array`}, {`n in 1..10`, `true`}, {`f in 1..10`, `false`}, {`n in 8..1000000000`, `false`}, {`s in 1..10`, `false`}, {`1..3`, `[1,2,3]`}, {`3..1`, `[]`},
		{`s[0:2]`, `"ab"`}, {`u[:3]`, `"Zür"`}, {`a[1:3]`, `[2.50,"x"]`}, {`a[-2:]`, `[null,[3]]`}, {`a[3:1]`, `[]`}, {`missing[1:2]`, `null`}, {`n[1:2]`, `!cutting a number`}, {`a[missing:]`, `!at a missing value`},
		// Names.
		{`date`, `"2001-01-02"`}, {`type`, `"t"`}, {`count`, `3`}, {`count + len`, `7`}, {`now`, `"N"`}, {`type(count)`, `"int"`}, {`len(tags) + len`, `6`}, {`$env["flight number"]`, `12`}, {`$env["in"]`, `"i"`}, {`$env["meta"]`, `"m"`}, {`$env.n`, `7`}, {`o.in`, `null`},
		{`let x = n + 1; x * x`, `64`}, {`let n = 1; n`, `1`}, {`let x = 1; let y = x + 1; y`, `2`}, {`let upper = s; upper(upper)`, `"ABC"`},
		{`meta.topic`, `"flights"`}, {`meta.partition`, `2`}, {`meta.offset`, `77`}, {`meta.time`, `1700000000123`}, {`meta.key`, `"k1"`}, {`meta["topic"]`, `"flights"`}, {`header("trace")`, `"t1"`}, {`header("none")`, `null`}, {`header("x")`, `null`}, {`header(s)`, `null`}, {`header(n)`, `!header: argument 1 is a number`}, {`header(missing)`, `!header: argument 1 is missing`},
		// Functions.
		{`upper(s)`, `"ABC"`}, {`s | upper() | lower()`, `"abc"`}, {`::upper(s)`, `"ABC"`}, {`upper(n)`, `!upper: argument 1 is a number, not a string`}, {`upper(missing)`, `!upper: argument 1 is missing`}, {`len(missing)`, `!len: argument 1 is missing`}, {`string(missing)`, `!string: argument 1 is missing`}, {`type(missing)`, `"nil"`}, {`get(missing, "x")`, `null`}, {`get(o, "k")`, `1.50`},
		{`len(u)`, `10`}, {`len(a)`, `5`}, {`len(o)`, `2`}, {`trim("  x ")`, `"x"`}, {`trim("--x-", "-")`, `"x"`}, {`trimPrefix(s, "a")`, `"bc"`}, {`trimSuffix(s, "c")`, `"ab"`}, {`replace(s, "b", "--")`, `"a--c"`}, {`replace("aaa", "a", "b", 2)`, `"bba"`}, {`split("a,b,c", ",")`, `["a","b","c"]`}, {`split("a,b,c", ",", 2)`, `["a","b,c"]`}, {`join(tags, "-")`, `"x-y"`}, {`join(a)`, `!element 0 is a number`},
		{`indexOf(u, "r")`, `2`}, {`indexOf(s, "z")`, `-1`}, {`lastIndexOf("abab", "b")`, `3`}, {`hasPrefix(s, "a")`, `true`}, {`hasSuffix(s, "a")`, `false`}, {`string(price)`, `"1.10"`}, {`string(id) == "9007199254740993"`, `true`}, {`string(yes)`, `"true"`}, {`string(tags)`, `"[\"x\",\"y\"]"`}, {`int("42")`, `42`}, {`int(" 42")`, `~`}, {`int(s)`, `!no 64-bit integer`}, {`int(f)`, `2`}, {`int(-2.7)`, `-2`}, {`int(big)`, `!beyond 64 bits`}, {`float("1.5")`, `1.5`}, {`float("x")`, `~`}, {`float("inf")`, `~`}, {`float(s)`, `!no number`},
		{`abs(neg)`, `3`}, {`abs(-2.5)`, `2.5`}, {`ceil(f)`, `3`}, {`floor(f)`, `2`}, {`round(f)`, `3`}, {`round(id)`, `9007199254740993`}, {`min(3, n, 5)`, `3`}, {`max([1, 9], n)`, `9`}, {`mean([1, 2])`, `1.5`}, {`median([3, 1, 2])`, `2`}, {`max([])`, `null`}, {`max(a)`, `!element 2 is a string`}, {`sum([1, 2, 3])`, `6`}, {`sum(items, .price)`, `9`}, {`sum(tags)`, `!sum of a string`},
		{`bitand(6, 3)`, `2`}, {`bitor(6, 3)`, `7`}, {`bitxor(6, 3)`, `5`}, {`bitnand(6, 3)`, `4`}, {`bitnot(0)`, `-1`}, {`bitshl(1, 4)`, `16`}, {`bitshr(-16, 2)`, `-4`}, {`bitushr(-1, 63)`, `1`}, {`bitshl(1, neg)`, `!negative shift`},
		{`toJSON(o)`, `"{\"b\":{\"c\":\"deep\"},\"k\":1.50}"`}, {`fromJSON("{\"x\": [1.50]}").x[0]`, `1.50`}, {`fromJSON("{")`, `~`}, {`fromJSON(s)`, `!not valid JSON`}, {`toBase64(s)`, `"YWJj"`}, {`fromBase64("YWJj")`, `"abc"`}, {`fromBase64(u)`, `!not base64`},
		{`first(a)`, `1`}, {`last(tags)`, `"y"`}, {`first([])`, `null`}, {`take(a, 2)`, `[1,2.50]`}, {`reverse(tags)`, `["y","x"]`}, {`concat(tags, [1])`, `["x","y",1]`}, {`flatten([1, [2, [3]]])`, `[1,2,3]`}, {`uniq([1, 1.0, "1", 2])`, `[1,"1",2]`}, {`keys(o)`, `["b","k"]`}, {`values({a: 1})`, `[1]`}, {`toPairs({a: 1})`, `[["a",1]]`}, {`fromPairs([["a", 1]])`, `{"a":1}`}, {`fromPairs(tags)`, `!no pair`}, {`sort([3, 1, 2])`, `[1,2,3]`}, {`sort(["b", "a"], "desc")`, `["b","a"]`}, {`sort(a)`, `!ordering`}, {`sort([1, missing])`, `!missing`},
		{`date(date) > date("2001-01-01")`, `true`}, {`date("2001/01/01 00:47", "2006/01/02 15:04")`, `"2001-01-01T00:47:00Z"`}, {`date("2001-07-01", "2006-01-02", "America/New_York")`, `"2001-07-01T04:00:00Z"`}, {`date(meta.time)`, `"2023-11-14T22:13:20.123Z"`}, {`int(date(meta.time))`, `1700000000123`}, {`date("2001-01-02") - date("2001-01-01")`, `"24h0m0s"`}, {`int(duration("1m30s"))`, `90000`}, {`date("2001-01-01") + duration("1h")`, `"2001-01-01T01:00:00Z"`}, {`duration("1s") * 3 == duration("3s")`, `true`}, {`date(s)`, `!no date`}, {`duration(s)`, `!no duration`}, {`date("0001-01-01")`, `~`},
		// Predicates.
		{`filter(items, .price > 2)`, `[{"price":5,"tag":"b"},{"price":3}]`}, {`filter(items, .tag == nil)`, `[{"price":3}]`}, {`filter(items, .missing)`, `[]`}, {`filter(items, .price)`, `!a condition gives a number`}, {`map(items, .price * 2)`, `[2,10,6]`}, {`map(tags, # + "!")`, `["x!","y!"]`}, {`map(tags, #index)`, `[0,1]`}, {`any(items, .price == 5)`, `true`}, {`all(items, .price > 0)`, `true`}, {`none(items, .price > 9)`, `true`}, {`one(items, .price == 5)`, `true`}, {`one(items, .price > 1)`, `false`}, {`count(items, .price > 1)`, `2`}, {`count([true, false, nil])`, `1`},
		{`find(items, .price > 2).tag`, `"b"`}, {`find(items, .price > 9)`, `null`}, {`findIndex(items, .price == 3)`, `2`}, {`findLast(items, .price > 0).price`, `3`}, {`findLastIndex(items, .price > 9)`, `-1`}, {`groupBy(items, .price > 2 ? "high" : "low")`, `{"low":[{"price":1,"tag":"a"}],"high":[{"price":5,"tag":"b"},{"price":3}]}`}, {`map(sortBy(items, .price, "desc"), .price)`, `[5,3,1]`}, {`map(sortBy(items, -.price), .price)`, `[5,3,1]`}, {`sortBy(items, .tag)`, `!missing`},
		{`any(missing, # > 1)`, `!any of a missing array`}, {`any(s, # > "a")`, `!any of a string`}, {`all([], false)`, `true`}, {`map(items, filter(tags, # == "x"))`, `[["x"],["x"],["x"]]`}, {`filter(items, { let p = .price; p > 2 and p < 5 })`, `[{"price":3}]`}, {`map(1..3, # * n)`, `[7,14,21]`}, {`filter(items, n > 100)`, `[]`},
	} {
		e := new(Expr)
		err := e.UnmarshalText([]byte(c.text))
		if c.want == "~" { // a constant part fails when it is compiled
			if err == nil {
				t.Errorf("%s compiles", c.text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: compiling: %v", c.text, err)
			continue
		}
		got, err := e.JSON(record(everything))
		want, fails := strings.CutPrefix(c.want, "!")
		switch {
		case !fails && err != nil:
			t.Errorf("%s: %v", c.text, err)
		case !fails && string(got) != want:
			t.Errorf("%s = %s, want %s", c.text, got, want)
		case fails && err == nil:
			t.Errorf("%s = %s, want an error with %q", c.text, got, want)
		case fails:
			if reason, ok := pipeline.IsPermanent(err); !ok || reason != pipeline.ReasonExpression || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v (%s), want %q", c.text, err, reason, want)
			}
		}
	}
}

// TestCompileErrors: every error has its column and, where one is known, a way out.
func TestCompileErrors(t *testing.T) {
	for _, c := range []struct {
		text       string
		column     int
		message    string
		suggestion string
	}{
		{``, 1, "empty expression", "YAML"}, {`  `, 1, "empty expression", ""},
		{`uper(origin)`, 1, "there is no function uper", "did you mean upper?"},
		{`delay > 3 and strtswith(origin, "A")`, 15, "there is no function strtswith", ""},
		{`x + Lower(s)`, 5, "there is no function Lower", "did you mean lower?"},
		{`"ü" + uper(s)`, 8, "there is no function uper", "upper"},
		{`reduce(1..26, #acc + #acc, "xxxxxxxxxx")`, 1, "reduce is not available", "use sum"},
		{`repeat("x", 1000000000)`, 1, "repeat: builds more than 1 MiB", ""},
		{`now(1)`, 1, "now takes 0 arguments, not 1", ""},
		{`1..100000`, 2, "more than 1,000 integers", "compare instead"}, {`1..n`, 2, "two constant integers", ""}, {`x in 1..n`, 7, "two constant integers", ""},
		{`-9223372036854775807..9223372036854775807`, 21, "more than 1,000", ""},
		{`$env[x]`, 6, "must stand in quotes", `$env["flight number"]`}, {`try(1)`, 1, "try takes at least 2 arguments, not 1", ""}, {`try()`, 1, "try takes at least 2", ""}, {`try(n, int("x"))`, 8, "int", ""}, {`try(1 + "a", 1)`, 7, "+ does not go", ""}, {`try(uper(s), 1)`, 5, "no function uper", ""}, {`try(s matches "(", 1)`, 15, "invalid pattern", ""}, {`try(repeat("x", 2000000), 1)`, 5, "more than 1 MiB", ""},
		{`decodeText(s, u)`, 15, "must be constant", "quotes"}, {`decodeText(s, "euc-rk")`, 15, "an unknown character set", `did you mean "euc-kr"?`}, {`encodeText(s, "none at all")`, 15, "an unknown character set", `"windows-1252"`}, {`fromLZ4(s, "stream")`, 12, "does not know this", `"frame" or "block"`}, {`fromLz4(s)`, 1, "no function fromLz4", "fromLZ4"}, {`decode_charset(s, "gbk")`, 1, "", "decodeText"},
		{`merge(., {a: 1})`, 7, "unexpected .", "the whole value is $env"}, {`$.a + 1`, 1, "without $", "the whole value is $env"},
		{`$env + 1 + true`, 10, "", ""}, {`let $env = 1; a`, 0, "", ""},
		{`meta`, 1, "meta alone", "meta.topic"}, {`meta.tpoic`, 6, "meta has no tpoic", "did you mean meta.topic?"}, {`meta[x]`, 1, "meta alone", ""}, {`header`, 1, "header is a function", `$env["header"]`}, {`header.x`, 1, "header is a function", ""}, {`let meta = 1; meta`, 5, "meta is reserved", ""}, {`let header = 1; header`, 5, "reserved", ""},
		{`name.lower()`, 6, "methods cannot be called", "lower(name)"}, {`date("2001-01-01").Year()`, 20, "methods cannot be called", ""},
		{`1 + "a"`, 3, "+ does not go with a number and a string", "string("}, {`"a" - "b"`, 5, "- does not go", ""}, {`nil + 1`, 5, "+ does not go with nil", ""}, {`(a > b) + 1`, 9, "+ does not go with a boolean", ""},
		{`5 >= "x"`, 3, "cannot be ordered", ""}, {`(a > b) > 3`, 2 + 2, "needs a number", ""}, {`not 5`, 5, "not needs a boolean", ""}, {`5 and x`, 1, "and needs a boolean", ""}, {`1 ? 2 : 3`, 1, "a condition needs a boolean", ""},
		{`upper(5)`, 7, "upper needs a string here, this is a number", ""}, {`upper(a > b)`, 9, "upper needs a string", ""}, {`upper()`, 1, "upper takes 1 argument, not 0", ""}, {`replace(a, b)`, 1, "3 to 4 arguments", ""}, {`concat()`, 1, "concat takes at least 1 argument, not 0", ""}, {`abs(a, 2)`, 1, "abs takes 1 argument, not 2", ""}, {`replace(a)`, 1, "replace takes 3 to 4 arguments, not 1", ""}, {`date()`, 1, "date takes 1 to 3 arguments, not 0", ""}, {`$.user.id > 3`, 1, "a name begins at the record by itself, without $", "user.id"}, {`a + $["b"]`, 5, "without $", `$env["$"]`}, {`$`, 1, "without $", ""}, {`order.items[*]`, 13, "unexpected *", "map(items, .sku)"}, {`a[].b`, 3, "unexpected ]", "items[0]"}, {`/user/id`, 1, "unexpected /", "user.id"}, {`user.*`, 6, "expected name", "user.id"}, {`items.0`, 6, "unexpected .0", "items[0]"}, {`@.a`, 1, "'@'", "without @"}, {`header()`, 1, "header takes 1 argument, not 0", ""},
		{`filter(a)`, 9, "filter takes an array and a predicate", "filter(items, .price > 3)"}, {`sum()`, 5, "sum takes an array", "sum(items, .price)"}, {`len(a) + count() + one(b, true)`, 16, "count takes an array", "count(items, .price > 3)"}, {`all(any(a), true)`, 10, "any takes an array and a predicate", "any(items, .price > 3)"},
		{`1 / 0`, 3, "division by zero", ""}, {`x matches "("`, 11, "an invalid pattern", "RE2"}, {`x matches y`, 11, "constant pattern", ""}, {`date(x, y, z)`, 12, "time zone", ""}, {`date(x, "2006", "Mars/Base")`, 17, "unknown time zone", ""},
		{`sort(a, "up")`, 9, "asc or desc", ""}, {`filter(items)`, 13, "", ""}, {`any(5, # > 1)`, 5, "any needs an array", ""}, {`#`, 1, "", ""}, {`map(a, #acc)`, 8, "there is no #acc", ""}, {`filter(a, 5)`, 11, "needs a boolean", ""}, {`all(a, upper(#))`, 8, "needs a boolean", ""},
		{`map(items, {sku: .sku})`, 16, "unexpected :", "({sku: .sku})"}, {`map(items, { "sku" : .sku})`, 20, "unexpected :", "({sku: .sku})"}, {`map(items, {a: 1, b: 2})`, 14, "unexpected :", "in parentheses"}, {`map(items, {})`, 13, "unexpected }", "in parentheses"}, {`map(items, {.a = 1})`, 16, "unexpected =", "write =="},
		{`range(1, 10**9)`, 12, "range needs an integer", "** gives a number with a fraction: write the integer"}, {`range(1, 2^3)`, 0, "range needs an integer", "** gives"}, {`range(1, 1.5)`, 10, "range needs an integer", "round, floor"},
		{`delay >= `, 9, "", ""}, {`delay = 5`, 7, "unexpected =", "write =="}, {`in == 5`, 1, "unexpected in", `$env["in"]`}, {`flight number > 5`, 8, "unexpected number", `$env["…"]`}, {`"abc`, 5, "closing quote", ""}, {`(a`, 3, "ends too early", ""}, {`a ?? b + 1`, 8, "parentheses", ""}, {`99999999999999999999`, 1, "beyond 64 bits", "string(id)"}, {`b"x"`, 1, "not available", ""}, {`@`, 1, "unrecognized character", ""},
		{strings.Repeat("x+", 600) + "x", 0, "too long", ""}, {strings.Repeat("(", 20000), 0, "longer than 16 KiB", ""},
		{`a[0].x.y + "a" > "b" and 5`, 26, "and needs a boolean", ""}, {`"abc".x + 1`, 1, "a field needs an object, this is a string", ""}, {`(1 + 2).x`, 4, "an index needs a string or an array or an object, this is a number", ""},
	} {
		err := new(Expr).UnmarshalText([]byte(c.text))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%.50s: error %v, want an *Error", c.text, err)
			continue
		}
		if c.column != 0 && e.Column != c.column || !strings.Contains(e.Message, c.message) || !strings.Contains(e.Suggestion, c.suggestion) {
			t.Errorf("%.50s: column %d, %q, %q; want column %d, %q, %q", c.text, e.Column, e.Message, e.Suggestion, c.column, c.message, c.suggestion)
		}
	}
}

// TestWholeValue: $env is whatever JSON the value is, byte for byte, with the edits so far, which
// stay edits of the record.
func TestWholeValue(t *testing.T) {
	for _, c := range []struct{ value, text, want string }{
		{`[1, 2.50]`, `$env`, `[1, 2.50]`}, {` [1, 2] `, `$env[1]`, `2`}, {`[1, 2, 3]`, `map($env[-2:], # * $env[0])`, `[2,3]`}, {`[{"a": 1}, {"a": 2}]`, `sum($env, .a)`, `3`}, {`17`, `$env + 1`, `18`}, {`"x"`, `$env + "y"`, `"xy"`}, {`true`, `$env ? 1 : 2`, `1`}, {`null`, `$env`, `null`},
		{`{"a":  1.0, "a": 2, "\u0062": "\u0063"}`, `$env`, `{"a":  1.0, "a": 2, "\u0062": "\u0063"}`}, {`{"a":  1.0 }`, `{all: $env}`, `{"all":{"a":  1.0 }}`}, {`{}`, `type($env)`, `"map"`}, {`[1]`, `"a" in $env`, `false`},
		{`{"a":`, `$env`, "!not valid JSON"}, {``, `$env`, "!not valid JSON"}, {`[1]`, `$env.a`, "!no JSON object"}, {`[1]`, `$env["a"]`, "!no JSON object"},
		{`{"a":`, `try($env, 1)`, "!not valid JSON"}, {`[1]`, `try(a, 1)`, "!no JSON object"}, {`{"a":`, `try(fromJSON(meta.value), {raw: meta.value})`, `{"raw":"{\"a\":"}`},
	} {
		rec := record(c.value)
		got, err := mustCompile(t, c.text).JSON(rec)
		if reason, fails := strings.CutPrefix(c.want, "!"); fails {
			if why, ok := pipeline.IsPermanent(err); !ok || why == pipeline.ReasonExpression || !strings.Contains(err.Error(), reason) {
				t.Errorf("%s of %s: got %s, %v", c.text, c.value, got, err)
			}
		} else if err != nil || string(got) != c.want {
			t.Errorf("%s of %s: got %s, %v", c.text, c.value, got, err)
		}
		if string(rec.Value()) != c.value {
			t.Errorf("%s changes %s to %s", c.text, c.value, rec.Value())
		}
	}
	rec := record(`{"a": 1}`)
	if err := rec.SetRaw("b", []byte("2")); err != nil {
		t.Fatal(err)
	}
	if got, err := mustCompile(t, `$env`).JSON(rec); err != nil || string(got) != `{"a": 1,"b":2}` || !rec.Edited() {
		t.Errorf("edited: got %s, %v", got, err)
	}
	gone := new(pipeline.Record)
	gone.Init(pipeline.Position{}, nil, nil, nil, 0)
	if got, err := mustCompile(t, `[$env, $env.a, "a" in $env]`).JSON(gone); err != nil || string(got) != "[null,null,false]" {
		t.Errorf("a tombstone: got %s, %v", got, err)
	}
	if e := mustCompile(t, `$env`); len(e.Fields()) != 0 {
		t.Errorf("fields: %q", e.Fields())
	}
	for text, want := range map[string]string{`$env`: "", `not $env`: "", `$env.a`: "a", `$env["a b"]`: `$env["a b"]`, `a.b`: "a.b"} {
		if path, ok := mustCompile(t, text).Alone(); path != want || ok != (want != "") {
			t.Errorf("%s alone is %q, %v", text, path, ok)
		}
	}
}

// Braces that may hold an object are not said to need parentheses.
func TestObjectsWhereTheyMayStand(t *testing.T) {
	for _, text := range []string{`merge(a, {b, c: 1})`, `merge(a, {b})`, `map(items, {a, b})`, `map(items, {.a = 1})`} {
		var e *Error
		if err := new(Expr).UnmarshalText([]byte(text)); !errors.As(err, &e) || strings.Contains(e.Suggestion, objectHint) {
			t.Errorf("%s: %+v", text, err)
		}
	}
}
