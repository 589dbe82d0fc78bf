package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

const standardInput = "standard input"

// openInput opens a file that a command reads, - being its standard input. title names it in messages, and what says in errors what
// the command does with it. The caller closes it.
func openInput(in io.Reader, name, what string) (r io.ReadCloser, title string, err error) {
	if name == "-" {
		return io.NopCloser(in), standardInput, nil
	}
	file, err := os.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", &exitError{exitEnvironment, fmt.Errorf("%s: there is no %s", what, name)}
	case err != nil:
		return nil, "", &exitError{exitEnvironment, fmt.Errorf("%s: %w", what, err)}
	}
	return file, name, nil
}
