//go:build !unix

package cli

import "os"

// These are none: Windows, for one, has no signal that a program may use as it likes.
var dumpSignal, debugSignal os.Signal
