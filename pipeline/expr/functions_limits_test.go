package expr

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// TestFunctionsAreBounded: nothing here builds more than it may, or works on without counting.
func TestFunctionsAreBounded(t *testing.T) {
	long := `{"s":"` + strings.Repeat("x", 600<<10) + `","q":"` + strings.Repeat("<", 300<<10) + `","l":"` + strings.Repeat(`\n`, 400<<10) + `","w":"` + strings.Repeat("a ", 300<<10) + `","a":[` + strings.Repeat("1,", 20000) + `1],"n":3}`
	for _, c := range []struct{ text, want string }{
		{`repeat(s, 2)`, "more than 1 MiB"}, {`padLeft(s, 1048577)`, "more than 1 MiB"}, {`padRight(s, 700000, s) + s`, "more than 1 MiB"}, {`toHex(s)`, "more than 1 MiB"}, {`urlEncode(l)`, "more than 1 MiB"}, {`htmlEscape(q)`, "more than 1 MiB"}, {`toBase64(toBase64(s, "raw"), "url")`, "more than 1 MiB"},
		{`findAll(s, "x")`, "builds too much"}, {`captureAll(s, "(x)(x)(x)")`, "b"}, {`splitMatch(s, "x")`, "b"}, {`replaceMatch(s, "x", "yyyy")`, "more than 1 MiB"}, {`replaceMatch(s, "", "y")`, "too many steps"}, {`replaceMatch(s, "$", s)`, "more than 1 MiB"}, {`replaceMatch(s, "^(.*)$", "$1$1")`, "more than 1 MiB"},
		{`capture(s, "(.*a){20}(.*b){20}(.*c){20}x?x?x?x?")`, "too many steps"}, {`findAll(s, "(.*a){20}(.*b){20}(.*c){20}x?x?x?x?")`, "too many steps"},
		{`lines(l)`, "b"}, {`words(w)`, "b"}, {`formatNumber(n, 400, repeat("x", 100), repeat("y", 100)) + s + s`, "more than 1 MiB"},
		{`map(a, repeat(s, 1))`, "builds too much"}, {`map(a, sha256(s))`, "too many steps"}, {`map(a, hmac("x", s))`, "too many steps"}, {`map(a, isJSON(s))`, "too many steps"}, {`map(a, isUTF8(s))`, "too many steps"}, {`map(a, occurrences(s, "y"))`, "too many steps"}, {`map(a, truncateText(s, 3))`, "too many steps"}, {`map(a, padLeft(s, 3))`, "too many steps"}, {`map(a, capture(s, "y"))`, "too many steps"}, {`map(a, findAll(s, "y"))`, "too many steps"}, {`map(a, trimLeft(s, "é"))`, "too many steps"}, {`map(a, map(a, uuid()))`, "too many steps"}, {`map(a, map(a, random()))`, "too many steps"}, {`map(a, map(a, now()))`, "too many steps"}, {`map(a, map(a, round(#, 2)))`, "too many steps"}, {`map(a, snakeCase(s))`, "too many steps"}, {`map(a, urlDecode(s))`, "builds too much"},
	} {
		got, err := beyond(t, c.text, c.want, record(long))
		if reason, ok := pipeline.IsPermanent(err); !ok || reason != pipeline.ReasonExpression || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: %d bytes, error %v, want %q", c.text, len(got), err, c.want)
		}
	}
}

// TestFunctionsCountTheirWork: a function that goes through a text counts a step for some hundred
// bytes at least.
func TestFunctionsCountTheirWork(t *testing.T) {
	const size = 300 << 10
	constant := map[string]bool{"isUUID": true, "isIP": true, "isIPv4": true, "isIPv6": true, "isUpper": false}
	texts := map[string]function{}
	for _, table := range []map[string]function{hashFunctions, codecFunctions, charsetFunctions, compressionFunctions, wordFunctions, checkFunctions, regexFunctions} {
		maps.Copy(texts, table)
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		f := texts[name]
		call := name + "(s" + map[int]string{1: ")", 2: `, "x+y")`, 3: `, "x+y", "")`}[f.least]
		if f.least == 2 && f.param(1) == mInt {
			call = name + "(s, 1)"
		}
		if _, ok := charsetFunctions[name]; ok && f.least == 2 {
			call = name + `(s, "gbk")`
		}
		if to, ok := strings.CutPrefix(name, "from"); ok && compressionFunctions[name].bind != nil {
			call = "fromBase64(toBase64(s)) | to" + to + "() | " + name + "()"
		}
		p, err := compile(`let s = $env["s"]; `+call, mAny)
		if err != nil {
			t.Errorf("%s: %v", call, err)
			continue
		}
		m := machines.New().(*machine)
		m.reset(record(`{"s":"`+strings.Repeat("A0a ", size/4)+`"}`), p.vars)
		before := m.steps
		if _, err := p.run(m); err != nil && m.steps-before < 1 && name != "inCIDR" {
			t.Errorf("%s: %v", call, err)
		}
		if !constant[name] && name != "inCIDR" && m.steps-before < size/512 {
			t.Errorf("%s of %d bytes counts %d steps", call, size, m.steps-before)
		}
	}
}

