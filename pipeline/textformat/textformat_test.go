package textformat

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// near is the time of the record, where a format asks for it.
var near = time.Date(2024, 1, 3, 0, 0, 0, 0, time.UTC)

// plainSyslog is syslog with a record of near.
func plainSyslog(dst, text []byte) ([]byte, error) { return Syslog{}.AppendObject(dst, text, near) }

func numbered(pattern string, numbers bool) func(dst, text []byte) ([]byte, error) {
	p, err := NewPattern(pattern)
	if err != nil {
		panic(err)
	}
	return func(dst, text []byte) ([]byte, error) { return p.AppendObject(dst, text, numbers) }
}

func timestamp(ms bool, zone string, names ...string) func(dst, text []byte) ([]byte, error) {
	z, err := LoadZone(cmp.Or(zone, "UTC"))
	if err != nil {
		panic(err)
	}
	t, err := NewTimestamp(names, z)
	if err != nil {
		panic(err)
	}
	return func(dst, text []byte) ([]byte, error) { return t.AppendRead(dst, text, near, ms) }
}

// TestRead: lines as they come, and what does not fit. A want that starts with ! is the error.
func TestRead(t *testing.T) {
	type reader = func(dst, text []byte) ([]byte, error)
	csv, semicolons := CSV{Columns: []string{"id", "name"}}, CSV{Columns: []string{"id", "name"}, Separator: ';'}
	colons := Pairs{Separator: ",", KeySeparator: ":"}
	for _, c := range []struct {
		name string
		read reader
		rows [][2]string
	}{
		{"json", AppendJSON, [][2]string{
			{` {"a": 1.0} `, `{"a": 1.0}`}, {`"x"`, `"x"`}, {``, `!it is empty, and no JSON`}, {` `, `!it is empty, and no JSON`},
			{`{"a":x}`, `!column 6: from here on it is no JSON`}, {`{"a":1`, `!column 7: the JSON ends too early`}, {`{} {}`, `!column 4: from here on it is no JSON`},
			{strings.Repeat("[", 20000), `!it is nested deeper than 10,000`},
		}},
		{"text", AppendText, [][2]string{{"a\"b\né", `"a\"b\né"`}, {"", `""`}, {"ab\xffc", `!column 3: it is no UTF-8`}}},
		{"csv", csv.AppendObject, [][2]string{
			{`1,x`, `{"id":"1","name":"x"}`}, {"1,x\r\n", `{"id":"1","name":"x"}`}, {`1,"a,""b"""`, `{"id":"1","name":"a,\"b\""}`}, {"1,\"a\r\nb\"", `{"id":"1","name":"a\r\nb"}`},
			{`,`, `{"id":"","name":""}`}, {` 1 ,""`, `{"id":" 1 ","name":""}`}, {`007,1e5`, `{"id":"007","name":"1e5"}`},
			{`1`, `!the line has 1 fields and there are 2 columns`}, {`1,2,3`, `!the line has 3 fields and there are 2 columns`}, {``, `!the line has 1 fields and there are 2 columns`},
			{`1,a"b`, `!column 4: a quote stands in a field that does not begin with one`}, {`1,"a`, `!column 3: the quote that opens here has no end`},
			{`1,"a"b`, `!column 6: behind the closing quote stands neither a separator nor the end`}, {"1,x\n2,y", `!column 4: a second line begins, and one line is read: split before`},
			{"1,\"x\"\r\n2,y", `!column 6: a second line begins, and one line is read: split before`},
		}},
		{"csv, semicolons", semicolons.AppendObject, [][2]string{{`1;"x;y"`, `{"id":"1","name":"x;y"}`}, {`1,5;x`, `{"id":"1,5","name":"x"}`}}},
		{"csv, numbered", CSV{Separator: '¦'}.AppendObject, [][2]string{{`a¦"b"¦`, `{"column1":"a","column2":"b","column3":""}`}, {``, `{"column1":""}`}}},
		{"csv, numbers", CSV{Numbers: true}.AppendObject, [][2]string{{`1,-2.50,007,"3",`, `{"column1":1,"column2":-2.50,"column3":"007","column4":3,"column5":""}`}}},
		{"csv array", CSV{}.AppendArray, [][2]string{{`foo,bar,"foo "", bar"`, `["foo","bar","foo \", bar"]`}, {`a,"`, `!column 3: the quote that opens here has no end`}}},
		{"logfmt", Pairs{Logfmt: true}.AppendObject, [][2]string{
			{`at=info method=GET path=/ host=myapp.herokuapp.com request_id=8601b555 fwd="204.204.204.204" dyno=web.1 connect=1ms service=18ms status=200 bytes=13`,
				`{"at":"info","method":"GET","path":"/","host":"myapp.herokuapp.com","request_id":"8601b555","fwd":"204.204.204.204","dyno":"web.1","connect":"1ms","service":"18ms","status":"200","bytes":"13"}`},
			{`ts=2024-01-02T03:04:05.006Z caller=main.go:12 level=error msg="a \"b\" c\n" err=it's`, `{"ts":"2024-01-02T03:04:05.006Z","caller":"main.go:12","level":"error","msg":"a \"b\" c\n","err":"it's"}`},
			{`url=http://a/?b=c&d=e debug empty= q=""  `, `{"url":"http://a/?b=c&d=e","debug":true,"empty":"","q":""}`},
			{`a=1 b=2 a=3 a=""`, `{"a":["1","3",""],"b":"2"}`}, {``, `{}`}, {" \n", `{}`}, {`msg="é😀\ud83d!"`, `{"msg":"é😀�!"}`}, {`"a b"=1`, `{"a b":"1"}`},
			{`a=1 ="x"`, `!column 5: a key is missing`}, {`a=1 b="x`, `!column 7: the quote that opens here has no end`}, {`a="x"y`, `!column 6: behind the closing quote stands neither a separator nor the end`}, {`a="\u12"`, `!column 4: behind \u stand no four hexadecimal digits`},
			{"a=\xff", `{"a":"\ufffd"}`},
		}},
		{"logfmt, numbers", Pairs{Logfmt: true, Numbers: true}.AppendObject, [][2]string{
			{`a=1 b=-0.50 c=1e3 d=007 e=+1 f=0x1F g="5" h=NaN i=1. j=9007199254740993`, `{"a":1,"b":-0.50,"c":"1e3","d":"007","e":"+1","f":"0x1F","g":"5","h":"NaN","i":"1.","j":9007199254740993}`},
			{`a=1.5e-05 b=1e+06 c=12e456 d=1e+999 e=123456789012345678 f=-1234567890123456789 g=1.2345678901234567890 h=-0`, `{"a":1.5e-05,"b":1e+06,"c":"12e456","d":"1e+999","e":123456789012345678,"f":"-1234567890123456789","g":1.2345678901234567890,"h":-0}`},
		}},
		{"key_value", Pairs{}.AppendObject, [][2]string{
			{`date=2024-05-01 time=10:00:00 devname='FGT 60F' action="deny" srcport=55000`, `{"date":"2024-05-01","time":"10:00:00","devname":"FGT 60F","action":"deny","srcport":"55000"}`},
			{`a='x\n'`, `{"a":"x\\n"}`}, {`a='x`, `!column 3: the quote that opens here has no end`},
		}},
		{"key_value, separators", colons.AppendObject, [][2]string{
			{`id: 7 , name : "a, b" , flag,, last: x y `, `{"id":"7","name":"a, b","flag":true,"last":"x y"}`}, {`a:"b" c`, `!column 7: behind the closing quote stands neither a separator nor the end`}, {`a:1,:2`, `!column 5: a key is missing`},
		}},
		{"key_value, tabs", Pairs{Separator: "\t"}.AppendObject, [][2]string{{"a=1 2\tb=\t\tc = 3\td", `{"a":"1 2","b":"","c":"3","d":true}`}}},
		{"key_value, words", Pairs{Separator: ";", KeySeparator: " "}.AppendObject, [][2]string{{`a 1; b  "x y"; c`, `{"a":"1","b":"x y","c":true}`}}},
		{"regex", numbered(`^(?P<host>\S+) (?:(?P<port>\d+)|(?<none>x))$`, false), [][2]string{{`a 080`, `{"host":"a","port":"080"}`}, {`a 80`, `{"host":"a","port":"80"}`}, {`a`, `!the pattern does not match`}}},
		{"regex, one name", numbered(`(?P<a>x)|(?P<a>y)(?P<a>z)`, false), [][2]string{{`x`, `{"a":"x"}`}, {`yz`, `{"a":["y","z"]}`}}},
		{"regex, numbers", numbered(`(?P<n>\S+)`, true), [][2]string{{`80`, `{"n":80}`}, {`080`, `{"n":"080"}`}}},
		{"url", AppendURL, [][2]string{
			{`https://user:p%40ss@Example.org:8443/a%20b/c?x=1&y=2&x=3#top`, `{"scheme":"https","user":"user","password":"p@ss","host":"Example.org","port":8443,"path":"/a b/c","query":{"x":["1","3"],"y":"2"},"fragment":"top"}`},
			{`http://[::1]:80/`, `{"scheme":"http","host":"::1","port":80,"path":"/"}`}, {`/a/b?c=d+e`, `{"path":"/a/b","query":{"c":"d e"}}`}, {`mailto:joe@example.org`, `{"scheme":"mailto","path":"joe@example.org"}`}, {`http://a?&`, `{"scheme":"http","host":"a"}`},
			{`//cdn.example.org/x.js`, `{"host":"cdn.example.org","path":"/x.js"}`}, {`http://a/??b=c`, `{"scheme":"http","host":"a","path":"/","query":{"?b":"c"}}`},
			{``, `!it is empty, and no URL`}, {`http://a b/`, `!column 9: a space or control character, which a URL cannot have`}, {`http://a/%zz`, `!column 10: behind % stand no two hexadecimal digits`}, {`http://a:99999/`, `!column 10: the port is no number up to 65535`},
			{`http://u@[::1/`, `!column 10: the user, host or port is none`}, {`1http://a/`, `!column 1: the scheme is none`}, {`ht_tp:x`, `!column 3: the scheme is none`}, {`://a`, `!column 1: the scheme is missing`}, {`http://a:x/`, `!column 8: the user, host or port is none`},
		}},
		{"query", AppendQuery, [][2]string{
			{`a=1&b=x+y%20z&a=2&c&=d&`, `{"a":["1","2"],"b":"x y z","c":"","":"d"}`}, {`?q=%C3%A9`, `{"q":"é"}`}, {``, `{}`}, {`a;b=1`, `{"a;b":"1"}`}, {`a=%4`, `!column 3: behind % stand no two hexadecimal digits`}, {`?%zz=1`, `!column 2: behind % stand no two hexadecimal digits`},
			{`a%3Db=1&a=b=c`, `{"a=b":"1","a":"b=c"}`}, {`%ff=1&%fe=2`, `{"\ufffd":["1","2"]}`},
		}},
		{"access log", AppendAccessLog, [][2]string{
			{`127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326`, `{"host":"127.0.0.1","user":"frank","timestamp":"2000-10-10T20:55:36Z","method":"GET","path":"/apache_pb.gif","protocol":"HTTP/1.0","status":200,"size":2326}`},
			{`127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a b HTTP/1.0" 304 - "http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"` + "\n", `{"host":"127.0.0.1","user":"frank","timestamp":"2000-10-10T20:55:36Z","method":"GET","path":"/a b","protocol":"HTTP/1.0","status":304,"referrer":"http://www.example.com/start.html","agent":"Mozilla/4.08 [en] (Win98; I ;Nav)"}`},
			{`::1 - - [01/Mar/2024:00:00:00 +0530] "POST /x?y=%22 HTTP/2.0" 499 0 "-" "a \"b\" \x5C\xc3\xa9" "10.0.0.1, 10.0.0.2" rt=0.012`, `{"host":"::1","timestamp":"2024-02-29T18:30:00Z","method":"POST","path":"/x?y=%22","protocol":"HTTP/2.0","status":499,"size":0,"agent":"a \"b\" \\é","extra":"\"10.0.0.1, 10.0.0.2\" rt=0.012"}`},
			{`www.example.org:443 10.1.2.3 - - [10/Oct/2000:13:55:36 +0000] "\x16\x03\x01" 400 226 "-" "-"`, `{"virtual_host":"www.example.org:443","host":"10.1.2.3","timestamp":"2000-10-10T13:55:36Z","request":"\u0016\u0003\u0001","status":400,"size":226}`},
			{`::1 - john doe [10/Oct/2000:13:55:36 +0000] "-" 408 -`, `{"host":"::1","user":"john doe","timestamp":"2000-10-10T13:55:36Z","status":408}`},
			{`hello`, `!there is no time in brackets, as access logs have it`}, {`a - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 1`, `!column 1: before the time stand no host, ident and user`}, {`a - - [10/Okt/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 1`, `!column 8: the time is none, like 10/Oct/2000:13:55:36 -0700`},
			{`a - - [31/Feb/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 1`, `!column 8: the time is none, like 10/Oct/2000:13:55:36 -0700`}, {`a - - [10/Oct/2000:13:55:36 -0700`, `!column 7: the bracket of the time has no end`}, {`a - - [10/Oct/2000:13:55:36 -0700]`, `!column 35: the request is missing`},
			{`a - - [10/Oct/2000:13:55:36 -0700] GET`, `!column 36: the request stands in no quotes`}, {`a - - [10/Oct/2000:13:55:36 -0700] "GET`, `!column 36: the quote of the request has no end`}, {`a - - [10/Oct/2000:13:55:36 -0700] "GET /" x 1`, `!column 44: the status is no number`},
			{`a - - [10/Oct/2000:13:55:36 -0700] "GET /" 20 1`, `!column 44: the status is no number, or has not three digits`}, {`a - - [10/Oct/2000:13:55:36 -0700] "GET /" 200`, `!column 47: the size is missing`}, {`a - - [10/Oct/2000:13:55:36 -0700] "GET /" 200 1 x`, `!column 50: referrer stands in no quotes`},
			{`a - - [10/Oct/2000:13:55:36 -0700] "GET /" 200 1 "-"`, `!column 53: agent stands in no quotes`},
		}},
		{"syslog", plainSyslog, [][2]string{
			{`<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut="3" eventSource="Appli\"ca\]tion\\" iut="4"][examplePriority@32473 class="high"] ` + "\ufeff" + `An application event`,
				`{"facility":"local4","severity":"notice","version":1,"timestamp":"2003-10-11T22:14:15.003Z","hostname":"mymachine.example.com","appname":"evntslog","msgid":"ID47","structured_data":{"exampleSDID@32473":{"iut":["3","4"],"eventSource":"Appli\"ca]tion\\"},"examplePriority@32473":{"class":"high"}},"message":"An application event"}`},
			{`<34>1 2003-10-11T22:14:15+02:00 - su 99 - - 'su root' failed`, `{"facility":"auth","severity":"crit","version":1,"timestamp":"2003-10-11T20:14:15Z","appname":"su","procid":"99","message":"'su root' failed"}`}, {`<34>1 - - - - - [x@1]`, `{"facility":"auth","severity":"crit","version":1,"structured_data":{"x@1":{}}}`},
			{`<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick`, `{"facility":"auth","severity":"crit","timestamp":"2023-10-11T22:14:15Z","hostname":"mymachine","appname":"su","message":"'su root' failed for lonvick"}`},
			{"Jan  9 06:25:01 web-1 postfix/smtpd[1234]: connect from unknown\n", `{"timestamp":"2024-01-09T06:25:01Z","hostname":"web-1","appname":"postfix/smtpd","procid":"1234","message":"connect from unknown"}`},
			{`2024-05-01T12:00:00.123456+02:00 web-1 sshd[9]: x`, `{"timestamp":"2024-05-01T10:00:00.123456Z","hostname":"web-1","appname":"sshd","procid":"9","message":"x"}`}, {`<13>Jan  2 03:04:05 cron[7]: no host`, `{"facility":"user","severity":"notice","timestamp":"2024-01-02T03:04:05Z","appname":"cron","procid":"7","message":"no host"}`},
			{`<13>Jan  2 2021 03:04:05 fw-1 a: b`, `{"facility":"user","severity":"notice","timestamp":"2021-01-02T03:04:05Z","hostname":"fw-1","appname":"a","message":"b"}`}, {`Jan  2 03:04:05.250 h a: b`, `{"timestamp":"2024-01-02T03:04:05.25Z","hostname":"h","appname":"a","message":"b"}`}, {`Jan 99 03:04:05 h a: b`, `!column 1: the timestamp is neither like Oct 11 22:14:15 nor one of RFC 3339`},
			{`Jan  2 03:04:05 web-1 last message repeated 2 times`, `{"timestamp":"2024-01-02T03:04:05Z","hostname":"web-1","message":"last message repeated 2 times"}`},
			{``, `!it is empty, and no message of syslog`}, {`<192>1 - - - - - -`, `!column 2: the priority is no number up to 191`}, {`<1`, `!column 1: the priority is no number in < and >`}, {`<34>nonsense`, `!column 5: the timestamp is neither like Oct 11 22:14:15 nor one of RFC 3339`}, {`hello world`, `!column 1: the timestamp is neither like Oct 11 22:14:15 nor one of RFC 3339`},
			{`<34>1 yesterday h a p m - x`, `!column 7: the timestamp is none of RFC 3339`}, {`<34>1 - h a p`, `!column 13: the procid is missing, or ends the message`}, {`<34>1 - h a p m x`, `!column 17: the structured data is neither - nor begins with [`}, {`<34>1 - h a p m [ ]`, `!column 18: the element of structured data has no name`},
			{`<34>1 - h a p m [a b]`, `!column 20: a part of structured data is not written name="value"`}, {`<34>1 - h a p m [a b="]`, `!column 22: the quote that opens here has no end`}, {`<34>1 - h a p m [a b="c"`, `!column 25: an element of structured data ends with ]`}, {`<34>1 - h a p m [a][a]`, `!column 21: the element of structured data stands there twice`}, {`<34>1 - h a p m -x`, `!column 18: behind the structured data stands no space`},
		}},
		{"rfc3339", timestamp(false, "", "rfc3339"), [][2]string{{`2024-05-01T12:00:00.1200+02:00`, `"2024-05-01T10:00:00.12Z"`}, {` 2024-05-01 12:00:00Z `, `"2024-05-01T12:00:00Z"`}, {`x`, `!it is no time of any of the layouts`}, {``, `!it is no time of any of the layouts`}, {`0000-01-01T00:00:00+23:59`, `!it is no time of any of the layouts`}}},
		{"unix", timestamp(false, "", "unix"), [][2]string{{`1700000000`, `"2023-11-14T22:13:20Z"`}, {`1700000000.25`, `"2023-11-14T22:13:20.25Z"`}, {`-1.5`, `"1969-12-31T23:59:58.5Z"`}, {`+1`, `!it is no time of any of the layouts`}, {`1.`, `!it is no time of any of the layouts`}, {`99999999999999`, `!it is no time of any of the layouts`}, {`1.x`, `!it is no time of any of the layouts`}}},
		{"unix_ms", timestamp(true, "", "unix_ms"), [][2]string{{`1700000000123`, `1700000000123`}, {`-1`, `-1`}}},
		{"unix_ns", timestamp(false, "", "unix_ns"), [][2]string{{`1700000000123456789`, `"2023-11-14T22:13:20.123456789Z"`}}},
		{"unix_us", timestamp(false, "", "unix_us"), [][2]string{{`1700000000123456`, `"2023-11-14T22:13:20.123456Z"`}}},
		{"several", timestamp(false, "Europe/Berlin", "datetime", "date", "02.01.2006 15:04", "nginx_error"), [][2]string{{`2024-07-01 12:00:00,5`, `"2024-07-01T10:00:00.5Z"`}, {`2024-01-01T12:00:00`, `"2024-01-01T11:00:00Z"`}, {`2024-01-01`, `"2023-12-31T23:00:00Z"`}, {`01.02.2024 03:04`, `"2024-02-01T02:04:00Z"`}, {`2024/01/01 12:00:00`, `"2024-01-01T11:00:00Z"`}}},
		{"syslog time", timestamp(false, "", "syslog"), [][2]string{{`Dec 31 23:59:59`, `"2023-12-31T23:59:59Z"`}, {`Jan  4 00:00:00`, `"2024-01-04T00:00:00Z"`}, {`Feb 29 00:00:00.5`, `"2024-02-29T00:00:00.5Z"`}}},
		{"mail", timestamp(false, "", "rfc2822", "http", "rfc850", "ansic", "clf"), [][2]string{
			{`Tue, 1 Jul 2003 10:52:37 +0200`, `"2003-07-01T08:52:37Z"`}, {`01 Jul 2003 10:52 EST (comment)`, `"2003-07-01T15:52:00Z"`}, {`Sun, 06 Nov 1994 08:49:37 GMT`, `"1994-11-06T08:49:37Z"`}, {`Sunday, 06-Nov-94 08:49:37 GMT`, `"1994-11-06T08:49:37Z"`}, {`Sunday, 06-Nov-94 08:49:37 IST`, `!it is no time of any of the layouts`}, {`Sun Nov  6 08:49:37 1994`, `"1994-11-06T08:49:37Z"`}, {`10/Oct/2000:13:55:36 -0700`, `"2000-10-10T20:55:36Z"`},
		}},
		{"base64", AppendFromBase64, [][2]string{{`YWI=`, `ab`}, {`YWI`, `ab`}, {"Y\r\nWI=\r\n", `ab`}, {`_-8=`, "\xff\xef"}, {`_-8`, "\xff\xef"}, {`/+8=`, "\xff\xef"}, {``, ``}, {`YW!I`, `!column 3: it is no base64, or ends too early`}, {`Y`, `!column 1: it is no base64, or ends too early`}, {`_+8=`, `!column 2: it is no base64, or ends too early`}}},
		{"hex", AppendFromHex, [][2]string{{`6162FF`, "ab\xff"}, {``, ``}, {`616`, `!column 3: the last byte has one digit`}, {`61x0`, `!column 3: it is no hexadecimal digit`}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range c.rows {
				got := outcome(c.read([]byte("before"), []byte(r[0])))
				if got != r[1] {
					t.Errorf("%.200s\ngot  %.300s\nwant %s", r[0], got, r[1])
				}
			}
		})
	}
}

