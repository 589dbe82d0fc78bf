package recordbatch

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// lender is a Memory that remembers what it gave last.
type lender struct{ last []byte }

func (l *lender) Get(n int) []byte {
	l.last = make([]byte, 0, n)
	return l.last
}
func (*lender) Put([]byte) {}

// A stream of zstd does not say how much it holds, as Java's clients write it. From the
// second on it is read into a buffer of the Memory, which is used again, and does not grow
// out of it.
func TestZstdStreamsAreReadIntoMemory(t *testing.T) {
	var src bytes.Buffer
	w, err := zstd.NewWriter(&src)
	if err != nil {
		t.Fatal(err)
	}
	var plain []byte
	for i := range 40_000 {
		from := len(plain)
		plain = fmt.Appendf(plain, "much alike, and much of it: %d. ", i)
		if _, err := w.Write(plain[from:]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var head zstd.Header
	if err := head.Decode(src.Bytes()); err != nil || head.HasFCS {
		t.Fatalf("%v, %+v", err, head)
	}
	var d Decompressor
	defer d.Close()
	var mem lender
	for i := range 3 {
		out, err := d.decode(CodecZstd, src.Bytes(), 8<<20, &mem)
		if err != nil || len(out) != len(plain) {
			t.Fatal(len(out), err)
		}
		if i > 0 && &out[0] != &mem.last[:1][0] {
			t.Errorf("frame %d has grown out of its buffer", i)
		}
		if cap(out) > 2*len(out) {
			t.Errorf("frame %d takes %d bytes for %d", i, cap(out), len(out))
		}
	}
}
