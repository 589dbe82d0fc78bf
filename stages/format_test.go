package stages

import (
	"reflect"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/settings"
)

func TestFormat(t *testing.T) {
	for name, c := range map[string]struct {
		s    FormatSettings
		rows []row
	}{
		"json":            {FormatSettings{As: AsJSON}, []row{{`{ "a" : 1.0 }`, `{"a":1.0}`}, {`x`, "rejected: invalid_json"}, {"tombstone", "tombstone"}}},
		"json in a field": {FormatSettings{As: AsJSON, Field: "p"}, []row{{`{"p":{"a": "é\n"},"z":1}`, `{"p":"{\"a\":\"é\\n\"}","z":1}`}, {`{"p":null}`, `{"p":null}`}, {`{}`, `{}`}, {`[]`, "rejected: not_object"}, {"tombstone", "tombstone"}}},
		"text":            {FormatSettings{As: AsText}, []row{{`"a\nb"`, "a\nb"}, {`""`, ``}, {`17`, `17`}, {`{"a": 1}`, `{"a": 1}`}}},
		"text of a field": {FormatSettings{As: AsText, Field: "m"}, []row{{`{"m":"a=1 b","z":1}`, `a=1 b`}, {`{"m":{"x": 1}}`, `{"x": 1}`}, {`{"m":null}`, "rejected: not_formatted"}, {`{}`, "rejected: not_formatted"}}},
		"text into":       {FormatSettings{As: AsText, Field: "m", Into: "t"}, []row{{`{"m":{"x": 1}}`, `{"m":{"x": 1},"t":"{\"x\": 1}"}`}, {`{}`, `{}`}}},
		"csv":             {FormatSettings{As: AsCSV, Columns: []settings.FieldName{"b", "a"}, Separator: ";"}, []row{{`{"a":"x;y","b":1.50,"c":0}`, `1.50;"x;y"`}, {`{}`, `;`}, {`[1]`, "rejected: not_formatted"}}},
		"csv into":        {FormatSettings{As: AsCSV, Into: "line"}, []row{{`{"a":1,"b":"x"}`, `{"a":1,"b":"x","line":"1,x"}`}, {`[1,2]`, "rejected: not_object"}}},
		"logfmt":          {FormatSettings{As: AsLogfmt}, []row{{`{"a":"x y","ok":true}`, `a="x y" ok=true`}, {`{"a b":1}`, "rejected: not_formatted"}, {`7`, "rejected: not_formatted"}}},
		"key_value":       {FormatSettings{As: AsKeyValue, Separator: "&", KeySeparator: ":", Field: "o"}, []row{{`{"o":{"a":1,"b":"x&y"}}`, `{"o":"a:1&b:\"x&y\""}`}}},
		"query":           {FormatSettings{As: AsQuery, Field: "q", Into: "s.t"}, []row{{`{"q":{"a":["x y",1]}}`, `{"q":{"a":["x y",1]},"s":{"t":"a=x+y&a=1"}}`}, {`{"q":{"a":{}}}`, "rejected: not_formatted"}, {`{"q":{},"s":1}`, "rejected: no_path"}}},
		"url":             {FormatSettings{As: AsURL, Field: "u"}, []row{{`{"u":{"scheme":"https","host":"h","path":"/a b","query":{"c":"d"}}}`, `{"u":"https://h/a%20b?c=d"}`}, {`{"u":"https://h"}`, "rejected: not_formatted"}}},
		"timestamp":       {FormatSettings{As: AsTimestamp, Field: "at", Layout: "clf"}, []row{{`{"at":"2024-01-01T00:00:00Z"}`, `{"at":"01/Jan/2024:00:00:00 +0000"}`}, {`{"at":1000}`, `{"at":"01/Jan/1970:00:00:01 +0000"}`}, {`{"at":"x"}`, "rejected: not_formatted"}}},
		"timestamp count": {FormatSettings{As: AsTimestamp, Field: "at", Layout: "unix"}, []row{{`{"at":"2023-11-14T22:13:20Z"}`, `{"at":1700000000}`}}},
		"timestamp zone":  {FormatSettings{As: AsTimestamp, Layout: "02.01.2006 15:04", Zone: "Europe/Berlin"}, []row{{`1700000000000`, `14.11.2023 23:13`}}},
		"base64":          {FormatSettings{As: AsBase64, Variant: "rawurl"}, []row{{"\xff\xef", "_-8"}, {``, ``}, {"tombstone", "tombstone"}}},
		"base64 field":    {FormatSettings{As: AsBase64, Field: "b"}, []row{{`{"b":"a\n"}`, `{"b":"YQo="}`}, {`{"b":17}`, `{"b":"MTc="}`}}},
		"hex":             {FormatSettings{As: AsHex, Field: "b", Into: "h"}, []row{{`{"b":"aé"}`, `{"b":"aé","h":"61c3a9"}`}}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := NewFormat(c.s)
			processes(t, must(t, f, err), c.rows)
		})
	}
}

