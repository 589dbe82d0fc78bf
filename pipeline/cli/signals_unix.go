//go:build unix

package cli

import (
	"os"
	"syscall"
)

// dumpSignal asks for a line for each record in flight.
var dumpSignal os.Signal = syscall.SIGUSR1

// debugSignal asks for the lines for debugging, for a while.
var debugSignal os.Signal = syscall.SIGUSR2
