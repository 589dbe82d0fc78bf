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

// key is the error of a key that is there, and wrong.
func key(name string) error { return &keyError{key: name} }

// same says whether an error is the one that is to come, of the same key if it is of one.
func same(err, want error) bool {
	if of, ok := errors.AsType[*keyError](want); ok {
		got, ok := errors.AsType[*keyError](err)
		return ok && got.key == of.key && strings.Contains(got.Error(), " "+of.key+" ")
	}
	return errors.Is(err, want)
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
		{`{"id":"7","value":1}`, key("id")},
		{`{"id":-7,"value":1}`, key("id")},
		{`{"id":7.5,"value":1}`, key("id")},
		{`{"id":7.0,"value":1}`, key("id")},
		{`{"id":18446744073709551616,"value":1}`, key("id")},
		{`{"id":7,"id":7,"value":1}`, key("id")},
		{`{"id":7,"text":"x","text":"y"}`, key("text")},
		{`{"id":7,"value":null,"value":1}`, key("value")},
		{`{"id":7,"text":5}`, key("text")},
		{`{"id":7,"reject":"x","message":5}`, key("message")},
		{`{"ready":"1"}`, key("ready")},
		{`{"ID":7,"value":1}`, errNoID},
		{`{"Ready":1}`, errNoID},
		{`{"id":7,"TEXT":"y"}`, errNoWord},
		{`{"id":7,"text":"x","TEXT":"y","ID":9,"Message":5}`, nil},
		{`{"\u0069d":7,"value":1}`, nil},
		{"{\"id\":7,\"value\":\"\xff\xfe\"}", errNoUTF8},
		{"{\"id\":7,\"text\":\"\xc3\"}", errNoUTF8},
		{`{"id":7,"text":"\ud800"}`, errHalf},
		{`{"id":7,"text":"\ude00\ud83d"}`, errHalf},
		{`{"id":7,"text":"\ud83d\ud83d\ude00"}`, errHalf},
		{`{"id":7,"text":"\ud83d\n\u0041"}`, errHalf},
		{`{"id":7,"text":"\ud83d\ude00\\ud800 \u00e9\\"}`, nil},
		{`{"id":7,"reject":"cut \ud83d"}`, nil},
		{`{"id":7,"filter":"yes"}`, key("filter")},
		{`{"id":7,"value":1} {"id":8,"value":1}`, errNoJSON},
		{`[1]`, errNoJSON},
		{`null`, errNoJSON},
		{``, errNoJSON},
		{`Loading...`, errNoJSON},
		{"{\"id\":7,\"text\":\"a\x00b\"}", errNoJSON},
	}
	for _, tt := range tests {
		id, _, ready, err := readAnswer([]byte(tt.line))
		if !same(err, tt.err) || err == nil && (id != 7 || ready != 0) {
			t.Errorf("%s: id %d, ready %d, %v, want %v", tt.line, id, ready, err, tt.err)
		}
	}
	if _, v, _, _ := readAnswer([]byte(`{"id":7,"text":"\ud83d\ude00","TEXT":"y"}`)); v.text == nil || *v.text != "\U0001F600" {
		t.Errorf("text %v", v.text)
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
