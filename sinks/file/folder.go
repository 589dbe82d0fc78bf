package filesink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A folder is the literal folder, open. It stands for the path as long as it is the
// folder that the path leads to.
type folder struct {
	root  *os.Root
	info  fs.FileInfo
	users int // guarded by Sink.mu
}

// A folderError is about the literal folder: its text may name it, because no record does.
type folderError struct{ error }

func (e folderError) Unwrap() error { return e.error }

func folderErrorf(format string, args ...any) error { return folderError{fmt.Errorf(format, args...)} }

// enter gives the folder that the path leads to now, and makes it if there is none. The
// caller gives it back with exit. One stat is nothing beside the fsync that follows, and
// a folder that is held open without it takes lines along wherever it is moved.
func (f *Sink) enter() (*folder, error) {
	f.mu.Lock()
	dir := f.dir
	if dir != nil {
		dir.users++
	}
	f.mu.Unlock()
	if dir != nil { // not under the lock: a network's disk may hang
		now, err := os.Stat(f.base)
		if err == nil && os.SameFile(now, dir.info) {
			return dir, nil
		}
		f.exit(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, folderErrorf("looking for the folder of the files: %w", err)
		}
	}
	if err := makeFolder(f.base); err != nil {
		return nil, folderErrorf("making the folder of the files: %w", err)
	}
	root, err := os.OpenRoot(f.base)
	if err != nil {
		return nil, folderErrorf("opening the folder of the files: %w", err)
	}
	info, err := root.Stat(".")
	if err != nil {
		_ = root.Close() // nothing was written through it
		return nil, folderErrorf("looking at the folder of the files: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dir != nil && f.dir.users == 0 {
		_ = f.dir.root.Close() // nothing was written through it
	}
	f.dir = &folder{root: root, info: info, users: 1}
	return f.dir, nil
}

// exit gives a folder back. The last user of one that has been replaced closes it.
func (f *Sink) exit(dir *folder) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if dir.users--; dir.users == 0 && f.dir != dir {
		_ = dir.root.Close() // nothing was written through it
	}
}

// checkFolder looks whether something can be made in a folder of the root, or in the one above it that is there. Nothing is made for that. With empty
// only a folder counts that holds nothing: in another there may be files, and folders, that can be written.
func checkFolder(root *os.Root, dir string, empty bool) error {
	d, err := root.Open(dir)
	for ; errors.Is(err, fs.ErrNotExist) && dir != "."; d, err = root.Open(dir) {
		dir = filepath.Dir(dir)
	}
	if err != nil {
		return nil // it may have the right to write and none to read
	}
	defer func() { _ = d.Close() }() // nothing was written
	why := mayWrite(d)
	if why == nil {
		return nil
	}
	if _, none := d.ReadDir(1); empty && none == nil {
		return nil
	}
	return folderErrorf("nothing can be made in its folder: %w; give the process the right to write there, or name another folder", why)
}

// makeBelow makes a folder and those above it, each on disk before the next.
func makeBelow(root *os.Root, dir string) error {
	if dir == "." {
		return nil
	}
	if info, err := root.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := makeBelow(root, filepath.Dir(dir)); err != nil {
		return err
	}
	if err := root.Mkdir(dir, 0o750); errors.Is(err, fs.ErrExist) && dangles(root, dir) {
		return errDangling
	} else if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(root, filepath.Dir(dir))
}

// makeFolder does the same outside a root.
func makeFolder(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	up := filepath.Dir(filepath.Clean(dir))
	if up == filepath.Clean(dir) {
		return nil
	}
	if err := makeFolder(up); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o750); errors.Is(err, fs.ErrExist) {
		if err := noFolder(filepath.Clean(dir)); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	d, err := os.Open(up)
	if err != nil {
		return err
	}
	return syncAndClose(d)
}

// noFolder says what stands in the place of a folder that could not be made, and what to do.
func noFolder(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil // somebody else has made it
	case err == nil:
		return fmt.Errorf("%s is a file and no folder: move it away, or name another folder", dir)
	case errors.Is(err, fs.ErrNotExist):
		if to, err := os.Readlink(dir); err == nil {
			return fmt.Errorf("%s is a link to %s, which is not there: make that folder, or remove the link", dir, to)
		}
	}
	return err
}

func syncFolder(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	return syncAndClose(d)
}

// syncAndClose puts the names in a folder on disk. File systems that cannot do so for
// folders say EINVAL.
func syncAndClose(d *os.File) error {
	err := syncFile(d)
	_ = d.Close() // nothing was written through it
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}
