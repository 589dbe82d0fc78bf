package cli

import "golang.org/x/sys/unix"

// monotonicMicroseconds gives the clock by which systemd tells the answer to its signal from an older message.
func monotonicMicroseconds() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0 // which no system of ours gives
	}
	return t.Nano() / 1000
}
