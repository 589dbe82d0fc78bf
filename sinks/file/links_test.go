//go:build unix

package filesink

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/sinks/internal/sinktest"
)

// inside makes what a test needs below dir/out.
func inside(t *testing.T, dir string, links map[string]string, folders ...string) {
	t.Helper()
	for _, name := range append(folders, ".") {
		if err := os.MkdirAll(filepath.Join(dir, "out", name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range links {
		if err := os.Symlink(target, filepath.Join(dir, "out", link)); err != nil {
			t.Fatal(err)
		}
	}
}

// A link to a file that is not there yet makes it, as a shell does.
func TestFileMakesWhatALinkNames(t *testing.T) {
	for _, c := range []struct {
		name, file, made string
		links            map[string]string
		folders          []string
	}{
		{"beside it", "a", "b", map[string]string{"a": "b"}, nil},
		{"in a folder", "a", "sub/b", map[string]string{"a": "sub/b"}, []string{"sub"}},
		{"over two links", "a", "b", map[string]string{"a": "l", "l": "b"}, nil},
		{"upwards", "sub/a", "b", map[string]string{"sub/a": "../b"}, []string{"sub"}},
		{"in a folder that is a link", "l/a", "sub/a", map[string]string{"l": "sub"}, []string{"sub"}},
		{"in a folder below one that is a link", "l/new/a", "sub/new/a", map[string]string{"l": "sub"}, []string{"sub"}},
		{"upwards from a folder that is a link", "l/a", "deep/b", map[string]string{"l": "deep/sub", "deep/sub/a": "../b"}, []string{"deep/sub"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			inside(t, dir, c.links, c.folders...)
			f := keyed(t, dir, Settings{})
			for i, line := range []string{"1", "2"} {
				if err := f.Write(t.Context(), []*pipeline.Record{to(c.file, int64(i), line)}); err != nil {
					t.Fatal(err)
				}
			}
			same(t, content(t, dir, c.made), "1\n2\n")
			// What it leads to is removed, by a rotation: the next write makes it anew.
			if err := os.Remove(filepath.Join(dir, "out", c.made)); err != nil {
				t.Fatal(err)
			}
			if err := f.Write(t.Context(), []*pipeline.Record{to(c.file, 3, "3")}); err != nil {
				t.Fatal(err)
			}
			same(t, content(t, dir, c.made), "3\n")
		})
	}
}

// What is in the way, for a record that names the file, and for the one file of all
// records: what the next try cannot cure rejects, and is known at start-up; for the rest
// the sink says what is to be done.
func TestFileThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		name, file string
		links      map[string]string
		make       func(t *testing.T, out string)
		reject     bool
		want       string
	}{
		{"a link into a missing folder", "a", map[string]string{"a": "no/b"}, nil, false,
			"a link leads into a folder that is not there: make that folder, or remove the link"},
		{"a folder that is a link to nothing", "l/a", map[string]string{"l": "no"}, nil, false,
			"a link leads into a folder that is not there: make that folder, or remove the link"},
		{"a folder below a link to nothing", "l/x/a", map[string]string{"l": "no"}, nil, false,
			"a link leads into a folder that is not there: make that folder, or remove the link"},
		{"a link to nothing outside", "a", map[string]string{"a": "../b"}, nil, true, "it leads out of its folder, maybe by a link"},
		{"a link to nothing at an absolute path", "a", map[string]string{"a": "/no/b"}, nil, true, "it leads out of its folder, maybe by a link (one within it has a relative target)"},
		{"a loop", "a", map[string]string{"a": "b", "b": "a"}, nil, true, "too many levels of symbolic links"},
		{"a link to a folder", "a", map[string]string{"a": "."}, nil, true, "something else of that name that is no file of lines"},
		{"a folder", "a", nil, func(t *testing.T, out string) { inside(t, filepath.Dir(out), nil, "a") }, true, "something else of that name"},
		{"a file in the path", "b/a", nil, func(t *testing.T, out string) {
			if err := os.WriteFile(filepath.Join(out, "b"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, true, "not a directory"},
		{"a FIFO", "a", nil, func(t *testing.T, out string) {
			if err := syscall.Mkfifo(filepath.Join(out, "a"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, true, "something else of that name"},
		{"a socket", "a", nil, func(t *testing.T, out string) {
			t.Chdir(out) // its whole path may be too long
			l, err := net.Listen("unix", "a")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
		}, true, "something else of that name"},
		{"a name that is too long", strings.Repeat("a", 300), nil, nil, true, "file name too long"},
		{"a link with a name that is too long", "a", map[string]string{"a": strings.Repeat("a", 300)}, nil, true, "file name too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			out := filepath.Join(dir, "out")
			inside(t, dir, c.links)
			if c.make != nil {
				c.make(t, out)
			}
			f := keyed(t, dir, Settings{})
			err := f.Write(t.Context(), []*pipeline.Record{to(c.file, 1, "x"), to("good", 2, "x")})
			reason := ""
			if c.reject {
				reason = ReasonFileName
			}
			if got := sinktest.Failures(t, err); len(got) != 1 || got[0] != reason || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: %v", got, err)
			}
			same(t, content(t, dir, "good"), "x\n")
			if strings.Contains(c.file, "/") {
				return // the one file of all has its folder before the first part in braces
			}
			s := Defaults()
			if err := s.Path.UnmarshalText([]byte(filepath.Join(out, c.file))); err != nil {
				t.Fatal(err)
			}
			one, err := New(s)
			if err != nil {
				t.Fatal(err)
			}
			defer one.Close(t.Context())
			var env *pipeline.EnvironmentError
			if err := one.Ping(t.Context()); !errors.As(err, &env) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), filepath.Join(out, c.file)) {
				t.Errorf("at start-up: %v", err)
			}
		})
	}
}

// The folder of the files is named with what is wrong with it: it comes from no record. The
// records wait for it.
func TestFileWhoseFolderCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		make func(dir string) error
		want string
	}{
		"a link to nothing": {func(dir string) error { return os.Symlink("no", dir+"/out") }, "/out is a link to no, which is not there: make that folder, or remove the link"},
		"a file":            {func(dir string) error { return os.WriteFile(dir+"/out", nil, 0o600) }, "/out is a file and no folder: move it away, or name another folder"},
		"a loop":            {func(dir string) error { return os.Symlink("out", dir+"/out") }, "/out: too many levels of symbolic links"},
		"a link to a file": {func(dir string) error {
			return errors.Join(os.WriteFile(dir+"/f", nil, 0o600), os.Symlink("f", dir+"/out"))
		}, "/out is a file and no folder"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := c.make(dir); err != nil {
				t.Fatal(err)
			}
			f := keyed(t, dir, Settings{})
			recs := []*pipeline.Record{to("a", 1, "x")}
			err := f.Write(t.Context(), recs)
			if got := sinktest.Failures(t, err); len(got) != 1 || got[0] != "" || !strings.Contains(err.Error(), dir+c.want) {
				t.Errorf("%v: %v", got, err)
			}
			var env *pipeline.EnvironmentError
			if err := f.Ping(t.Context()); !errors.As(err, &env) || !strings.Contains(err.Error(), dir+c.want) {
				t.Errorf("at start-up: %v", err)
			}
			// Somebody mends it.
			if err := errors.Join(os.Remove(dir+"/out"), os.Mkdir(dir+"/out", 0o700)); err != nil {
				t.Fatal(err)
			}
			if err := f.Write(t.Context(), recs); err != nil {
				t.Fatal(err)
			}
			same(t, content(t, dir, "a"), "x\n")
		})
	}
}
