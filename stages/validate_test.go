package stages

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// schemaFiles writes the files of a schema and gives the first.
func schemaFiles(t testing.TB, files ...string) settings.Path {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(files[i+1]), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return settings.Path(filepath.Join(dir, files[0]))
}

func validate(t testing.TB, schema string, edit ...func(*ValidateSettings)) *Validate {
	t.Helper()
	s := DefaultValidate()
	s.Schema.File = schemaFiles(t, "s.json", schema)
	for _, e := range edit {
		e(&s)
	}
	v, err := NewValidate(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestValidate(t *testing.T) {
	const bad = "rejected: schema"
	processes(t, validate(t, `{"type":"object","required":["id"],"properties":{"id":{"type":"integer","maximum":18446744073709551615},"x":{"multipleOf":0.01},"n":{"const":1.0}}}`), []row{
		{`{"id":18446744073709551615}`, `{"id":18446744073709551615}`},
		{`{"id":18446744073709551616}`, bad},
		{`{"id":1.0, "x":1.10}`, `{"id":1.0, "x":1.10}`},
		{`{"id":1.5}`, bad},
		{`{"id":1,"x":0.1000000000000000000000001}`, bad},
		{`{"id":1,"n":10e-1}`, `{"id":1,"n":10e-1}`},
		{`{"id":1,"n":1.0000000000000000000001}`, bad},
		{`{"id":1,"x":1e999999999}`, bad},
		{`{"id":1,"id":"x"}`, `{"id":1,"id":"x"}`}, // the first counts, as everywhere
		{`{"id":"x","id":1}`, bad},
		{`{"\u0069d":1}`, `{"\u0069d":1}`},
		{`{}`, bad}, {`[]`, bad}, {`null`, bad}, {` {"id":1} `, ` {"id":1} `},
		{"{\"id\":1,\"t\":\"\xff\"}", "{\"id\":1,\"t\":\"\xff\"}"},
		{`{"id":1`, "rejected: invalid_json"}, {``, "rejected: invalid_json"},
		{"tombstone", "tombstone"},
		{`{"id":1,"deep":` + strings.Repeat("[", 1001) + strings.Repeat("]", 1001) + `}`, bad},
	})
	field := validate(t, `{"type":"string","minLength":2}`, func(s *ValidateSettings) { s.Field = "user.mail" })
	processes(t, field, []row{
		{`{"user":{"mail":"ab"}}`, `{"user":{"mail":"ab"}}`}, {`{"user":{"mail":"é"}}`, bad}, {`{"user":{"mail":null}}`, bad}, {`{"user":{}}`, bad},
		{`{"user":7}`, bad}, {`[]`, "rejected: not_object"}, {`{`, "rejected: invalid_json"}, {"tombstone", "tombstone"},
	})
	inline := DefaultValidate()
	inline.Schema.Inline = map[string]any{"type": "array", "items": map[string]any{"maximum": json.Number("9223372036854775808"), "minimum": int64(-1)}}
	v, err := NewValidate(inline)
	processes(t, must(t, v, err), []row{
		{`[9223372036854775808,-1]`, `[9223372036854775808,-1]`}, {`[9223372036854775809]`, bad}, {`[-1.5]`, bad},
	})
}

// Drafts differ in what they know, and in whether a format is a rule.
func TestDraftsOfSchemas(t *testing.T) {
	const mail = `"format":"email"`
	draft := func(d string) func(*ValidateSettings) { return func(s *ValidateSettings) { s.Draft = d } }
	formats := func(s *ValidateSettings) { s.Formats = true }
	for i, c := range []struct {
		v       *Validate
		value   string
		rejects bool
	}{
		{validate(t, `{`+mail+`}`), `"x"`, false},
		{validate(t, `{`+mail+`}`, formats), `"x"`, true},
		{validate(t, `{`+mail+`}`, draft("draft-07")), `"x"`, true},
		{validate(t, `{"$schema":"http://json-schema.org/draft-07/schema#",`+mail+`}`), `"x"`, true},
		{validate(t, `{"$schema":"https://json-schema.org/draft/2020-12/schema",`+mail+`}`, draft("draft-07")), `"x"`, false},
		{validate(t, `{"prefixItems":[{"type":"string"}]}`), `[1]`, true},
		{validate(t, `{"prefixItems":[{"type":"string"}]}`, draft("draft-07")), `[1]`, false},
		{validate(t, `{"items":[{"type":"string"}]}`, draft("draft-07")), `[1]`, true},
		{validate(t, `{"if":{"type":"string"},"then":false}`, draft("draft-07")), `"a"`, true},
		{validate(t, `{"if":{"type":"string"},"then":false}`, draft("draft-06")), `"a"`, false},
		{validate(t, `{"minimum":1,"exclusiveMinimum":true}`, draft("draft-04")), `1`, true},
		{validate(t, `{"unevaluatedProperties":false,"allOf":[{"properties":{"a":true}}]}`), `{"a":1}`, false},
		{validate(t, `{"unevaluatedProperties":false,"allOf":[{"properties":{"a":true}}]}`), `{"b":1}`, true},
		{validate(t, `{"unevaluatedProperties":false,"allOf":[{"properties":{"a":true}}]}`, draft("2019-09")), `{"b":1}`, true},
		{validate(t, `false`), `1`, true},
	} {
		rec := value(c.value)
		if err := c.v.Process(t.Context(), rec); (err != nil) != c.rejects {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// An error names places and rules, and nothing that stands in the value; the detail has more.
func TestWhatDoesNotFit(t *testing.T) {
	for _, c := range []struct{ schema, value, want, detail string }{
		{`{"properties":{"a":{"items":{"type":["integer","null"]}}}}`, `{"a":[1,"secret"]}`, "a[1] is a string, not null or integer (s.json#/properties/a/items/type)", ""},
		{`{"properties":{"a.b":{"properties":{"0":{"enum":["x",1]}}}}}`, `{"a.b":{"0":"secret"}}`, `a\.b.\0 is none of "x", 1 (s.json#/properties/a.b/properties/0/enum)`, ""},
		{`{"const":{"a":1}}`, `"secret"`, `the value is not {"a":1} (s.json#/const)`, ""},
		{`{"pattern":"^a+$"}`, `"secret"`, "the value does not match ^a+$ (s.json#/pattern)", ""},
		{`{"minimum":10.5,"multipleOf":7}`, `3`, "the value is below 10.5 (s.json#/minimum); the value is no multiple of 7 (s.json#/multipleOf)", ""},
		{`{"required":["a","b","c"]}`, `{"b":"secret"}`, "the value has no a, c (s.json#/required)", ""},
		{`{"additionalProperties":false}`, `{"name":"secret","other":1}`, "the value has 2 members that may not stand there (s.json#/additionalProperties)", "the value has 2 members that may not stand there (s.json#/additionalProperties): name, other"},
		{
			`{"properties":{"a":{"anyOf":[{"type":"string"},{"required":["x"]}]}}}`, `{"a":{}}`, "a fits none of anyOf (s.json#/properties/a/anyOf)",
			"a fits none of anyOf (s.json#/properties/a/anyOf)\n  a is an object, not string (s.json#/properties/a/anyOf/0/type)\n  a has no x (s.json#/properties/a/anyOf/1/required)",
		},
		{`{"oneOf":[{"type":"number"},{"minimum":1}]}`, `3`, "the value fits more than one of oneOf (s.json#/oneOf)", ""},
		{`{"not":{"type":"number"}}`, `3`, "the value fits what it must not fit (s.json#/not)", ""},
		{`{"allOf":[{"$ref":"#/$defs/x"}],"$defs":{"x":{"maxLength":3}}}`, `"secret"`, "the value is longer than 3 characters (s.json#/$defs/x/maxLength)", ""},
		{`{"uniqueItems":true,"maxItems":1}`, `["secret","secret"]`, "the value has equal elements, [0] and [1] (s.json#/uniqueItems); the value has more than 1 element (s.json#/maxItems)", ""},
		{`{"contains":{"const":1}}`, `["secret"]`, "the value has no element that fits (s.json#/contains)", ""},
		{`{"properties":{"a":false}}`, `{"a":"secret"}`, "a may not stand there (s.json#/properties/a)", ""},
		{`{"dependentRequired":{"a":["b"]}}`, `{"a":"secret"}`, "the value has a and no b (s.json#/dependentRequired)", ""},
		{`{"properties":{"a":{"format":"date-time"}},"$schema":"http://json-schema.org/draft-07/schema#"}`, `{"a":"secret"}`, "a is no date-time (s.json#/properties/a/format)", ""},
		{`{"propertyNames":{"pattern":"^x"}}`, `{"name":"secret"}`, "the value has a member whose name does not fit (s.json#/propertyNames)", "the value has a member whose name does not fit (s.json#/propertyNames): name"},
		{`{"items":{"type":"string"}}`, `[1,2,3,4,5]`, "[0] is a number, not string (s.json#/items/type); [1] is a number, not string (s.json#/items/type); [2] is a number, not string (s.json#/items/type); and 2 more", "[0] is"},
		{`{"properties":{"a/b":{"type":"null"}}}`, `{"a/b":1}`, "a/b is a number, not null (s.json#/properties/a~1b/type)", ""},
		// Names that the schema does not have are of the data.
		{`{"properties":{"users":{"additionalProperties":{"type":"object"}}}}`, `{"users":{"ann@example.org":1}}`, "users.* is a number, not object (s.json#/properties/users/additionalProperties/type)", `users.ann@example\.org is a number, not object (s.json#/properties/users/additionalProperties/type)`},
		{`{"additionalProperties":{"properties":{"n":{"type":"string"}}}}`, `{"ann":{"n":1},"bob":{"n":2},"eve":{"n":3},"joe":{"n":4}}`, "*.n is a number, not string (s.json#/additionalProperties/properties/n/type)", "ann.n is a number, not string (s.json#/additionalProperties/properties/n/type)\nbob.n is"},
		{`{"patternProperties":{"^x":{"type":"string"}},"required":["b"]}`, `{"xann":1,"b":1}`, "* is a number, not string (s.json#/patternProperties/^x/type)", "xann is"},
		{`{"required":["b"],"additionalProperties":{"type":"string"}}`, `{"b":1}`, "b is a number, not string (s.json#/additionalProperties/type)", ""},
		{`{"additionalProperties":{"type":"string"},"dependentRequired":{"a":["c"]},"dependentSchemas":{"d":true}}`, `{"a":1,"c":2,"d":3}`, "a is a number, not string (s.json#/additionalProperties/type); c is a number, not string (s.json#/additionalProperties/type); d is a number, not string (s.json#/additionalProperties/type)", ""},
		{`{"additionalProperties":{"propertyNames":{"maxLength":1}}}`, `{"ann":{"long":1}}`, "* has a member whose name does not fit (s.json#/additionalProperties/propertyNames)", "ann has a member whose name does not fit (s.json#/additionalProperties/propertyNames): long"},
		{`{"additionalProperties":{"anyOf":[{"type":"string"}]}}`, `{"ann":1}`, "* fits none of anyOf (s.json#/additionalProperties/anyOf)", "ann fits none of anyOf (s.json#/additionalProperties/anyOf)\n  ann is a number"},
		{`{"additionalProperties":{"type":"string"}}`, `{"ann":[1e9999999]}`, "*[0] is a number of more than 1000 digits, or with an exponent above 1000", "ann[0] is a number of"},
		{`{"$ref":"#"}`, `1`, "the value cannot be validated: references lead back to themselves (s.json#/$ref)", ""},
	} {
		err := validate(t, c.schema).Process(t.Context(), value(c.value))
		if reason, _ := pipeline.IsPermanent(err); err == nil || reason != ReasonSchema || err.Error() != "validating: "+c.want {
			t.Errorf("%s: %s\ngot  %v\nwant validating: %s", c.schema, c.value, err, c.want)
			continue
		}
		var d pipeline.Detailer
		detail := ""
		if errors.As(err, &d) {
			detail = d.Detail()
		}
		if !strings.HasPrefix(detail, c.detail) || c.detail == "" && detail != "" || strings.Contains(detail+err.Error(), "secret") {
			t.Errorf("%s: detail %q, want %q", c.schema, detail, c.detail)
		}
	}
}

// The library hands out a location on which it goes on writing. No wrong place is named for it.
func TestPlaceOfAWrongName(t *testing.T) {
	v := validate(t, `{"properties":{"a":{"propertyNames":{"maxLength":1}},"b":{"type":"number"},"c":{"type":"string"},"d":true,"e":true}}`)
	for range 50 {
		err := v.Process(t.Context(), value(`{"a":{"long":1},"b":1,"c":"x","d":1,"e":1}`))
		if got := fmt.Sprint(err); got != "validating: a has a member whose name does not fit (s.json#/properties/a/propertyNames)" &&
			got != "validating: an object in the value has a member whose name does not fit (s.json#/properties/a/propertyNames)" {
			t.Fatal(got)
		}
	}
}

// A schema that cannot be used is an error at its place, before a record is read; no address is
// opened and no file outside of its folder.
func TestWrongSchemas(t *testing.T) {
	for _, c := range []struct{ files, want string }{
		{"s.json\n{\"properties\":\n {\"a\": {\"type\": \"strng\"}}}", `s.json:2:17: properties/a/type is none of "array", "boolean"`},
		{`s.json|{"properties":{"a":{"pattern":"(?=x)"}}}`, "s.json:1:31: properties/a/pattern is no pattern: error parsing regexp: invalid or unsupported Perl syntax: `(?=`; patterns are RE2"},
		{`s.json|{"properties":{"a":true},"patternProperties":{"(":true}}`, "s.json:1:51: patternProperties/( is no pattern: "},
		{`s.json|{"items":{"$ref":"https://example.com/x.json"}}`, "s.json:1:18: it refers to https://example.com/x.json: no address is opened"},
		{`s.json|{"$id":"https://example.com/s.json","items":{"$ref":"x.json#/a"}}`, "s.json:1:53: it refers to https://example.com/x.json: no address is opened"},
		{`s.json|{"$schema":"https://example.com/draft"}`, "s.json:1:12: it refers to https://example.com/draft: no address is opened"},
		{`s.json|{"items":{"$ref":"../x.json"}}`, "a schema refers to files in its own folder and below"},
		{`s.json|{"items":{"$ref":"file:///etc/passwd"}}`, "a schema refers to files in its own folder and below"},
		{`s.json|{"items":{"$ref":"link.json"}}`, "s.json:1:18: it refers to link.json: reading link.json: path escapes from parent"},
		{`s.json|{"items":{"$ref":"x.json"}}`, "s.json:1:18: it refers to x.json: reading x.json: no such file or directory"},
		{`s.json|{"items":{"$ref":"sub/b.json"}}|sub/b.json|{"type":1}`, "sub/b.json:1:9: type is "},
		{`s.json|{"items":{"$ref":"sub/b.json#/x"}}|sub/b.json|{"type":"string"}`, "s.json:1:18: it refers to sub/b.json#/x, where nothing stands"},
		{`s.json|{"items":{"$ref":"#/$defs/a"}}`, "s.json:1:18: it refers to s.json#/$defs/a, where nothing stands"},
		{`s.json|{"items":{"$ref":"#a"}}`, "s.json:1:18: it refers to s.json#a, and there is no such anchor"},
		{"s.json|{\"a\":\n 1,}", "s.json:2:4: it is no JSON: invalid character '}'"},
		{`s.json|17`, "s.json:1:1: the schema is a number, not boolean or object"},
		{`s.json|{"maximum":1e999999}`, "s.json: maximum is a number of more than 1000 digits"},
	} {
		if !strings.Contains(c.files, "|") {
			c.files = strings.Replace(c.files, "\n", "|", 1)
		}
		s := DefaultValidate()
		s.Schema.File = schemaFiles(t, strings.Split(c.files, "|")...)
		if err := os.Symlink("/etc/hostname", filepath.Join(filepath.Dir(string(s.Schema.File)), "link.json")); err != nil {
			t.Fatal(err)
		}
		err := s.Check()
		if names := names(err); err == nil || !strings.Contains(err.Error(), c.want) || !reflect.DeepEqual(names, []string{"schema.file"}) {
			t.Errorf("%s\ngot  %v %v\nwant %s", c.files, names, err, c.want)
		}
	}
	for field, s := range map[string]ValidateSettings{
		"schema.file":                       {Schema: SchemaSettings{File: "/nowhere/s.json"}, Draft: "2020-12"},
		"schema.inline.properties.a.b.type": {Schema: SchemaSettings{Inline: map[string]any{"properties": map[string]any{"a.b": map[string]any{"type": "x"}}}}, Draft: "2020-12"},
		"schema.inline.allOf[1].$ref":       {Schema: SchemaSettings{Inline: map[string]any{"allOf": []any{true, map[string]any{"$ref": "x.json"}}}}, Draft: "2020-12"},
		"schema.inline":                     {Schema: SchemaSettings{Inline: "x"}, Draft: "2020-12"},
	} {
		if got := names(s.Check()); !reflect.DeepEqual(got, []string{field}) {
			t.Errorf("%v: got %v", field, s.Check())
		}
	}
}

// Of several references to nowhere it is always the same that is named.
func TestSchemaMistakesAreNamedAlike(t *testing.T) {
	for range 50 {
		s := DefaultValidate()
		s.Schema.File = schemaFiles(t, "s.json", `{"c":{"$ref":"#/x"},"b":{"$ref":"#/x"},"a":{"$ref":"#/x"},"properties":{"d":{"$ref":"#/x"}}}`)
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), "s.json:1:52: it refers to s.json#/x, where nothing stands") {
			t.Fatal(err)
		}
	}
}

func TestValidateSettings(t *testing.T) {
	for want, s := range map[string]ValidateSettings{
		"schema":        {Draft: "2020-12"},
		"schema.inline": {Draft: "2020-12", Schema: SchemaSettings{File: "a", Inline: true}},
		"field":         {Draft: "2020-12", Schema: SchemaSettings{Inline: true}, Field: "a.*"},
		"draft":         {Draft: "7", Schema: SchemaSettings{Inline: true}},
	} {
		if got := names(s.Validate()); !reflect.DeepEqual(got, []string{want}) {
			t.Errorf("%s: %v", want, got)
		}
	}
}

// What a file takes as a draft is what there is, and a path that is none comes with what to write.
func TestValidateSays(t *testing.T) {
	f, _ := reflect.TypeFor[ValidateSettings]().FieldByName("Draft")
	if taken := strings.Split(f.Tag.Get("enum"), "|"); len(taken) != len(drafts) || slices.ContainsFunc(taken, func(d string) bool { return drafts[d] == nil }) {
		t.Errorf("a file takes %v", taken)
	}
	s := ValidateSettings{Draft: "2020-12", Schema: SchemaSettings{Inline: true}, Field: "$.a"}
	var wrong *settings.NameError
	if !errors.As(s.Validate(), &wrong) || !strings.Contains(wrong.Suggestion, "write 'a'") {
		t.Errorf("got %v", s.Validate())
	}
}

// What is read of a value is what encoding/json reads of it, duplicate names and broken UTF-8 aside.
func TestValuesAsEncodingJSONReadsThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		made := rapid.MapOf(rapid.String(), rapid.OneOf(
			rapid.Map(rapid.String(), func(s string) any { return s }),
			rapid.Map(rapid.Float64Range(-1e9, 1e9), func(f float64) any { return f }),
			rapid.Map(rapid.SliceOf(rapid.Bool()), func(b []bool) any { return b }),
			rapid.Map(rapid.MapOf(rapid.StringN(0, 4, 8), rapid.Int64()), func(m map[string]int64) any { return m }),
			rapid.Just[any](nil),
		)).Draw(t, "value")
		text, err := json.Marshal(made)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "spaces") {
			var b bytes.Buffer
			if err := json.Indent(&b, text, "", " \t"); err != nil {
				t.Fatal(err)
			}
			text = b.Bytes()
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		var want any
		if err := d.Decode(&want); err != nil {
			t.Fatal(err)
		}
		got, tooMuch := decodeValue(text)
		if tooMuch != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\ngot  %v %v\nwant %v", text, got, tooMuch, want)
		}
	})
}

