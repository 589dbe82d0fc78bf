package bounded

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

var jsonModule = &starlarkstruct.Module{Name: "json", Members: starlark.StringDict{
	"encode": Builtin("json.encode", func(r *Run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var v starlark.Value
		if err := starlark.UnpackPositionalArgs("json.encode", args, kwargs, 1, &v); err != nil {
			return nil, err
		}
		text, err := r.AppendJSON(nil, v)
		if err != nil {
			return nil, err
		}
		return starlark.String(text), r.Take(int64(len(text)))
	}),
	"decode": Builtin("json.decode", func(r *Run, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var s string
		if err := starlark.UnpackPositionalArgs("json.decode", args, kwargs, 1, &s); err != nil {
			return nil, err
		}
		if err := r.both(int64(len(s))); err != nil {
			return nil, err
		}
		text := []byte(s)
		if !jsontext.Valid(text) {
			return nil, say("json.decode: the text is no JSON")
		}
		return r.FromJSON(text[jsontext.Space(text, 0):])
	}),
}}

// FromJSON makes a value of JSON text, which is known to be valid and begins with no space. An integer keeps all its digits, and so
// does any other number: what a float holds exactly, to the last digit that stands there, becomes one, and the rest a Decimal. Of
// several members of one name the first counts.
func (r *Run) FromJSON(text []byte) (starlark.Value, error) { return r.fromJSON(text, 0) }

func (r *Run) fromJSON(text []byte, depth int) (starlark.Value, error) {
	if depth > MaxDepth {
		return nil, errDeep
	}
	switch text[0] {
	case '{':
		return r.fromObject(text, depth)
	case '[':
		return r.fromArray(text, depth)
	case '"':
		if err := r.both(bytesSmall + 2*int64(len(text))); err != nil {
			return nil, err
		}
		return starlark.String(strings.Clone(jsontext.Unquote(text))), nil
	case 't':
		return starlark.True, nil
	case 'f':
		return starlark.False, nil
	case 'n':
		return starlark.None, nil
	}
	if err := r.Take(bytesSmall + int64(len(text))); err != nil {
		return nil, err
	}
	return numberOf(string(text)), nil
}

// container counts what it takes to go through the text of an object or an array, which is done for each that it stands in too.
func (r *Run) container(text []byte, bytes int64) error {
	if err := r.Work(int64(len(text)) >> 6); err != nil {
		return err
	}
	return r.Take(bytes)
}

func (r *Run) fromObject(text []byte, depth int) (starlark.Value, error) {
	if err := r.container(text, bytesDict); err != nil {
		return nil, err
	}
	d, err := new(starlark.Dict), error(nil)
	jsontext.Members(text, func(name, value []byte) bool {
		if err = r.Take(bytesEntry + 2*int64(len(name))); err != nil {
			return false
		}
		if err = r.Work(1); err != nil {
			return false
		}
		k := starlark.String(strings.Clone(jsontext.Unquote(name)))
		var twice bool
		if _, twice, err = r.Get(d, k); twice || err != nil {
			return err == nil
		}
		var v starlark.Value
		if v, err = r.fromJSON(value, depth+1); err == nil {
			before := d.Len()
			if err = d.SetKey(k, v); err == nil {
				r.grown(d, k, before)
			}
		}
		return err == nil
	})
	return d, err
}

func (r *Run) fromArray(text []byte, depth int) (starlark.Value, error) {
	if err := r.container(text, bytesList); err != nil {
		return nil, err
	}
	var all []starlark.Value
	var err error
	jsontext.Elements(text, func(e []byte) bool {
		if err = r.Take(3 * bytesSlot); err != nil {
			return false
		}
		if err = r.Work(1); err != nil {
			return false
		}
		var v starlark.Value
		v, err = r.fromJSON(e, depth+1)
		all = append(all, v)
		return err == nil
	})
	return starlark.NewList(all), err
}

// numberOf makes a number of its JSON text.
func numberOf(text string) starlark.Value {
	if strings.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(text, 64)
		if err == nil && sameDigits(text, f) {
			return starlark.Float(f)
		}
		return Decimal(text)
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return starlark.MakeInt64(n)
	}
	if len(text) > maxBits/4 {
		return Decimal(text)
	}
	n, _ := new(big.Int).SetString(text, 10)
	return starlark.MakeBigInt(n)
}

// sameDigits says whether a float is written with the digits of the text again, those that count.
func sameDigits(text string, f float64) bool {
	is, n := significant(text)
	if n <= 15 && math.Abs(f) > 1e-290 && math.Abs(f) < 1e290 || n == 0 && f == 0 {
		return true
	}
	again, _ := significant(strconv.FormatFloat(f, 'e', -1, 64))
	return is == again
}

// significant gives the digits of a number without zeros at both ends.
func significant(text string) (string, int) {
	text = strings.TrimPrefix(text, "-")
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		text = text[:i]
	}
	digits := strings.Trim(strings.Replace(text, ".", "", 1), "0")
	return digits, len(digits)
}

