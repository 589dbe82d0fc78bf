package settings

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Size is a number of bytes, written like 256MiB.
type Size int64

var sizeUnits = []struct {
	name string
	size Size
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3}, {"B", 1},
}

// UnmarshalText reads a whole number followed by a unit: B, KB, MB, GB (powers of
// 1,000) or KiB, MiB, GiB (powers of 1,024).
func (s *Size) UnmarshalText(text []byte) error {
	in := strings.TrimSpace(string(text))
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(in, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/int64(u.size) {
			break
		}
		*s = Size(n) * u.size
		return nil
	}
	return fmt.Errorf("%q is no size: write a whole number with a unit, like 64KiB or 256MiB", in)
}

// String gives the size in the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits[:3] {
		if s != 0 && s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText is the reverse of UnmarshalText.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Secret is text that never shows itself: it prints, formats and marshals as ***.
type Secret string

// Reveal gives the text. Call it where the text leaves the process, nowhere else.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string { return "***" }

// GoString keeps %#v from showing the text.
func (s Secret) GoString() string { return "***" }

// Format keeps every verb from showing the text.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("***")) }

// MarshalText gives ***.
func (s Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

// A Path is a file name in a pipeline file. The configuration makes it absolute,
// relative to the folder of that file.
type Path string
