package expr

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"time"
)

// When several of these functions fail.
const (
	noNumber = "an element of an array is no number"
	noBits   = "an integer is beyond 64 bits"
	noShift  = "n is negative, or the integer is beyond 64 bits"
)

var numberFunctions = map[string]function{
	"abs": {params: []mask{mNumber}, least: 1, most: 1, kinds: mNumber, call: absolute,
		manual: manual{usage: "abs(number)", says: "the number without its sign", fails: "the result is beyond 64 bits",
			examples: []Example{{`abs(-2.5)`, `2.5`}}}},
	"int": {params: []mask{mNumber | mString | mTime | mDuration}, least: 1, most: 1, kinds: mInt, call: toInt,
		manual: manual{usage: "int(value)", says: "the whole part of a number, the number that a text stands for, the milliseconds since 1970 of a date, rounded down, and the whole ones of a duration", fails: "the text is no integer, or the integer is beyond 64 bits",
			examples: []Example{{`int(-2.7)`, `-2`}, {`int("42")`, `42`}, {`int(duration("1m30s"))`, `90000`}, {`int(order.id)`, `error: the text is no 64-bit integer`}}}},
	"float": {params: []mask{mNumber | mString}, least: 1, most: 1, kinds: 1 << kFloat, call: toFloat64,
		manual: manual{usage: "float(value)", says: "the number, or the one that a text stands for, as a float", fails: "the text is no number, as isNumeric has it, or one beyond a float",
			examples: []Example{{`float("1.5") * 2`, `3`}, {`float(order.id)`, `error: the text is no number`}}}},
	"min": {params: []mask{mNumber | mArray}, least: 1, most: -1, kinds: mNumber | mNil, call: extreme(-1),
		manual: manual{usage: "min(number, ...)", says: "the least of the numbers, and of those in arrays; nil when there is none", fails: noNumber,
			examples: []Example{{`min(3, order.total)`, `3`}, {`min(map(items, .price))`, `3`}, {`min([])`, `null`}}}},
	"max": {params: []mask{mNumber | mArray}, least: 1, most: -1, kinds: mNumber | mNil, call: extreme(1),
		manual: manual{usage: "max(number, ...)", says: "the greatest of the numbers, and of those in arrays; nil when there is none", fails: noNumber,
			examples: []Example{{`max(3, order.total)`, `129.50`}, {`max(tags)`, `error: element 0 is a string, not a number`}}}},
	"mean": {params: []mask{mNumber | mArray}, least: 1, most: -1, kinds: mNumber | mNil, call: mean,
		manual: manual{usage: "mean(number, ...)", says: "the mean of the numbers, and of those in arrays; nil when there is none", fails: noNumber,
			examples: []Example{{`mean(map(items, .count))`, `2`}}}},
	"median": {params: []mask{mNumber | mArray}, least: 1, most: -1, kinds: mNumber | mNil, call: median,
		manual: manual{usage: "median(number, ...)", says: "the number in the middle, or the mean of the two there; nil when there is none", fails: noNumber,
			examples: []Example{{`median([3, 1, 2])`, `2`}, {`median([1, 2, 3, 9])`, `2.5`}}}},
	"bitand": {params: []mask{mInt}, least: 2, most: 2, kinds: mInt, call: bitwise(func(a, b int64) int64 { return a & b }),
		manual: manual{usage: "bitand(a, b)", says: "the bits that both integers have", fails: noBits,
			examples: []Example{{`bitand(6, 3)`, `2`}}}},
	"bitor": {params: []mask{mInt}, least: 2, most: 2, kinds: mInt, call: bitwise(func(a, b int64) int64 { return a | b }),
		manual: manual{usage: "bitor(a, b)", says: "the bits that one of the integers has", fails: noBits,
			examples: []Example{{`bitor(6, 3)`, `7`}}}},
	"bitxor": {params: []mask{mInt}, least: 2, most: 2, kinds: mInt, call: bitwise(func(a, b int64) int64 { return a ^ b }),
		manual: manual{usage: "bitxor(a, b)", says: "the bits that only one of the integers has", fails: noBits,
			examples: []Example{{`bitxor(6, 3)`, `5`}}}},
	"bitnand": {params: []mask{mInt}, least: 2, most: 2, kinds: mInt, call: bitwise(func(a, b int64) int64 { return a &^ b }),
		manual: manual{usage: "bitnand(a, b)", says: "the bits of the first integer that the second does not have", fails: noBits,
			examples: []Example{{`bitnand(6, 3)`, `4`}}}},
	"bitnot": {params: []mask{mInt}, least: 1, most: 1, kinds: mInt, call: func(_ *machine, args []value) (value, error) { return vInt(^args[0].num), allSmall(args) },
		manual: manual{usage: "bitnot(a)", says: "the bits that the integer does not have", fails: "the integer is beyond 64 bits",
			examples: []Example{{`bitnot(0)`, `-1`}}}},
	"bitshl": {params: []mask{mInt}, least: 2, most: 2, kinds: mInt, call: shift(func(a int64, n uint) int64 { return a << n }),
		manual: manual{usage: "bitshl(a, n)", says: "the bits of the integer n places to the left", fails: noShift,
			examples: []Example{{`bitshl(1, 4)`, `16`}, {`bitshl(1, int("-1"))`, `error: a negative shift`}}}},
	"bitshr": {params: []mask{mInt}, least: 2, most: 2, kinds: mInt, call: shift(func(a int64, n uint) int64 { return a >> n }),
		manual: manual{usage: "bitshr(a, n)", says: "the bits of the integer n places to the right, with its sign", fails: noShift,
			examples: []Example{{`bitshr(-16, 2)`, `-4`}}}},
	"bitushr": {params: []mask{mInt}, least: 2, most: 2, kinds: mInt, call: shift(func(a int64, n uint) int64 { return int64(uint64(a) >> n) }),
		manual: manual{usage: "bitushr(a, n)", says: "the bits of the integer n places to the right, with zeros from the left", fails: noShift,
			examples: []Example{{`bitushr(-1, 63)`, `1`}}}},
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
	case kDuration:
		return vInt(v.num / int64(time.Millisecond)), nil
	case kTime:
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
	if v.kind == kString && !isNumeric(text) {
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
				return nil, faultf("element %d is %s, not a number", i, v.kind)
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
