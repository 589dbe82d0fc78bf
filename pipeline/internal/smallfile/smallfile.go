// SPDX-License-Identifier: Apache-2.0

// Package smallfile reads small files that are read again while a process runs, and never waits for what
// stands in the place of one: a pipe that nobody writes to, or a device without an end.
package smallfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Most is the size of the largest file that is read.
const Most = 4 << 20

var (
	errNotPlain = errors.New("it is no plain file")
	errTooLarge = fmt.Errorf("it is larger than %d MiB", Most>>20)
)

// Read reads a plain file. The error names it.
func Read(name string) ([]byte, error) { return read(name, false) }

// ReadOnce is Read which takes a pipe too, as a shell makes one for <(command), and waits for those who write to it. One that nobody has open for
// writing is empty.
func ReadOnce(name string) ([]byte, error) { return read(name, true) }

func read(name string, pipes bool) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // to open a pipe waits for a writer otherwise
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fail := func(err error) ([]byte, error) { return nil, &os.PathError{Op: "read", Path: name, Err: err} }
	st, err := f.Stat() // of what has been opened, whatever the name leads to by now
	if err != nil {
		return nil, err
	}
	if mode := st.Mode(); !mode.IsRegular() && !(pipes && mode.Type() == os.ModeNamedPipe) {
		return fail(errNotPlain)
	}
	text, err := io.ReadAll(io.LimitReader(f, Most+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > Most:
		return fail(errTooLarge)
	}
	return text, nil
}
