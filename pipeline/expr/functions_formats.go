package expr

import (
	"maps"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/textformat"
)

// formatFunctions read and write text that is no JSON: what the stages parse and format do, with
// the same code.
var formatFunctions = map[string]function{
	"parseLogfmt": {params: []mask{mString, mBool}, least: 1, most: 2, kinds: 1 << kObject, call: parseLogfmt, manual: manual{
		usage: "parseLogfmt(text, numbers?)", says: "an object of the pairs of a line of logfmt: texts, and with numbers: true a number where one is written as JSON has it, but for what may be a code: 1e5, an exponent without its sign, and more than 18 digits; a key alone is true, and one that comes several times has an array",
		fails: "a quote has no end, or a key is missing", examples: []Example{
			{`parseLogfmt('level=info msg="two words" ok')`, `{"level":"info","msg":"two words","ok":true}`}, {`parseLogfmt("n=1.50 id=007", true)`, `{"n":1.50,"id":"007"}`}, {`parseLogfmt('msg="open')`, `error: column 5: the quote that opens here has no end`},
		}}},
	"parseKeyValue": {params: []mask{mString}, least: 1, most: 3, kinds: 1 << kObject, call: parseKeyValue, manual: manual{
		usage: "parseKeyValue(text, separator?, keySeparator?)", says: "an object of texts of the pairs that separator parts (white space), each a key, keySeparator (=) and a value, in double or single quotes or in none; a key alone is true, and one that comes several times has an array",
		fails: "a quote has no end, a key is missing, or a separator cannot be one", examples: []Example{
			{`parseKeyValue("user='alice smith' n=1")`, `{"user":"alice smith","n":"1"}`}, {`parseKeyValue("a: 1, b: x y", ",", ":")`, `{"a":"1","b":"x y"}`}, {`parseKeyValue("=1")`, `error: column 1: a key is missing`},
		}}},
	"parseCSV": {params: []mask{mString, mString, mArray}, least: 1, most: 3, kinds: 1<<kArray | 1<<kObject, call: parseCSV, manual: manual{
		usage: "parseCSV(text, separator?, columns?)", says: "the fields of one line of CSV (RFC 4180), as an array of texts, or, with the names of the columns, as an object",
		fails: "it is no CSV, has a second line, or has not as many fields as there are columns", examples: []Example{
			{`parseCSV('a,"b ""c""",')`, `["a","b \"c\"",""]`}, {`parseCSV("1;x", ";", ["id", "name"])`, `{"id":"1","name":"x"}`}, {`parseCSV('a,b"c')`, `error: column 4: a quote stands in a field that does not begin with one`},
		}}},
	"parseURL": {params: []mask{mString}, least: 1, most: 1, kinds: 1 << kObject, call: parsing(textformat.AppendURL), manual: manual{
		usage: "parseURL(text)", says: "an object with the parts of a URL that are there: scheme, user, password, host, port (a number), path, query (an object), fragment",
		fails: "it is no URL", examples: []Example{
			{`parseURL("https://a.example:8443/b?c=d#e")`, `{"scheme":"https","host":"a.example","port":8443,"path":"/b","query":{"c":"d"},"fragment":"e"}`}, {`parseURL("/b?c=d").path`, `"/b"`}, {`parseURL("http://a b")`, `error: column 9: a space or control character`},
		}}},
	"parseQuery": {params: []mask{mString}, least: 1, most: 1, kinds: 1 << kObject, call: parsing(textformat.AppendQuery), manual: manual{
		usage: "parseQuery(text)", says: "an object of texts of the pairs of a query string, with or without the ? before it; a name that comes several times has an array",
		fails: "an escape with % is none", examples: []Example{{`parseQuery("a=1&b=x+y&a=2")`, `{"a":["1","2"],"b":"x y"}`}, {`parseQuery("a=%4")`, `error: column 3: behind % stand no two hexadecimal digits`}}}},
	"parseSyslog": {params: []mask{mString}, least: 1, most: 2, kinds: 1 << kObject, call: parseSyslog, varies: true, manual: manual{
		usage: "parseSyslog(text, zone?)", says: "an object with the parts of a message of syslog, RFC 5424 or RFC 3164: facility, severity, version, timestamp, hostname, appname, procid, msgid, structured_data, message; a timestamp without a year takes the one nearest to the record's time, in the zone (UTC)",
		fails: "it is no message of syslog, or there is no such zone", examples: []Example{
			{`parseSyslog("<34>1 2003-10-11T22:14:15Z web-1 su - ID47 - failed")`, `{"facility":"auth","severity":"crit","version":1,"timestamp":"2003-10-11T22:14:15Z","hostname":"web-1","appname":"su","msgid":"ID47","message":"failed"}`}, {`parseSyslog("<13>Oct 11 22:14:15 web-1 cron[7]: done").procid`, `"7"`}, {`parseSyslog("<999>x")`, `error: column 2: the priority is no number up to 191`},
		}}},
	"parseAccessLog": {params: []mask{mString}, least: 1, most: 1, kinds: 1 << kObject, call: parsing(textformat.AppendAccessLog), manual: manual{
		usage: "parseAccessLog(text)", says: "an object with the parts of a line of Apache or nginx, common or combined, that are there: host, ident, user, timestamp, method, path, protocol, status, size, referrer, agent; request where it is not in these parts, virtual_host, and extra, what stands behind",
		fails: "it is no such line", examples: []Example{
			{`parseAccessLog('::1 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 7')`, `{"host":"::1","timestamp":"2000-10-10T20:55:36Z","method":"GET","path":"/a","protocol":"HTTP/1.1","status":200,"size":7}`}, {`parseAccessLog("GET /a")`, `error: there is no time in brackets`},
		}}},
	"toLogfmt": {params: []mask{mObject}, least: 1, most: 1, kinds: mString, call: writing(textformat.Pairs{Logfmt: true}.AppendPairs), manual: manual{
		usage: "toLogfmt(object)", says: "the object as a line of logfmt; a value that is no string is written as JSON",
		fails: "a name cannot be a key: it is empty or holds a space, a quote, = or \\", examples: []Example{{`toLogfmt({level: "info", msg: "two words", n: 1.5})`, `"level=info msg=\"two words\" n=1.5"`}, {`toLogfmt({"a b": 1})`, `error: member 1 has a name that cannot be a key`}}}},
	"toKeyValue": {params: []mask{mObject, mString}, least: 1, most: 3, kinds: mString, call: toKeyValue, manual: manual{
		usage: "toKeyValue(object, separator?, keySeparator?)", says: "the object as pairs that separator parts (a space), each a name, keySeparator (=) and the value, in double quotes where it needs them",
		fails: "a name cannot be a key, or a separator cannot be one", examples: []Example{{`toKeyValue({a: 1, b: "x, y"}, ", ", ": ")`, `"a: 1, b: \"x, y\""`}, {`toKeyValue({"a=b": 1})`, `error: member 1 has a name that cannot be a key`}}}},
	"toCSV": {params: []mask{mArray | mObject, mString}, least: 1, most: 2, kinds: mString, call: toCSV, manual: manual{
		usage: "toCSV(value, separator?)", says: "the elements of an array, or the values of an object, as one line of CSV (RFC 4180) without a line end; nil is an empty field, what is no string is written as JSON",
		fails: "the separator cannot be one", examples: []Example{{`toCSV([1, "a,b", nil, "c"])`, `"1,\"a,b\",,c"`}, {`toCSV({id: 1, name: "x"}, ";")`, `"1;x"`}, {`toCSV([], ",,")`, `error: a separator of csv is one character`}}}},
	"toQuery": {params: []mask{mObject}, least: 1, most: 1, kinds: mString, call: writing(textformat.AppendQueryString), manual: manual{
		usage: "toQuery(object)", says: "the object as a query string; an array is a pair for each element, nil none",
		fails: "a value is an object, or an array that holds one", examples: []Example{{`toQuery({q: "a b&c", tag: ["x", "y"]})`, `"q=a+b%26c&tag=x&tag=y"`}, {`toQuery({o: {a: 1}})`, `error: member 1 is an object`}}}},
	"toURL": {params: []mask{mObject}, least: 1, most: 1, kinds: mString, call: writing(textformat.AppendURLText), manual: manual{
		usage: "toURL(object)", says: "the URL of the parts that parseURL gives",
		fails: "a member is no part of a URL, or the parts make none", examples: []Example{{`toURL({scheme: "https", host: "a.example", path: "/b c", query: {d: "e"}})`, `"https://a.example/b%20c?d=e"`}, {`toURL({host: "a.example", path: "b"})`, `error: the path behind a host begins with /`}}}},
}

