//go:build unix

package cputime

import (
	"syscall"
	"time"
)

// Used gives the processor time that this process has used so far, user and system.
func Used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail for the process itself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
