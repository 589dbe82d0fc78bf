package textformat

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// FuzzRead: whatever comes, no reader panics, and what it gives is JSON of about the length of
// the text, behind what was there; an error leaves what was there, and quotes nothing.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"access.log", "syslog.log", "app.logfmt", "firewall.log"} {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			f.Add(line)
		}
	}
	for _, text := range []string{"1,\"a\"\"b\",", "https://u:p@h:1/p?q=1#f", "a=1&a=2&%zz", `{"a":[1]}`, "1700000000.123", "YWI=", "6162", "a='x' b=\"\\u12", "<1>1 - - - - - [a b=\"c\"]", "\xff\xfe", "a=\"\\ud83d\\ude00\\"} {
		f.Add(text)
	}
	readers := map[string]func(dst, text []byte) ([]byte, error){
		"json": AppendJSON, "text": AppendText, "csv": CSV{}.AppendObject, "csv array": CSV{Separator: ';'}.AppendArray, "csv columns": CSV{Columns: []string{"a", "b"}}.AppendObject,
		"logfmt": Pairs{Logfmt: true, Numbers: true}.AppendObject, "pairs": Pairs{}.AppendObject, "commas": Pairs{Separator: ",", KeySeparator: ":"}.AppendObject, "words": Pairs{Separator: "\t", KeySeparator: " ", Numbers: true}.AppendObject,
		"url": AppendURL, "query": AppendQuery, "access": AppendAccessLog, "syslog": plainSyslog, "regex": numbered(`(?P<a>\w+)\W*(?P<b>\w*)?`, true),
		"time": timestamp(false, "Europe/Berlin", "rfc3339", "rfc2822", "rfc850", "http", "ansic", "clf", "nginx_error", "syslog", "datetime", "date", "unix", "unix_ms", "unix_us", "unix_ns"),
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, read := range readers {
			out, err := read([]byte("before"), []byte(text))
			if !bytes.HasPrefix(out, []byte("before")) {
				t.Fatalf("%s: what was there is gone: %q", name, out)
			}
			if err != nil {
				var is *Error
				if !errors.As(err, &is) || len(out) != len("before") || is.Column < 0 || is.Column > len(text)+1 {
					t.Fatalf("%s: %v, and %q", name, err, out)
				}
				continue
			}
			out = out[len("before"):]
			if !json.Valid(out) && !strings.Contains(string(out), strings.Repeat("[", 5000)) {
				t.Fatalf("%s: %q is no JSON", name, out)
			}
			if len(out) > 20*len(text)+300 {
				t.Fatalf("%s: %d bytes became %d", name, len(text), len(out))
			}
		}
		for _, read := range []func(dst, text []byte) ([]byte, error){AppendFromBase64, AppendFromHex} {
			if out, err := read([]byte("before"), []byte(text)); err == nil && len(out) > len("before")+len(text) {
				t.Fatalf("%q is longer than its text", out)
			}
		}
	})
}

// FuzzCompressed: whatever comes, reading is bounded, and what was compressed comes back.
func FuzzCompressed(f *testing.F) {
	codecs := compressions(new(Compression))
	for _, data := range []string{"", "x", strings.Repeat("abc", 1000)} {
		for _, c := range codecs {
			packed, err := c.make(nil, []byte(data))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(packed)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const most = 4096
		for _, c := range codecs {
			if out, err := c.read([]byte("before"), text, most); len(out) > len("before")+most || err != nil && string(out) != "before" {
				t.Fatalf("%s: %d bytes, %v", c.name, len(out), err)
			}
			packed, err := c.make(nil, text)
			if err != nil {
				t.Fatal(err)
			}
			if out, err := c.read(nil, packed, len(text)); err != nil || !bytes.Equal(out, text) {
				t.Fatalf("%s: %q came back as %q, %v", c.name, text, out, err)
			}
		}
		if out, err := AppendFromLZ4Block([]byte("before"), text, most); len(out) > len("before")+most || err != nil && string(out) != "before" {
			t.Fatalf("lz4 block: %d bytes, %v", len(out), err)
		}
		packed, err := AppendLZ4Block(nil, text)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := AppendFromLZ4Block(nil, packed, len(text)); err != nil || !bytes.Equal(out, text) {
			t.Fatalf("lz4 block: %q came back as %q, %v", text, out, err)
		}
		for _, form := range []string{"standard", "url", "raw", "rawurl"} {
			if out, err := AppendFromBase64(nil, Base64(form).AppendEncode(nil, text)); err != nil || !bytes.Equal(out, text) {
				t.Fatalf("%q came back as %q, %v", text, out, err)
			}
		}
	})
}

