//go:build !linux

package event

import "os"

// identity is for systemd, which is only there on Linux.
func identity(*os.File) (device, inode uint64, ok bool) { return 0, 0, false }
