package redact

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

const none = "(none)" // stands for what is not there

func TestSeen(t *testing.T) {
	header := func(name, value string) pipeline.Header { return pipeline.Header{Name: name, Value: []byte(value)} }
	for name, c := range map[string]struct {
		cameKey, came, key, value string
		cameHeaders, headers      []pipeline.Header
		message                   string

		wantKey, wantValue, wantHeaders, wantMessage string
		redacted, leftOut                            string
	}{
		"as it came":                      {cameKey: none, key: none, came: `{"card":"1234","b":1}`, value: `{"card":"1234","b":1}`, wantKey: none, wantValue: `{"card":"***","b":1}`, redacted: "fields"},
		"nothing of it there":             {cameKey: none, key: none, came: `{"a":1}`, value: `{"a":2}`, wantKey: none, wantValue: `{"a":2}`},
		"copied by a step":                {cameKey: none, key: none, came: `{"card":"1234"}`, value: `{"card":"1234","c":"no 1234!","d":[1,{"e":"MTIzNA=="}]}`, wantKey: none, wantValue: `{"card":"***","c":"***","d":[1,{"e":"***"}]}`, redacted: "fields"},
		"moved by a step":                 {cameKey: none, key: none, came: `{"card":"1234"}`, value: `{ "n": 1234 }`, wantKey: none, wantValue: `{ "n": "***" }`, redacted: "fields"},
		"as a name":                       {cameKey: none, key: none, came: `{"card":"1234"}`, value: `{"1234":1}`, wantKey: none, wantValue: none, leftOut: "value"},
		"as a text":                       {cameKey: none, key: none, came: `{"card":"1234"}`, value: `card=1234`, wantKey: none, wantValue: none, leftOut: "value"},
		"a text of another":               {cameKey: none, key: none, came: `{"card":"1234"}`, value: `hello`, wantKey: none, wantValue: none, leftOut: "value"},
		"no JSON":                         {cameKey: none, key: none, came: `card=1234`, value: `card=1234`, wantKey: none, wantValue: none, leftOut: "value"},
		"no JSON, then JSON":              {cameKey: none, key: none, came: `card=1234`, value: `{"a":"1234"}`, wantKey: none, wantValue: none, leftOut: "value"},
		"a tombstone":                     {cameKey: none, key: none, came: none, value: none, wantKey: none, wantValue: none},
		"set on a tombstone":              {cameKey: none, key: none, came: none, value: `{"card":{"ann@x":1},"b":"ann@x"}`, wantKey: none, wantValue: `{"card":"***","b":"***"}`, redacted: "fields"},
		"a part":                          {cameKey: none, key: none, came: `{"people":[{"phone":"555"},{"phone":"666"}]}`, value: `{"phone":"555","a":1}`, wantKey: none, wantValue: `{"phone":"***","a":1}`, redacted: "fields"},
		"made the key":                    {cameKey: "k", key: "1234", came: `{"card":"1234"}`, value: `{"card":"1234"}`, wantKey: none, wantValue: `{"card":"***"}`, redacted: "fields", leftOut: "key"},
		"the key it came with":            {cameKey: "1234", key: "1234", came: `{"card":"1234"}`, value: `{"card":"1234"}`, wantKey: none, wantValue: `{"card":"***"}`, redacted: "fields", leftOut: "key"},
		"in the key it came with":         {cameKey: `{"id":"\u00312 34-1234"}`, key: `{"id":"\u00312 34-1234"}`, came: `{"card":"1234"}`, value: `{"card":"1234"}`, wantKey: none, wantValue: `{"card":"***"}`, redacted: "fields", leftOut: "key"},
		"escaped in the key":              {cameKey: `{"id":"\u0031234"}`, key: `{"id":"\u0031234"}`, came: `{"card":"1234"}`, value: `{"card":"1234","a":2}`, wantKey: none, wantValue: `{"card":"***","a":2}`, redacted: "fields", leftOut: "key"},
		"another field that it came with": {cameKey: "k", key: "k", came: `{"card":"1234","note":"no \u0031234!","n":1234}`, value: `{"card":"1234","note":"no \u0031234!","n":1234}`, wantKey: "k", wantValue: `{"card":"***","note":"***","n":"***"}`, redacted: "fields"},
		"another field, and a change":     {cameKey: "k", key: "k", came: `{"card":"1234","note":"no 1234!","a":1}`, value: `{"card":"1234","note":"no 1234!","a":2}`, wantKey: "k", wantValue: `{"card":"***","note":"***","a":2}`, redacted: "fields"},
		"a name that it came with":        {cameKey: none, key: none, came: `{"card":"1234","by":{"c1234":1}}`, value: `{"card":"1234","by":{"c1234":1}}`, wantKey: none, wantValue: none, leftOut: "value"},
		"a short text":                    {cameKey: "12", key: "12", came: `{"card":"12","n":12,"year":2012,"12a":"a12"}`, value: `{"card":"12","n":12,"year":2012,"12a":"a12"}`, wantKey: none, wantValue: `{"card":"***","n":"***","year":2012,"12a":"a12"}`, redacted: "fields", leftOut: "key"},
		"a short text, and a change":      {cameKey: "k12", key: "k12", came: `{"card":"12","year":2012,"12a":"a12"}`, value: `{"card":"12","year":2012,"12a":"a12","new":"b12"}`, wantKey: "k12", wantValue: `{"card":"***","year":2012,"12a":"a12","new":"***"}`, redacted: "fields"},
		"a short text in headers":         {cameKey: none, key: none, came: `{"card":"12"}`, value: `{"card":"12"}`, cameHeaders: []pipeline.Header{header("x", "12"), header("y", "2012")}, headers: []pipeline.Header{header("x", "12"), header("y", "2012"), header("z", "2012")}, wantKey: none, wantValue: `{"card":"***"}`, wantHeaders: "y=2012", redacted: "fields", leftOut: "headers"},
		"redacted before":                 {cameKey: "***", key: "***", came: `{"card":"***","pin":"***"}`, value: `{"card":"***","pin":"***"}`, wantKey: "***", wantValue: `{"card":"***","pin":"***"}`},
		"a name that was taken out":       {cameKey: "k", key: "k", came: `{"card":{"number":1234},"number_of":2}`, value: `{"card":{"number":1234},"number_of":2}`, wantKey: "k", wantValue: `{"card":"***","number_of":2}`, redacted: "fields"},
		"no JSON, a key of it":            {cameKey: "k", key: "k", came: `card=1234`, value: `{"card":"1234"}`, wantKey: "k", wantValue: none, leftOut: "value"},
		"a text of another, a key":        {cameKey: "k", key: "k", came: `{"card":"1234"}`, value: `hello`, wantKey: "k", wantValue: none, leftOut: "value"},
		"a header in the value":           {cameKey: none, key: none, came: `{"a":"5678"}`, value: `{"a":"5678"}`, cameHeaders: []pipeline.Header{header("authorization", "5678")}, headers: []pipeline.Header{header("authorization", "5678")}, wantKey: none, wantValue: `{"a":"***"}`, wantHeaders: "authorization=***", redacted: "fields,headers"},
		"made a header":                   {cameKey: none, key: none, came: `{"card":"1234"}`, value: `{"card":"1234"}`, headers: []pipeline.Header{header("x", "a1234"), header("y", "z")}, wantKey: none, wantValue: `{"card":"***"}`, wantHeaders: "y=z", redacted: "fields", leftOut: "headers"},
		"made the name of one":            {cameKey: none, key: none, came: `{"card":"1234"}`, value: `{"card":"1234"}`, headers: []pipeline.Header{header("x-1234", "a")}, wantKey: none, wantValue: `{"card":"***"}`, redacted: "fields", leftOut: "headers"},
		"a header of penstock's name":     {cameKey: none, key: none, came: `{"card":"1234"}`, value: `{"card":"1234"}`, headers: []pipeline.Header{header("penstock-x", "1234")}, wantKey: none, wantValue: `{"card":"***"}`, redacted: "fields", leftOut: "headers"},
		"a header that it came with":      {cameKey: none, key: none, came: `{"card":"1234"}`, value: `{"card":"1234"}`, cameHeaders: []pipeline.Header{header("x", "1234")}, headers: []pipeline.Header{header("x", "1234")}, wantKey: none, wantValue: `{"card":"***"}`, redacted: "fields", leftOut: "headers"},
		"a redacted header":               {cameKey: none, key: none, came: `{}`, value: `{"a":"5678"}`, cameHeaders: []pipeline.Header{header("authorization", "5678")}, headers: []pipeline.Header{header("Authorization", "5678")}, wantKey: none, wantValue: `{"a":"***"}`, wantHeaders: "Authorization=***", redacted: "fields,headers"},
		"a redacted header, removed":      {cameKey: none, key: none, came: `{}`, value: `{"a":"5678"}`, cameHeaders: []pipeline.Header{header("authorization", "5678")}, wantKey: none, wantValue: `{"a":"***"}`, redacted: "fields"},
		"a message":                       {cameKey: none, key: none, came: `{"card":"shop"}`, value: `{"card":"shop"}`, message: "calling shop.test: no", wantKey: none, wantValue: `{"card":"***"}`, wantMessage: "calling ***.test: no", redacted: "fields"},
		"too much to be looked for":       {cameKey: none, key: none, came: `{"card":"` + strings.Repeat("1", mostSeen+1) + `"}`, value: `{"a":2}`, wantKey: none, wantValue: none, leftOut: "value"},
		"true":                            {cameKey: "true", key: "true", came: `{"card":true,"a":true}`, value: `{"card":true,"a":true}`, cameHeaders: []pipeline.Header{header("x", "untrue")}, headers: []pipeline.Header{header("x", "untrue")}, wantKey: none, wantValue: `{"card":"***","a":true}`, wantHeaders: "x=untrue", redacted: "fields", leftOut: "key"},
		"a header that is true":           {cameKey: "true", key: "true", came: `{"a":true}`, value: `{"a":true}`, cameHeaders: []pipeline.Header{header("authorization", "true")}, headers: []pipeline.Header{header("authorization", "true")}, wantKey: none, wantValue: `{"a":true}`, wantHeaders: "authorization=***", redacted: "headers", leftOut: "key"},
	} {
		t.Run(name, func(t *testing.T) {
			s := Seen{CameKey: orNone(c.cameKey), CameValue: orNone(c.came), CameHeaders: c.cameHeaders,
				Key: orNone(c.key), Value: orNone(c.value), Headers: c.headers, Error: c.message}
			redactor(t, HowMask).seenWithoutKey(&s)
			var headers []string
			for _, h := range s.Headers {
				headers = append(headers, h.Name+"="+string(h.Value))
			}
			for _, one := range []struct{ what, got, want string }{
				{"key", textOrNone(s.Key), c.wantKey}, {"value", textOrNone(s.Value), c.wantValue}, {"headers", strings.Join(headers, ","), c.wantHeaders},
				{"message", s.Error, c.wantMessage}, {"redacted", strings.Join(s.Redacted, ","), c.redacted}, {"left out", strings.Join(s.LeftOut, ","), c.leftOut},
			} {
				if one.got != one.want {
					t.Errorf("%s: %q, want %q", one.what, one.got, one.want)
				}
			}
		})
	}
}

