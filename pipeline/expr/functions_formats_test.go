package expr

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

// TestFormatExamples runs what the reference shows of the functions for text formats.
func TestFormatExamples(t *testing.T) {
	for name, f := range formatFunctions {
		if f.usage == "" || f.says == "" || len(f.examples) == 0 || !strings.HasPrefix(f.usage, name+"(") || strings.HasSuffix(f.says, ".") {
			t.Errorf("%s: its manual lacks something", name)
		}
		fails := false
		for _, e := range f.examples {
			want, wrong := strings.CutPrefix(e.Gives, "error: ")
			fails = fails || wrong
			got := exampleGives(e.Text)
			if !strings.Contains(e.Text, name+"(") || wrong && !strings.Contains(got, want) || !wrong && got != want {
				t.Errorf("%s\ngot  %s\nwant %s", e.Text, got, e.Gives)
			}
		}
		if fails != (f.fails != "") {
			t.Errorf("%s: it fails in the manual or in an example, and not in both", name)
		}
	}
}

// exampleGives gives what an expression gives of the record of these tests, or its error.
func exampleGives(text string) string {
	e := new(Expr)
	if err := e.UnmarshalText([]byte(text)); err != nil {
		return err.Error()
	}
	out, err := e.JSON(record(everything))
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// TestFormatsOfRecords: what comes from a record is read and written as what stands in an
// expression.
func TestFormatsOfRecords(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(`{"deep":[1]}`)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	value := `{"line":"a=1\tb=\"x\\ny\"","sys":"<34>Oct 11 22:14:15 h su: x","feb":"<34>Feb 29 00:00:00 h su: x","o":{"a":1.50,"b":null,"c":["x",2]},"cols":["p","q"],"bad":["p",1],"twice":["p","p"],"zone":"Europe/Berlin","n":7,` +
		`"packed":"` + base64.StdEncoding.EncodeToString(packed.Bytes()) + `"}`
	for _, c := range []struct{ text, want string }{
		{`parseLogfmt(line).b`, `"x\ny"`}, {`parseLogfmt(line, n == 7).a + 1`, `2`}, {`parseLogfmt(n)`, `!argument 1 is a number, not a string`}, {`parseLogfmt(missing)`, `!argument 1 is missing`},
		{`parseSyslog(sys).timestamp`, `"2023-10-11T22:14:15Z"`}, {`parseSyslog(sys, zone).timestamp`, `"2023-10-11T20:14:15Z"`}, {`parseSyslog(sys, zone).timestamp`, `"2023-10-11T20:14:15Z"`}, {`parseSyslog(sys, line)`, `!there is no such zone`}, {`parseSyslog(sys, "")`, `!there is no such zone`}, {`parseSyslog(feb).timestamp`, `"2024-02-29T00:00:00Z"`},
		{`parseCSV("1,2", ",", cols)`, `{"p":"1","q":"2"}`}, {`parseCSV(line, ",", bad)`, `!column 2 is a number, not a string`}, {`parseCSV(line, ",", twice)`, `!column 2 has the name of another`}, {`parseCSV(line, ",", [])`, `!there are no columns`}, {`parseCSV("1", ",", cols)`, `!the line has 1 fields and there are 2 columns`}, {`parseCSV(line, "")`, `!a separator of csv is one character`},
		{`parseKeyValue(line, "'")`, `!a quote or backslash`}, {`parseKeyValue("a=1", line, line)`, `!a quote or backslash`}, {`parseKeyValue(line, ";", ";")`, `!pairs are parted by that already`},
		{`toLogfmt(o)`, `"a=1.50 b=null c=\"[\\\"x\\\",2]\""`}, {`toCSV(o)`, `"1.50,,\"[\"\"x\"\",2]\""`}, {`toQuery(o)`, `"a=1.50&c=x&c=2"`}, {`toCSV(line)`, `!argument 1 is a string`}, {`toLogfmt({at: date("2024-01-01"), d: duration("1s")})`, `"at=2024-01-01T00:00:00Z d=1s"`},
		{`fromJSON(fromGzip(fromBase64(packed))).deep[0]`, `1`}, {`fromZstd(toZstd(line)) == line`, `true`}, {`fromLZ4(toLZ4(line)) == line and fromLZ4(toLZ4(line, "block"), "block") == line`, `true`}, {`try(fromZstd(line), fromLZ4(line), line) == line`, `true`}, {`fromLZ4(line)`, `!fromLZ4: column 1: it does not begin as lz4 does`}, {`fromLZ4(line, "block")`, `!fromLZ4: column 8: the lz4 block refers to what is not before it`}, {`fromZstd(n)`, `!fromZstd: argument 1 is a number`},
		{`decodeText(encodeText(zone, "utf-16be"), "utf-16be")`, `"Europe/Berlin"`}, {`encodeText("€" + zone, "iso-8859-5")`, `!encodeText: column 1: the character set has no such character`}, {`mimeDecode("=?utf-8?q?" + zone + "?=")`, `"Europe/Berlin"`}, {`map([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], try(fromGzip(line), #))[11]`, `12`}, {`toURL(parseURL("https://a/b?c=d&c=e#f"))`, `"https://a/b?c=d&c=e#f"`},
	} {
		got, err := mustCompile(t, c.text).JSON(record(value))
		want, wrong := strings.CutPrefix(c.want, "!")
		if wrong && (err == nil || !strings.Contains(err.Error(), want)) || !wrong && (err != nil || string(got) != want) {
			t.Errorf("%s: got %s, %v; want %s", c.text, got, err, c.want)
		}
	}
	// A message without a year is not evaluated before there is a record with a time.
	if got, err := mustCompile(t, `parseSyslog("<34>Oct 11 22:14:15 h su: x").timestamp`).JSON(record(value)); err != nil || string(got) != `"2023-10-11T22:14:15Z"` {
		t.Errorf("a constant message: %s, %v", got, err)
	}
	// A record without a time does not say the year.
	rec := record(value)
	rec.Time = pipeline.NoTime
	if got, err := mustCompile(t, `parseSyslog(sys).timestamp`).JSON(rec); err != nil || string(got) != `"Oct 11 22:14:15"` {
		t.Errorf("got %s, %v", got, err)
	}
	// What a stage has set may be no JSON.
	rec = record(`{"o":1}`)
	if err := rec.SetRaw("o", []byte(`{"a":`)); err != nil {
		t.Fatal(err)
	}
	if got, err := mustCompile(t, `toLogfmt(o)`).JSON(rec); err == nil {
		t.Errorf("got %s", got)
	}
}

// TestFormatsAreBounded: neither what is read nor what comes of it is more than an evaluation may have.
func TestFormatsAreBounded(t *testing.T) {
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	if _, err := w.Write(make([]byte, 16<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	value := `{"s":"` + strings.Repeat("x", 600<<10) + `","pairs":"` + strings.Repeat("a b ", 150<<10) + `","bomb":"` + base64.StdEncoding.EncodeToString(bomb.Bytes()) + `","a":[` + strings.Repeat("1,", 2000) + `1]}`
	for _, c := range []struct{ text, want string }{
		{`fromGzip(fromBase64(bomb))`, "more than 1048576 bytes"}, {`let b = fromBase64(bomb); map(a, try(fromGzip(b), 0))`, "more than 1048576 bytes"}, {`map(a, toLZ4(s))`, "too many steps"}, {`map(a, toZstd(s))`, "too many steps"}, {`let z = toZstd(s); map(a, fromZstd(z))`, "too many steps"},
		{`map(a, decodeText(s, "gbk"))`, "too many steps"}, {`map(a, mimeDecode(s))`, "too many steps"}, {`let t = s + s[200000:]; fromZstd(toZstd(t) + toZstd(t))`, "more than 1048576 bytes"}, {`decodeText(s + s[400000:], "utf-16le")`, "more than 1 MiB"}, {`toCSV([s, s])`, "more than 1 MiB"}, {`parseLogfmt(pairs + " c")`, "more than 1 MiB"}, {`map(a, parseCSV(s))`, "too many steps"}, {`map(a, toGzip(s))`, "too many steps"},
	} {
		got, err := beyond(t, c.text, c.want, record(value))
		if reason, ok := pipeline.IsPermanent(err); !ok || reason != pipeline.ReasonExpression || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: %d bytes, error %v, want %q", c.text, len(got), err, c.want)
		}
	}
}

// TestForeignFormats: who writes a function of another language is told the one that is here.
func TestForeignFormats(t *testing.T) {
	for name, instead := range foreignFormats {
		call := strings.TrimPrefix(instead, "write ")
		var wrong *Error
		if err := new(Expr).UnmarshalText([]byte(name + "(line)")); !errors.As(err, &wrong) || wrong.Suggestion != instead {
			t.Errorf("%s: %v", name, err)
		}
		if err := new(Expr).UnmarshalText([]byte(call)); err != nil {
			t.Errorf("%s: %v", call, err)
		}
	}
}