// TestFormatAndParse: what format writes parse reads, of the value and in a field.
func TestFormatAndParse(t *testing.T) {
	for as, in := range map[TextFormat]string{
		AsJSON: `{"a":[1]}`, AsLogfmt: `{"a":"x y","b":""}`, AsKeyValue: `{"a":"x'y"}`, AsQuery: `{"a":["1","2"],"b":"&"}`, AsURL: `{"scheme":"https","user":"u","host":"h","port":1,"path":"/a","query":{"b":"c"},"fragment":"f"}`,
		AsGzip: "any \xff bytes", AsZstd: "any \xff bytes", AsBase64: "any \xff bytes", AsHex: "any \xff bytes", AsText: `"a\nb"`,
	} {
		rows := []row{{in, in}}
		both := func(field settings.FieldPath) roundTrip {
			s := parse(as, func(s *ParseSettings) { s.Field = field })
			f, err := NewFormat(FormatSettings{As: as, Field: field})
			must(t, f, err)
			p, err := NewParse(s)
			return roundTrip{t, f, must(t, p, err)}
		}
		both("").check(rows)
		if as != AsText {
			if in[0] != '{' {
				in = `"text \" of a field"`
			}
			in = `{"f":` + in + `}`
			both("f").check([]row{{in, in}})
		}
	}
}

type roundTrip struct {
	t *testing.T
	f *Format
	p *Parse
}

func (r roundTrip) check(rows []row) {
	r.t.Helper()
	for _, row := range rows {
		rec := value(row.in)
		err := r.f.Process(r.t.Context(), rec)
		if err == nil && string(rec.Value()) == row.in && r.f.as != AsJSON {
			r.t.Errorf("%s: %s is as it was", r.f.as, row.in)
		}
		if err == nil {
			err = r.p.Process(r.t.Context(), rec)
		}
		if got := outcome(rec, err); got != row.want {
			r.t.Errorf("%s: %q came back as %q", r.f.as, row.in, got)
		}
	}
}

func TestFormatSettings(t *testing.T) {
	for want, s := range map[string]FormatSettings{
		"":        {As: AsLogfmt},
		"as":      {As: AsSyslog},
		"columns": {As: AsLogfmt, Columns: []settings.FieldName{"a"}}, "separator": {As: AsURL, Separator: ","}, "separator ": {As: AsCSV, Separator: "ab"}, "key_separator": {As: AsCSV, KeySeparator: ":"},
		"layout": {As: AsURL, Layout: "clf"}, "layout ": {As: AsTimestamp}, "layout  ": {As: AsTimestamp, Layout: "15:04"},
		"zone": {As: AsURL, Zone: "UTC"}, "zone ": {As: AsTimestamp, Layout: "clf", Zone: "Berlin"}, "variant": {As: AsHex, Variant: "standard"}, "variant ": {As: AsBase64, Variant: "x"}, "field": {As: AsHex, Field: "*"}, "into": {As: AsHex, Into: "a.*"},
		// An array has no place for a field, and so every record would be rejected.
		"into ": {As: AsHex, Into: "[0]"}, "field ": {As: AsHex, Field: "[0].b"}, "field  ": {As: AsText, Field: "[0]"},
	} {
		var all []string
		if n := strings.TrimSpace(want); n != "" {
			all = []string{n}
		}
		if err := s.Validate(); !reflect.DeepEqual(names(err), all) {
			t.Errorf("%s: got %v, %v", want, names(err), err)
		}
	}
	f, err := NewFormat(FormatSettings{As: AsCSV, Field: "a.b"})
	if err := must(t, f, err).Process(t.Context(), value(`{"a":{"b":"CANARY"}}`)); err == nil || err.Error() != "formatting the field a.b as csv: the value is neither an object nor an array" {
		t.Errorf("got %v", err)
	}
}