// FuzzCSV: a line is what encoding/csv makes of it. That drops a carriage return before a line
// end within quotes, and one at the end of the text, which here belong to their field.
func FuzzCSV(f *testing.F) {
	for _, line := range []string{`a,b`, `"a""b",`, "\"a\nb\"", `a"b`, `"a"b`, `"`, "a,b\r\n", `,`, ` "a"`, "a\xffb"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Trim(line, "\r\n") == "" || strings.Contains(line, "\r\n") || strings.HasSuffix(line, "\r") || strings.HasPrefix(line, "\n") || strings.ContainsRune(line, '\ufffd') {
			return
		}
		r := csv.NewReader(strings.NewReader(line))
		want, wrong := r.Read()
		if wrong == nil {
			if _, err := r.Read(); err != io.EOF {
				wrong = errors.New("a second line")
			}
		}
		out, err := CSV{}.AppendArray(nil, []byte(line))
		if (err == nil) != (wrong == nil) {
			if wrong != nil && wrong.Error() == "a second line" || strings.HasSuffix(line, "\n") {
				return // empty lines are skipped there
			}
			t.Fatalf("%q: %v, for encoding/csv %v", line, err, wrong)
		}
		var got []string
		if err != nil {
			return
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		for i, s := range want {
			want[i] = string([]rune(s)) // bytes that are no UTF-8, as JSON has them
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %q, for encoding/csv %q", line, got, want)
		}
	})
}

// FuzzURL: a URL and a query have the parts that net/url finds, and a URL that is written from
// its parts has the same.
func FuzzURL(f *testing.F) {
	for _, text := range []string{"https://u:p%40@Example.org:8443/a%20b?x=1&y=2&x=3#top", "mailto:a@b", "/a/b?c", "//h/x", "http://[::1]:80", "http://[fe80::1%25en0]/", "x:%41", "?a=%ff", "http://a/??b", "a:b", "./a:b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sameQuery(t, text)
		out, err := AppendURL(nil, []byte(text))
		if err != nil {
			return
		}
		u, wrong := url.Parse(text)
		if wrong != nil {
			t.Fatalf("%q is taken, and net/url says %v", text, wrong)
		}
		var got struct {
			Scheme, User, Password, Host, Path, Fragment string
			Query                                        map[string]any
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		path := u.Path
		if u.Opaque != "" {
			path = u.Opaque
		}
		if clean := func(s string) string { return string([]rune(s)) }; got.Scheme != u.Scheme || got.Host != clean(u.Hostname()) || got.Path != clean(path) || got.Fragment != clean(u.Fragment) || got.User != clean(u.User.Username()) {
			t.Fatalf("%q became %s", text, out)
		}
		if written, err := AppendURLText(nil, out); err == nil {
			again, err := AppendURL(nil, written)
			if err != nil || !sameJSON(again, out) {
				t.Fatalf("%q became %s, and that %s, which is %s, %v", text, out, written, again, err)
			}
		}
	})
}

// sameJSON says whether two texts mean the same, however they are escaped.
func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func sameQuery(t *testing.T, text string) {
	if strings.Contains(text, ";") || strings.HasPrefix(text, "?") {
		return // net/url refuses the one and keeps the other
	}
	out, err := AppendQuery(nil, []byte(text))
	want, wrong := url.ParseQuery(text)
	if (err == nil) != (wrong == nil) {
		t.Fatalf("%q: %v, for net/url %v", text, err, wrong)
	}
	if err != nil {
		return
	}
	got := map[string]any{}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	for name, values := range want {
		if !json.Valid([]byte(`"`+name+`"`)) || string([]rune(name)) != name {
			continue // names that are no UTF-8 fall together
		}
		var is any = string([]rune(values[0]))
		if len(values) > 1 {
			var all []any
			for _, v := range values {
				all = append(all, string([]rune(v)))
			}
			is = all
		}
		if _, array := got[name].([]any); !reflect.DeepEqual(got[name], is) && !(array && len(values) == 1) {
			t.Fatalf("%q: %q is %q, for net/url %q", text, name, got[name], values)
		}
	}
	if written, err := AppendQueryString(nil, out); err != nil {
		t.Fatal(err)
	} else if again, err := AppendQuery(nil, written); err != nil || !sameJSON(again, out) {
		t.Fatalf("%q became %s, and that %s, which is %s, %v", text, out, written, again, err)
	}
}

