package expr

import (
	"math"
	"strconv"
	"strings"
)

// noRounding is when the functions that round fail.
const noRounding = "digits are below -400 or above 400, or the result is beyond float64 or 64 bits"

var roundingFunctions = map[string]function{
	"round": {params: []mask{mNumber, mInt}, least: 1, most: 2, kinds: mNumber, call: rounding(halfUp, math.Round), manual: manual{
		usage: "round(number, digits?)",
		says:  "the number with so many digits behind the point, 0 without the argument, halves away from 0; negative digits round to tens, hundreds and so on, and the digits that count are those that are written: 1.005 is no 1.00499",
		fails: noRounding,
		examples: []Example{
			{`round(2.5)`, `3`}, {`round(-1.005, 2)`, `-1.01`}, {`round(1250, -2)`, `1300`},
		},
	}},
	"floor": {params: []mask{mNumber, mInt}, least: 1, most: 2, kinds: mNumber, call: rounding(downward, math.Floor), manual: manual{
		usage: "floor(number, digits?)", says: "the number, or the next below it, that has so many digits behind the point, 0 without the argument", fails: noRounding,
		examples: []Example{{`floor(-2.5)`, `-3`}, {`floor(2.79, 1)`, `2.7`}},
	}},
	"ceil": {params: []mask{mNumber, mInt}, least: 1, most: 2, kinds: mNumber, call: rounding(upward, math.Ceil), manual: manual{
		usage: "ceil(number, digits?)", says: "the number, or the next above it, that has so many digits behind the point, 0 without the argument", fails: noRounding,
		examples: []Example{{`ceil(2.1)`, `3`}, {`ceil(2.71, 1)`, `2.8`}},
	}},
	"toFixed": {params: []mask{mNumber, mInt}, least: 2, most: 2, kinds: mString, call: toFixed, manual: manual{
		usage: "toFixed(number, digits)", says: "the number as text with exactly so many digits behind the point, rounded as by round", fails: "digits are below 0 or above 400",
		examples: []Example{{`toFixed(2, 2)`, `"2.00"`}, {`toFixed(-1.005, 2)`, `"-1.01"`}},
	}},
	"formatNumber": {params: []mask{mNumber, mInt, mString, mString}, least: 2, most: 4, kinds: mString, call: formatNumber, manual: manual{
		usage: "formatNumber(number, digits, point?, separator?)", says: "the number as text with exactly so many digits behind the point, and a separator between the thousands; . and , when they are left out", fails: "digits are below 0 or above 400, or point or separator are longer than 100 bytes",
		examples: []Example{{`formatNumber(1234567.891, 2)`, `"1,234,567.89"`}, {`formatNumber(-1234.5, 2, ",", ".")`, `"-1.234,50"`}},
	}},
	"pow": {params: []mask{mNumber}, least: 2, most: 2, kinds: 1 << kFloat, call: onFloats(func(x []float64) float64 { return math.Pow(x[0], x[1]) }), manual: manual{
		usage: "pow(number, exponent)", says: "a power of a number, as ** gives it", fails: "the result is no number of float64",
		examples: []Example{{`pow(2, 10)`, `1024`}, {`pow(-8, 0.5)`, `error: float64`}},
	}},
	"sqrt": {params: []mask{mNumber}, least: 1, most: 1, kinds: 1 << kFloat, call: onFloats(func(x []float64) float64 { return math.Sqrt(x[0]) }), manual: manual{
		usage: "sqrt(number)", says: "the square root of a number", fails: "the number is below 0",
		examples: []Example{{`sqrt(2.25)`, `1.5`}},
	}},
	"exp": {params: []mask{mNumber}, least: 1, most: 1, kinds: 1 << kFloat, call: onFloats(func(x []float64) float64 { return math.Exp(x[0]) }), manual: manual{
		usage: "exp(number)", says: "e to the power of a number", fails: "the result is beyond float64",
		examples: []Example{{`exp(0)`, `1`}},
	}},
	"log": {params: []mask{mNumber}, least: 1, most: 2, kinds: 1 << kFloat, call: onFloats(logarithm), manual: manual{
		usage: "log(number, base?)", says: "the logarithm of a number to a base, or the natural one", fails: "the number is not above 0, or the base is not above 0 or is 1",
		examples: []Example{{`log(1000, 10)`, `3`}, {`log(1)`, `0`}, {`log(0)`, `error: float64`}},
	}},
	"mod": {params: []mask{mNumber}, least: 2, most: 2, kinds: mNumber, call: modulo, manual: manual{
		usage: "mod(number, by)", says: "the rest of a division, of integers as % gives it and of fractions too; it has the sign of the first", fails: "by is 0",
		examples: []Example{{`mod(7.5, 2)`, `1.5`}, {`mod(-7, 3)`, `-1`}},
	}},
	"sign": {params: []mask{mNumber}, least: 1, most: 1, kinds: 1 << kInt, call: signOf, manual: manual{
		usage: "sign(number)", says: "-1, 0 or 1, as the number is below, equal to or above 0",
		examples: []Example{{`sign(-2.5)`, `-1`}},
	}},
	"clamp": {params: []mask{mNumber}, least: 3, most: 3, kinds: mNumber, call: clamp, manual: manual{
		usage: "clamp(number, least, most)", says: "the number, or the nearest of least and most where it is not between them", fails: "least is above most",
		examples: []Example{{`clamp(120, 0, 100)`, `100`}},
	}},
	"parseInt": {params: []mask{mString, mInt}, least: 1, most: 2, kinds: 1 << kInt, call: parseBase, manual: manual{
		usage: "parseInt(text, base?)", says: "the integer that a text says in a base from 2 to 36, or in base 10; letters may be small or capital", fails: "the text is no integer of that base, or does not fit 64 bits",
		examples: []Example{{`parseInt("ff", 16)`, `255`}, {`parseInt("-0777", 8)`, `-511`}, {`parseInt("9", 8)`, `error: no 64-bit integer`}},
	}},
	"formatInt": {params: []mask{mInt}, least: 2, most: 2, kinds: mString, call: formatBase, manual: manual{
		usage: "formatInt(number, base)", says: "an integer as text in a base from 2 to 36, with small letters", fails: "the base is another, or the number is beyond 64 bits",
		examples: []Example{{`formatInt(255, 16)`, `"ff"`}},
	}},
}

