// SPDX-License-Identifier: Apache-2.0

// Package keptfile is for the file in which a process keeps what it must not forget: it is whole after a crash, and nobody
// else has it meanwhile.
package keptfile

import (
	"errors"
	"os"
	"path/filepath"
)

// Replace puts a text in the place of a file, whole or not at all, and on disk. What it writes beside it has always
// the same name: what a process leaves there that is killed, the next one takes.
func Replace(name string, text []byte) error {
	t, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = t.Write(text)
	err = errors.Join(err, t.Sync(), t.Close())
	if err == nil {
		err = os.Rename(t.Name(), name)
	}
	if err != nil {
		_ = os.Remove(t.Name()) // the error to report is another
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	_ = dir.Sync() // not every system can; the file itself is whole
	return dir.Close()
}
