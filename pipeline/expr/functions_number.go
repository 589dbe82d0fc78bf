package expr

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"time"
)

var numberFunctions = map[string]function{
	"abs":     {params: []mask{mNumber}, least: 1, most: 1, kinds: mNumber, call: absolute},
	"int":     {params: []mask{mNumber | mString | mTime | mDuration}, least: 1, most: 1, kinds: mInt, call: toInt},
	"float":   {params: []mask{mNumber | mString}, least: 1, most: 1, kinds: 1 << kFloat, call: toFloat64},
	"min":     {params: []mask{mNumber | mArray}, least: 1, most: -1, kinds: mNumber | mNil, call: extreme(-1)},
	"max":     {params: []mask{mNumber | mArray}, least: 1, most: -1, kinds: mNumber | mNil, call: extreme(1)},
	"mean":    {params: []mask{mNumber | mArray}, least: 1, most: -1, kinds: mNumber | mNil, call: mean},
	"median":  {params: []mask{mNumber | mArray}, least: 1, most: -1, kinds: mNumber | mNil, call: median},
	"bitand":  {params: []mask{mInt}, least: 2, most: 2, kinds: mInt, call: bitwise(func(a, b int64) int64 { return a & b })},
	"bitor":   {params: []mask{mInt}, least: 2, most: 2, kinds: mInt, call: bitwise(func(a, b int64) int64 { return a | b })},
	"bitxor":  {params: []mask{mInt}, least: 2, most: 2, kinds: mInt, call: bitwise(func(a, b int64) int64 { return a ^ b })},
	"bitnand": {params: []mask{mInt}, least: 2, most: 2, kinds: mInt, call: bitwise(func(a, b int64) int64 { return a &^ b })},
	"bitnot":  {params: []mask{mInt}, least: 1, most: 1, kinds: mInt, call: func(_ *machine, args []value) (value, error) { return vInt(^args[0].num), allSmall(args) }},
	"bitshl":  {params: []mask{mInt}, least: 2, most: 2, kinds: mInt, call: shift(func(a int64, n uint) int64 { return a << n })},
	"bitshr":  {params: []mask{mInt}, least: 2, most: 2, kinds: mInt, call: shift(func(a int64, n uint) int64 { return a >> n })},
	"bitushr": {params: []mask{mInt}, least: 2, most: 2, kinds: mInt, call: shift(func(a int64, n uint) int64 { return int64(uint64(a) >> n) })},
}

// allSmall refuses integers beyond 64 bits.
func allSmall(args []value) error {
	for _, a := range args {
		if a.kind == kBig {
			return errBig
		}
	}
	return nil
}

func absolute(_ *machine, args []value) (value, error) {
	switch v := args[0]; {
	case v.kind == kFloat:
		return finite(math.Abs(v.float()))
	case v.kind == kBig:
		return value{kind: kBig, text: bytes.TrimPrefix(v.text, []byte("-"))}, nil
	case v.num == math.MinInt64:
		return vNil, errOverflow
	case v.num < 0:
		return vInt(-v.num), nil
	}
	return args[0], nil
}

// toInt is int(x): the whole part of a number, a decimal text, the milliseconds since
// 1970 of a date, those of a duration.
func toInt(m *machine, args []value) (value, error) {
	switch v := args[0]; v.kind {
	case kFloat:
		f := math.Trunc(v.float())
		if f < -1<<63 || f >= 1<<63 {
			return vNil, errOverflow
		}
		return vInt(int64(f)), nil
	case kString:
		text, err := m.text(v)
		if err != nil {
			return vNil, err
		}
		n, err := strconv.ParseInt(string(text[:min(len(text), 40)]), 10, 64)
		if err != nil || len(text) > 40 {
			return vNil, fault("the text is no 64-bit integer")
		}
		return vInt(n), nil
	case kTime, kDuration:
		return vInt(floorDiv(v.num, int64(time.Millisecond))), nil
	case kBig:
		return vNil, errBig
	default:
		return v, nil
	}
}

func floorDiv(a, b int64) int64 {
	if a%b < 0 {
		return a/b - 1
	}
	return a / b
}

func toFloat64(m *machine, args []value) (value, error) {
	v := args[0]
	if v.kind == kInt || v.kind == kFloat {
		return finite(toFloat(v))
	}
	text := v.text
	if v.kind == kString {
		var err error
		if text, err = m.text(v); err != nil {
			return vNil, err
		}
	}
	if len(text) > 1000 {
		return vNil, fault("the text is no number")
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return vNil, fault("the text is no number")
	}
	return vFloat(f), nil
}

// numbers gives all numbers of the arguments, with those in arrays.
func numbers(m *machine, args []value) ([]value, error) {
	var out []value
	for _, a := range args {
		if a.is(mNumber) {
			out = append(out, a)
			continue
		}
		all, err := list(m, a)
		if err != nil {
			return nil, err
		}
		for i, v := range all {
			if !v.is(mNumber) {
				return nil, faultf("element %d is %s, not a number", i, v.kind.name())
			}
		}
		out = append(out, all...)
	}
	return out, m.grow(valueBytes * len(out))
}

// extreme is min and max; of nothing it is nil.
func extreme(want int) func(*machine, []value) (value, error) {
	return func(m *machine, args []value) (value, error) {
		all, err := numbers(m, args)
		if err != nil || len(all) == 0 {
			return vNil, err
		}
		best := all[0]
		for _, v := range all[1:] {
			c, err := compareNumbers(v, best)
			if err != nil {
				return vNil, err
			}
			if c == want {
				best = v
			}
		}
		return best, nil
	}
}

func mean(m *machine, args []value) (value, error) {
	all, err := numbers(m, args)
	if err != nil || len(all) == 0 {
		return vNil, err
	}
	sum := 0.0
	for _, v := range all {
		if v.kind == kBig {
			return vNil, errBig
		}
		sum += toFloat(v)
	}
	return finite(sum / float64(len(all)))
}

func median(m *machine, args []value) (value, error) {
	all, err := numbers(m, args)
	if err != nil || len(all) == 0 {
		return vNil, err
	}
	if err := allSmall(all); err != nil {
		return vNil, err
	}
	sorted := make([]float64, len(all))
	for i, v := range all {
		sorted[i] = toFloat(v)
	}
	slices.Sort(sorted)
	n := len(sorted)
	if n%2 == 1 {
		return finite(sorted[n/2])
	}
	return finite((sorted[n/2-1] + sorted[n/2]) / 2)
}

func bitwise(f func(a, b int64) int64) func(*machine, []value) (value, error) {
	return func(_ *machine, args []value) (value, error) {
		return vInt(f(args[0].num, args[1].num)), allSmall(args)
	}
}

func shift(f func(a int64, n uint) int64) func(*machine, []value) (value, error) {
	return func(_ *machine, args []value) (value, error) {
		if err := allSmall(args); err != nil {
			return vNil, err
		}
		if args[1].num < 0 {
			return vNil, fault("a negative shift")
		}
		return vInt(f(args[0].num, uint(min(args[1].num, 64)))), nil
	}
}
