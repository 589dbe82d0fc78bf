package stages

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/pipeline/textformat"
)

// parse gives settings with the defaults of a file.
func parse(as TextFormat, set func(*ParseSettings)) ParseSettings {
	s := DefaultParse()
	s.As = as
	if set != nil {
		set(&s)
	}
	return s
}

// packed gives what format makes of text.
func packed(t *testing.T, as TextFormat, text string) string {
	t.Helper()
	f, err := NewFormat(FormatSettings{As: as})
	rec := value(text)
	return outcome(rec, must(t, f, err).Process(t.Context(), rec))
}

func base64Of(text string) string {
	return string(textformat.Base64("standard").AppendEncode(nil, []byte(text)))
}

func TestParse(t *testing.T) {
	gzipped, zipped := packed(t, AsGzip, `{"a":1}`), packed(t, AsZstd, `{"a":1}`)
	for name, c := range map[string]struct {
		s    ParseSettings
		rows []row
	}{
		"json": {parse(AsJSON, nil), []row{
			{`{"a": 1.0}`, `{"a": 1.0}`}, {` [1] `, ` [1] `}, {`null`, `null`}, {`{"a":`, "rejected: not_parsed"}, {``, "rejected: not_parsed"}, {"tombstone", "tombstone"},
		}},
		"json in a field": {parse(AsJSON, func(s *ParseSettings) { s.Field = "p" }), []row{
			{`{"p":"{\"a\": [1.0]}","z":1}`, `{"p":{"a": [1.0]},"z":1}`}, {`{"p":"\"x\""}`, `{"p":"x"}`}, {`{"p":{"a":1}}`, `{"p":{"a":1}}`}, {`{"p":true}`, `{"p":true}`}, {`{"p":null}`, `{"p":null}`}, {`{"z":1}`, `{"z":1}`},
			{`{"p":"{"}`, "rejected: not_parsed"}, {`[1]`, "rejected: not_object"}, {`p`, "rejected: invalid_json"}, {"tombstone", "tombstone"},
		}},
		"text": {parse(AsText, nil), []row{{"a \"b\"\n", `"a \"b\"\n"`}, {``, `""`}, {`{"a":1}`, `"{\"a\":1}"`}, {"\xff", "rejected: not_parsed"}, {"tombstone", "tombstone"}}},
		"text into": {parse(AsText, func(s *ParseSettings) { s.Into = "line.raw" }), []row{
			{`a b`, `{"line":{"raw":"a b"}}`}, {``, `{"line":{"raw":""}}`}, {"tombstone", "tombstone"},
		}},
		"csv": {parse(AsCSV, func(s *ParseSettings) { s.Columns, s.Separator = []settings.FieldName{"id", "name"}, ";" }), []row{
			{`1;"x;y"`, `{"id":"1","name":"x;y"}`}, {`1`, "rejected: not_parsed"}, {`{"a":1}`, "rejected: not_parsed"},
		}},
		"csv into": {parse(AsCSV, func(s *ParseSettings) { s.Field, s.Into, s.Numbers = "line", "row", true }), []row{
			{`{"line":"1,x","z":2}`, `{"line":"1,x","z":2,"row":{"column1":1,"column2":"x"}}`}, {`{"line":17}`, `{"line":17,"row":{"column1":17}}`}, {`{"line":{}}`, "rejected: not_parsed"}, {`{"line":false}`, "rejected: not_parsed"},
		}},
		"into a field that is no object": {parse(AsLogfmt, func(s *ParseSettings) { s.Field, s.Into = "line", "z.y" }), []row{
			{`{"line":"a=1","z":{"x":0}}`, `{"line":"a=1","z":{"x":0,"y":{"a":"1"}}}`}, {`{"line":"a=1","z":7}`, "rejected: no_path"},
		}},
		"logfmt":    {parse(AsLogfmt, func(s *ParseSettings) { s.Numbers = true }), []row{{`level=info n=1.50 ok`, `{"level":"info","n":1.50,"ok":true}`}, {`a="`, "rejected: not_parsed"}}},
		"key_value": {parse(AsKeyValue, func(s *ParseSettings) { s.Separator, s.KeySeparator = ", ", ":" }), []row{{`a:1, b: 'x, y'`, `{"a":"1","b":"x, y"}`}}},
		"regex":     {parse(AsRegex, func(s *ParseSettings) { s.Pattern = `^(?P<host>\S+) (?P<n>\d+)?` }), []row{{`web-1 17 x`, `{"host":"web-1","n":"17"}`}, {`web-1 x`, `{"host":"web-1"}`}, {`x`, "rejected: not_parsed"}}},
		"url":       {parse(AsURL, func(s *ParseSettings) { s.Field = "u" }), []row{{`{"u":"https:\/\/h\/a?b=c"}`, `{"u":{"scheme":"https","host":"h","path":"/a","query":{"b":"c"}}}`}, {`{"u":"a b"}`, "rejected: not_parsed"}}},
		"query":     {parse(AsQuery, nil), []row{{`a=1&a=2`, `{"a":["1","2"]}`}, {`a=%`, "rejected: not_parsed"}}},
		"timestamp": {parse(AsTimestamp, func(s *ParseSettings) {
			s.Field, s.Layouts, s.Zone = "at", []string{"datetime", "unix"}, "Europe/Berlin"
		}), []row{
			{`{"at":"2024-07-01 12:00:00"}`, `{"at":"2024-07-01T10:00:00Z"}`}, {`{"at":1700000000}`, `{"at":"2023-11-14T22:13:20Z"}`}, {`{"at":"1700000000.5"}`, `{"at":"2023-11-14T22:13:20.5Z"}`}, {`{"at":"noon"}`, "rejected: not_parsed"}, {`{"at":[]}`, "rejected: not_parsed"},
		}},
		"timestamp of syslog": {parse(AsTimestamp, func(s *ParseSettings) { s.Layouts, s.To = []string{"syslog"}, "ms" }), []row{{`Jan  1 00:00:02`, `2000`}, {`Dec 31 23:59:59`, `-1000`}}},
		"access_log":          {parse(AsAccessLog, nil), []row{{`::1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 7`, `{"host":"::1","timestamp":"2000-10-10T20:55:36Z","method":"GET","path":"/","protocol":"HTTP/1.0","status":200,"size":7}`}, {`::1`, "rejected: not_parsed"}}},
		"syslog":              {parse(AsSyslog, nil), []row{{`<34>Jan  1 00:00:00 h su: x`, `{"facility":"auth","severity":"crit","timestamp":"1970-01-01T00:00:00Z","hostname":"h","appname":"su","message":"x"}`}, {`x`, "rejected: not_parsed"}}},
		"base64":              {parse(AsBase64, nil), []row{{base64Of("\x00\xff"), "\x00\xff"}, {``, ``}, {`!`, "rejected: not_parsed"}}},
		"base64 in a field":   {parse(AsBase64, func(s *ParseSettings) { s.Field = "b" }), []row{{`{"b":"` + base64Of(`é"`) + `"}`, `{"b":"é\""}`}, {`{"b":"/w=="}`, "rejected: not_parsed"}}},
		"hex":                 {parse(AsHex, func(s *ParseSettings) { s.Into = "h" }), []row{{`6162`, `{"h":"ab"}`}, {`ff`, "rejected: not_parsed"}, {`6`, "rejected: not_parsed"}}},
		"gzip":                {parse(AsGzip, func(s *ParseSettings) { s.MaxBytes = 7 }), []row{{gzipped, `{"a":1}`}, {packed(t, AsGzip, ``), ``}, {packed(t, AsGzip, `12345678`), "rejected: not_parsed"}, {`{"a":1}`, "rejected: not_parsed"}}},
		"gzip in a field":     {parse(AsGzip, func(s *ParseSettings) { s.Field, s.Into = "g", "is" }), []row{{`{"g":"` + base64Of(gzipped) + `"}`, `{"g":"` + base64Of(gzipped) + `","is":"{\"a\":1}"}`}, {`{"g":"x!"}`, "rejected: not_parsed"}, {`{"g":""}`, "rejected: not_parsed"}}},
		"zstd":                {parse(AsZstd, nil), []row{{zipped, `{"a":1}`}, {zipped[:8], "rejected: not_parsed"}}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := NewParse(c.s)
			processes(t, must(t, p, err), c.rows)
		})
	}
}