// order is a record of 600 bytes, and its schema.
const order = `{"id":9007199254740993,"created":"2026-11-28T10:15:00Z","customer":{"id":"c-1042","mail":"somebody@example.com","country":"DE","vip":false},` +
	`"items":[{"sku":"A-100","name":"Bicycle lamp, front","quantity":2,"price":24.90},{"sku":"B-220","name":"Bell","quantity":1,"price":7.50},` +
	`{"sku":"C-310","name":"Saddle cover, black","quantity":1,"price":12.00}],"shipping":{"street":"Long Lane 17","city":"Ulm","zip":"89073","country":"DE"},` +
	`"total":69.30,"currency":"EUR","note":"please ring twice: at the back door!","tags":["web","first-order"],"source":{"campaign":"autumn","channel":"search"},"state":"paid"}`

const orderSchema = `{"type":"object","required":["id","customer","items","total","currency"],"properties":{
	"id":{"type":"integer","minimum":1},"created":{"type":"string","pattern":"^[0-9]{4}-"},
	"customer":{"type":"object","required":["id","country"],"properties":{"id":{"type":"string","minLength":1},"mail":{"type":"string"},"country":{"$ref":"#/$defs/country"},"vip":{"type":"boolean"}}},
	"items":{"type":"array","minItems":1,"items":{"type":"object","required":["sku","quantity","price"],"properties":{"sku":{"type":"string","maxLength":20},"quantity":{"type":"integer","minimum":1},"price":{"type":"number","minimum":0}}}},
	"shipping":{"type":"object","properties":{"zip":{"type":"string"},"country":{"$ref":"#/$defs/country"}}},
	"total":{"type":"number","minimum":0},"currency":{"enum":["EUR","USD","GBP"]},"note":{"type":["string","null"]},"tags":{"type":"array","items":{"type":"string"}},"state":{"type":"string"}},
	"$defs":{"country":{"type":"string","pattern":"^[A-Z]{2}$"}}}`

func BenchmarkValidate(b *testing.B) {
	v := validate(b, orderSchema)
	for name, text := range map[string]string{"fits": order, "does not fit": strings.Replace(order, `"DE"`, `"de"`, 1)} {
		b.Run(name, func(b *testing.B) {
			rec := value(text)
			wrong := name != "fits"
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if err := v.Process(b.Context(), rec); (err != nil) != wrong {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("read alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decodeValue([]byte(order)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
