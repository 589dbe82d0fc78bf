//go:build !unix || aix || solaris

package http

import "os"

// lock does nothing: there are no locks here that a crash gives up.
func lock(*os.File) error { return nil }
