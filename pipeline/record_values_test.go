package pipeline

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestSettersMakeValidJSON(t *testing.T) {
	r := jsonRecord(`{"city":"x","n":1}`)
	if err := errors.Join(
		r.SetString("city", "Boston \"MA\"\n"), r.SetInt("n", math.MinInt64), r.SetFloat("f", 1e-7), r.SetFloat("g", 0.1),
		r.SetBool("b", true), r.SetJSON("o", []byte(` {"a":[1]} `)),
	); err != nil {
		t.Fatal(err)
	}
	const want = `{"city":"Boston \"MA\"\n","n":-9223372036854775808,"f":1e-07,"g":0.1,"b":true,"o": {"a":[1]} }`
	if got := string(r.Value()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if err := r.CheckJSON(); err != nil {
		t.Error(err)
	}
}

// What is no JSON is refused, and leaves the field as it is.
func TestSettersRefuse(t *testing.T) {
	const value = `{"city":"x"}`
	for name, set := range map[string]func(*Record) error{
		"a bare word": func(r *Record) error { return r.SetJSON("city", []byte("Boston")) },
		"nothing":     func(r *Record) error { return r.SetJSON("city", nil) },
		"two values":  func(r *Record) error { return r.SetJSON("city", []byte(`1,"id":2`)) },
		"NaN":         func(r *Record) error { return r.SetFloat("city", math.NaN()) },
		"infinity":    func(r *Record) error { return r.SetFloat("city", math.Inf(-1)) },
	} {
		r := jsonRecord(value)
		if err := set(r); err == nil || string(r.Value()) != value {
			t.Errorf("%s: %v, the value is %s", name, err, r.Value())
		}
	}
	r := jsonRecord("[1]")
	if reason, ok := IsPermanent(r.SetString("a", "b")); !ok || reason != ReasonNotObject {
		t.Errorf("a field of an array was set: %s, %v", reason, ok)
	}
}

func TestText(t *testing.T) {
	r := jsonRecord(`{"s":"a\u00e9\"","n":1.50,"o":{"a": 1},"t":true,"null":null,"e":""}`)
	_ = r.SetString("set", "new")
	for name, want := range map[string]string{
		"s": `aé"`, "n": "1.50", "o": `{"a": 1}`, "t": "true", "null": "", "e": "", "missing": "", "set": "new",
	} {
		if got, err := r.Text(name); got != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := jsonRecord("{").Text("a"); err == nil {
		t.Error("a field of invalid JSON was read")
	}
}

func TestDecode(t *testing.T) {
	r := jsonRecord(`{"id":9007199254740993,"city":"x"}`)
	_ = r.SetString("city", "Boston")
	var v struct {
		ID   int64
		City string
	}
	if err := r.Decode(&v); err != nil || v.ID != 9007199254740993 || v.City != "Boston" {
		t.Errorf("%+v, %v", v, err)
	}
	var narrow struct{ ID int8 }
	err := r.Decode(&narrow)
	if _, ok := IsPermanent(err); !ok || strings.Contains(err.Error(), "9007") || !strings.Contains(err.Error(), "ID") {
		t.Errorf("a number that does not fit: %v", err)
	}
	if reason, _ := IsPermanent(jsonRecord("{").Decode(&v)); reason != ReasonInvalidJSON {
		t.Errorf("invalid JSON has the reason %q", reason)
	}
	if err := r.Decode(v); !IsFatal(err) {
		t.Errorf("into no pointer: %v", err)
	}
	var tombstone Record
	before := v
	if err := tombstone.Decode(&v); err != nil || v != before {
		t.Errorf("a tombstone: %+v, %v", v, err)
	}
}

// CheckObject says of a value what SetRaw says.
func TestCheckObject(t *testing.T) {
	for _, v := range []string{`{"a":1}`, ` {} `, `[1]`, `"text"`, `1`, ``, `{`, `null`} {
		checked, set := jsonRecord(v).CheckObject(), jsonRecord(v).SetRaw("b", []byte("2"))
		if checked != set { // the very same error, or none
			t.Errorf("%q: %v, and SetRaw gives %v", v, checked, set)
		}
	}
	var tombstone Record
	tombstone.Init(Position{}, nil, nil, nil, NoTime)
	if err := tombstone.CheckObject(); err != nil {
		t.Errorf("a tombstone: %v", err)
	}
}
