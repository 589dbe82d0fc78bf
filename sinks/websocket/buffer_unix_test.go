//go:build unix

package websocketsink

import "syscall"

// smallBuffer has the system keep little of what has come and nobody has read.
func smallBuffer(_, _ string, c syscall.RawConn) error {
	var err error
	if failed := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) }); failed != nil {
		return failed
	}
	return err
}
