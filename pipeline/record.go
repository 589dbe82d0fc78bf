package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// A Position says where a record comes from: topic, partition and offset, or
// fixture file, 0 and line. It is the same in every lane and after every restart.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64
}

// String gives topic/partition@offset.
func (p Position) String() string {
	return p.Topic + "/" + strconv.Itoa(int(p.Partition)) + "@" + strconv.FormatInt(p.Offset, 10)
}

// A Header is a name and a value; a nil value is null, which is not empty.
type Header struct {
	Name  string
	Value []byte
}

// NoTime is the Time of a record that has none.
const NoTime = math.MinInt64

// A Record is one unit of data: raw bytes, a view of the JSON fields in them that
// is found when asked for, and an overlay of edits that is spliced in once, when
// the bytes are asked for. Untouched records leave byte for byte as they came.
//
// A Record has one owner at a time (I2) and is not safe for concurrent use. Its
// bytes belong to the batch that it came with; slices of them, and slices that its
// methods return, are valid until the record has its outcome.
type Record struct {
	Position
	// Part numbers the records that a split made of one, from 1; 0: not a part.
	Part int32
	// Key is nil when there is none, which is not the same as empty.
	Key []byte
	// Headers are in the order in which they came; names may repeat.
	Headers []Header
	// Time is in milliseconds since 1970 UTC, or NoTime.
	Time int64

	value []byte // as set last, edits not applied; nil: tombstone
	state jsonState
	edits []edit
	came  original
	eng   engineState // the engine's own
}

// original is what a dead letter needs: the record as the source gave it.
type original struct {
	key, value []byte
	headers    []Header
}

type jsonState uint8

const (
	unchecked jsonState = iota
	object
	noObject
	invalid
)

// An edit sets a top-level field to JSON text, or removes it when text is nil.
type edit struct {
	name string
	text []byte
}

// Init makes r the record that a source has read. It keeps the slices. A nil value
// is a tombstone; an empty one is not.
func (r *Record) Init(pos Position, key, value []byte, headers []Header, time int64) {
	*r = Record{
		Position: pos, Key: key, Headers: headers, Time: time, value: value,
		came: original{key: key, value: value, headers: headers},
	}
}

// Tombstone says whether the value is null.
func (r *Record) Tombstone() bool { return r.value == nil }

// Value gives the value with all edits applied; nil for a tombstone. It is valid
// until the next edit and must not be changed.
func (r *Record) Value() []byte {
	if len(r.edits) > 0 {
		r.value = splice(r.value, r.edits)
		r.edits = r.edits[:0]
	}
	return r.value
}

// SetValue replaces the value and forgets all edits. It keeps b.
func (r *Record) SetValue(b []byte) {
	r.value, r.state, r.edits = b, unchecked, r.edits[:0]
}

// Original gives key, value and headers as the source gave them.
func (r *Record) Original() (key, value []byte, headers []Header) {
	return r.came.key, r.came.value, r.came.headers
}

var (
	errInvalidJSON = Reject(ReasonInvalidJSON, errors.New("reading a field: the value is not valid JSON"))
	errNotObject   = Reject(ReasonNotObject, errors.New("editing a field: the value is no JSON object"))
)

func (r *Record) check() error {
	if r.state == unchecked {
		switch {
		case !gjson.ValidBytes(r.value):
			r.state = invalid
		case bytes.TrimLeft(r.value, " \t\r\n")[0] == '{':
			r.state = object
		default:
			r.state = noObject
		}
	}
	if r.state == invalid {
		return errInvalidJSON
	}
	return nil
}

// Field gives the JSON text of a top-level field, nil when it is missing or the
// value is a tombstone or no object. name is taken literally. Of duplicate keys the
// first counts. The first call checks the whole value; invalid JSON is a permanent
// error with ReasonInvalidJSON.
func (r *Record) Field(name string) ([]byte, error) {
	for i := len(r.edits) - 1; i >= 0; i-- {
		if r.edits[i].name == name {
			return r.edits[i].text, nil
		}
	}
	if r.value == nil {
		return nil, nil
	}
	if err := r.check(); err != nil || r.state != object {
		return nil, err
	}
	res := gjson.GetBytes(r.value, escape(name))
	if !res.Exists() {
		return nil, nil
	}
	return r.value[res.Index : res.Index+len(res.Raw)], nil
}

// Set sets a top-level field to text, which must be valid JSON and is kept. On a
// tombstone it does nothing; on a value that is no object it is a permanent error
// with ReasonNotObject.
func (r *Record) Set(name string, text []byte) error {
	if text == nil {
		text = []byte("null")
	}
	return r.edit(name, text)
}

// Remove removes a top-level field, if it is there. Errors are those of Set.
func (r *Record) Remove(name string) error { return r.edit(name, nil) }

func (r *Record) edit(name string, text []byte) error {
	if r.value == nil {
		return nil
	}
	if err := r.check(); err != nil {
		return err
	}
	if r.state != object {
		return errNotObject
	}
	for i := range r.edits {
		if r.edits[i].name == name {
			r.edits[i].text = text
			return nil
		}
	}
	r.edits = append(r.edits, edit{name, text})
	return nil
}

// Fields calls yield for each top-level field with its JSON text, edits applied,
// until yield returns false. A tombstone and a value that is no object have none.
func (r *Record) Fields(yield func(name string, text []byte) bool) error {
	v := r.Value()
	if v == nil {
		return nil
	}
	if err := r.check(); err != nil || r.state != object {
		return err
	}
	gjson.ParseBytes(v).ForEach(func(k, val gjson.Result) bool {
		return yield(k.String(), []byte(val.Raw))
	})
	return nil
}

func escape(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if c := name[i]; strings.IndexByte(`.*?|#@\!{}[]()=<>%"':`, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(name[i])
	}
	return b.String()
}

// splice writes the object v with edits applied.
func splice(v []byte, edits []edit) []byte {
	out := append(make([]byte, 0, len(v)+64), '{')
	used := make([]bool, len(edits))
	add := func(key string, text []byte) {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, key...), ':'), text...)
	}
	gjson.ParseBytes(v).ForEach(func(k, val gjson.Result) bool {
		for i, e := range edits {
			if e.name == k.String() {
				if e.text != nil && !used[i] {
					add(k.Raw, e.text)
				}
				used[i] = true
				return true
			}
		}
		add(k.Raw, []byte(val.Raw))
		return true
	})
	for i, e := range edits {
		if !used[i] && e.text != nil {
			add(fmt.Sprintf("%q", e.name), e.text)
		}
	}
	return append(out, '}')
}
