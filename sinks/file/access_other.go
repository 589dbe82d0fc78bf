//go:build !linux && !darwin && !freebsd

package filesink

import "os"

// mayWrite says nothing where the system cannot be asked before something is made.
func mayWrite(*os.File) error { return nil }
