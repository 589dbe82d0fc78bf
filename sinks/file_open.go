package sinks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

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

// A file is one file that is open, or is about to be.
type file struct {
	name  string
	users int                // guarded by File.mu, like the next two
	lanes map[place]struct{} // that have written it and not ended
	since time.Time          // without a user
	turn  chan struct{}      // taken by the one user who reads and writes what follows
	f     *os.File           // nil: not open
	// cut is where the file ends for us while what a failed write left behind that could
	// not be cut off, else -1. Until it is, the file stays open and so locked: another
	// process would write behind it, and lose its lines by the cut.
	cut int64
}

// fileIdle is how long a file stays open, and locked, when nothing is written to it. A
// variable for tests.
var fileIdle = 5 * time.Second

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

// acquire gives the file of that name to one user at a time, for a lane. It need not be
// open yet.
func (f *File) acquire(ctx context.Context, name string, lane place) (*file, error) {
	select {
	case f.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f.mu.Lock()
	use := f.files[name]
	if use == nil {
		// Those in use are fewer than the slots, so that one is idle.
		for len(f.files) >= cap(f.slots) {
			f.drop(f.idle[0])
		}
		use = &file{name: name, lanes: map[place]struct{}{}, turn: make(chan struct{}, 1), cut: -1}
		f.files[name] = use
	} else if use.users == 0 {
		f.idle = slices.DeleteFunc(f.idle, func(g *file) bool { return g == use })
	}
	use.users++
	use.lanes[lane] = struct{}{}
	f.mu.Unlock()

	select {
	case use.turn <- struct{}{}:
	case <-ctx.Done():
		f.leave(use)
		return nil, ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		f.release(use, true)
		return nil, err
	}
	return use, nil
}

// release gives the file back. One that failed is closed, unless it has to be cut.
func (f *File) release(use *file, good bool) {
	if !good && use.f != nil && use.cut < 0 {
		_ = use.f.Close() // what it holds is on disk
		use.f = nil
	}
	<-use.turn
	f.leave(use)
}

func (f *File) leave(use *file) {
	f.mu.Lock()
	if use.users--; use.users == 0 {
		use.since = time.Now()
		f.idle = append(f.idle, use)
		if use.f == nil || len(use.lanes) == 0 {
			f.drop(use)
		}
		f.arm()
	}
	f.mu.Unlock()
	<-f.slots
}

// drop closes an idle file. mu is held: its name must not be opened meanwhile, because
// the lock of the old one would be in the way.
func (f *File) drop(use *file) {
	if use.f != nil {
		_ = use.giveUp() // everything in it is on disk
	}
	delete(f.files, use.name)
	f.idle = slices.DeleteFunc(f.idle, func(g *file) bool { return g == use })
}

// giveUp closes the file, and with it gives up its lock: everything in it is on disk, but
// what has to be cut off. That it is gone from the disk too is left to the next write's
// fsync, whoever makes it.
func (use *file) giveUp() error {
	if use.cut >= 0 {
		_ = use.f.Truncate(use.cut) // better than nothing; where it fails, mend finds what is torn
		use.cut = -1
	}
	err := use.f.Close()
	use.f = nil
	return err
}

// dropIdle closes the files that nobody uses.
func (f *File) dropIdle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.idle) > 0 {
		f.drop(f.idle[0])
	}
}

// LaneEnded implements pipeline.LaneEnder: it closes the files that no other lane has
// written, so that the next owner of the partition finds them unlocked.
func (f *File) LaneEnded(topic string, partition int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, use := range f.files {
		delete(use.lanes, place{topic, partition})
		if len(use.lanes) == 0 && use.users == 0 {
			f.drop(use)
		}
	}
}

// arm sets the timer for the file that has been idle longest. mu is held.
func (f *File) arm() {
	if f.timer == nil && len(f.idle) > 0 {
		f.timer = time.AfterFunc(time.Until(f.idle[0].since.Add(fileIdle)), f.tooIdle)
	}
}

// tooIdle closes what has been idle for too long. A file that has to be cut stays: its
// lane comes again.
func (f *File) tooIdle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.timer = nil
	now := time.Now()
	for _, use := range slices.Clone(f.idle) {
		switch {
		case now.Sub(use.since) < fileIdle:
		case use.cut >= 0:
			use.since = now
			f.idle = append(slices.DeleteFunc(f.idle, func(g *file) bool { return g == use }), use)
		default:
			f.drop(use)
		}
	}
	f.arm()
}

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