// A direction says whether the digits that stay count one up.
type direction func(negative, half, any bool) bool

func halfUp(_, half, _ bool) bool          { return half }
func downward(negative, _, rest bool) bool { return negative && rest }
func upward(negative, _, rest bool) bool   { return !negative && rest }

// maxDigits is more than any float64 has behind its point, written as short as it can be: 1e-320 has 320.
const maxDigits = 400

// A decimal is a number as it is written: its digits, and how many of them stand before the
// point, which may be none of them or more than there are.
type decimal struct {
	negative bool
	digits   []byte
	point    int
}

func toDecimal(v value) decimal {
	var text string
	if v.kind == kInt {
		text = strconv.FormatInt(v.num, 10)
	} else {
		text = strconv.FormatFloat(v.float(), 'e', -1, 64)
	}
	var d decimal
	text, d.negative = strings.CutPrefix(text, "-")
	mantissa, exponent, _ := strings.Cut(text, "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	d.digits, d.point = append([]byte(whole), fraction...), len(whole)
	if e, err := strconv.Atoi(exponent); err == nil {
		d.point += e
	}
	return d
}

// round cuts d behind so many digits after the point.
func (d decimal) round(places int, up direction) decimal {
	keep := d.point + places
	if keep >= len(d.digits) {
		return d
	}
	half, rest := false, false
	if keep >= 0 {
		half = d.digits[keep] >= '5'
	}
	for _, c := range d.digits[max(keep, 0):] {
		rest = rest || c != '0'
	}
	digits := append([]byte{'0'}, d.digits[:max(keep, 0)]...)
	point := d.point + 1
	if keep < 0 {
		point = 1 - places
	}
	if up(d.negative, half, rest) {
		i := len(digits) - 1
		for digits[i] == '9' {
			digits[i] = '0'
			i--
		}
		digits[i]++
	}
	return decimal{d.negative, digits, point}
}

// text writes d with so many digits behind the point, zeros where it has fewer.
func (d decimal) text(places int) []byte {
	var out []byte
	zero := true
	at := func(i int) byte {
		if i < 0 || i >= len(d.digits) {
			return '0'
		}
		return d.digits[i]
	}
	for i := 0; i < d.point; i++ {
		if c := at(i); c != '0' || len(out) > 0 {
			out, zero = append(out, c), false
		}
	}
	if len(out) == 0 {
		out = append(out, '0')
	}
	for i := range places {
		if i == 0 {
			out = append(out, '.')
		}
		c := at(d.point + i)
		out, zero = append(out, c), zero && c == '0'
	}
	if d.negative && !zero {
		out = append([]byte{'-'}, out...)
	}
	return out
}

// rounding makes a function of a number and of digits, from one that whole gives without them.
func rounding(up direction, whole func(float64) float64) caller {
	return func(m *machine, args []value) (value, error) {
		v := args[0]
		if len(args) == 1 {
			if v.kind != kFloat {
				return v, nil
			}
			return finite(whole(v.float()))
		}
		places, err := digitsOf(args[1], -maxDigits)
		if err != nil {
			return vNil, err
		}
		switch {
		case v.kind != kFloat && places >= 0:
			return v, nil
		case v.kind == kBig:
			return vNil, errBig
		case v.kind == kFloat && math.IsInf(v.float(), 0):
			return vNil, errRange
		}
		if err := m.step(16); err != nil {
			return vNil, err
		}
		text := toDecimal(v).round(places, up).text(max(places, 0))
		if v.kind == kInt {
			n, err := strconv.ParseInt(string(text), 10, 64)
			if err != nil {
				return vNil, errOverflow
			}
			return vInt(n), nil
		}
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return vNil, errRange
		}
		return finite(f)
	}
}

// digitsOf reads a number of digits.
func digitsOf(v value, least int) (int, error) {
	if v.kind != kInt || v.num < int64(least) || v.num > maxDigits {
		return 0, faultf("digits are %d to %d", least, maxDigits)
	}
	return int(v.num), nil
}

