package textformat

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// TestLZ4Block: what package lz4 makes is read, as it reads it.
func TestLZ4Block(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		data := make([]byte, random.IntN(3000))
		for i := range data {
			if data[i] = byte(random.IntN(1 + random.IntN(40))); i > 20 && random.IntN(3) > 0 {
				data[i] = data[i-1-random.IntN(20)]
			}
		}
		packed, err := AppendLZ4Block([]byte("before"), data)
		if err != nil || !bytes.HasPrefix(packed, []byte("before")) {
			t.Fatal(err)
		}
		packed = packed[len("before"):]
		theirs := make([]byte, len(data))
		if n, err := lz4.UncompressBlock(packed, theirs); err != nil || !bytes.Equal(theirs[:n], data) {
			t.Fatalf("package lz4 gives %d bytes of %d, %v", n, len(data), err)
		}
		out, err := AppendFromLZ4Block([]byte("before"), packed, len(data))
		if err != nil || !bytes.Equal(out, append([]byte("before"), data...)) {
			t.Fatalf("%d bytes came back as %d, %v", len(data), len(out), err)
		}
		if len(data) > 0 {
			if got := outcome(AppendFromLZ4Block([]byte("before"), packed, len(data)-1)); !strings.HasPrefix(got, "!what is compressed has more than") {
				t.Errorf("one byte too many: %.100s", got)
			}
		}
		// What is damaged is an error or other bytes, and never more than the bound.
		packed[random.IntN(len(packed))] ^= 1 << random.IntN(8)
		packed = packed[:len(packed)-random.IntN(2)]
		mine, err := AppendFromLZ4Block([]byte("before"), packed, len(data))
		n, wrong := lz4.UncompressBlock(packed, theirs)
		if wrong == nil && len(packed) > 0 && (err != nil || !bytes.Equal(mine[len("before"):], theirs[:n])) || err != nil && string(mine) != "before" || len(mine) > len("before")+len(data) {
			t.Fatalf("damaged: %d bytes, %v; package lz4 says %v", len(mine), err, wrong)
		}
	}
	for text, want := range map[string]string{
		"":                                  "!column 1: the lz4 block ends too early",
		"\x00":                              "",
		"\x30abc":                           "abc",
		"\x40abc":                           "!column 1: the lz4 block ends too early",
		"\xf0":                              "!column 1: the lz4 block ends too early",
		"\xf0\xff":                          "!column 1: the lz4 block ends too early",
		"\x14a\x01":                         "!column 3: the lz4 block ends too early",
		"\x14a\x01\x00":                     "!column 4: the lz4 block ends too early",
		"\x14a\x01\x00\x10b":                "aaaaaaaaab",
		"\x14a\x02\x00\x10b":                "!column 3: the lz4 block refers to what is not before it",
		"\x14a\x00\x00\x10b":                "!column 3: the lz4 block refers to what is not before it",
		"\x1fa\x01\x00\xff\xff\xff\x00\x00": "!what is compressed has more than 100 bytes",
	} {
		if got := outcome(AppendFromLZ4Block([]byte("before"), []byte(text), 100)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
