package pipeline

import (
	"errors"
	"math"
	"slices"
	"strconv"
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
// methods return, are valid until the record has its outcome. [Record.Clone] gives a copy
// that is a record of its own. A copy by assignment shares its edits with the original until
// the copy itself is changed: up to then the original must not be changed, nor initialized
// again.
//
// It is kept to two cache lines and five pointers, because every record in flight is written,
// handed from core to core, and scanned by the collector (BenchmarkP1). What only some records
// need stands beside it, in extras.
type Record struct {
	Position
	// Part numbers the records that a split made of one, from 1; 0: not a part.
	Part int32

	state   jsonState // what is known of the value; object: its first fields are in extras.index
	live    bool      // extras are about this record; else they are room that an earlier one has left
	touched bool      // the record may hold another amount of memory than was charged for it last

	// Time is in milliseconds since 1970 UTC, or NoTime.
	Time    int64
	key     []byte
	headers []Header
	value   []byte  // as set last, edits not applied; nil: tombstone
	extras  *extras // nil: none
}

// Init makes r the record that a source has read. It keeps the slices. A nil value
// is a tombstone; an empty one is not. A nil key is none, which is not an empty one.
func (r *Record) Init(pos Position, key, value []byte, headers []Header, time int64) {
	r.Position, r.Part, r.Time = pos, 0, time
	r.key, r.headers, r.value = key, headers[:len(headers):len(headers)], value // appending to the headers copies them
	r.state, r.live, r.touched = unchecked, false, false
}

// Clone gives a copy of r that is a record of its own: neither sees what is changed in the
// other. The bytes are shared, and valid as long as those of r.
func (r *Record) Clone() *Record {
	c := new(Record)
	r.copyTo(c)
	return c
}

// Key gives the key; nil when there is none, which is not the same as empty. It must not
// be changed.
func (r *Record) Key() []byte { return r.key }

// SetKey replaces the key. It keeps b; nil: the record has none.
func (r *Record) SetKey(b []byte) {
	if x := r.own(); !x.hasKey {
		x.hasKey, x.key = true, r.key
	}
	r.key, r.touched = b, true
}

// Headers gives the headers in the order in which they came; names may repeat. The slice
// must not be changed: SetHeaders takes a new one.
func (r *Record) Headers() []Header { return r.headers }

// SetHeaders replaces the headers. It keeps h.
func (r *Record) SetHeaders(h []Header) {
	if x := r.own(); !x.hasHeaders {
		x.hasHeaders, x.headers = true, r.headers
	}
	r.headers, r.touched = h, true
}

// SetTime replaces the time, in milliseconds since 1970 UTC, or NoTime. Unlike writing to Time, it
// remembers what the source gave, for OriginalTime.
func (r *Record) SetTime(ms int64) {
	if x := r.own(); !x.hasTime {
		x.hasTime, x.time = true, r.Time
	}
	r.Time = ms
}

// OriginalTime gives the time as the source gave it.
func (r *Record) OriginalTime() int64 {
	if x := r.extras; r.live && x.hasTime {
		return x.time
	}
	return r.Time
}

// Tombstone says whether the value is null.
func (r *Record) Tombstone() bool { return r.value == nil }

// Value gives the value with all edits applied; nil for a tombstone. It is valid
// until the next edit and must not be changed.
func (r *Record) Value() []byte {
	if r.Edited() {
		out := make([]byte, 0, len(r.value)+r.growth())
		r.put(r.splice(out))
	}
	return r.value
}

// Edited says whether Value would have to put in edits, for which it allocates. A caller with
// room for the bytes avoids that with AppendValue.
func (r *Record) Edited() bool { return len(r.edits()) > 0 }

// AppendValue appends what Value gives to dst, without keeping it.
func (r *Record) AppendValue(dst []byte) []byte {
	if !r.Edited() {
		return append(dst, r.value...)
	}
	out := r.splice(dst)
	r.own().written = len(out) - len(dst)
	return out
}

// sent is how many bytes the value had that a sink was given last, by Value or AppendValue.
func (r *Record) sent() int {
	if r.Edited() && r.extras.written > 0 {
		return r.extras.written
	}
	return len(r.value)
}

// Size is how many bytes key, value and headers take, edits not applied.
func (r *Record) Size() int {
	n := len(r.key) + len(r.value)
	for i := range r.headers {
		n += len(r.headers[i].Name) + len(r.headers[i].Value)
	}
	return n
}

// SetValue replaces the value and forgets all edits. It keeps b.
func (r *Record) SetValue(b []byte) {
	r.put(b)
	r.extras.changing = true
}

// put replaces the bytes of the value, edits put in or forgotten.
func (r *Record) put(b []byte) {
	x := r.own()
	if !x.hasValue {
		x.hasValue, x.value = true, r.value
	}
	r.value, r.state, r.touched, x.edits, x.cuts = b, unchecked, true, x.edits[:0], x.cuts[:0]
}

// Original gives key, value and headers as the source gave them.
func (r *Record) Original() (key, value []byte, headers []Header) {
	key, value, headers = r.key, r.value, r.headers
	if r.live {
		key, value, headers = r.extras.original.or(key, value, headers)
	}
	return key, value, headers
}

var (
	errInvalidJSON = Reject(ReasonInvalidJSON, errors.New("reading a field: the value is not valid JSON"))
	errTooDeep     = Reject(ReasonInvalidJSON, errors.New("reading a field: the value is nested deeper than 10,000"))
	errNoFields    = Reject(ReasonNotObject, errors.New("reading a field: the value is no JSON object"))
	errNotObject   = Reject(ReasonNotObject, errors.New("editing a field: the value is no JSON object"))
)

// Field gives the JSON text of a top-level field, nil when it is missing or the
// value is a tombstone. name is taken literally. Of duplicate keys the first counts.
// The first call checks the whole value; invalid JSON is a permanent error with
// ReasonInvalidJSON, a value that is no object one with ReasonNotObject: read as nil,
// an array would be filtered by a condition that was never about it.
func (r *Record) Field(name string) ([]byte, error) {
	if r.state != object {
		if r.value == nil {
			return nil, nil
		}
		if err := r.readable(); err != nil {
			return nil, err
		}
	}
	x := r.own()
	for i := range x.edits {
		if x.edits[i].name == name {
			return r.settled(x, i), nil
		}
	}
	if text, end, ok := r.find(x, name); ok {
		return r.value[text:end:end], nil
	}
	return nil, nil
}

// CheckJSON says whether the value is JSON, of whatever kind, for callers that do not read
// fields. A tombstone is no error. Errors are those of Field.
func (r *Record) CheckJSON() error {
	if r.value == nil {
		return nil
	}
	return r.check()
}

// CheckObject says whether fields can be edited: whether the value is a JSON object. A
// tombstone is no error. Errors are those of SetRaw.
func (r *Record) CheckObject() error {
	_, err := r.editable()
	return err
}

// Fields calls yield for each top-level field with its JSON text, edits applied,
// until yield returns false. A tombstone has none. Of duplicate keys the first counts.
// yield may edit r; it goes on seeing the fields as they were. Errors are those of
// Field.
func (r *Record) Fields(yield func(name string, text []byte) bool) error {
	if r.value == nil {
		return nil
	}
	if err := r.readable(); err != nil {
		return err
	}
	r.settleAll()
	edits, seen := slices.Clone(r.edits()), names{}
	it := r.members()
	index := *it.index // a copy: yield may set another value
	for it.index = &index; it.next(); {
		name := it.name()
		if !seen.add(name) {
			continue
		}
		text := it.value[it.text:it.end:it.end]
		if i := editOf(edits, name); i >= 0 {
			if text = edits[i].text; text == nil {
				continue
			}
		}
		if !yield(name, text) {
			return nil
		}
	}
	for _, e := range edits {
		if e.text != nil && seen.add(e.name) && !yield(e.name, e.text) {
			return nil
		}
	}
	return nil
}

// names are the names of the fields that Fields has come to.
type names struct {
	few  []string        // all of them, while they are few
	many map[string]bool // all of them, from then on; nil before
}

// add says whether name is new.
func (n *names) add(name string) bool {
	const few = 24 // up to here comparing is cheaper than hashing
	if n.many == nil {
		if slices.Contains(n.few, name) {
			return false
		}
		if n.few = append(n.few, name); len(n.few) <= few {
			return true
		}
		n.many = make(map[string]bool, 4*few)
		for _, f := range n.few {
			n.many[f] = true
		}
		return true
	}
	if n.many[name] {
		return false
	}
	n.many[name] = true
	return true
}
