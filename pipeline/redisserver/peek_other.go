//go:build !(linux || darwin || dragonfly || freebsd || netbsd || openbsd)

package redisserver

import "syscall"

// quiet says that nothing has come over a connection: here nobody can look, and its end is found by the next call.
func quiet(syscall.Conn) bool { return true }
