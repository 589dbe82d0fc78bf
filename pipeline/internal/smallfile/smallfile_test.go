//go:build unix

package smallfile

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestNothingIsWaitedFor: what is no plain file is an error that names it, at once; so is one without an end.
func TestNothingIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	large := make([]byte, Most)
	for name, text := range map[string][]byte{"plain": []byte("text"), "empty": nil, "large": large, "larger": append(large, 'x')} {
		if err := os.WriteFile(at(name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(at("plain"), at("link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(at("pipe"), at("to a pipe")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"plain": "text", "link": "text", "empty": "", "large": string(large)} {
		if got, err := Read(at(name)); err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	for name, want := range map[string]string{
		at("larger"): "it is larger than 4 MiB", at("pipe"): "it is no plain file", at("to a pipe"): "it is no plain file", dir: "it is no plain file",
		"/dev/zero": "it is no plain file", at("none"): "no such file",
	} {
		if _, err := Read(name); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := ReadOnce(at("pipe")); err != nil || len(got) > 0 {
		t.Errorf("a pipe that nobody writes to: %q %v", got, err)
	}
	if _, err := ReadOnce("/dev/zero"); err == nil {
		t.Error("/dev/zero was taken")
	}
}

// TestAPipeIsReadOnce: what a shell gives for <(command) is read to its end.
func TestAPipeIsReadOnce(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	name := fmt.Sprintf("/dev/fd/%d", r.Fd())
	if _, err := os.Stat(name); err != nil {
		if runtime.GOOS == "linux" {
			t.Fatal(err)
		}
		t.Skip("there is no /dev/fd")
	}
	go func() {
		for range 3 {
			_, _ = w.Write([]byte("abc\n"))
		}
		_ = w.Close()
	}()
	if got, err := ReadOnce(name); err != nil || !bytes.Equal(got, []byte("abc\nabc\nabc\n")) {
		t.Errorf("%q %v", got, err)
	}
}