// outcome gives what was appended to before, or, behind a !, the error.
func outcome(out []byte, err error) string {
	if err != nil {
		var is *Error
		if !errors.As(err, &is) || string(out) != "before" {
			return "another error, or not only it: " + err.Error() + string(out)
		}
		return "!" + err.Error()
	}
	return strings.TrimPrefix(string(out), "before")
}

func TestWrite(t *testing.T) {
	written := func(zone string, name string) func(dst, value []byte) ([]byte, error) {
		z, err := LoadZone(cmp.Or(zone, "UTC"))
		if err != nil {
			t.Fatal(err)
		}
		ts, err := NewTimestamp([]string{name}, z)
		if err != nil {
			t.Fatal(err)
		}
		return ts.AppendWritten
	}
	for _, c := range []struct {
		name  string
		write func(dst, value []byte) ([]byte, error)
		rows  [][2]string
	}{
		{"text", AppendPlain, [][2]string{{` "a\nb" `, "a\nb"}, {`1.50`, `1.50`}, {`{"a": 1}`, `{"a": 1}`}, {`null`, `null`}}},
		{"json", AppendCompact, [][2]string{{` { "a" : [ 1.0 , "x y" ] } `, `{"a":[1.0,"x y"]}`}}},
		{"csv", CSV{Columns: []string{"b", "a"}}.AppendLine, [][2]string{{`{"a":"x,y","c":1,"b":1.50}`, `1.50,"x,y"`}, {`{"a":null}`, `,`}, {`{"a":"q\"","b":"l\n"}`, "\"l\n\",\"q\"\"\""}, {`{"a":{"x":1,"y":2}}`, `,"{""x"":1,""y"":2}"`}, {`[1]`, `!the value is no object, and columns are named`}}},
		{"csv, all", CSV{Separator: ';'}.AppendLine, [][2]string{{`{"a":"x;y","b":true,"a":3}`, `"x;y";true`}, {`[1,"",null,"z"]`, `1;;;z`}, {`[]`, ``}, {`7`, `!the value is neither an object nor an array`}}},
		{"logfmt", Pairs{Logfmt: true}.AppendPairs, [][2]string{{`{"a":"x y","b":1.50,"c":true,"d":null,"e":"","f":"é","g":{"h":"i"},"k":"l=m"}`, `a="x y" b=1.50 c=true d=null e="" f=é g="{\"h\":\"i\"}" k="l=m"`}, {`{}`, ``}, {`{"a b":1}`, `!member 1 has a name that cannot be a key`}, {`{"x":1,"":1}`, `!member 2 has a name that cannot be a key`}, {`[]`, `!the value is no object`}}},
		{"key_value", Pairs{Separator: ", ", KeySeparator: ": "}.AppendPairs, [][2]string{{`{"a":"x","b":"y, z"}`, `a: x, b: "y, z"`}}},
		{"query", AppendQueryString, [][2]string{{`{"a":["1",2,null],"b":"x y&","c":null,"d":true,"é":""}`, `a=1&a=2&b=x+y%26&d=true&%C3%A9=`}, {`{"a":{}}`, `!member 1 is an object, which a query string cannot have`}, {`{"b":1,"a":[[]]}`, `!member 2 has an array or object within its array`}}},
		{"url", AppendURLText, [][2]string{
			{`{"scheme":"https","user":"u","password":"p@","host":"h","port":8443,"path":"/a b","query":{"x":["1","2"]},"fragment":"f"}`, `https://u:p%40@h:8443/a%20b?x=1&x=2#f`}, {`{"host":"::1","scheme":"http","path":null}`, `http://[::1]`}, {`{"path":"/x","query":"a=1"}`, `/x?a=1`}, {`{"scheme":"mailto","path":"a@b"}`, `mailto:a@b`},
			{`{"port":1}`, `!the port is no number up to 65535, or there is no host`}, {`{"user":"u"}`, `!there is a user, and no host`}, {`{"host":"h","path":"x"}`, `!the path behind a host begins with /`}, {`{"hosst":"h"}`, `!member 1 is no part of a URL: there are scheme, user, password, host, port, path, query, fragment`}, {`{"host":"a b","scheme":"x"}`, `!the parts make no URL that reads as them`}, {`{"path":"a:b"}`, `!the parts make no URL that reads as them`},
		}},
		{"clf", written("", "clf"), [][2]string{{`"2000-10-10T13:55:36-07:00"`, `10/Oct/2000:20:55:36 +0000`}, {`0`, `01/Jan/1970:00:00:00 +0000`}, {`"x"`, `!the value is neither text of RFC 3339 nor milliseconds since 1970`}, {`true`, `!the value is neither text of RFC 3339 nor milliseconds since 1970`}}},
		{"zone", written("Europe/Berlin", "02.01.2006 15:04"), [][2]string{{`"2024-07-01T10:00:00Z"`, `01.07.2024 12:00`}}},
		{"mail", written("", "rfc2822"), [][2]string{{`1700000000123`, `Tue, 14 Nov 2023 22:13:20 +0000`}}}, {"http", written("Europe/Berlin", "http"), [][2]string{{`1700000000123`, `Tue, 14 Nov 2023 22:13:20 GMT`}}},
		{"rfc3339", written("Europe/Berlin", "rfc3339"), [][2]string{{`1700000000123`, `2023-11-14T23:13:20.123+01:00`}}}, {"unix", written("", "unix"), [][2]string{{`1700000000123.5`, `1700000000`}}}, {"unix_us", written("", "unix_us"), [][2]string{{`"1970-01-01T00:00:01Z"`, `1000000`}}}, {"unix_ms", written("", "unix_ms"), [][2]string{{`5`, `5`}}},
		{"unix_ns", written("", "unix_ns"), [][2]string{{`5`, `5000000`}, {`"9000-01-01T00:00:00Z"`, `!a date before 1678 or after 2261 has no nanoseconds`}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range c.rows {
				if got := outcome(c.write([]byte("before"), []byte(r[0]))); got != r[1] {
					t.Errorf("%s\ngot  %s\nwant %s", r[0], got, r[1])
				}
			}
		})
	}
}