// fixedDigits gives a number with so many digits.
func fixedDigits(m *machine, v, digits value) ([]byte, error) {
	places, err := digitsOf(digits, 0)
	switch {
	case err != nil:
		return nil, err
	case v.kind == kFloat && math.IsInf(v.float(), 0):
		return nil, errRange
	}
	if err := m.grow(maxDigits + places + len(v.text)); err != nil {
		return nil, err
	}
	if v.kind != kBig {
		return toDecimal(v).round(places, halfUp).text(places), nil
	}
	out := append([]byte(nil), v.text...)
	if places > 0 {
		out = append(append(out, '.'), strings.Repeat("0", places)...)
	}
	return out, nil
}

func toFixed(m *machine, args []value) (value, error) {
	out, err := fixedDigits(m, args[0], args[1])
	return vText(out), err
}

func formatNumber(m *machine, args []value) (value, error) {
	plain, err := fixedDigits(m, args[0], args[1])
	if err != nil {
		return vNil, err
	}
	marks := [][]byte{[]byte("."), []byte(",")}
	for i := 2; i < len(args); i++ {
		if marks[i-2], err = m.text(args[i]); err != nil {
			return vNil, err
		}
		if len(marks[i-2]) > 100 {
			return vNil, fault("what stands in a number is longer than 100 bytes")
		}
	}
	whole, fraction, hasFraction := strings.Cut(string(plain), ".")
	if err := m.grow(len(plain) + len(marks[0]) + len(whole)/3*len(marks[1])); err != nil {
		return vNil, err
	}
	var out []byte
	whole, negative := strings.CutPrefix(whole, "-")
	if negative {
		out = append(out, '-')
	}
	for i := range len(whole) {
		if i > 0 && (len(whole)-i)%3 == 0 {
			out = append(out, marks[1]...)
		}
		out = append(out, whole[i])
	}
	if hasFraction {
		out = append(append(out, marks[0]...), fraction...)
	}
	return vText(out), nil
}

// onFloats makes a function of numbers; a result that is none is an error.
func onFloats(f func(x []float64) float64) caller {
	return func(_ *machine, args []value) (value, error) {
		var x [3]float64
		for i, a := range args {
			if a.kind == kBig {
				return vNil, errBig
			}
			if x[i] = toFloat(a); math.IsInf(x[i], 0) {
				return vNil, errRange
			}
		}
		return finite(f(x[:len(args)]))
	}
}

// logarithm is exact for powers of 2 and of 10.
func logarithm(x []float64) float64 {
	switch {
	case len(x) == 1:
		return math.Log(x[0])
	case x[1] == 2:
		return math.Log2(x[0])
	case x[1] == 10:
		return math.Log10(x[0])
	case x[1] <= 0 || x[1] == 1:
		return math.NaN()
	}
	return math.Log(x[0]) / math.Log(x[1])
}

func modulo(_ *machine, args []value) (value, error) {
	a, b := args[0], args[1]
	switch {
	case a.kind == kBig || b.kind == kBig:
		return vNil, errBig
	case a.kind == kInt && b.kind == kInt:
		n, err := integers("%", a.num, b.num)
		return vInt(n), err
	case toFloat(b) == 0:
		return vNil, errZero
	case math.IsInf(toFloat(a), 0) || math.IsInf(toFloat(b), 0):
		return vNil, errRange
	}
	return finite(math.Mod(toFloat(a), toFloat(b)))
}

func signOf(_ *machine, args []value) (value, error) {
	c, err := compareNumbers(args[0], vInt(0))
	return vInt(int64(c)), err
}

func clamp(_ *machine, args []value) (value, error) {
	v, least, most := args[0], args[1], args[2]
	if c, err := compareNumbers(least, most); err != nil || c > 0 {
		if err == nil {
			err = fault("the least is above the most")
		}
		return vNil, err
	}
	if c, err := compareNumbers(v, least); err != nil || c < 0 {
		return least, err
	}
	if c, err := compareNumbers(v, most); err != nil || c > 0 {
		return most, err
	}
	return v, nil
}

// base reads a base.
func base(v value) (int, error) {
	if v.kind != kInt || v.num < 2 || v.num > 36 {
		return 0, fault("a base is 2 to 36")
	}
	return int(v.num), nil
}

func parseBase(m *machine, args []value) (value, error) {
	b := 10
	if len(args) > 1 {
		var err error
		if b, err = base(args[1]); err != nil {
			return vNil, err
		}
	}
	text, err := m.text(args[0])
	if err != nil {
		return vNil, err
	}
	n, err := strconv.ParseInt(string(text[:min(len(text), 100)]), b, 64)
	if err != nil || len(text) > 100 {
		return vNil, fault("the text is no 64-bit integer of that base")
	}
	return vInt(n), nil
}

func formatBase(m *machine, args []value) (value, error) {
	if err := allSmall(args[:1]); err != nil {
		return vNil, err
	}
	b, err := base(args[1])
	if err != nil {
		return vNil, err
	}
	return vText(strconv.AppendInt(nil, args[0].num, b)), m.grow(65)
}
