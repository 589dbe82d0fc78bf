package redact

import (
	"encoding/base64"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

func redactor(t interface{ Fatal(...any) }, how How) *Redactor {
	s := Defaults()
	s.Fields, s.Headers, s.Key, s.How = []settings.FieldPath{"card", "people.phone"}, []settings.HeaderName{"authorization"}, true, how
	if how == HowHash {
		s.Secret = "sixteen bytes or more"
	}
	r, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestLetter(t *testing.T) {
	header := func(name, value string) pipeline.Header {
		return pipeline.Header{Name: name, Value: []byte(value)}
	}
	const none = "-"
	for name, c := range map[string]struct {
		key, value, got string // none: there is none
		headers         []pipeline.Header
		wantKey         string
		wantValue       string
		wantGot         string
		redacted        string
	}{
		"nothing of it there":        {key: none, value: `{"a":1}`, got: `{"a":2}`, wantKey: none, wantValue: `{"a":1}`, wantGot: `{"a":2}`},
		"a field":                    {key: none, value: `{"card":"1234","a":1}`, got: none, wantKey: none, wantValue: `{"card":"***","a":1}`, wantGot: none, redacted: "fields"},
		"a field that is null":       {key: none, value: `{"card":null}`, got: none, wantKey: none, wantValue: `{"card":null}`, wantGot: none},
		"in both":                    {key: none, value: `{"card":"1234"}`, got: `{"card":"1234","b":2}`, wantKey: none, wantValue: `{"card":"***"}`, wantGot: `{"card":"***","b":2}`, redacted: "fields"},
		"copied by a step":           {key: none, value: `{"card":"1234"}`, got: `{"copy":"1234"}`, wantKey: none, wantValue: `{"card":"***"}`, wantGot: none, redacted: "fields"},
		"part of another text":       {key: none, value: `{"card":"1234"}`, got: `{"url":"/c/1234/x"}`, wantKey: none, wantValue: `{"card":"***"}`, wantGot: none, redacted: "fields"},
		"with other escapes":         {key: none, value: `{"card":"a/é"}`, got: `{"copy":"x a\/\u00e9"}`, wantKey: none, wantValue: `{"card":"***"}`, wantGot: none, redacted: "fields"},
		"as the name of a field":     {key: none, value: `{"card":"1234"}`, got: `{"1234":{}}`, wantKey: none, wantValue: `{"card":"***"}`, wantGot: none, redacted: "fields"},
		"a number":                   {key: none, value: `{"card":1234}`, got: `{"copy":"1234"}`, wantKey: none, wantValue: `{"card":"***"}`, wantGot: none, redacted: "fields"},
		"within an object":           {key: none, value: `{"card":{"no":["1234"]}}`, got: `{"copy":["1234"]}`, wantKey: none, wantValue: `{"card":"***"}`, wantGot: none, redacted: "fields"},
		"true and false":             {key: none, value: `{"card":true}`, got: `{"ok":true}`, wantKey: none, wantValue: `{"card":"***"}`, wantGot: `{"ok":true}`, redacted: "fields"},
		"set by a step":              {key: none, value: `{"no":"1234"}`, got: `{"card":"1234","no":"1234"}`, wantKey: none, wantValue: `{"no":"1234"}`, wantGot: none},
		"the names in an object":     {key: none, value: `{"card":{"ann@x":null,"b@x":true}}`, got: `{"c":{"ann@x":null}}`, wantKey: none, wantValue: `{"card":"***"}`, wantGot: none, redacted: "fields"},
		"the names as a list":        {key: none, value: `{"card":[[{"ann@x":{}}]]}`, got: `{"c":["ann@x"]}`, wantKey: none, wantValue: `{"card":"***"}`, wantGot: none, redacted: "fields"},
		"names that stand elsewhere": {key: none, value: `{"o":{"no":1},"card":{"no":"1234"}}`, got: `{"no":5}`, wantKey: none, wantValue: `{"o":{"no":1},"card":"***"}`, wantGot: `{"no":5}`, redacted: "fields"},
		"a name elsewhere, a text":   {key: none, value: `{"1234":1,"card":{"no":"1234"}}`, got: `{"a":"1234"}`, wantKey: none, wantValue: `{"1234":1,"card":"***"}`, wantGot: none, redacted: "fields"},
		"names that a step has put":  {key: none, value: `{"a":1}`, got: `{"card":{"ann@x":1},"b":["ann@x"]}`, wantKey: none, wantValue: `{"a":1}`, wantGot: none},
		"names put to a tombstone":   {key: none, value: none, got: `{"card":{"ann@x":1},"b":["ann@x"]}`, wantKey: none, wantValue: none, wantGot: none},
		"in lower case":              {key: none, value: `{"card":"Ann@X"}`, got: `{"c":"see ann@x"}`, wantKey: none, wantValue: `{"card":"***"}`, wantGot: none, redacted: "fields"},
		"in pieces of no use":        {key: none, value: `{"card":"1234"}`, got: `{"c":"%zz%4 \\ux &amp; a+b YWI="}`, wantKey: none, wantValue: `{"card":"***"}`, wantGot: `{"c":"%zz%4 \\ux &amp; a+b YWI="}`, redacted: "fields"},
		"in arrays":                  {key: none, value: `{"people":[{"phone":"5"},{"phone":"6"}]}`, got: none, wantKey: none, wantValue: `{"people":[{"phone":"***"},{"phone":"***"}]}`, wantGot: none, redacted: "fields"},
		"no JSON":                    {key: none, value: `{"card":"1234"`, got: `{"a":1}`, wantKey: none, wantValue: none, wantGot: none, redacted: "value"},
		"no object":                  {key: none, value: `"1234"`, got: none, wantKey: none, wantValue: none, wantGot: none, redacted: "value"},
		"empty":                      {key: none, value: ``, got: none, wantKey: none, wantValue: none, wantGot: none, redacted: "value"},
		"a tombstone":                {key: none, value: none, got: `{"card":"1"}`, wantKey: none, wantValue: none, wantGot: `{"card":"***"}`},
		"a text by then":             {key: none, value: `{"card":"1234"}`, got: `card=1`, wantKey: none, wantValue: `{"card":"***"}`, wantGot: none, redacted: "fields"},
		"the key":                    {key: "1234", value: `{"a":1}`, got: `{"a":2}`, wantKey: "***", wantValue: `{"a":1}`, wantGot: `{"a":2}`, redacted: "key"},
		"the key, copied":            {key: "1234", value: `{"a":1}`, got: `{"a":1,"k":"1234"}`, wantKey: "***", wantValue: `{"a":1}`, wantGot: none, redacted: "key"},
		"an empty key":               {key: "", value: `{"a":1}`, got: `{"a":2}`, wantKey: "***", wantValue: `{"a":1}`, wantGot: `{"a":2}`, redacted: "key"},
		"a header":                   {key: none, value: `{}`, got: `{"a":2}`, headers: []pipeline.Header{header("a", "b"), header("Authorization", "1234")}, wantKey: none, wantValue: `{}`, wantGot: `{"a":2}`, redacted: "headers"},
		"a header, copied":           {key: none, value: `{}`, got: `{"a":"1234"}`, headers: []pipeline.Header{header("authorization", "1234")}, wantKey: none, wantValue: `{}`, wantGot: none, redacted: "headers"},
		"everything":                 {key: "k", value: `{"card":"1234"}`, got: none, headers: []pipeline.Header{header("authorization", "1234")}, wantKey: "***", wantValue: `{"card":"***"}`, wantGot: none, redacted: "fields,headers,key"},
		"everything, no JSON":        {key: "k", value: `card=1234`, got: none, headers: []pipeline.Header{header("authorization", "1234")}, wantKey: "***", wantValue: none, wantGot: none, redacted: "headers,key,value"},
		"too much to be looked for":  {key: none, value: `{"card":"` + strings.Repeat("1", maxBytes) + `"}`, got: `{"a":2}`, wantKey: none, wantValue: `{"card":"***"}`, wantGot: none, redacted: "fields"},
		"too deep to be gone through": {key: none, value: `{"card":"1234"}`, got: `{"a":` + strings.Repeat("[", 2*deepest) + strings.Repeat("]", 2*deepest) + `}`,
			wantKey: none, wantValue: `{"card":"***"}`, wantGot: none, redacted: "fields"},
		"too long to be looked through": {key: none, value: `{"card":"1234"}`, got: `{"a":"` + strings.Repeat("x", deadletter.MaxValue) + `"}`, wantKey: none, wantValue: `{"card":"***"}`, wantGot: none, redacted: "fields"},
	} {
		t.Run(name, func(t *testing.T) {
			bytesOf := func(s string) []byte {
				if s == none {
					return nil
				}
				return append(make([]byte, 0, len(s)), s...)
			}
			is := deadletter.Contents{Key: bytesOf(c.key), Value: bytesOf(c.value), Headers: c.headers, Got: bytesOf(c.got), HasGot: c.got != none}
			redactor(t, HowMask).Letter(&is)
			text := func(b []byte, there bool) string {
				if !there {
					return none
				}
				return string(b)
			}
			if got := text(is.Key, is.Key != nil); got != c.wantKey {
				t.Errorf("key %q, want %q", got, c.wantKey)
			}
			if got := text(is.Value, is.Value != nil); got != c.wantValue {
				t.Errorf("value %q, want %q", got, c.wantValue)
			}
			if got := text(is.Got, is.HasGot); got != c.wantGot {
				t.Errorf("as the step got it: %q, want %q", got, c.wantGot)
			}
			if got := strings.Join(is.Redacted, ","); got != c.redacted {
				t.Errorf("redacted %q, want %q", got, c.redacted)
			}
			if len(c.headers) > 0 && (string(c.headers[len(c.headers)-1].Value) != "1234" || string(is.Headers[len(is.Headers)-1].Value) != "***") {
				t.Errorf("headers %q, of %q", is.Headers, c.headers)
			}
		})
	}
}

// A text is found in the forms that a step may give the whole of it, one after the other, and as a text
// that is no JSON.
func TestFormsOfAText(t *testing.T) {
	const secret = "a \"b\" <ü> \\ +%41&amp;\n𝄞/"
	asJSON := func(s string) string { return string(jsontext.AppendString(nil, s)) }
	ascii := func(s string) string {
		q := strconv.QuoteToASCII(s)
		return strings.ReplaceAll(q, `\U0001d11e`, `\ud834\udd1e`)
	}
	forms := map[string]func(string) string{
		"itself": func(s string) string { return s }, "JSON": asJSON, "JSON in ASCII": ascii, "query": url.QueryEscape, "path": url.PathEscape, "HTML": html.EscapeString,
		"Base64":      func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"URL Base64":  func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
		"upper case":  strings.ToUpper,
		"escapes all": func(s string) string { return "%" + strings.ReplaceAll(fmt.Sprintf("% X", s), " ", "%") },
	}
	for first, one := range forms {
		for second, two := range forms {
			if first == "upper case" && second != "itself" || second == "upper case" && first != "itself" {
				continue // of another form it is a hash of a kind
			}
			text := two(one(secret))
			for _, got := range []string{`{"c":` + asJSON(text) + `}`, `{` + asJSON(text) + `:1}`, text} {
				is := deadletter.Contents{Value: []byte(`{"card":` + asJSON(secret) + `}`), Got: []byte(got), HasGot: true}
				redactor(t, HowMask).Letter(&is)
				if is.HasGot {
					t.Errorf("%s of %s is left in: %s", second, first, is.Got)
				}
			}
		}
	}
}

// A value that is nested deeper than JSON is read here may have the key in other letters than those that were looked for.
func TestLetterThatIsTooDeep(t *testing.T) {
	s := Defaults()
	s.Key = true
	r, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	is := deadletter.Contents{Key: []byte("1234"), Value: []byte("x"), Got: []byte(strings.Repeat("[", 10_001) + `"\u0031\u0032\u0033\u0034"` + strings.Repeat("]", 10_001)), HasGot: true}
	if r.Letter(&is); is.HasGot {
		t.Error("the value as the step got it is there")
	}
}

// What a record brings of a dead letter that it was before is redacted as this letter is; the other old
// headers stay.
func TestLetterOfALetter(t *testing.T) {
	header := func(name, value string) pipeline.Header {
		return pipeline.Header{Name: name, Value: []byte(value)}
	}
	for name, c := range map[string]struct {
		value     string
		old, want []pipeline.Header
		redacted  string
	}{
		"nothing of it there": {
			value: `{"a":1}`,
			old:   []pipeline.Header{header(deadletter.Pipeline, "first"), header(deadletter.Value, `{"a":2}`), header(deadletter.Error, "asking: no")},
			want:  []pipeline.Header{header(deadletter.Pipeline, "first"), header(deadletter.Value, `{"a":2}`), header(deadletter.Error, "asking: no")},
		},
		"a field in the old value": {
			value: `{"card":"1234"}`,
			old:   []pipeline.Header{header("penstock-mine", "keep"), header(deadletter.Value, `{"card":"1234","b":2}`)},
			want:  []pipeline.Header{header("penstock-mine", "keep"), header(deadletter.Value, `{"card":"***","b":2}`)}, redacted: "fields,headers",
		},
		"copied in the old value": {
			value: `{"card":"1234"}`, old: []pipeline.Header{header(deadletter.Value, `{"copy":"1234"}`), header("b", "c")},
			want: []pipeline.Header{header("b", "c")}, redacted: "fields,headers",
		},
		"what a server said": {
			value: `{"a":1}`, old: []pipeline.Header{header(deadletter.Detail, "you sent 1234"), header("b", "c")},
			want: []pipeline.Header{header("b", "c")}, redacted: "headers",
		},
		"an old message": {
			value: `{"card":"Shop-7"}`, old: []pipeline.Header{header(deadletter.Error, "calling shop-7.test: no answer")},
			want: []pipeline.Header{header(deadletter.Error, "calling ***.test: no answer")}, redacted: "fields,headers",
		},
		"an old message about the old value": {
			value: `{"a":1}`, old: []pipeline.Header{header(deadletter.Error, "calling shop-7.test: no answer"), header(deadletter.Value, `{"card":"shop-7"}`)},
			want: []pipeline.Header{header(deadletter.Error, "calling ***.test: no answer"), header(deadletter.Value, `{"card":"***"}`)}, redacted: "headers",
		},
		"an old key": {
			value: `{"a":1}`, old: []pipeline.Header{header(deadletter.Key, "shop-7"), header(deadletter.Value, `{"copy":"shop-7"}`), header(deadletter.Error, "calling shop-7.test: no")},
			want: []pipeline.Header{header(deadletter.Key, "***"), header(deadletter.Error, "calling ***.test: no")}, redacted: "headers",
		},
		"an old key behind what it stands in": {
			value: `{"a":1}`, old: []pipeline.Header{header(deadletter.Value, `{"copy":"shop-7"}`), header(deadletter.Key, "shop-7")},
			want: []pipeline.Header{header(deadletter.Key, "***")}, redacted: "headers",
		},
		"an old value without a readable one": {
			value: `{"card":`, old: []pipeline.Header{header(deadletter.Value, `{"a":1}`), header(deadletter.Step, "x")},
			want: []pipeline.Header{header(deadletter.Step, "x")}, redacted: "headers,value",
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := fmt.Sprintf("%s", c.old)
			is := deadletter.Contents{Value: []byte(c.value), Headers: c.old}
			redactor(t, HowMask).Letter(&is)
			if got, want := fmt.Sprintf("%s", is.Headers), fmt.Sprintf("%s", c.want); got != want {
				t.Errorf("headers %s, want %s", got, want)
			}
			if got := strings.Join(is.Redacted, ","); got != c.redacted {
				t.Errorf("redacted %q, want %q", got, c.redacted)
			}
			if fmt.Sprintf("%s", c.old) != before {
				t.Error("the record's own list has changed")
			}
		})
	}
}

// A message names hosts, which may come out of a redacted field in several forms.
func TestMessage(t *testing.T) {
	many := `{"card":[` + strings.Repeat("1234567,", maxTaken) + `1]}`
	for name, c := range map[string]struct{ value, message, want string }{
		"nothing taken":        {`{"a":1}`, "asking: status 404", "asking: status 404"},
		"not there":            {`{"card":"shop"}`, "asking: status 404", "asking: status 404"},
		"part of a host":       {`{"card":"FldShop"}`, "the host fldshop.test may not be called: fldshop.test", "the host ***.test may not be called: ***.test"},
		"a whole address":      {`{"card":"https://Shop.example:8443/x?y=1"}`, "calling shop.example:8443: no answer", "calling ***:8443: no answer"},
		"host and path":        {`{"card":"Shop.example/x?y=1"}`, "calling shop.example: no answer", "calling ***: no answer"},
		"host, port and path":  {`{"card":"shop.example:8443/x"}`, "the host shop.example may not be called", "the host *** may not be called"},
		"user and host":        {`{"card":"me:pw@shop.example"}`, "calling shop.example: no answer", "calling ***: no answer"},
		"host and port":        {`{"card":"shop.example:8443"}`, "the host shop.example may not be called", "the host *** may not be called"},
		"other letters":        {`{"card":"müller.example"}`, "calling xn--mller-kva.example: no answer", leftOut},
		"one within another":   {`{"card":["shop","my-shop-7"]}`, "calling my-shop-7.test", "calling ***.test"},
		"more than looked for": {many, "calling shop.test: no answer", leftOut},
		"a value that is none": {`{"card":`, "reading JSON: it ends too early", "reading JSON: it ends too early"},
		"not in UTF-8":         {`{"card":"shop","x":"` + "\xff" + `"}`, "calling shop.test: no answer", leftOut},
		"too deep":             {`{"card":"shop","people":` + strings.Repeat("[", deepest+2) + strings.Repeat("]", deepest+2) + `}`, "calling shop.test: no answer", leftOut},
	} {
		t.Run(name, func(t *testing.T) {
			is := deadletter.Contents{Value: []byte(c.value), Error: c.message}
			if redactor(t, HowMask).Letter(&is); is.Error != c.want {
				t.Errorf("the message is %q, want %q", is.Error, c.want)
			}
		})
	}
}

// Whatever a record holds, and whatever a step makes of it: what stood in a redacted place is in no
// part of its letter.
func TestNothingOfItIsLeft(t *testing.T) {
	const canary = "C4N4RY"
	rapid.Check(t, func(t *rapid.T) {
		r := redactor(t, rapid.SampledFrom([]How{HowMask, HowHash, HowRemove}).Draw(t, "how"))
		secret := canary + rapid.StringN(0, 8, 20).Draw(t, "secret")
		hidden := string(jsontext.AppendString(nil, secret))
		wrap := rapid.SampledFrom([]string{`X`, `[X]`, `{"a":X}`, `[1,{"b":[X,null]}]`, ` [ X , true ] `})
		field := strings.ReplaceAll(wrap.Draw(t, "wrapped"), "X", hidden)
		value := rapid.SampledFrom([]string{`{"card":F}`, `[{"card":F}]`, `{"x":1,"people":[{"phone":F},{"phone":2}]}`, `{"people":{"phone":F}`, `F`[:0] + `"` + canary + `"`, `{"card":1,"card":F}`}).Draw(t, "value")
		got := rapid.SampledFrom([]string{`{"copy":F}`, `F`, `{"card":F,"again":H}`, `{"text":H}`, `{"k":K}`, `{"a":1}`, `X=F`, `{"card":F,"b":1}`}).Draw(t, "got")
		fill := strings.NewReplacer("F", field, "H", hidden, "K", hidden)
		is := deadletter.Contents{
			Key: []byte(secret), Value: []byte(fill.Replace(value)), Got: []byte(fill.Replace(got)), HasGot: rapid.Bool().Draw(t, "changed"),
			Headers: []pipeline.Header{{Name: "AUTHORIZATION", Value: []byte(secret)}, {Name: "x", Value: []byte("y")}},
		}
		r.Letter(&is)
		all := [][]byte{is.Key, is.Value}
		if is.HasGot {
			all = append(all, is.Got)
		}
		for _, h := range is.Headers {
			all = append(all, h.Value)
		}
		if i := slices.IndexFunc(all, func(b []byte) bool { return strings.Contains(string(b), canary) }); i >= 0 {
			t.Fatalf("%s", all[i])
		}
	})
}
