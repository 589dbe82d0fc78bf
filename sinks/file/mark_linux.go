package filesink

import (
	"fmt"
	"os"
	"syscall"
)

// writeMark is the attribute of a file that says which bytes the last write was to be: from
// and end. It is how a torn text is told from what another program has written.
const writeMark = "user.penstock.write"

// markWrite says on the file what is about to be written to it. It is on disk with the write,
// or before: the length of a file is metadata too, and comes later. Where the file system
// keeps no attributes nothing is said.
func markWrite(g *os.File, from, length int64) {
	_ = syscall.Setxattr(openPath(g), writeMark, fmt.Appendf(nil, "%d %d", from, from+length), 0)
}

// markedWrite gives what markWrite has said.
func markedWrite(g *os.File) (from, end int64, ok bool) {
	text := make([]byte, 64)
	n, err := syscall.Getxattr(openPath(g), writeMark, text)
	if err != nil {
		return 0, 0, false
	}
	_, err = fmt.Sscan(string(text[:n]), &from, &end)
	return from, end, err == nil
}

// keepsMarks says whether the file system has attributes: then a write of ours that was not finished
// has left its mark.
func keepsMarks(g *os.File) bool {
	_, err := syscall.Getxattr(openPath(g), writeMark, make([]byte, 64))
	return err == nil || err == syscall.ENODATA
}

// unmarkWrite takes the mark away from a file that is given up, or has been mended: what
// stands there without an end from now on is of somebody else, in the same place or not.
func unmarkWrite(g *os.File) { _ = syscall.Removexattr(openPath(g), writeMark) }

// openPath is a name of the open file itself, whatever its own has become.
func openPath(g *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", g.Fd()) }