// TestSettings: what cannot be right is refused before there is a text.
func TestSettings(t *testing.T) {
	berlin, err := LoadZone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		layout string
		zone   *time.Location
		want   string
	}{
		{"%Y-%m-%d", nil, "has a %"}, {"15:04", nil, "no year"}, {"rfc3338", nil, "no year"}, {"2006-01-02T15:04:05Z", berlin, "the Z of the layout"}, {"2006-01-02T15:04:05Z07:00", berlin, ""}, {"2006-01-02T15:04:05Z", nil, ""},
		// What package time would pass over, so that the moment was another.
		{"2006-01-02 15:04:05 +02:00", nil, "has -07:00"}, {"2006-01-02 15:04:05 +0200", nil, "has -0700"}, {"2006-01-02 15:04:05+02", nil, "has -07;"}, {"2006-01-02 15:04:05.000 -05", nil, "has -07;"},
		{"2006-01-02 15:04:05 -05:00", nil, "has -07:00"}, {"2006-01-02 15:04:05 CET", nil, "has MST"}, {"2006-01-02 15:04:05 GMT", berlin, "has MST"}, {"2006-01-02 15:04:05 Z", berlin, "the Z of the layout"},
		{"2006-01-02:15:04:05", nil, ""}, {"02-01-2006-15:04", nil, ""}, {"02-01-06:15:04:05 -07", nil, ""}, {"2006-0102 1504", nil, ""}, {"2006-01-02 15:04:05.000 -0700", nil, ""}, {"2006-01-02 15:04:05 MST", berlin, ""}, {"2006-01-02 15:04:05 UTC", nil, ""},
	} {
		_, err := NewTimestamp([]string{c.layout}, c.zone)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.layout, err)
		}
	}
	if _, err := NewTimestamp(nil, nil); err == nil || !strings.Contains(err.Error(), "rfc3339") {
		t.Errorf("no layout: %v", err)
	}
	upper, err := NewTimestamp([]string{"RFC3339", "Unix_MS", "CLF"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"2023-11-14T22:13:20Z", "1700000000000", "14/Nov/2023:22:13:20 +0000"} {
		if at, err := upper.Read([]byte(text), time.Time{}); err != nil || at.Unix() != 1700000000 {
			t.Errorf("%s by a layout in upper case: %v, %v", text, at, err)
		}
	}
	for _, name := range []string{"rfc3339", "syslog", "unix_ns"} {
		if !slices.Contains(strings.Split(layoutNames, ", "), name) {
			t.Errorf("%s is not listed in %s", name, layoutNames)
		}
	}
	for _, zone := range []string{"", "Local", "Europe/Berln"} {
		if _, err := LoadZone(zone); err == nil {
			t.Errorf("the zone %s is taken", zone)
		}
	}
	for pattern, want := range map[string]string{`(a)`: "no group with a name", `(?P<a>`: "RE2", strings.Repeat("x", 1001): "1,000"} {
		var wrong *Error
		if _, err := NewPattern(pattern); !errors.As(err, &wrong) || !strings.Contains(wrong.Why, want) {
			t.Errorf("%.20s: %v", pattern, err)
		}
	}
	for text, ok := range map[string]bool{",": true, "\t": true, "¦": true, "": false, ",,": false, "\"": false, "\n": false, "\xff": false} {
		if _, err := ParseSeparator(text); (err == nil) != ok {
			t.Errorf("separator %q: %v", text, err)
		}
	}
}

