package sinks

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/sinks/internal/sinktest"
	"github.com/penstockio/penstock/sinks/lines"
)

func TestStdoutLines(t *testing.T) {
	recs := []*pipeline.Record{
		sinktest.Record(1, `{"a": 1}`), sinktest.Record(2, "{\n \"a\": [1,\r\n 2.50]\n}"), sinktest.Tombstone(3),
		sinktest.Record(4, "plain"), sinktest.Record(5, "two\nlines"), sinktest.Record(6, ""), sinktest.Record(7, `{"b":2}`),
	}
	var out bytes.Buffer
	s, err := NewStdout(StdoutSettings{}, &out, "")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := sinktest.Failures(t, s.Write(t.Context(), recs)), map[int]string{4: lines.ReasonNotOneLine}; !reflect.DeepEqual(got, want) {
		t.Errorf("failures %v, want %v", got, want)
	}
	if got, want := out.String(), "{\"a\": 1}\n{\"a\":[1,2.50]}\nnull\nplain\n\n{\"b\":2}\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}

	out.Reset()
	if s, err = NewStdout(StdoutSettings{As: "fixture"}, &out, "severe"); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), recs[4:5]); err != nil {
		t.Error(err)
	}
	if got, want := out.String(), `{"topic":"t","partition":0,"offset":5,"payload":"two\nlines","sink":"severe"}`+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := NewStdout(StdoutSettings{As: "json"}, &out, ""); err == nil {
		t.Error("as: json is taken")
	}
}

// short takes n bytes, then fails with err, then takes everything.
type short struct {
	bytes.Buffer
	n   int
	err error
}

func (w *short) Write(p []byte) (int, error) {
	if w.err == nil {
		return w.Buffer.Write(p)
	}
	n, _ := w.Buffer.Write(p[:min(w.n, len(p))])
	err := w.err
	w.err = nil
	return n, err
}

func TestStdoutTornLineIsFinished(t *testing.T) {
	for n := 0; n <= 9; n++ {
		w := &short{n: n, err: syscall.EIO}
		s, _ := NewStdout(StdoutSettings{}, w, "")
		recs := []*pipeline.Record{sinktest.Record(1, "one"), sinktest.Record(2, "x\ny"), sinktest.Record(3, "four")}
		failed := sinktest.Failures(t, s.Write(t.Context(), recs))
		if _, again := failed[0]; again == (n >= 4) {
			t.Errorf("%d bytes: record 0 not stored: %v", n, again)
		}
		if failed[1] != lines.ReasonNotOneLine {
			t.Errorf("%d bytes: record 1: %q", n, failed[1])
		}
		if _, again := failed[2]; again == (n >= 9) {
			t.Errorf("%d bytes: record 2 not stored: %v", n, again)
		}
		// A second failure within the rest of the line.
		w.n, w.err = 1, syscall.EIO
		if got := sinktest.Failures(t, s.Write(t.Context(), recs[:1])); len(got) != 1 {
			t.Errorf("%d bytes: second write: %v", n, got)
		}
		if err := s.Write(t.Context(), recs[:1]); err != nil {
			t.Error(err)
		}
		for i, line := range bytes.Split(bytes.TrimSuffix(w.Bytes(), []byte("\n")), []byte("\n")) {
			if string(line) != "one" && string(line) != "four" {
				t.Errorf("%d bytes: line %d is %q in %q", n, i, line, w.String())
			}
		}
	}
}

func TestStdoutBrokenPipe(t *testing.T) {
	for _, err := range []error{syscall.EPIPE, io.ErrClosedPipe} {
		s, _ := NewStdout(StdoutSettings{}, &short{err: err}, "")
		if got := sinktest.Failures(t, s.Write(t.Context(), []*pipeline.Record{sinktest.Record(1, "a")})); got[0] != "fatal" {
			t.Errorf("%v: %v", err, got)
		}
	}
}

func TestStdoutThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		s, _ := NewStdout(StdoutSettings{}, w, "")
		for range 2 { // the second waits for the first
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() { result <- s.Write(ctx, []*pipeline.Record{sinktest.Record(1, "a")}) }()
			synctest.Wait()
			cancel()
			if err := <-result; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		got := make(chan string)
		go func() {
			b, _ := io.ReadAll(r)
			got <- string(b)
		}()
		if err := s.Write(t.Context(), []*pipeline.Record{sinktest.Record(2, "b")}); err != nil {
			t.Error(err)
		}
		_ = w.Close()
		if text := <-got; text != "a\nb\n" {
			t.Errorf("got %q", text)
		}
	})
}