// AppendJSON appends a value as JSON text. A list and a tuple are an array, and a dict with texts as keys an object. A float is written
// with as few digits as read back as it. What JSON has nothing for is an error.
func (r *Run) AppendJSON(dst []byte, v starlark.Value) ([]byte, error) {
	w := jsonWriter{r: r, out: dst, from: len(dst)}
	err := w.write(v, 0)
	return w.out, err
}

type jsonWriter struct {
	r    *Run
	out  []byte
	from int // where it begins in out
	room int // bytes that were counted for it, as if there had been none before: the same for each record
}

// need makes room for n bytes more. What it grows to is counted each time, as what was there before is garbage then.
func (w *jsonWriter) need(n int) error {
	used := len(w.out) - w.from
	if used+n <= w.room {
		return nil
	}
	room := max(2*w.room, used+n, leastRoom)
	if err := w.r.Take(int64(room)); err != nil {
		return err
	}
	w.room, w.out = room, slices.Grow(w.out, room-used)
	return nil
}

const (
	leastRoom = 64
	shortText = 48 // more than a float, a bool and an integer of 64 bits have, with what stands beside them
)

func (w *jsonWriter) write(v starlark.Value, depth int) error {
	if depth > MaxDepth {
		return errDeep
	}
	if err := w.need(shortText); err != nil {
		return err
	}
	if err := w.r.Work(1); err != nil {
		return err
	}
	switch v := v.(type) {
	case starlark.NoneType:
		w.out = append(w.out, "null"...)
	case starlark.Bool:
		w.out = strconv.AppendBool(w.out, bool(v))
	case starlark.Int:
		if n, ok := v.Int64(); ok {
			w.out = strconv.AppendInt(w.out, n, 10)
		} else {
			if err := w.r.both(maxBits / 3); err != nil {
				return err
			}
			if err := w.need(maxBits/3 + shortText); err != nil {
				return err
			}
			w.out = v.BigInt().Append(w.out, 10)
		}
	case starlark.Float:
		return w.float(float64(v))
	case Decimal:
		if err := w.need(len(v) + shortText); err != nil {
			return err
		}
		w.out = append(w.out, v...)
	case starlark.String:
		return w.text(string(v))
	case *starlark.List:
		return w.array(v, depth)
	case starlark.Tuple:
		return w.array(v, depth)
	case *starlark.Dict:
		return w.object(v, depth)
	case starlark.Bytes:
		return say("bytes have no place in JSON: write str(x) where they are text")
	default:
		return say("a %s has no place in JSON", v.Type())
	}
	return nil
}

func (w *jsonWriter) text(s string) error {
	if err := w.r.Work(int64(len(s)) >> 4); err != nil {
		return err
	}
	if err := w.need(quoted(s) + shortText); err != nil {
		return err
	}
	w.out = jsontext.AppendString(w.out, s)
	return nil
}

// quoted is how many bytes a text has in JSON, at most.
func quoted(s string) int {
	n := len(s) + 2 + 3*(strings.Count(s, "\u2028")+strings.Count(s, "\u2029"))
	valid := utf8.ValidString(s)
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c >= utf8.RuneSelf && !valid: // \u0001, and \ufffd for a byte that is no UTF-8
			n += 5
		case c == '"', c == '\\':
			n++
		}
	}
	return n
}

func (w *jsonWriter) float(f float64) error {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return say("JSON has no infinity and no NaN")
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	w.out = strconv.AppendFloat(w.out, f, format, -1, 64)
	return nil
}

func (w *jsonWriter) array(v starlark.Indexable, depth int) error {
	w.out = append(w.out, '[')
	for i := range v.Len() {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		if err := w.write(v.Index(i), depth+1); err != nil {
			return err
		}
	}
	w.out = append(w.out, ']')
	return nil
}

func (w *jsonWriter) object(d *starlark.Dict, depth int) error {
	w.out = append(w.out, '{')
	first := true
	for k, v := range d.Entries() {
		if !first {
			w.out = append(w.out, ',')
		}
		first = false
		name, ok := k.(starlark.String)
		if !ok {
			return say("a key of a dict is a %s, and names in JSON are texts", k.Type())
		}
		if err := w.text(string(name)); err != nil {
			return err
		}
		w.out = append(w.out, ':')
		if err := w.write(v, depth+1); err != nil {
			return err
		}
	}
	w.out = append(w.out, '}')
	return nil
}

// A Decimal is a number of JSON that no float holds exactly, as its text. It can be passed on, printed, compared for being the same
// text, and rounded with float; code that calculates with it has to say so.
type Decimal string

var _ starlark.Value = Decimal("")

func (d Decimal) String() string        { return string(d) }
func (Decimal) Type() string            { return "decimal" }
func (Decimal) Freeze()                 {}
func (Decimal) Truth() starlark.Bool    { return true }
func (d Decimal) Hash() (uint32, error) { return starlark.String(d).Hash() }
