// SPDX-License-Identifier: Apache-2.0

// Package redistest starts the redis-server of this machine, for tests with the tag real.
package redistest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"
)

// A Server is a Redis on loopback with an address of its own, which ends with the test. It keeps nothing on disk.
type Server struct {
	Addr string

	t       testing.TB
	args    []string
	process *exec.Cmd
}

// Start starts a server with further arguments: "--requirepass", "secret". A test without a redis-server in PATH fails.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Addr: l.Addr().String(), t: t, args: args}
	_ = l.Close()
	s.Run()
	t.Cleanup(s.Kill)
	return s
}

// Run starts the server, which is not running, and waits until it answers.
func (s *Server) Run() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.Addr)
	args := append([]string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", s.t.TempDir()}, s.args...)
	s.process = exec.Command("redis-server", args...)
	out, err := os.CreateTemp(s.t.TempDir(), "redis-*.log")
	if err != nil {
		s.t.Fatal(err)
	}
	s.process.Stdout, s.process.Stderr = out, out
	if err := s.process.Start(); err != nil {
		s.t.Fatalf("starting redis-server, which Debian's package redis-server has: %v", err)
	}
	_ = out.Close() // the process has it
	for end := time.Now().Add(30 * time.Second); !s.answers(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			text, _ := os.ReadFile(out.Name())
			s.t.Fatalf("redis-server does not answer:\n%s", text)
		}
	}
}

// answers says whether the server answers, whatever it says.
func (s *Server) answers() bool {
	c, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	_, _ = fmt.Fprint(c, "PING\r\n")
	n, err := c.Read(make([]byte, 100))
	return n > 0 && err == nil
}

// Kill ends the server at once.
func (s *Server) Kill() {
	_ = s.process.Process.Kill() // one that has ended is as good
	_ = s.process.Wait()
}
