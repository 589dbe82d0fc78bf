//go:build !linux

package cli

// monotonicMicroseconds is for systemd, which is only there on Linux.
func monotonicMicroseconds() int64 { return 0 }
