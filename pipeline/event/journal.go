package event

import (
	"bytes"
	"fmt"
	"os"
)

// InJournal says whether lines for f go to systemd's journal: it names the stream in the environment, and a child whose standard error is
// another has the same environment. The journal takes the priority of a line from its beginning, and leaves it out of the message; without one each line
// has that of the unit, and journalctl -p finds none.
func InJournal(f *os.File) bool {
	stream := os.Getenv("JOURNAL_STREAM")
	if stream == "" || f == nil {
		return false
	}
	device, inode, ok := identity(f)
	return ok && stream == fmt.Sprintf("%d:%d", device, inode)
}

// JournalErrors puts the priority of an error before each line of a text, which the journal takes as a message each.
func JournalErrors(text []byte) (out []byte) {
	for line := range bytes.Lines(text) {
		out = append(appendPriority(out, string(Error)), line...)
	}
	return out
}

// appendPriority appends what sd-daemon(3) has for a level.
func appendPriority(b []byte, level string) []byte {
	priority := byte('6')
	switch level {
	case "fatal":
		priority = '2'
	case string(Error):
		priority = '3'
	case string(Warn):
		priority = '4'
	case "debug", "trace":
		priority = '7'
	}
	return append(b, '<', priority, '>')
}