// FuzzWrite: what is written of texts reads as these texts.
func FuzzWrite(f *testing.F) {
	f.Add("a", "x y", "b", `"q"=`)
	f.Add("key", "", "k2", "l1\nl2\t\u2028é")
	f.Add("a,b", "1;2", "c", "it's \\")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		value, err := json.Marshal(map[string]string{string([]rune(name1)): value1, string([]rune(name2)): value2})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		if err := json.Unmarshal(value, &want); err != nil {
			t.Fatal(err)
		}
		columns := make([]string, 0, 2)
		for name := range want {
			columns = append(columns, name)
		}
		lines := CSV{Columns: columns, Separator: ';'}
		for name, c := range map[string]struct {
			write, read func(dst, text []byte) ([]byte, error)
			always      bool
		}{
			"logfmt": {Pairs{Logfmt: true}.AppendPairs, Pairs{Logfmt: true}.AppendObject, false},
			"pairs":  {Pairs{}.AppendPairs, Pairs{}.AppendObject, false},
			"commas": {Pairs{Separator: ", ", KeySeparator: ": "}.AppendPairs, Pairs{Separator: ", ", KeySeparator: ": "}.AppendObject, false},
			"tabs":   {Pairs{Separator: "\t", KeySeparator: " "}.AppendPairs, Pairs{Separator: "\t", KeySeparator: " "}.AppendObject, false},
			"csv":    {lines.AppendLine, lines.AppendObject, true},
			"query":  {AppendQueryString, AppendQuery, true},
		} {
			text, err := c.write(nil, value)
			if err != nil {
				if c.always {
					t.Fatalf("%s of %s: %v", name, value, err)
				}
				continue
			}
			out, err := c.read(nil, text)
			got := map[string]string{}
			if err == nil {
				err = json.Unmarshal(out, &got)
			}
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s of %s is %q, which reads as %s: %v", name, value, text, out, err)
			}
		}
	})
}

// FuzzTime: a moment that is written in a layout that says it all reads as it.
func FuzzTime(f *testing.F) {
	f.Add(int64(1700000000))
	f.Add(int64(-1))
	f.Fuzz(func(t *testing.T, seconds int64) {
		at := time.Unix(seconds%(1<<34), 0).UTC()
		if y := at.Year(); y < 1678 || y > 2261 {
			return
		}
		value := appendTime(nil, at)
		for _, name := range []string{"rfc3339", "rfc2822", "http", "ansic", "clf", "nginx_error", "datetime", "unix", "unix_ms", "unix_us", "unix_ns"} {
			ts, err := NewTimestamp([]string{name}, nil)
			if err != nil {
				t.Fatal(err)
			}
			text, err := ts.AppendWritten(nil, value)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := ts.AppendRead(nil, text, time.Time{}, false); err != nil || !bytes.Equal(again, value) {
				t.Fatalf("%s: %s is %s, which reads as %s, %v", name, value, text, again, err)
			}
		}
	})
}

var combined = regexp.MustCompile(`^(\S+) (\S+) (\S+) \[([^\]]+)\] "([A-Z]+) ([^"]*) (HTTP/[0-9.]+)" (\d{3}) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"$`)

// BenchmarkAccessLog: a line of the format combined, read here, and by a regular expression of the
// standard library, which gives the parts alone.
func BenchmarkAccessLog(b *testing.B) {
	line := []byte(`203.0.113.7 - - [14/Nov/2023:06:25:03 +0000] "GET /css/site.css?v=17 HTTP/1.1" 304 0 "https://www.example.org/" "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/119.0"`)
	b.Run("textformat", func(b *testing.B) {
		b.ReportAllocs()
		dst := make([]byte, 0, 1024)
		for b.Loop() {
			if _, err := AppendAccessLog(dst, line); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("regexp", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if len(combined.FindSubmatch(line)) != 12 {
				b.Fatal("no match")
			}
		}
	})
}

// BenchmarkRead: a line of each format that is common.
func BenchmarkRead(b *testing.B) {
	for name, c := range map[string]struct {
		read func(dst, text []byte) ([]byte, error)
		line string
	}{
		"logfmt": {Pairs{Logfmt: true}.AppendObject, `at=info method=GET path="/" host=myapp.example.com request_id=8601b555 fwd="203.0.113.7" dyno=web.1 connect=1ms service=18ms status=200 bytes=13`},
		"csv":    {CSV{Columns: []string{"id", "name", "city", "n"}}.AppendObject, `1042,"Lehigh Valley, International",Allentown,17`},
		"syslog": {plainSyslog, `<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut="3" eventSource="Application"] An application event`},
		"query":  {AppendQuery, `utm_source=news&utm_medium=mail&q=a+b%20c&page=2`},
		"url":    {AppendURL, `https://www.example.org:8443/a/b?c=d&e=f#g`},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			dst, line := make([]byte, 0, 1024), []byte(c.line)
			for b.Loop() {
				if _, err := c.read(dst, line); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
