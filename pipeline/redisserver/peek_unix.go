//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package redisserver

import "syscall"

// quiet says whether nothing has come over an idle connection, not even its end. It takes nothing out, and does not wait.
func quiet(c syscall.Conn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	is := false
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		is = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK || err == syscall.EINTR
		return true
	})
	return err == nil && is
}
