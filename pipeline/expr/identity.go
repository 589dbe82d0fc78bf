package expr

import (
	"encoding/binary"
	"math"
	"math/big"
	"slices"
	"strconv"

	"github.com/penstockio/penstock/pipeline"
)

// Identity evaluates to bytes that are the same for two values exactly when == holds
// between them: 1 and 1.0 are, 1 and "1" are not, and the order of an object's fields
// does not count. nil gives nil. The bytes are for comparing within one process, and
// are the caller's.
func (e *Expr) Identity(rec *pipeline.Record) ([]byte, error) {
	return e.render(rec, func(m *machine, dst []byte, v value) ([]byte, error) { return identity(m, dst, v, 0) })
}

// identity appends a text of v that shows where it ends, so that what follows cannot be
// taken for a part of it.
func identity(m *machine, dst []byte, v value, depth int) ([]byte, error) {
	if err := m.step(len(v.text) / 64); err != nil {
		return dst, err
	}
	if depth > maxDepth+10_000 { // what an expression builds around the deepest record
		return dst, m.limit("comparing more than 10,000 levels")
	}
	switch v.kind {
	case kBool, kTime, kDuration:
		return strconv.AppendInt(append(dst, 'a'+byte(v.kind)), v.num, 10), nil
	case kInt, kFloat, kBig:
		return append(number(append(dst, '#'), v), ';'), nil
	case kString:
		return identityOfText(dst, v.plainText()), nil
	case kArray, kList:
		return identityOfArray(m, dst, v, depth)
	case kObject, kMap:
		return identityOfObject(m, dst, v, depth)
	}
	return append(dst, 'n'), nil
}

// number appends the exact value of a number; of one beyond float64 its text, as == compares
// those by their text too.
func number(dst []byte, v value) []byte {
	if v.kind == kInt {
		return strconv.AppendInt(dst, v.num, 10)
	}
	if v.kind == kBig {
		return append(dst, v.text...)
	}
	f := v.float()
	switch {
	case math.IsInf(f, 0):
		return append(append(dst, 'x'), v.text...)
	case f != math.Trunc(f):
		return strconv.AppendFloat(dst, f, 'g', -1, 64)
	case f >= -1<<63 && f < 1<<63:
		return strconv.AppendInt(dst, int64(f), 10)
	}
	whole, _ := new(big.Float).SetFloat64(f).Int(nil)
	return whole.Append(dst, 10)
}

func identityOfText(dst, text []byte) []byte {
	return append(binary.AppendUvarint(append(dst, '"'), uint64(len(text))), text...)
}

func identityOfArray(m *machine, dst []byte, v value, depth int) ([]byte, error) {
	dst = append(dst, '[')
	for it := elements(m, v); ; {
		item, ok, err := it.next()
		if err != nil {
			return dst, err
		}
		if !ok {
			return append(dst, ']'), nil
		}
		if dst, err = identity(m, dst, item, depth+1); err != nil {
			return dst, err
		}
	}
}

func identityOfObject(m *machine, dst []byte, v value, depth int) ([]byte, error) {
	o, err := object(m, v)
	if err != nil {
		return dst, err
	}
	names := slices.Sorted(slices.Values(o.names))
	dst = append(dst, '{')
	for _, name := range names {
		i, _ := o.find(name)
		dst = identityOfText(dst, []byte(name))
		if dst, err = identity(m, dst, o.items[i], depth+1); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}
