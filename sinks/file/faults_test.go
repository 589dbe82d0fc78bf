//go:build unix

package filesink

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/sinks/internal/sinktest"
)

// failSync makes the n-th fsync from now on fail, counting from 1.
func failSync(t *testing.T, n int) {
	t.Helper()
	real := syncFile
	t.Cleanup(func() { syncFile = real })
	var mu sync.Mutex
	syncFile = func(g *os.File) error {
		mu.Lock()
		defer mu.Unlock()
		if n--; n == 0 {
			return &os.PathError{Op: "sync", Path: g.Name(), Err: syscall.EIO}
		}
		return real(g)
	}
}

// An fsync that fails, whichever it is: the write is reported as not stored, and
// writing again leaves every line once.
func TestFileFsyncFails(t *testing.T) {
	for n := 1; n <= 6; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, "a", "{\"old\":1}\n")
			f := keyed(t, dir, Settings{})
			failSync(t, n)
			write := func(recs ...*pipeline.Record) {
				t.Helper()
				for tries := 0; ; tries++ {
					err := f.Write(t.Context(), recs)
					if err == nil {
						return
					}
					if tries > 3 {
						t.Fatal(err)
					}
					var w *pipeline.WriteError
					if !errors.As(err, &w) {
						t.Fatalf("not a *WriteError: %v", err)
					}
					var again []*pipeline.Record
					for _, x := range w.Failed {
						if _, permanent := pipeline.IsPermanent(x.Err); permanent || !errors.Is(x.Err, syscall.EIO) {
							t.Errorf("got %v", x.Err)
						}
						again = append(again, recs[x.Index])
					}
					recs = again
				}
			}
			write(to("a", 1, "1"), to("b", 2, "2"), to("a", 3, "3"))
			write(to("a", 4, "4"))
			same(t, content(t, dir, "a"), "{\"old\":1}\n1\n3\n4\n")
			same(t, content(t, dir, "b"), "2\n")
		})
	}
}

// When the cut fails too, it is made up for before the next write.
func TestFileCutIsMadeUpFor(t *testing.T) {
	dir := t.TempDir()
	f := keyed(t, dir, Settings{})
	if err := f.Write(t.Context(), []*pipeline.Record{to("a", 1, "1")}); err != nil {
		t.Fatal(err)
	}
	real := syncFile
	syncFile = func(*os.File) error { return syscall.EIO }
	err := f.Write(t.Context(), []*pipeline.Record{to("a", 2, "2")})
	syncFile = real
	if got := sinktest.Failures(t, err); len(got) != 1 {
		t.Fatalf("failures %v", got)
	}
	put(t, dir, "a", "1\n2\n") // as if the cut had not reached the disk
	if err := f.Write(t.Context(), []*pipeline.Record{to("a", 3, "3")}); err != nil {
		t.Fatal(err)
	}
	same(t, content(t, dir, "a"), "1\n3\n")
}

// What has to be cut off is nothing that another process may have written: until it is,
// nobody else gets the file, and once somebody has, nothing is cut any more.
func TestFileCutTakesNoLineOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f, g := keyed(t, dir, Settings{}), keyed(t, dir, Settings{})
		if err := f.Write(t.Context(), []*pipeline.Record{to("a", 1, "1")}); err != nil {
			t.Fatal(err)
		}
		real := syncFile
		syncFile = func(*os.File) error { return syscall.EIO }
		err := f.Write(t.Context(), []*pipeline.Record{to("a", 2, "2")})
		syncFile = real
		if got := sinktest.Failures(t, err); len(got) != 1 {
			t.Fatalf("failures %v", got)
		}
		stored := "1\n"
		for offset, ended := range []bool{false, false, true, true} {
			if offset == 1 {
				time.Sleep(2 * idleAfter)
			}
			if ended {
				f.LaneEnded("t", 0)
			}
			line := fmt.Sprint(10 + offset)
			if g.Write(t.Context(), []*pipeline.Record{to("a", int64(10+offset), line)}) == nil {
				stored += line + "\n"
			}
		}
		if stored != "1\n12\n13\n" {
			t.Errorf("the other has stored %q", stored)
		}
		g.LaneEnded("t", 0)
		if err := f.Write(t.Context(), []*pipeline.Record{to("a", 3, "3")}); err != nil {
			t.Fatal(err)
		}
		same(t, content(t, dir, "a"), stored+"3\n")
	})
}

// setCur sets a limit, which has a sign on some systems.
func setCur[T int64 | uint64](cur *T, n uint64) { *cur = T(n) }

// A process that may open fewer files than the setting says closes those that it does
// not use, and goes on.
func TestFileTooManyOpen(t *testing.T) {
	dir := t.TempDir()
	f := keyed(t, dir, Settings{})
	probe, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	next := uint64(probe.Fd())
	if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	limit := old
	setCur(&limit.Cur, next+40)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
			t.Fatal(err)
		}
	}()
	for n := range 100 {
		if err := f.Write(t.Context(), []*pipeline.Record{to(fmt.Sprint("f", n), int64(n), "x")}); err != nil {
			t.Fatalf("file %d: %v", n, err)
		}
	}
	same(t, content(t, dir, "f99"), "x\n")
}

// A full disk: nothing partial is visible, the records come again and are stored when
// there is room.
func TestFileFullDisk(t *testing.T) {
	dir := t.TempDir()
	f := keyed(t, dir, Settings{})
	if err := f.Write(t.Context(), []*pipeline.Record{to("a", 1, "1")}); err != nil {
		t.Fatal(err)
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	limit := old
	limit.Cur = 1 << 20 // far above the log of the test binary itself
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", 1<<20)
	err := f.Write(t.Context(), []*pipeline.Record{to("a", 2, large), to("b", 3, "3")})
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if got, want := sinktest.Failures(t, err), map[int]string{0: ""}; !reflect.DeepEqual(got, want) {
		t.Errorf("failures %v, want %v: %v", got, want, err)
	}
	same(t, content(t, dir, "a"), "1\n")
	same(t, content(t, dir, "b"), "3\n")
	if err := f.Write(t.Context(), []*pipeline.Record{to("a", 2, large)}); err != nil {
		t.Fatal(err)
	}
	same(t, content(t, dir, "a"), "1\n"+large+"\n")
}
