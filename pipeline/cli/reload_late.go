package cli

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// This file bounds how long a reload waits for its files.
//
// What it guarantees. A disk of a network that does not answer, and a pipe that somebody holds open, hold up neither who asks for a reload nor
// the pipelines. What hangs is left to itself, once: no reload reads anything before it has come back.

// readLimit is how long reading the files of a reload may take, and how long making the components of them may.
const readLimit = 30 * time.Second

var errStillReading = errors.New("the files are still being read for a reload before this one: a disk that does not answer, or a pipe, stands in the place of one; " +
	"mend that, or restart the process")

// A lateness is what a reload before has left behind. Guarded by who does the reload.
type lateness struct {
	back <-chan struct{} // closed when it has come back; nil: there is nothing
}

// wait calls f, and gives its error if it returns in time. When it does not, drop is called behind it: what f has made is nobody's then. wait ends with ctx.
func (l *lateness) wait(ctx context.Context, f func() error, drop func()) (late bool, err error) {
	if l.back != nil {
		select {
		case <-l.back:
			l.back = nil
		default:
			return true, errStillReading
		}
	}
	done, gone, back := make(chan error), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(back)
		err := f()
		select {
		case done <- err:
		case <-gone:
			drop()
		}
	}()
	timer := time.NewTimer(readLimit)
	defer timer.Stop()
	select {
	case err := <-done:
		return false, err
	case <-timer.C:
		close(gone)
		l.back = back
		return true, fmt.Errorf("reading the files takes longer than %v: a disk that does not answer, or a pipe, stands in the place of one", readLimit)
	case <-ctx.Done():
		close(gone)
		l.back = back
		return true, ctx.Err()
	}
}
