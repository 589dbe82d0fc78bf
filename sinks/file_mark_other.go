//go:build !linux

package sinks

import "os"

// markWrite, unmarkWrite and markedWrite do nothing where there are no attributes of files that the
// standard library can set.
func markWrite(*os.File, int64, int64) {}

func unmarkWrite(*os.File) {}

func markedWrite(*os.File) (from, end int64, ok bool) { return 0, 0, false }