// foreignFormats are such functions of other languages, with what to write here.
var foreignFormats = map[string]string{
	"parse_logfmt": "write parseLogfmt(line)", "parse_key_value": "write parseKeyValue(line)", "parse_csv": "write parseCSV(line)", "parse_url": "write parseURL(link)",
	"parse_query_string": "write parseQuery(query)", "parse_form_url_encoded": "write parseQuery(query)", "parse_url_search_params": "write parseQuery(query)", "parse_syslog": "write parseSyslog(line)",
	"parse_apache_log": "write parseAccessLog(line)", "parse_nginx_log": "write parseAccessLog(line)", "parse_common_log": "write parseAccessLog(line)",
	"encode_logfmt": "write toLogfmt(object)", "encode_key_value": "write toKeyValue(object)", "encode_csv": "write toCSV(array)", "format_url": "write toURL(object)",
	"decode_gzip": "write fromGzip(bytes)", "encode_gzip": "write toGzip(text)", "decode_zstd": "write fromZstd(bytes)", "encode_zstd": "write toZstd(text)",
	"decode_lz4": `write fromLZ4(bytes, "block")`, "encode_lz4": `write toLZ4(text, "block")`,
	"decode_charset": `write decodeText(bytes, "euc-kr")`, "encode_charset": `write encodeText(text, "euc-kr")`, "decode_mime_q": "write mimeDecode(text)",
}

