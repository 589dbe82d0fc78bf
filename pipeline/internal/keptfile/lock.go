package keptfile

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"
)

// ownName is how this process names itself to those that meet what it holds.
func ownName(since time.Time) string {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return fmt.Sprintf("process %d on %s, since %s", os.Getpid(), host, since.UTC().Format(time.RFC3339))
}

// A Lock keeps others from what a process has for itself. It is a file that is locked while it is open: the lock ends with
// the process, however that ends, and the file is removed when the lock is given up.
type Lock struct{ file *os.File }

// ErrHeld says that another has the lock, in this process or in another.
var ErrHeld = errors.New("another process holds the lock")

// Take takes the lock of that name, and writes into it who has it. It does not wait: the error is ErrHeld when another
// has it. Where the system has no locks that a crash gives up, it keeps nobody away.
func Take(name string) (*Lock, error) {
	file, err := openLocked(name)
	if err != nil {
		return nil, err
	}
	err = file.Truncate(0) // what is in it is of one that was killed
	if err == nil {
		_, err = file.WriteAt([]byte(ownName(time.Now())+"\n"), 0)
	}
	if err != nil {
		return nil, errors.Join(err, removeLocked(file))
	}
	return &Lock{file}, nil
}

// Release gives the lock up.
func (l *Lock) Release() error { return removeLocked(l.file) }

// mostHolder is how much is read of who has a lock.
const mostHolder = 300

// Holder gives who has a lock, for messages; "" when it does not say.
func Holder(name string) string {
	file, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer file.Close()
	text := make([]byte, mostHolder)
	n, _ := file.Read(text) // nothing: it does not say
	line, _, _ := strings.Cut(string(text[:n]), "\n")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, line)
}
