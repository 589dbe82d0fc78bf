//go:build unix

package server

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

// TestNobodyElseEverConnects: whatever the umask is, nobody can connect to the socket while it has the mode that the umask
// gives it: before it is private nobody listens.
func TestNobodyElseEverConnects(t *testing.T) {
	dir, err := os.MkdirTemp("", "a") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	defer syscall.Umask(syscall.Umask(0)) // no test of this package runs beside another
	s, err := bindPrivate(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("before it listens: %v %v", st, err)
	}
	if c, err := net.Dial("unix", path); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("somebody has connected before: %v %v", c, err)
	}
	l, err := s.listen()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("when it listens: %v %v", st, err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// TestSocketGoesWithItsListener: who ends takes the socket away, as it stands for somebody who listens.
func TestSocketGoesWithItsListener(t *testing.T) {
	dir, err := os.MkdirTemp("", "a")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	l, err := listenPrivate(path)
	if err != nil {
		t.Fatal(err)
	}
	if l.Addr().String() != path {
		t.Error(l.Addr())
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// TestSomebodysSocketStays: only where nobody listens is a socket taken over. One whose queue is full, one that takes datagrams, and
// what a link leads to belong to somebody.
func TestSomebodysSocketStays(t *testing.T) {
	dir, err := os.MkdirTemp("", "a")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	at := func(name string) string { return filepath.Join(dir, name) }

	logs, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at("logs"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	busy, err := bindPrivate(at("busy"))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if err := syscall.Listen(int(busy.Fd()), 0); err != nil {
		t.Fatal(err)
	}
	full := false
	for range 100 {
		c, err := net.Dial("unix", at("busy"))
		if err != nil {
			full = true
			break
		}
		defer c.Close()
	}
	if !full {
		if runtime.GOOS == "linux" {
			t.Fatal("100 connections do not fill a queue of none")
		}
		t.Skip("the queue of a socket is never full here")
	}
	live, err := listenPrivate(at("live"))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	if err := os.Symlink(at("live"), at("link")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"logs": "somebody may use", "busy": "somebody may use", "live": "it is in use", "link": "no socket"} {
		before, err := os.Lstat(at(name))
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(Options{Settings: Settings{Listen: "unix:" + at(name)}, What: "the test"})
		if err != nil {
			t.Fatal(err)
		}
		var env *pipeline.EnvironmentError
		if err := s.Start(); !errors.As(err, &env) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), at(name)) {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := os.Lstat(at(name)); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s is not there any more: %v", name, err)
		}
	}
}

// TestALinkIsNotFollowed: the mode of a socket is given to a socket, not to what somebody has put in its place meanwhile.
func TestALinkIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link} {
		if err := makePrivate(path); err == nil {
			t.Errorf("%s was taken for a socket", path)
		}
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o644 {
		t.Errorf("%v %v", st, err)
	}
}
