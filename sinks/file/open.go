package filesink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

var (
	// errName is in errors that another try does not cure: no file can have the name.
	errName    = errors.New("the name is no good")
	errEscapes = fmt.Errorf("%w: it leads out of its folder, maybe by a link (one within it has a relative target)", errName)
	errNoFile  = fmt.Errorf("%w: there is something else of that name that is no file of lines; move it away, or name another file", errName)
	// errDangling is tried again: somebody makes the folder, or mounts what it is on.
	errDangling = errors.New("a link leads into a folder that is not there: make that folder, or remove the link")
	errMoved    = errors.New("it was moved away while it was being opened")
	errLocked   = errors.New("another process, or another sink, writes it")
)

// append writes text behind what is there and waits for the disk. After an error nothing of it
// stays, or truncateTo says what has to be cut off before the next write.
func (f *Sink) append(use *file, text []byte) error {
	dir, err := f.enter()
	if err != nil {
		return err
	}
	err = f.ready(dir.root, use)
	f.exit(dir)
	if err != nil {
		return err
	}
	before, err := use.f.Stat()
	if err != nil {
		return err
	}
	markWrite(use.f, before.Size(), int64(len(text)))
	n, err := use.f.Write(text)
	if err == nil {
		// After a failed fsync the kernel may have dropped the bytes and forgotten that
		// it had to write them: only writing them anew helps.
		if err = syncFile(use.f); err == nil {
			use.end = before.Size() + int64(n)
			return nil
		}
	}
	use.truncateTo, use.end = before.Size(), before.Size()+int64(n)
	_ = use.truncateFailed() // the error to report is the first one
	return err
}

// truncateFailed cuts off what a failed write has left behind, unless another program has written
// behind it: its lines would go too.
func (use *file) truncateFailed() error {
	if use.truncateTo < 0 {
		return nil
	}
	now, err := use.f.Stat()
	if err != nil {
		return err
	}
	if now.Size() <= use.end {
		if err := use.f.Truncate(use.truncateTo); err != nil {
			return err
		}
	}
	if err := syncFile(use.f); err != nil {
		return err
	}
	use.end, use.truncateTo = min(now.Size(), use.truncateTo), -1
	return nil
}

// syncFile is fsync; a variable so that tests see it fail.
var syncFile = (*os.File).Sync

// ready opens the file unless it is open and still stands under its name. Afterwards the file ends
// where the last write that succeeded ended, or behind whole lines of others.
func (f *Sink) ready(root *os.Root, use *file) error {
	if use.f != nil {
		now, err := root.Stat(use.name)
		if err == nil {
			var mine fs.FileInfo
			if mine, err = use.f.Stat(); err == nil && os.SameFile(now, mine) {
				if err := use.truncateFailed(); err != nil || mine.Size() == use.end {
					return err
				}
				return f.mend(use.f, false) // another program has written it, or truncated it
			}
		}
		_ = use.closeFile() // somebody has moved it away
	}
	return f.open(root, use)
}

func (f *Sink) open(root *os.Root, use *file) error {
	g, err := openOrMake(root, use.name)
	if err != nil {
		return nameError(err)
	}
	if err := f.prepare(root, use.name, g); err != nil {
		_ = g.Close() // the error to report is another
		return err
	}
	use.f = g
	return nil
}

// prepare locks the file, and makes sure that it is on disk under its name and ends with a whole
// line.
func (f *Sink) prepare(root *os.Root, name string, g *os.File) error {
	info, err := g.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errNoFile
	}
	if err := lockFile(g); err != nil {
		return err
	}
	if err := syncFolder(root, filepath.Dir(name)); err != nil {
		return err
	}
	// It may have been moved away since it was opened, by a rotation or by the process
	// that had its lock.
	if now, err := root.Stat(name); err != nil || !os.SameFile(now, info) {
		return errMoved
	}
	if err := f.mend(g, true); err != nil {
		return err
	}
	unmarkWrite(g)
	return nil
}

// openOrMake opens the file, or what a link of that name leads to within the folder. What
// is not there is made, as a shell's >> does it.
func openOrMake(root *os.Root, name string) (*os.File, error) {
	info, err := root.Stat(name)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return nil, errNoFile // to open a device, or a pipe, may do something
	case errors.Is(err, fs.ErrNotExist):
		if err := makeBelow(root, filepath.Dir(name)); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	}
	// Not blocking: to open a pipe, which may have taken the name meanwhile, could wait for ever.
	g, err := root.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
	switch {
	case errors.Is(err, fs.ErrNotExist) && dangles(root, name):
		return nil, errDangling
	case err != nil:
		return nil, err
	}
	if err := syncTarget(root, name); err != nil {
		_ = g.Close() // nothing was written
		return nil, err
	}
	return g, nil
}

// dangles says whether the name, or a folder of it, is a link to what is not there.
func dangles(root *os.Root, name string) bool {
	for ; name != "."; name = filepath.Dir(name) {
		info, err := root.Lstat(name)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		if _, err := root.Stat(name); errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

// longestChain is how many links may follow one another; the system gives up before.
const longestChain = 40

// syncTarget puts the name of the file that a link leads to on disk.
func syncTarget(root *os.Root, name string) error {
	for range longestChain {
		to, err := root.Readlink(name)
		if err != nil {
			return nil // it is no link
		}
		// Not cleaned: what .. leads out of may be a link too.
		name = filepath.Dir(name) + "/" + to
		if err := syncFolder(root, filepath.Dir(name)); err != nil {
			return err
		}
	}
	return nil
}

// checkName says whether a name can be that of a file of lines, without making one.
func checkName(root *os.Root, name string) error {
	info, err := root.Stat(name)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return errNoFile
	case errors.Is(err, fs.ErrNotExist):
		if dangles(root, name) && !mayMake(root, name) {
			return errDangling
		}
		if to, err := root.Readlink(name); err == nil { // the file is made where the link leads
			name = filepath.Join(filepath.Dir(name), to)
		}
		return checkFolder(root, filepath.Dir(name), false)
	case err != nil:
		return nameError(err)
	}
	g, err := root.OpenFile(name, os.O_WRONLY|os.O_APPEND|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nameError(err)
	}
	return g.Close()
}

// mayMake says whether the folder is there in which a link of that name ends.
func mayMake(root *os.Root, name string) bool {
	for range longestChain {
		to, err := root.Readlink(name)
		if err != nil {
			info, err := root.Stat(filepath.Dir(name))
			return err == nil && info.IsDir()
		}
		name = filepath.Dir(name) + "/" + to
	}
	return false
}

// nameError marks the errors of opening that come from the name. That of os.Root for
// one that leads out has no identity of its own.
func nameError(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) && strings.Contains(p.Err.Error(), "escapes from parent") {
		return errEscapes
	}
	for _, e := range []error{syscall.ENAMETOOLONG, syscall.EISDIR, syscall.ENOTDIR, syscall.EINVAL, syscall.ELOOP} {
		if errors.Is(err, e) {
			return fmt.Errorf("%w: %w", errName, e)
		}
	}
	return err
}
