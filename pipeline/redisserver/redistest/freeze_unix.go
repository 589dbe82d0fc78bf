//go:build unix

package redistest

import "syscall"

// Freeze stops the server where it is, as a machine does that is suspended, until Resume.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Resume has a frozen server go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	if err := s.process.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}
