//go:build !unix

package cli

import "os"

// dumpSignal is none: Windows, for one, has no signal that a program may use as it likes.
var dumpSignal os.Signal