// seenWithoutKey is Seen of a Redactor that leaves the key alone.
func (r *Redactor) seenWithoutKey(s *Seen) {
	other := *r
	other.s.Key = false
	other.Seen(s)
}

func orNone(text string) []byte {
	if text == none {
		return nil
	}
	return []byte(text)
}

func textOrNone(b []byte) string {
	if b == nil {
		return none
	}
	return string(b)
}

// Whatever a record came with, and whatever steps have made of it: what stood in a redacted place is in nothing that is shown.
func TestNothingRedactedIsSeen(t *testing.T) {
	const canary = "C4N4RY"
	rapid.Check(t, func(t *rapid.T) {
		r := redactor(t, rapid.SampledFrom([]How{HowMask, HowHash, HowRemove}).Draw(t, "how"))
		secret := canary + rapid.StringN(0, 8, 20).Draw(t, "secret")
		hidden := string(jsontext.AppendString(nil, secret))
		wrap := rapid.SampledFrom([]string{`X`, `[X]`, `{"a":X}`, `[1,{"b":[X,null]}]`, ` [ X , true ] `})
		field := strings.ReplaceAll(wrap.Draw(t, "wrapped"), "X", hidden)
		fill := strings.NewReplacer("F", field, "H", hidden)
		values := []string{`{"card":F}`, `[{"card":F}]`, `{"x":1,"people":[{"phone":F},{"phone":2}]}`, `{"people":{"phone":F}`, `{"card":1,"card":F}`}
		came := fill.Replace(rapid.SampledFrom(values).Draw(t, "came"))
		came = strings.Replace(came, "{", rapid.SampledFrom([]string{"{", `{"note":` + hidden + `,`, `{"of":["x ` + hidden[1:] + `],`}).Draw(t, "beside"), 1)
		now := came
		if rapid.Bool().Draw(t, "changed") {
			now = fill.Replace(rapid.SampledFrom([]string{`{"copy":F}`, `F`, `{"card":F,"again":H}`, `{"text":H}`, `{"a":1}`, `X=F`, `{"card":F,"b":1}`, `{H:1}`, `{"deep":[[{"x":H}]]}`}).Draw(t, "now"))
		}
		s := Seen{
			CameKey: []byte(secret), CameValue: []byte(came), Key: []byte(secret), Value: []byte(now), Error: "calling " + secret,
			CameHeaders: []pipeline.Header{{Name: "AUTHORIZATION", Value: []byte(secret)}, {Name: "x", Value: []byte(secret)}, {Name: secret}},
			Headers:     []pipeline.Header{{Name: "AUTHORIZATION", Value: []byte(secret)}, {Name: "x", Value: []byte(secret)}, {Name: secret}, {Name: "penstock-value", Value: []byte(now)}},
		}
		r.Seen(&s)
		all := [][]byte{s.Key, s.Value, []byte(s.Error)}
		for _, h := range s.Headers {
			all = append(all, []byte(h.Name), h.Value)
		}
		for _, text := range all {
			if strings.Contains(string(text), canary) {
				t.Fatalf("%q is left in %q", canary, all)
			}
		}
		if s.Value != nil && strings.HasPrefix(now, "{") && !jsontext.Valid(s.Value) {
			t.Fatalf("the value is no JSON: %s", s.Value)
		}
	})
}
