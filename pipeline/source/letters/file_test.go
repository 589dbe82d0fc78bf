package letters

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// begun opens a file of three letters as a replay does, and reads them all.
func begun(t *testing.T) (name string, f *File, done Progress) {
	t.Helper()
	name = letterFile(t, numbered(3)...)
	f = NewFile(name, "late")
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	done, err := f.Load(t.Context())
	if err == nil {
		err = f.Open(t.Context(), done)
	}
	if err == nil {
		err = f.Save(t.Context(), done)
	}
	for range 3 {
		if err != nil {
			t.Fatal(err)
		}
		var at pipeline.Position
		_, at, err = f.Next(t.Context())
		done.add(at)
	}
	return name, f, done
}

// linesDone gives which lines of a file are done with.
func linesDone(t *testing.T, name, reader string) string {
	t.Helper()
	f := NewFile(name, reader)
	done, err := f.Load(t.Context())
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return strings.Join(done.Of(0).Lines(), ", ")
}

// TestFileMovedAwayWhileItIsRead: nothing of the one that has its name now counts as replayed.
func TestFileMovedAwayWhileItIsRead(t *testing.T) {
	name, f, done := begun(t)
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(letterLine(7, "7")+letterLine(8, "8")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Save(t.Context(), done); err != nil {
		t.Errorf("storing it: %v", err)
	}
	if got := linesDone(t, name, "late"); got != "" {
		t.Errorf("of the new file are done: %s", got)
	}
}

// TestFileCutWhileItIsRead: the lines that are there now are others than those that were read.
func TestFileCutWhileItIsRead(t *testing.T) {
	name, f, done := begun(t)
	if err := os.WriteFile(name, []byte(letterLine(7, "7")+letterLine(8, "8")), 0o600); err != nil { // in its place
		t.Fatal(err)
	}
	if err := f.Save(t.Context(), done); !errors.Is(err, ErrBegunAnew) {
		t.Errorf("storing it: %v", err)
	}
	if got := linesDone(t, name, "late"); got != "" {
		t.Errorf("of the new file are done: %s", got)
	}
}

// TestFileOfSeveralPipelines has each send its own letters, whoever has replayed before.
func TestFileOfSeveralPipelines(t *testing.T) {
	var lines []string
	for i := range 6 {
		line := letterLine(int64(i), fmt.Sprint(i))
		if i%2 == 1 {
			line = strings.Replace(line, `"late"`, `"early"`, 1)
		}
		lines = append(lines, line)
	}
	name := letterFile(t, lines...)
	for _, c := range []struct{ reader, want string }{{"late", "0 2 4"}, {"early", "1 3 5"}, {"late", ""}} {
		own := func(rec *pipeline.Record, at pipeline.Position) (Choice, error) {
			l, err := deadletter.Read(rec, at)
			if err != nil || l.Pipeline != c.reader {
				return Choice{Verdict: Pass}, err
			}
			return Choice{Letter: l}, nil
		}
		m := new(pipelinetest.Memory)
		if err := run(t.Context(), t, New(Options{Log: NewFile(name, c.reader), Choose: own, Ahead: 1}), m); err != nil || values(m) != c.want {
			t.Errorf("%s: %v, came %s, not %s", c.reader, err, bytes.Join(m.Values(), []byte(" ")), c.want)
		}
		if got := linesDone(t, name, c.reader); got != "1-6" {
			t.Errorf("%s: done are %s", c.reader, got)
		}
	}
}

// TestFileAtItsEnd: nothing is left there, whatever stands between the letters.
func TestFileAtItsEnd(t *testing.T) {
	f := NewFile(letterFile(t, strings.Join(numbered(3), strings.Repeat("\n", 500)), strings.Repeat("\n", 500)), "late")
	err := Each(t.Context(), f, func(*pipeline.Record, pipeline.Position) error { return nil })
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if n := f.Left(); n != 0 {
		t.Errorf("%d are left", n)
	}
}
