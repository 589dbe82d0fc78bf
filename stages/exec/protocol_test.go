package execstage

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

func TestQuestions(t *testing.T) {
	header := func(name, value string) pipeline.Header { return pipeline.Header{Name: name, Value: []byte(value)} }
	tests := map[string]struct {
		key, value string
		headers    []pipeline.Header
		time       int64
		want       string // without id and position
	}{
		"plain":           {"SK1", `{"a":1.10,"b":12345678901234567890}`, nil, 17, `"value":{"a":1.10,"b":12345678901234567890},"key":"SK1",AT,"time":17`},
		"no key, no time": {"", `[1]`, nil, pipeline.NoTime, `"value":[1],AT`},
		"several lines":   {"", "{\r\n \"a\": [\n1]\n}", nil, pipeline.NoTime, `"value":{   "a": [ 1] },AT`},
		"lines of Unicode": {"a\nb", "{\"a\":\"x\u2028y\u2029z\u2027\u2030\"}", nil, pipeline.NoTime,
			`"value":{"a":"x` + `\u2028y\u2029z` + "\u2027\u2030" + `"},"key":"a\nb",AT`},
		"text":         {"", "no JSON\nat \"all\"", nil, pipeline.NoTime, `"text":"no JSON\nat \"all\"",AT`},
		"empty":        {"", "", nil, pipeline.NoTime, `"text":"",AT`},
		"bytes":        {"\xff", "\xfe{", nil, pipeline.NoTime, `"base64":"/ns=","key":{"base64":"/w=="},AT`},
		"odd in JSON":  {"", "{\"a\":\"\xff\"}", nil, pipeline.NoTime, `"base64":"eyJhIjoi/yJ9",AT`},
		"some headers": {"", `1`, []pipeline.Header{header("a", "x"), header("a", "y\n"), header("b", "\xff"), {Name: "none"}}, 0, `"value":1,"headers":{"a":"x","a":"y\n","b":{"base64":"/w=="},"none":null},AT,"time":0`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rec := new(pipeline.Record)
			var key []byte
			if tt.key != "" {
				key = []byte(tt.key)
			}
			rec.Init(pipeline.Position{Topic: "flights", Partition: 2, Offset: 41}, key, []byte(tt.value), tt.headers, tt.time)
			got := string(appendQuestion(nil, 7, rec))
			want := `{"id":7,` + strings.Replace(tt.want, "AT", `"topic":"flights","partition":2,"offset":41`, 1) + "}\n"
			if got != want {
				t.Errorf("got  %swant %s", got, want)
			}
			if !json.Valid([]byte(got)) || strings.Count(got, "\n") != 1 || strings.ContainsAny(got, "\r\u2028\u2029") {
				t.Errorf("%q is no line of JSON", got)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		line string
		err  error
	}{
		{`{"id":7,"value":{"a":1}}`, nil},
		{`{"id":7,"value":null}`, nil},
		{`{"id":7,"text":""}`, nil},
		{`{"id":7,"filter":true}`, nil},
		{`{"id":7,"filter":false,"value":1}`, nil},
		{`{"id":7,"reject":"","message":"m"}`, nil},
		{`{"id":7,"retry":"later","more":{"of":"it"}}`, nil},
		{"{\"id\":7,\"value\":1}\r", nil},
		{`{"id":7}`, errNoWord},
		{`{"id":7,"filter":false}`, errNoWord},
		{`{"id":7,"value":1,"reject":"x"}`, errNoWord},
		{`{"value":1}`, errNoID},
		{`{"id":null,"value":1}`, errNoID},
		{`{"id":"7","value":1}`, errNoJSON},
		{`{"id":-7,"value":1}`, errNoJSON},
		{`{"id":7.5,"value":1}`, errNoJSON},
		{`{"id":7,"filter":"yes"}`, errNoJSON},
		{`{"id":7,"value":1} {"id":8,"value":1}`, errNoJSON},
		{`[1]`, errNoJSON},
		{`null`, errNoID},
		{``, errNoJSON},
		{`Loading...`, errNoJSON},
		{"{\"id\":7,\"text\":\"a\x00b\"}", errNoJSON},
	}
	for _, tt := range tests {
		id, _, ready, err := readAnswer([]byte(tt.line))
		if !errors.Is(err, tt.err) || err == nil && (id != 7 || ready != 0) {
			t.Errorf("%s: id %d, ready %d, %v, want %v", tt.line, id, ready, err, tt.err)
		}
	}
	if _, _, ready, err := readAnswer([]byte(`{"ready":1,"name":"x"}`)); ready != 1 || err != nil {
		t.Errorf("ready %d, %v", ready, err)
	}
}

// What an answer holds stays as it is when the line's memory is used again.
func TestAnswersOwnTheirBytes(t *testing.T) {
	line := []byte(`{"id":7,"value":{"a":1},"message":"x"}`)
	_, v, _, err := readAnswer(line)
	clear(line)
	if err != nil || string(v.value) != `{"a":1}` || v.more != "x" {
		t.Errorf("%s, %q, %v", v.value, v.more, err)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"id":7,"value":{"a":1}}`))
	f.Add([]byte(`{"ready":1}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		_, v, ready, err := readAnswer(line)
		if err == nil && ready == 0 && v.value == nil && v.text == nil && !v.filter && v.reject == nil && v.retry == nil {
			t.Errorf("%q says nothing", line)
		}
		if v.value != nil && !json.Valid(v.value) {
			t.Errorf("%q has the value %q", line, v.value)
		}
	})
}
