package jsontext

import (
	"encoding/json"
	"math/bits"
	"strings"
	"testing"
)

// sameValidity holds the check of a value against encoding/json.
func sameValidity(t *testing.T, value []byte) {
	t.Helper()
	if got, want := Valid(append([]byte{}, value...)), json.Valid(value); got != want {
		t.Fatalf("%q is valid: %v, for encoding/json: %v", value, got, want)
	}
}

// FuzzValid: any bytes are right or wrong as they are for encoding/json, also those that
// are no UTF-8.
func FuzzValid(f *testing.F) {
	for _, s := range []string{`{"service":"checkout-api","user":{"id":9007199254740993},"items":[{"price":19.90},1e-3],"ok":true,"\u00e9":null}`, `{"a":-12345678.5e-12345678,"b":"0123456\"89"}`, "{\"\xff\xfe\":\"\x80\"}", `{"a":"\u00e9\ud83d\ude00"} `, "[\"a\tb\"]", `{"a":12345678901}`, `"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if len(value) < maxDepth { // deeper than encoding/json goes
			sameValidity(t, value)
		}
	})
}

// TestEachByteCounts puts each byte in each place of a value: what looks at eight bytes
// at a time sees all eight.
func TestEachByteCounts(t *testing.T) {
	value := []byte(`{"date":"2001/01/01 00:47","delay":-66,"distance":1750123456789,"f":1234567.25e+12345678,"a\u00e9":["DTW","\n",true,null,{}], "pad":"xxxxxxxxxxxxxxxxx"}`)
	sameValidity(t, value)
	for i := range value {
		was := value[i]
		for b := range 256 {
			value[i] = byte(b)
			sameValidity(t, value)
		}
		value[i] = was
		sameValidity(t, value[:i])
	}
}

// TestStringAndNumberLengths: every length, so that each ends at each place of a word.
func TestStringAndNumberLengths(t *testing.T) {
	for n := range 40 {
		for _, piece := range []string{"x", "ü", `\n`, "7", "\xff", "\x1f", "\x7f"} {
			text := strings.Repeat(piece, n)
			for _, value := range []string{`{"k":"` + text + `"}`, `{"` + text + `":1}`, `["` + text + `", 1]`, `"` + text, `{"n":1` + text + `}`, `[-0.` + text + `]`, `[1e` + text + `,0]`, `1` + text} {
				sameValidity(t, []byte(value))
			}
		}
	}
}

// TestEightBytes: the lowest byte that special and noDigit name is the first one there
// is, whatever stands behind it.
func TestEightBytes(t *testing.T) {
	first := func(m uint64) int { return bits.TrailingZeros64(m) >> 3 } // 8: none
	for b := range uint64(256) {
		for place := range 8 {
			for _, behind := range []uint64{0, 'x' * ones, '"' * ones, '0' * ones, '9' * ones, 0xff * ones, 0x80 * ones} {
				keep := uint64(1)<<(8*place) - 1 // what is before
				x := b<<(8*place) | behind&^(keep<<8|0xff)
				want := 8
				for i := place; i < 8 && want == 8; i++ {
					if !ordinary[byte(x>>(8*i))] {
						want = i
					}
				}
				if got := first(special(x | 'x'*ones&keep)); got != want {
					t.Fatalf("special of %#x behind %d ordinary bytes: %d, want %d", x, place, got, want)
				}
				want = 8
				for i := place; i < 8 && want == 8; i++ {
					if c := byte(x >> (8 * i)); c < '0' || c > '9' {
						want = i
					}
				}
				if got := first(noDigit(x | '5'*ones&keep)); got != want {
					t.Fatalf("noDigit of %#x behind %d digits: %d, want %d", x, place, got, want)
				}
			}
		}
	}
}

func TestTooDeep(t *testing.T) {
	nested := func(n int, within string) string {
		return " " + strings.Repeat(`[{"[[\"":`, n/2) + within + strings.Repeat("}]", n/2)
	}
	for text, want := range map[string]bool{
		"": false, " ": false, "x": false, `"`: false, `["`: false, `[1]]]`: false, nested(10_000, "1"): false, nested(10_000, "[1]"): true, nested(20_000, "1"): true,
		"1" + nested(20_000, "1"): false, `[]` + nested(20_000, "1"): false, strings.Repeat("[]", 20_000): false, strings.Repeat("[", 20_000): true,
	} {
		if TooDeep([]byte(text)) != want {
			t.Errorf("%.40s… of %d bytes: %v", text, len(text), !want)
		}
	}
}
