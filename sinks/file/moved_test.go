//go:build unix

package filesink

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/sinks/internal/sinktest"
)

func TestFileThatWasMovedAway(t *testing.T) {
	dir := t.TempDir()
	f := keyed(t, dir, Settings{})
	write := func(file, value string) {
		t.Helper()
		if err := f.Write(t.Context(), []*pipeline.Record{to(file, 1, value)}); err != nil {
			t.Fatal(err)
		}
	}
	write("a", "1")
	out := filepath.Join(dir, "out")
	if err := os.Rename(filepath.Join(out, "a"), filepath.Join(out, "a.1")); err != nil {
		t.Fatal(err)
	}
	write("a", "2")
	same(t, content(t, dir, "a.1"), "1\n")
	same(t, content(t, dir, "a"), "2\n")
	if err := os.Remove(filepath.Join(out, "a")); err != nil {
		t.Fatal(err)
	}
	write("a", "3")
	same(t, content(t, dir, "a"), "3\n")

	if err := os.RemoveAll(out); err != nil {
		t.Fatal(err)
	}
	write("a", "4")
	same(t, content(t, dir, "a"), "4\n")
}

// A folder that is no longer the one of its path is noticed by the next write, whatever
// was done to it: lines go where the path leads.
func TestFileWhoseFolderWasMovedAway(t *testing.T) {
	must := func(t *testing.T, errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		move func(t *testing.T, dir string) (old string) // dir/deep/out is what is moved; old: where the first line is, "": nowhere
	}{
		{"renamed, and made anew", func(t *testing.T, dir string) string {
			must(t, os.Rename(dir+"/deep/out", dir+"/old"), os.Mkdir(dir+"/deep/out", 0o700))
			return dir + "/old"
		}},
		{"renamed", func(t *testing.T, dir string) string {
			must(t, os.Rename(dir+"/deep/out", dir+"/old"))
			return dir + "/old"
		}},
		{"another one, with a file of that name, in its place", func(t *testing.T, dir string) string {
			must(t, os.Rename(dir+"/deep/out", dir+"/old"), os.Mkdir(dir+"/deep/out", 0o700),
				os.WriteFile(dir+"/deep/out/a", nil, 0o600))
			return dir + "/old"
		}},
		{"the folder above renamed", func(t *testing.T, dir string) string {
			must(t, os.Rename(dir+"/deep", dir+"/old"))
			return dir + "/old/out"
		}},
		{"removed with all above", func(t *testing.T, dir string) string {
			must(t, os.RemoveAll(dir+"/deep"))
			return ""
		}},
		{"a link that leads elsewhere now", func(t *testing.T, dir string) string {
			must(t, os.Mkdir(dir+"/new", 0o700), os.Symlink(dir+"/new", dir+"/link"), os.Rename(dir+"/link", dir+"/deep/out"))
			return dir + "/first"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.Mkdir(dir+"/deep", 0o700))
			if strings.HasPrefix(c.name, "a link") {
				must(t, os.Mkdir(dir+"/first", 0o700), os.Symlink(dir+"/first", dir+"/deep/out"))
			}
			f := keyed(t, dir+"/deep", Settings{})
			must(t, f.Write(t.Context(), []*pipeline.Record{to("a", 1, "1"), to("below/b", 2, "1")}))
			old := c.move(t, dir)
			must(t, f.Write(t.Context(), []*pipeline.Record{to("a", 3, "2"), to("below/b", 4, "2")}), f.Ping(t.Context()))
			for _, name := range []string{"a", "below/b"} {
				if old != "" {
					text, err := os.ReadFile(filepath.Join(old, name))
					must(t, err)
					same(t, string(text), "1\n")
				}
				same(t, content(t, dir+"/deep", name), "2\n")
			}
			if f.dir.users != 0 {
				t.Errorf("%d users of the folder are left", f.dir.users)
			}
		})
	}
}

// Whoever had the old folder's file keeps nobody from the new one's.
func TestFileLockStaysWithTheOldFolder(t *testing.T) {
	dir := t.TempDir()
	f, g := keyed(t, dir, Settings{}), keyed(t, dir, Settings{})
	for i, sink := range []*Sink{f, g, f} {
		err := sink.Write(t.Context(), []*pipeline.Record{to("a", int64(i), fmt.Sprint(i))})
		if i < 2 && err != nil {
			t.Fatal(err)
		}
		if i == 2 && (err == nil || !strings.Contains(err.Error(), "another process")) {
			t.Errorf("got %v, while the other sink has the file", err)
		}
		if i == 0 {
			if err := os.Rename(filepath.Join(dir, "out"), filepath.Join(dir, "old")); err != nil {
				t.Fatal(err)
			}
		}
	}
	same(t, content(t, dir, "a"), "1\n")
}

// A file that is moved away while it is being opened takes no line with it.
func TestFileThatIsMovedAwayWhileItIsOpened(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a", "1\n")
	f := keyed(t, dir, Settings{})
	real := syncFile
	t.Cleanup(func() { syncFile = real })
	moved := false
	syncFile = func(g *os.File) error {
		if !moved { // the folder's, before the first line is written
			moved = true
			if err := os.Rename(filepath.Join(dir, "out/a"), filepath.Join(dir, "out/a.1")); err != nil {
				return err
			}
		}
		return real(g)
	}
	for tries := 0; ; tries++ {
		err := f.Write(t.Context(), []*pipeline.Record{to("a", 2, "2")})
		if err == nil {
			break
		}
		if got := sinktest.Failures(t, err); tries > 2 || got[0] != "" {
			t.Fatalf("%v: %v", got, err)
		}
	}
	same(t, content(t, dir, "a.1"), "1\n")
	same(t, content(t, dir, "a"), "2\n")
}
