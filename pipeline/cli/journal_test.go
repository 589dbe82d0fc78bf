//go:build linux

package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/penstockio/penstock/pipeline/event"
)

// TestTheLastErrorHasAPriorityInTheJournal: each line of it, as journalctl -p is to find why a service has ended; and none elsewhere.
func TestTheLastErrorHasAPriorityInTheJournal(t *testing.T) {
	for in, want := range map[bool]string{true: "<3>penstock: one\n<3>penstock: two\n", false: "penstock: one\npenstock: two\n"} {
		path := filepath.Join(t.TempDir(), "stderr")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		stream := fmt.Sprintf("%d:%d", st.Dev, st.Ino)
		if !in {
			stream = fmt.Sprintf("%d:%d", st.Dev, st.Ino+1)
		}
		t.Setenv("JOURNAL_STREAM", stream)
		if err := withLogQueue(f, func(*event.Queue) error { return errors.Join(errors.New("one"), errors.New("two")) }); err == nil {
			t.Error("no exit code")
		}
		text, err := os.ReadFile(path)
		if err != nil || string(text) != want {
			t.Errorf("in the journal %v: %q, want %q, %v", in, text, want, err)
		}
	}
}
