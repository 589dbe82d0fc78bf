//go:build unix && !aix && !solaris

package letters

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// TestFileHeldByOneReplay has others meet a replay that is under way: they send nothing and store nothing, with their own flags
// or with --again, and it goes on.
func TestFileHeldByOneReplay(t *testing.T) {
	name := letterFile(t, numbered(600)...)
	n := 0
	sink := sinkFunc(func([]*pipeline.Record) error {
		if n++; n > 1 {
			return nil
		}
		for _, again := range []bool{false, true} {
			m := new(pipelinetest.Memory)
			err := run(t.Context(), t, New(Options{Log: NewFile(name, "late"), Choose: chooseAll, Ahead: 1, Again: again}), m)
			var held *HeldError
			if !errors.As(err, &held) || !strings.Contains(err.Error(), fmt.Sprintf("in dead.jsonl is under way (process %d on ", os.Getpid())) || len(m.Values()) > 0 {
				t.Errorf("again %v: %v, %d came", again, err, len(m.Values()))
			}
		}
		other := NewFile(name, "early") // another pipeline's letters are others
		if err := errors.Join(other.Save(t.Context(), Progress{}), other.Close()); err != nil {
			t.Errorf("of another pipeline: %v", err)
		}
		return nil
	})
	s := New(Options{Log: NewFile(name, "late"), Choose: chooseAll, Ahead: 1})
	if err := run(t.Context(), t, s, sink); err != nil || s.Replayed() != 600 {
		t.Errorf("it ended with %v, %d replayed", err, s.Replayed())
	}
	if _, err := os.Stat(name + ".late.position.lock"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock is there: %v", err)
	}
}
