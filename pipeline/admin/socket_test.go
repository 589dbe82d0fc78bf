//go:build unix

package admin

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
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
