//go:build !linux

package filesink

import "os"

// These do nothing where there are no attributes of files that the standard library can
// set.
func markWrite(*os.File, int64, int64) {}

func unmarkWrite(*os.File) {}

func keepsMarks(*os.File) bool { return false }

func markedWrite(*os.File) (from, end int64, ok bool) { return 0, 0, false }