// TestSyslogWithoutTime: a record without a time leaves the year open.
func TestSyslogWithoutTime(t *testing.T) {
	out, err := Syslog{}.AppendObject(nil, []byte("Oct 11 22:14:15 h a: m"), time.Time{})
	if err != nil || string(out) != `{"timestamp":"Oct 11 22:14:15","hostname":"h","appname":"a","message":"m"}` {
		t.Errorf("%s, %v", out, err)
	}
	ts, err := NewTimestamp([]string{"syslog"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ts.AppendRead(nil, []byte("Oct 11 22:14:15"), time.Time{}, false); err == nil || !strings.Contains(err.Error(), "no year") {
		t.Errorf("%v", err)
	}
	berlin, _ := LoadZone("Europe/Berlin")
	out, err = Syslog{Zone: berlin}.AppendObject(nil, []byte("Jul 11 22:14:15 h a: m"), time.Date(2024, 7, 12, 0, 0, 0, 0, time.UTC))
	if err != nil || !strings.Contains(string(out), `"2024-07-11T20:14:15Z"`) {
		t.Errorf("%s, %v", out, err)
	}
}

// TestManyNames: names are told apart, and put together, however many there are.
func TestManyNames(t *testing.T) {
	var text, want strings.Builder
	want.WriteString(`{`)
	for i := range 500 {
		name := string(rune('a'+i%26)) + strings.Repeat("x", i/26)
		text.WriteString(name + "=1 ")
		if i > 0 {
			want.WriteString(`,`)
		}
		if i == 3 {
			want.WriteString(`"d":["1","2"]`)
		} else {
			want.WriteString(`"` + name + `":"1"`)
		}
	}
	out, err := Pairs{Logfmt: true}.AppendObject(nil, []byte(text.String()+"d=2"))
	if err != nil || string(out) != want.String()+"}" || !json.Valid(out) || !jsontext.Valid(out) {
		t.Errorf("%s, %v", out, err)
	}
}

// TestTimesThatComeTwice: where clocks go back, a time of the day without an offset is the first of
// the two that it may be, in every zone; each moment of the night before and after is left as it is.
func TestTimesThatComeTwice(t *testing.T) {
	const layout = "2006-01-02 15:04"
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Europe/London", "Asia/Kolkata", "UTC"} {
		zone, err := LoadZone(name)
		if err != nil {
			t.Fatal(err)
		}
		first := map[string]time.Time{}
		for m := time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC); m.Year() < 2025; m = m.Add(30 * time.Minute) {
			text := m.In(zone).Format(layout)
			if _, twice := first[text]; !twice {
				first[text] = m
			}
			if got, err := ReadLayout([]byte(text), layout, zone); err != nil || !got.Equal(first[text]) {
				t.Fatalf("%s in %s: %v, %v; want %v", text, name, got, err, first[text])
			}
		}
	}
}

func TestNamesOfLayouts(t *testing.T) {
	for name, want := range map[string]string{"rfc3339": time.RFC3339, "RFC3339NANO": time.RFC3339Nano, "dateOnly": time.DateOnly, "Kitchen": time.Kitchen, "iso8601": "", "rfc": "", "": ""} {
		if got, ok := GoLayout(name); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
	for layout, want := range map[string]bool{
		"ISO8601": true, "iso-8601": true, "rfc2822": true, "RFC 822": true, "epoch1970": true,
		time.RFC3339: false, time.RFC850: false, time.UnixDate: false, "20060102T150405Z0700": false, "logs20060102": false, "15h4m5s": false, "02Jan06": false, "2006-01-02T15:04:05.000Z07:00": false, "3:04PM": false, "Mon2": false, "2006": false,
	} {
		if OtherName(layout) != want {
			t.Errorf("%s: %v", layout, !want)
		}
	}
}
