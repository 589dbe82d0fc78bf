package sinks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/penstockio/penstock/pipeline"
)

// A folder is the literal folder, open. It stands for the path as long as it is the
// folder that the path leads to.
type folder struct {
	root  *os.Root
	info  fs.FileInfo
	users int // guarded by File.mu
}

// enter gives the folder that the path leads to now, and makes it if there is none. The
// caller gives it back with exit. One stat is nothing beside the fsync that follows, and
// a folder that is held open without it takes lines along wherever it is moved.
func (f *File) enter() (*folder, error) {
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
			return nil, fmt.Errorf("looking for the folder of the files: %w", err)
		}
	}
	if err := makeFolder(f.base); err != nil {
		return nil, fmt.Errorf("making the folder of the files: %w", err)
	}
	root, err := os.OpenRoot(f.base)
	if err != nil {
		return nil, fmt.Errorf("opening the folder of the files: %w", err)
	}
	info, err := root.Stat(".")
	if err != nil {
		_ = root.Close() // nothing was written through it
		return nil, fmt.Errorf("looking at the folder of the files: %w", err)
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
func (f *File) exit(dir *folder) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if dir.users--; dir.users == 0 && f.dir != dir {
		_ = dir.root.Close() // nothing was written through it
	}
}

// longestLine bounds how far back the start of a torn line is looked for.
const longestLine = 64 << 20

var (
	// errName is in errors that the next try cannot cure: no file can have the name.
	errName    = errors.New("the name is no good")
	errEscapes = fmt.Errorf("%w: it leads out of its folder", errName)
	errNoFile  = fmt.Errorf("%w: there is something else of that name that is no file of lines", errName)
	errMoved   = errors.New("it was moved away while it was being opened")
	errLocked  = errors.New("another process, or another sink, writes it")
)

// append writes text behind what is there and waits for the disk. After an error
// nothing of it stays, or the file says what has to be cut before the next write.
func (f *File) append(use *file, text []byte) error {
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
	if _, err = use.f.Write(text); err == nil {
		// After a failed fsync the kernel may have dropped the bytes and forgotten that
		// it had to write them: only writing them anew helps.
		if err = syncFile(use.f); err == nil {
			return nil
		}
	}
	use.cut = before.Size()
	_ = use.cutOff() // the error to report is the first one
	return err
}

// cutOff cuts off what a failed write has left behind.
func (use *file) cutOff() error {
	if use.cut < 0 {
		return nil
	}
	if err := use.f.Truncate(use.cut); err != nil {
		return err
	}
	if err := syncFile(use.f); err != nil {
		return err
	}
	use.cut = -1
	return nil
}

// syncFile is fsync; a variable so that tests see it fail.
var syncFile = (*os.File).Sync

// ready opens the file unless it is open and still stands under its name. It ends where
// the last write that succeeded ended.
func (f *File) ready(root *os.Root, use *file) error {
	if use.f != nil {
		now, err := root.Stat(use.name)
		if err == nil {
			var mine fs.FileInfo
			if mine, err = use.f.Stat(); err == nil && os.SameFile(now, mine) {
				return use.cutOff()
			}
		}
		_ = use.giveUp() // somebody has moved it away
	}
	return f.open(root, use)
}

func (f *File) open(root *os.Root, use *file) error {
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

// prepare makes sure that the file is ours, is on disk under its name, and ends with a
// whole line that has been acknowledged.
func (f *File) prepare(root *os.Root, name string, g *os.File) error {
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
	return f.mend(g)
}

func openOrMake(root *os.Root, name string) (g *os.File, err error) {
	for range 3 {
		// Not blocking: a pipe of that name must not hold us.
		g, err = root.OpenFile(name, os.O_RDWR|os.O_APPEND|syscall.O_NONBLOCK, 0)
		if !errors.Is(err, fs.ErrNotExist) {
			return g, err
		}
		if err = makeBelow(root, filepath.Dir(name)); err != nil {
			return nil, err
		}
		g, err = root.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o640)
		if !errors.Is(err, fs.ErrExist) {
			return g, err
		}
	}
	return nil, err
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

// mend ends or cuts off a last line without an end.
func (f *File) mend(g *os.File) error {
	line, start, size, err := lastLine(g)
	if err != nil || len(line) == 0 {
		return err
	}
	if (line[0] == '{' || line[0] == '[') && json.Valid(line) {
		if _, err := g.Write([]byte("\n")); err != nil {
			return err
		}
		return syncFile(g)
	}
	if err := g.Truncate(start); err != nil {
		return fmt.Errorf("cutting off a torn last line: %w", err)
	}
	f.emit.Log().Warn().Str("file", f.where()).Int64("bytes", size-start).
		Msg("cut off a last line that a crash had torn")
	return syncFile(g)
}

// lastLine gives what stands behind the last line end, and where.
func lastLine(g *os.File) (line []byte, start, size int64, err error) {
	if size, err = g.Seek(0, io.SeekEnd); err != nil {
		return nil, 0, 0, err
	}
	buf := make([]byte, 64<<10)
	start = size
	for start > 0 {
		if size-start > longestLine {
			return nil, 0, 0, fmt.Errorf("%w: its last %v hold no line end", errNoFile, pipeline.Size(longestLine))
		}
		part := buf[:min(start, int64(len(buf)))]
		if _, err := g.ReadAt(part, start-int64(len(part))); err != nil {
			return nil, 0, 0, err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			start -= int64(len(part) - i - 1)
			break
		}
		start -= int64(len(part))
	}
	line = make([]byte, size-start)
	_, err = io.ReadFull(io.NewSectionReader(g, start, size-start), line)
	return line, start, size, err
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
	if err := root.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
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
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := os.Open(up)
	if err != nil {
		return err
	}
	return syncAndClose(d)
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