// TestParseSays: an error says which field, in which format, and where, and quotes nothing.
func TestParseSays(t *testing.T) {
	for _, c := range []struct {
		s        ParseSettings
		in, want string
	}{
		{parse(AsCSV, func(s *ParseSettings) { s.Field = "a.line" }), `{"a":{"line":"x,\"CANARY"}}`, "parsing the field a.line as csv: column 3: the quote that opens here has no end"},
		{parse(AsJSON, nil), `{"CANARY":x}`, "parsing the value as json: column 11: from here on it is no JSON"},
		{parse(AsBase64, func(s *ParseSettings) { s.Field = "b" }), `{"b":"/w=="}`, "parsing the field b as base64: what it holds is no text: column 1: it is no UTF-8"},
		{parse(AsGzip, func(s *ParseSettings) { s.Field = "b" }), `{"b":"CAN ARY"}`, "parsing the field b as gzip: the base64 around it: column 4: it is no base64, or ends too early"},
		{parse(AsRegex, func(s *ParseSettings) { s.Field, s.Pattern = "b", "^(?P<a>x)" }), `{"b":"CANARY"}`, "parsing the field b as regex: the pattern does not match"},
	} {
		p, err := NewParse(c.s)
		if err := must(t, p, err).Process(t.Context(), value(c.in)); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v\nwant %s", c.in, err, c.want)
		}
	}
}

