package expr

import (
	"bytes"
	"math"
	"math/big"
	"math/bits"
)

const (
	errOverflow = fault("the result does not fit 64 bits")
	errBig      = fault("arithmetic on an integer beyond 64 bits")
	errRange    = fault("arithmetic on a number beyond float64, or with such a result")
	errZero     = fault("division by zero")
)

// arithmetic is + - * / % ** on two numbers. Two integers give an integer, except
// with / and **.
func arithmetic(op string, a, b value) (value, error) {
	if a.kind == kBig || b.kind == kBig {
		return vNil, errBig
	}
	if a.kind == kInt && b.kind == kInt && op != "/" && op != "**" {
		n, err := integers(op, a.num, b.num)
		return vInt(n), err
	}
	if op == "%" {
		return vNil, fault("% needs two integers")
	}
	return floats(op, toFloat(a), toFloat(b))
}

func integers(op string, a, b int64) (int64, error) {
	switch op {
	case "+":
		if c := a + b; (c > a) == (b > 0) {
			return c, nil
		}
	case "-":
		if c := a - b; (c < a) == (b > 0) {
			return c, nil
		}
	case "*":
		if a == 0 || b == 0 {
			return 0, nil
		}
		hi, lo := bits.Mul64(magnitude(a), magnitude(b))
		neg := (a < 0) != (b < 0)
		if hi == 0 && (lo <= math.MaxInt64 || neg && lo == 1<<63) {
			return a * b, nil
		}
	case "%":
		if b == 0 {
			return 0, errZero
		}
		if b == -1 {
			return 0, nil
		}
		return a % b, nil
	}
	return 0, errOverflow
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

func floats(op string, a, b float64) (value, error) {
	if math.IsInf(a, 0) || math.IsInf(b, 0) {
		return vNil, errRange
	}
	var f float64
	switch op {
	case "+":
		f = a + b
	case "-":
		f = a - b
	case "*":
		f = a * b
	case "/":
		if b == 0 {
			return vNil, errZero
		}
		f = a / b
	case "**":
		f = math.Pow(a, b)
	}
	return finite(f)
}

func finite(f float64) (value, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return vNil, errRange
	}
	return vFloat(f), nil
}

func toFloat(v value) float64 {
	if v.kind == kInt {
		return float64(v.num)
	}
	return v.float()
}

// compareNumbers orders two numbers exactly, whatever their kinds.
func compareNumbers(a, b value) (int, error) {
	switch {
	case a.kind == kInt && b.kind == kInt:
		return order(a.num, b.num), nil
	case a.kind == kFloat && b.kind == kFloat:
		x, y := a.float(), b.float()
		if math.IsInf(x, 0) && x == y && !bytes.Equal(a.text, b.text) {
			return 0, fault("comparing two numbers beyond float64")
		}
		return order(x, y), nil
	case a.kind == kBig && b.kind == kBig:
		return compareBig(a.text, b.text), nil
	case a.kind == kBig && b.kind == kInt:
		return sign(a.text), nil
	case a.kind == kInt && b.kind == kBig:
		return -sign(b.text), nil
	case a.kind == kInt:
		return -compareFloat(b.float(), a.num), nil
	case b.kind == kInt:
		return compareFloat(a.float(), b.num), nil
	case a.kind == kBig:
		return compareBigFloat(a.text, b.float())
	default:
		c, err := compareBigFloat(b.text, a.float())
		return -c, err
	}
}

func order[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// compareFloat orders f against n without rounding n.
func compareFloat(f float64, n int64) int {
	switch {
	case f >= 1<<63:
		return 1
	case f < -1<<63:
		return -1
	}
	whole := math.Trunc(f)
	if c := order(int64(whole), n); c != 0 {
		return c
	}
	return order(f-whole, 0)
}

func sign(text []byte) int {
	if text[0] == '-' {
		return -1
	}
	return 1
}

// compareBig orders two integers by their text: JSON allows no leading zeros.
func compareBig(a, b []byte) int {
	s := sign(a)
	if s != sign(b) {
		return s
	}
	if c := order(int64(len(a)), int64(len(b))); c != 0 {
		return c * s
	}
	return bytes.Compare(a, b) * s
}

func compareBigFloat(a []byte, f float64) (int, error) {
	s := sign(a)
	if math.Abs(f) < 1<<63 {
		return s, nil
	}
	if (f < 0) != (s < 0) {
		return s, nil
	}
	const digits = 310 // more than any float64 has
	if math.IsInf(f, 0) {
		if len(a) <= digits-10 {
			return -s, nil
		}
		return 0, fault("comparing two numbers beyond float64")
	}
	if len(a) > digits {
		return s, nil
	}
	n, ok := new(big.Int).SetString(string(a), 10)
	if !ok {
		return 0, errText
	}
	whole, _ := new(big.Float).SetFloat64(f).Int(nil)
	return n.Cmp(whole), nil
}
