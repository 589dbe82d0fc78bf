package letters

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"
)

// A HeldError says that another replay has the dead letters for itself, and who that is.
type HeldError struct {
	Log    string // the name of the log
	Holder string // who has it; "": it does not say
}

func (e *HeldError) Error() string {
	who := e.Holder
	if who == "" {
		who = "it does not say who it is"
	}
	return fmt.Sprintf("another replay of the dead letters in %s is under way (%s): this one sends nothing; start it again when the other has ended", e.Log, who)
}

// ownName is how this process names itself to those that meet what it holds.
func ownName(since time.Time) string {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return fmt.Sprintf("process %d on %s, since %s", os.Getpid(), host, since.UTC().Format(time.RFC3339))
}

// Unwrap gives ErrTaken.
func (e *HeldError) Unwrap() error { return ErrTaken }

// A lock keeps other processes from replaying the same letters. It is a file that is locked while it is open: the
// lock ends with the process, however that ends, and the file is removed when the lock is given up.
type lock struct{ file *os.File }

// errHeld says that another has the lock.
var errHeld = errors.New("another process holds the lock")

// takeLock takes a lock, and writes into it who has it. It does not wait: the error is errHeld when another has it.
func takeLock(name string) (*lock, error) {
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
	return &lock{file}, nil
}

// release gives the lock up.
func (l *lock) release() error { return removeLocked(l.file) }

// mostHolder is how much is read of who has a lock.
const mostHolder = 300

// holderOf gives who has a lock, "" when it does not say.
func holderOf(name string) string {
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
