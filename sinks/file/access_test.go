//go:build linux

package filesink

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/penstockio/penstock/pipeline"
)

// TestPingOfWhatCannotBeWritten: a file that can never be written is found before a record comes, and nothing is made for that. What records name may be there.
func TestPingOfWhatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "some/old", "x\n")
	put(t, dir, "some/mine", "x\n")
	mode := func(name string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "none"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, as := range map[string]os.FileMode{
		"..": 0o755, ".": 0o755, "none": 0o555, "out": 0o555, "out/some": 0o555, "out/some/old": 0o444, "out/some/mine": 0o666,
	} {
		mode(name, as)
	}
	defer func() { mode("out", 0o755); mode("out/some", 0o755); mode("none", 0o755) }()
	if os.Getuid() == 0 { // who may write everywhere; this thread alone, and for the test, may not
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if _, err := unix.SetfsuidRetUid(65534); err != nil {
			t.Fatal(err)
		}
		defer func() { _, _ = unix.SetfsuidRetUid(0) }()
	}
	for path, want := range map[string]string{
		"out/new":              "nothing can be made in its folder: permission denied; give the process the right to write there, or name another folder",
		"out/some/new":         "nothing can be made in its folder: permission denied",
		"out/some/old":         "permission denied",
		"out/some/mine":        "",
		"none/{topic}":         "nothing can be made in its folder: permission denied",
		"none/{topic}/x":       "nothing can be made in its folder: permission denied",
		"out/some/{topic}":     "",
		"out/below/in/{topic}": "making the folder of the files: ",
	} {
		s := Defaults()
		if err := s.Path.UnmarshalText([]byte(filepath.Join(dir, path))); err != nil {
			t.Fatal(err)
		}
		f, err := New(s)
		if err != nil {
			t.Fatal(err)
		}
		err = f.Ping(t.Context())
		var env *pipeline.EnvironmentError
		if want == "" && err != nil || want != "" && (!errors.As(err, &env) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", path, err)
		}
		_ = f.Close(t.Context()) // nothing was written
	}
	if found, err := os.ReadDir(filepath.Join(dir, "none")); err != nil || len(found) > 0 {
		t.Errorf("something was made: %v, %v", found, err)
	}
}