func init() { maps.Copy(foreignFunctions, foreignFormats) }

// readText gives what an Append function of package textformat makes of text.
func readText(m *machine, text []byte, f func(dst, text []byte) ([]byte, error)) (value, error) {
	if err := m.step(len(text) / 4); err != nil {
		return vNil, err
	}
	out, err := f(make([]byte, 0, len(text)+len(text)/2+64), text)
	if err != nil {
		return vNil, fault(err.Error())
	}
	if err := m.grow(len(out)); err != nil {
		return vNil, err
	}
	v, ok := parse(out)
	if !ok {
		return vNil, errText
	}
	return v, nil
}

// parsing makes a function of one text.
func parsing(f func(dst, text []byte) ([]byte, error)) func(*machine, []value) (value, error) {
	return func(m *machine, args []value) (value, error) {
		text, err := m.text(args[0])
		if err != nil {
			return vNil, err
		}
		return readText(m, text, f)
	}
}

func parseLogfmt(m *machine, args []value) (value, error) {
	return parsing(textformat.Pairs{Logfmt: true, Numbers: len(args) > 1 && args[1].num != 0}.AppendObject)(m, args)
}

// pairsOf gives the format of pairs of the optional arguments behind the first.
func pairsOf(m *machine, args []value) (p textformat.Pairs, err error) {
	var texts [2]string
	for i, a := range args[1:] {
		text, err := m.text(a)
		if err != nil {
			return p, err
		}
		texts[i] = string(text)
	}
	if p.Separator, err = textformat.PairSeparator(texts[0]); err == nil {
		p.KeySeparator = texts[1]
		err = textformat.CheckKeySeparator(texts[1], p.Separator)
	}
	if err != nil {
		return p, fault(err.Error())
	}
	return p, nil
}

