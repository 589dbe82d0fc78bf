//go:build unix

package secretfiles

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// makePipe makes a pipe with a name, which nobody has open.
func makePipe(t *testing.T, path string) {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAPipeInPlaceOfTheFile: what nobody writes to is not waited for, neither at the start nor afterwards; what was read before stays in use.
func TestAPipeInPlaceOfTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	makePipe(t, path)
	o := Options{File: settings.Path(path), What: "the token of x.token_file", Token: true}
	var env *pipeline.EnvironmentError
	if _, err := Open(o); !errors.As(err, &env) || !strings.Contains(err.Error(), path) {
		t.Errorf("at the start: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var warnings []string
	o.Warn = func(err error) { warnings = append(warnings, err.Error()) }
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	makePipe(t, path)
	if got := s.Look(); got != "one" || len(warnings) != 1 || !strings.Contains(warnings[0], "no plain file") {
		t.Errorf("%q, warnings %q", got, warnings)
	}
}
