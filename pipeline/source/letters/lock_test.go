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

// TestLockThatIsGone: whoever removes the file of a lock takes it away, and the one that had it leaves the next one's alone.
func TestLockThatIsGone(t *testing.T) {
	name := letterFile(t, numbered(1)...) + ".lock"
	first, err := takeLock(name)
	if err == nil {
		err = os.Remove(name)
	}
	if err != nil {
		t.Fatal(err)
	}
	second, err := takeLock(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.release(); err != nil {
		t.Error(err)
	}
	if _, err := takeLock(name); !errors.Is(err, errHeld) {
		t.Errorf("beside the second: %v", err)
	}
	if err := second.release(); err != nil {
		t.Error(err)
	}
}

// TestLockSaysWhoHasIt reads what another has left there, whatever that is.
func TestLockSaysWhoHasIt(t *testing.T) {
	name := letterFile(t) + ".lock"
	for text, want := range map[string]string{
		"": "", "process 7 on x, since y\nmore": "process 7 on x, since y", "\x1b[31mred\x00": "[31mred", strings.Repeat("x", 1000): strings.Repeat("x", mostHolder),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := holderOf(name); got != want {
			t.Errorf("%q says %q", text, got)
		}
	}
	if got := holderOf(name + ".none"); got != "" {
		t.Errorf("no file says %q", got)
	}
}