func parseKeyValue(m *machine, args []value) (value, error) {
	p, err := pairsOf(m, args)
	if err != nil {
		return vNil, err
	}
	return parsing(p.AppendObject)(m, args)
}

// csvSeparator gives the separator of CSV that is argument i, 0 without one.
func csvSeparator(m *machine, args []value, i int) (rune, error) {
	if len(args) <= i {
		return 0, nil
	}
	text, err := m.text(args[i])
	if err != nil {
		return 0, err
	}
	r, err := textformat.ParseSeparator(string(text))
	if err != nil {
		return 0, fault(err.Error())
	}
	return r, nil
}

func parseCSV(m *machine, args []value) (value, error) {
	by, err := csvSeparator(m, args, 1)
	if err != nil {
		return vNil, err
	}
	c := textformat.CSV{Separator: by}
	if len(args) < 3 {
		return parsing(c.AppendArray)(m, args)
	}
	names, err := list(m, args[2])
	if err != nil {
		return vNil, err
	}
	seen := make(map[string]bool, len(names))
	for i, n := range names {
		if n.kind != kString {
			return vNil, faultf("column %d is %s, not a string", i+1, n.kind)
		}
		name, err := m.text(n)
		if err != nil {
			return vNil, err
		}
		if seen[string(name)] {
			return vNil, faultf("column %d has the name of another", i+1)
		}
		seen[string(name)] = true
		c.Columns = append(c.Columns, string(name))
	}
	if len(names) == 0 {
		return vNil, fault("there are no columns")
	}
	return parsing(c.AppendObject)(m, args)
}

// zoneOf finds the zone that a text names.
func zoneOf(m *machine, v value) (*time.Location, error) {
	name, err := m.text(v)
	if err != nil {
		return nil, err
	}
	zone, err := textformat.LoadZone(string(name))
	if err != nil {
		return nil, fault(err.Error())
	}
	return zone, nil
}

func parseSyslog(m *machine, args []value) (_ value, err error) {
	var s textformat.Syslog
	if len(args) > 1 {
		if s.Zone, err = zoneOf(m, args[1]); err != nil {
			return vNil, err
		}
	}
	var near time.Time
	if m.rec.Time != pipeline.NoTime {
		near = time.UnixMilli(m.rec.Time)
	}
	return parsing(func(dst, text []byte) ([]byte, error) { return s.AppendObject(dst, text, near) })(m, args)
}

// writeText gives what an Append function of package textformat makes of a value.
func writeText(m *machine, v value, f func(dst, json []byte) ([]byte, error)) (value, error) {
	text, err := appendJSON(m, nil, v)
	if err != nil {
		return vNil, err
	}
	if err := m.step(len(text) / 4); err != nil {
		return vNil, err
	}
	if !jsontext.Valid(text) {
		return vNil, errText
	}
	out, err := f(make([]byte, 0, len(text)), text)
	if err != nil {
		return vNil, fault(err.Error())
	}
	return vText(out), m.grow(len(out))
}

// writing makes a function of one value.
func writing(f func(dst, json []byte) ([]byte, error)) func(*machine, []value) (value, error) {
	return func(m *machine, args []value) (value, error) { return writeText(m, args[0], f) }
}

func toKeyValue(m *machine, args []value) (value, error) {
	p, err := pairsOf(m, args)
	if err != nil {
		return vNil, err
	}
	return writeText(m, args[0], p.AppendPairs)
}

func toCSV(m *machine, args []value) (value, error) {
	by, err := csvSeparator(m, args, 1)
	if err != nil {
		return vNil, err
	}
	return writeText(m, args[0], textformat.CSV{Separator: by}.AppendLine)
}