// TestLive: now, uuid and random are what they say, are not evaluated when they are compiled, and
// not the same again.
func TestLive(t *testing.T) {
	e := mustCompile(t, `[now(), uuid(), uuid(), uuid7(), random(), random(1000000), map(1..3, uuid())]`)
	var seen []string
	for range 50 {
		before := time.Now()
		text, err := e.JSON(record(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		var got []any
		if err := json.Unmarshal(text, &got); err != nil || len(got) != 7 {
			t.Fatalf("%s, %v", text, err)
		}
		at, err := time.Parse(time.RFC3339Nano, got[0].(string))
		if err != nil || at.Before(before.Add(-time.Millisecond)) || at.After(time.Now().Add(time.Millisecond)) {
			t.Errorf("now is %v, %v", got[0], err)
		}
		if milli := strings.ReplaceAll(got[3].(string)[:13], "-", ""); !strings.EqualFold(milli, hexOf(at.UnixMilli())) {
			t.Errorf("uuid7 %v at %x", got[3], at.UnixMilli())
		}
		if f := got[4].(float64); f < 0 || f >= 1 {
			t.Errorf("random() is %v", f)
		}
		if n := got[5].(float64); n < 0 || n >= 1e6 {
			t.Errorf("random(n) is %v", n)
		}
		for _, id := range append([]any{got[1], got[2]}, got[6].([]any)...) {
			seen = append(seen, id.(string))
		}
	}
	slices.Sort(seen)
	if n := len(slices.Compact(seen)); n != 250 {
		t.Errorf("%d different UUIDs of 250", n)
	}
}

func hexOf(n int64) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 12)
	for i := range out {
		out[len(out)-1-i] = digits[n>>(4*i)&15]
	}
	return string(out)
}

// TestRandomIsEven: no number of a range is rarer than others, live and repeatable.
func TestRandomIsEven(t *testing.T) {
	for _, repeatable := range []bool{false, true} {
		e := mustCompile(t, `random(7)`)
		if repeatable {
			e.Repeatable("here")
		}
		var count [7]int
		for i := range 7000 {
			rec := record(`{}`)
			rec.Offset = int64(i)
			got, err := e.JSON(rec)
			if err != nil || len(got) != 1 {
				t.Fatal(string(got), err)
			}
			count[got[0]-'0']++
		}
		for n, c := range count {
			if c < 800 || c > 1200 {
				t.Errorf("repeatable %v: %d comes %d times of 7000", repeatable, n, c)
			}
		}
	}
}

// TestRepeatable: all depends on the record's position, part and time, the place and the call.
func TestRepeatable(t *testing.T) {
	const text = `[now(), uuid(), uuid7(), random(), random(1000000), uuid()]`
	e := mustCompile(t, text)
	live := *e
	e.Repeatable("stages[0].map.set.id")
	give := func(e *Expr, change func(rec *pipeline.Record)) string {
		rec := record(`{"n":1}`)
		change(rec)
		got, err := e.JSON(rec)
		if err != nil {
			t.Fatal(err)
		}
		return string(got)
	}
	same := func(*pipeline.Record) {}
	first := give(e, same)
	if !strings.HasPrefix(first, `["2023-11-14T22:13:20.123Z","`) || !strings.Contains(first, `"018bcfe5-687b-7`) {
		t.Errorf("%s: not the record's time", first)
	}
	if again := give(mustRepeat(t, text, "stages[0].map.set.id"), func(rec *pipeline.Record) { _ = rec.SetRaw("n", []byte("2")); rec.SetKey(nil) }); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	seen := map[string]bool{first: true}
	for _, change := range []func(rec *pipeline.Record){
		func(rec *pipeline.Record) { rec.Offset++ }, func(rec *pipeline.Record) { rec.Partition++ }, func(rec *pipeline.Record) { rec.Topic += "x" }, func(rec *pipeline.Record) { rec.Part = 1 },
	} {
		seen[give(e, change)] = true
	}
	seen[give(mustRepeat(t, text, "stages[1].map.set.id"), same)] = true
	seen[give(&live, same)] = true
	if len(seen) != 7 {
		t.Errorf("%d different of 7", len(seen))
	}
	for at, want := range map[int64]string{pipeline.NoTime: `"1970-01-01T00:00:00Z"`, -1: `"1969-12-31T23:59:59.999Z"`, 1 << 60: "before 1678 or after 2261", -1 << 60: "before 1678"} {
		rec := record(`{}`)
		rec.Time = at
		got, err := mustRepeat(t, `[now(), uuid7()]`, "").JSON(rec)
		if s := string(got); err != nil && !strings.Contains(err.Error(), want) || err == nil && (!strings.Contains(s, want) || at < 0 && !strings.Contains(s, `"00000000-0000-7`)) {
			t.Errorf("%d: %s, %v; want %s", at, got, err, want)
		}
	}
	tpl := mustTemplate(t, `{uuid()}{uuid()}`)
	tpl.Repeatable("there")
	a, _ := tpl.Text(record(`{}`))
	b, err := tpl.Text(record(`{}`))
	if a != b || err != nil || a[:36] == a[36:] {
		t.Errorf("%s, %s, %v", a, b, err)
	}
}

func mustRepeat(t *testing.T, text, place string) *Expr {
	e := mustCompile(t, text)
	e.Repeatable(place)
	return e
}

// TestRepeatableConcurrently: calls are counted for each evaluation by itself.
func TestRepeatableConcurrently(t *testing.T) {
	e := mustRepeat(t, `[uuid(), random(), map(1..5, random(100)), now()]`, "x")
	want, err := e.JSON(record(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	live := mustCompile(t, `uuid() + string(random()) + string(now())`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if got, err := e.JSON(record(`{}`)); err != nil || string(got) != string(want) {
					t.Errorf("%s, %v; want %s", got, err, want)
				}
				if _, err := live.JSON(record(`{}`)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