// TestParseEdited: what earlier stages set is parsed, and several parses follow one another.
func TestParseEdited(t *testing.T) {
	rec := value(`{"a":1}`)
	if err := rec.SetString("line", "x=1 y=\"q=2\""); err != nil {
		t.Fatal(err)
	}
	for _, s := range []ParseSettings{
		parse(AsLogfmt, func(s *ParseSettings) { s.Field = "line" }),
		parse(AsQuery, func(s *ParseSettings) { s.Field = "line.y" }),
		parse(AsText, func(s *ParseSettings) { s.Into = "all" }),
		parse(AsJSON, func(s *ParseSettings) { s.Field = "all" }),
	} {
		p, err := NewParse(s)
		if err := must(t, p, err).Process(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	if got := string(rec.Value()); got != `{"all":{"a":1,"line":{"x":"1","y":{"q":"2"}}}}` {
		t.Errorf("got %s", got)
	}
	if _, v, _ := rec.Original(); string(v) != `{"a":1}` {
		t.Errorf("the original is %s", v)
	}
}

// TestParseWithoutTime: a record without a time does not say the year.
func TestParseWithoutTime(t *testing.T) {
	rec := value(`Jan  1 00:00:00`)
	rec.Time = pipeline.NoTime
	p, err := NewParse(parse(AsTimestamp, func(s *ParseSettings) { s.Layouts = []string{"syslog"} }))
	if got := must(t, p, err).Process(t.Context(), rec); got == nil || !strings.Contains(got.Error(), "no year") {
		t.Errorf("got %v", got)
	}
}

func TestParseSettings(t *testing.T) {
	for want, s := range map[string]ParseSettings{
		"":           parse(AsCSV, nil),
		"as":         parse("xml", func(s *ParseSettings) { s.Pattern = "x" }),
		"as ":        {MaxBytes: 1},
		"columns":    parse(AsJSON, func(s *ParseSettings) { s.Columns = []settings.FieldName{"a"} }),
		"columns ":   parse(AsCSV, func(s *ParseSettings) { s.Columns = []settings.FieldName{"a", "a"} }),
		"separator":  parse(AsLogfmt, func(s *ParseSettings) { s.Separator = "," }),
		"separator ": parse(AsCSV, func(s *ParseSettings) { s.Separator = ",," }), "separator  ": parse(AsKeyValue, func(s *ParseSettings) { s.Separator = `"` }),
		"key_separator":  parse(AsCSV, func(s *ParseSettings) { s.KeySeparator = "," }),
		"key_separator ": parse(AsKeyValue, func(s *ParseSettings) { s.KeySeparator = " " }), "key_separator  ": parse(AsKeyValue, func(s *ParseSettings) { s.Separator = "=" }),
		"pattern": parse(AsCSV, func(s *ParseSettings) { s.Pattern = "(?P<a>x)" }), "pattern ": parse(AsRegex, nil), "pattern  ": parse(AsRegex, func(s *ParseSettings) { s.Pattern = "(" }),
		"numbers": parse(AsURL, func(s *ParseSettings) { s.Numbers = true }),
		"layouts": parse(AsSyslog, func(s *ParseSettings) { s.Layouts = []string{"unix"} }), "layouts ": parse(AsTimestamp, nil),
		"zone": parse(AsCSV, func(s *ParseSettings) { s.Zone = "UTC" }), "zone ": parse(AsSyslog, func(s *ParseSettings) { s.Zone = "Berlin" }),
		"to": parse(AsCSV, func(s *ParseSettings) { s.To = "ms" }), "to ": parse(AsTimestamp, func(s *ParseSettings) { s.To, s.Layouts = "s", []string{"unix"} }),
		"max_bytes": parse(AsBase64, func(s *ParseSettings) { s.MaxBytes = 7 }), "max_bytes ": parse(AsGzip, func(s *ParseSettings) { s.MaxBytes = 0 }),
		"field": parse(AsJSON, func(s *ParseSettings) { s.Field = "a.*" }), "into": parse(AsJSON, func(s *ParseSettings) { s.Into = "*" }),
		// An array has no place for a field, and so every record would be rejected.
		"field ": parse(AsJSON, func(s *ParseSettings) { s.Field = "[0].b" }), "into ": parse(AsJSON, func(s *ParseSettings) { s.Field, s.Into = "a", "[0].b" }), "into  ": parse(AsJSON, func(s *ParseSettings) { s.Into = "[0]" }),
		" ": {As: AsCSV}, // max_bytes is of gzip and zstd alone
	} {
		var all []string
		if n := strings.TrimSpace(want); n != "" {
			all = []string{n}
		}
		err := s.Validate()
		if got := names(err); !reflect.DeepEqual(got, all) {
			t.Errorf("%s: got %v, %v", want, got, err)
		}
		if _, made := NewParse(s); (made == nil) != (err == nil) {
			t.Errorf("%s: made with %v", want, made)
		}
	}
	several := parse(AsJSON, func(s *ParseSettings) { s.Pattern, s.Separator = "x", "," })
	err := several.Validate()
	if got := names(err); !reflect.DeepEqual(got, []string{"separator", "pattern"}) || !strings.Contains(err.Error(), "it goes with as: regex, and not with as: json") {
		t.Errorf("got %v", err)
	}
}

// TestLayoutsAreSaid: the names of layouts are the same in the list of the settings and in errors.
func TestLayoutsAreSaid(t *testing.T) {
	_, err := textformat.NewTimestamp(nil, nil)
	if err == nil {
		t.Fatal("no layout is taken")
	}
	_, names, _ := strings.Cut(err.Error(), "at least one of ")
	names, _, _ = strings.Cut(names, ", or write")
	list := (&config.Kind{Settings: func() any { return &ParseSettings{} }}).SettingList()
	i := slices.IndexFunc(list, func(s config.Setting) bool { return s.Name == "layouts" })
	said := strings.FieldsFunc(list[i].Doc, func(r rune) bool { return r == ' ' || r == ',' || r == ':' })
	for _, name := range append(strings.Split(names, ", "), "rfc3339", "unix_ns") {
		if !slices.Contains(said, name) {
			t.Errorf("%q is not said", name)
		}
	}
}

// TestFormatsAreSaid: what as may be is the same in the checks, in the list and in its words.
func TestFormatsAreSaid(t *testing.T) {
	for _, c := range []struct {
		settings any
		formats  []TextFormat
	}{{&ParseSettings{}, parseFormats}, {&FormatSettings{}, formatFormats}} {
		list := (&config.Kind{Settings: func() any { return c.settings }}).SettingList()
		i := slices.IndexFunc(list, func(s config.Setting) bool { return s.Name == "as" })
		if len(list[i].Enum) != len(c.formats) {
			t.Errorf("%d in the list, %d in the check", len(list[i].Enum), len(c.formats))
		}
		for _, f := range c.formats {
			if !slices.Contains(list[i].Enum, string(f)) || !strings.Contains(list[i].Doc, string(f)) {
				t.Errorf("%s is not listed, or not said", f)
			}
		}
	}
}
