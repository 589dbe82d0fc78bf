//go:build unix && !aix && !solaris

package keptfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLockThatIsGone: whoever removes the file of a lock takes it away, and the one that had it leaves the next one's alone.
func TestLockThatIsGone(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	first, err := Take(name)
	if err == nil {
		err = os.Remove(name)
	}
	if err != nil {
		t.Fatal(err)
	}
	second, err := Take(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Release(); err != nil {
		t.Error(err)
	}
	if _, err := Take(name); !errors.Is(err, ErrHeld) {
		t.Errorf("beside the second: %v", err)
	}
	if err := second.Release(); err != nil {
		t.Error(err)
	}
}

// TestLockSaysWhoHasIt reads what another has left there, whatever that is.
func TestLockSaysWhoHasIt(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	for text, want := range map[string]string{
		"": "", "process 7 on x, since y\nmore": "process 7 on x, since y", "\x1b[31mred\x00": "[31mred", strings.Repeat("x", 1000): strings.Repeat("x", mostHolder),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := Holder(name); got != want {
			t.Errorf("%q says %q", text, got)
		}
	}
	if got := Holder(name + ".none"); got != "" {
		t.Errorf("no file says %q", got)
	}
}
