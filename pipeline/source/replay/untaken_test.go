package replay

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

// TestUntakenCountsAllThatWasRead: also the block that finds no place while nobody takes any, as in a pause.
func TestUntakenCountsAllThatWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &tens{}
		s := newStream(func() (io.ReadCloser, error) { return in, nil })
		s.wait = t.Context()
		if n, err := s.Read(make([]byte, 4)); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got, want := s.untaken(), int64(10*in.reads-4); in.reads < 1+streamAhead || got != want {
			t.Errorf("%d bytes of %d reads are left, want %d", got, in.reads, want)
		}
	})
}

// tens gives ten bytes a read, without end.
type tens struct{ reads int }

func (t *tens) Read(p []byte) (int, error) {
	t.reads++
	return copy(p, strings.Repeat("x", 10)), nil
}
func (*tens) Close() error { return nil }
