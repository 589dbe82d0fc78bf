package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
)

// Whatever the size that was announced, and in whatever pieces it comes, a body is read to its end or
// to the limit, and one that is cut is an error.
func TestBodiesAreReadToTheirEndOrTheLimit(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789"), 300)
	cut := errors.New("cut")
	for _, length := range []int{0, 1, 511, 512, 513, 3000} {
		for _, size := range []int64{-1, 0, int64(length) - 1, int64(length), int64(length) + 1, 10000} {
			for _, most := range []int64{1, int64(length), int64(length) + 1, 1 << 20} {
				if most < 1 {
					continue
				}
				for name, pieces := range map[string]func(io.Reader) io.Reader{
					"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader,
					"end with the data": iotest.DataErrReader,
				} {
					what := fmt.Sprintf("%d bytes, announced as %d, at most %d, %s", length, size, most, name)
					got, err := readMost(pieces(bytes.NewReader(text[:length])), size, most)
					if err != nil || !bytes.Equal(got, text[:min(int64(length), most)]) {
						t.Errorf("%s: %d bytes, %v", what, len(got), err)
					}
					got, err = readMost(pieces(io.MultiReader(bytes.NewReader(text[:length]), iotest.ErrReader(cut))), size, most)
					if int64(length) < most && !errors.Is(err, cut) || !bytes.Equal(got, text[:min(int64(length), most)]) {
						t.Errorf("%s, and cut: %d bytes, %v", what, len(got), err)
					}
				}
			}
		}
	}
	if _, err := readMost(iotest.ErrReader(fmt.Errorf("within: %w", io.EOF)), -1, 10); err == nil {
		t.Error("an end within another error is taken for the end of the body")
	}
}

func TestABodyOfKnownSizeTakesNoMoreMemoryThanIt(t *testing.T) {
	body := make([]byte, 5000)
	got, err := readMost(bytes.NewReader(body), 5000, 1<<20)
	if err != nil || len(got) != 5000 || cap(got) > 5001 {
		t.Errorf("%d bytes in %d, %v", len(got), cap(got), err)
	}
}
