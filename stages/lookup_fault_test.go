package stages

import (
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline/settings"
)

// A table that cannot be used leaves the one in memory, and is told about once; that it is
// good again as well.
func TestLookupKeepsTheOldTable(t *testing.T) {
	const good = "iata,v\nA,0\n"
	remove := func(w *watched) {
		w.t.Helper()
		if err := os.Remove(w.path); err != nil {
			w.t.Fatal(err)
		}
	}
	for name, fault := range map[string]struct {
		make func(w *watched)
		says string
	}{
		"empty":           {func(w *watched) { w.write("") }, "it is empty"},
		"header alone":    {func(w *watched) { w.write("iata,v\n") }, "no rows"},
		"no line end":     {func(w *watched) { w.write("iata,v") }, "no rows"},
		"twice a key":     {func(w *watched) { w.write("iata,v\nA,1\nA,2\n") }, "the same as in line 2"},
		"key vanished":    {func(w *watched) { w.write("code,v\nA,1\n") }, "no column"},
		"column vanished": {func(w *watched) { w.write("iata,w\nA,1\n") }, `columns: the table has no column \"v\"`},
		"gone":            {remove, "no such file"},
		"a folder": {func(w *watched) {
			remove(w)
			if err := os.Mkdir(w.path, 0o700); err != nil {
				w.t.Fatal(err)
			}
		}, "folder"},
		"a link to itself": {func(w *watched) {
			remove(w)
			if err := os.Symlink(w.path, w.path); err != nil {
				w.t.Fatal(err)
			}
		}, "symbolic links"},
		"too large": {func(w *watched) { w.write(good + strings.Repeat("\n", 20)) }, "max_bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			s := lookupSettings(t, "t.csv", good)
			s.Table.MaxBytes, s.Columns = 20, []settings.FieldPath{"iata", "v"}
			synctest.Test(t, func(t *testing.T) {
				w := startWatched(t, s)
				fault.make(w)
				for range 5 {
					later(inForce)
					w.is("0")
				}
				w.logged(1, asWarn, fault.says, "stays")

				// The same again, and another version.
				if name != "a folder" && name != "gone" && name != "a link to itself" {
					w.write(good)
				} else {
					_ = os.Remove(w.path) // it may be gone
					w.replace(good)
				}
				later(inForce)
				w.is("0")
				w.logged(1, asInfo, "again")
				w.write("iata,v\nA,1\n")
				later(inForce)
				w.is("1")
				w.logged(1, asInfo)
			})
		})
	}
	t.Run("jsonl", func(t *testing.T) {
		watchedLookup(t, "t.jsonl", `{"iata":"A","v":"0"}`, func(w *watched) {
			w.write("\n\n")
			later(inForce)
			w.logged(1, asWarn, "no rows")
			w.write(`{"iata":"A","v":"1"`)
			later(inForce)
			w.logged(1, asWarn, "not a JSON object") // another fault
			later(inForce)
			w.is("0")
			w.write(`{"iata":"A","v":"1"}`)
			later(inForce)
			w.is("1")
			w.logged(1, asInfo, "again")
		})
	})
}

// What has become unreadable is tried again, also when nothing of the file's own tells
// that it can be read now.
func TestLookupTriesAnUnreadableTableAgain(t *testing.T) {
	s := lookupSettings(t, "t.csv", "iata,v\nA,0\n")
	synctest.Test(t, func(t *testing.T) {
		l, err := NewLookup(s)
		must(t, l, err)
		var denied atomic.Bool
		denied.Store(true)
		l.read = func(s LookupSettings) (*table, error) {
			if denied.Load() {
				return nil, &settings.FieldError{Field: "table.file", Err: &fs.PathError{Op: "open", Path: "t.csv", Err: fs.ErrPermission}}
			}
			return readTable(s)
		}
		w := watch(t, l)
		w.write("iata,v\nA,1\n")
		for range 5 {
			later(inForce)
			w.is("0")
		}
		w.logged(1, asWarn, "permission denied")
		denied.Store(false)
		later(inForce)
		w.is("1")
		w.logged(1, asInfo, "again")
	})
}

// A table without rows at the start matches nothing, until there are some.
func TestLookupOfATableWithoutRows(t *testing.T) {
	for file, text := range map[string]string{"t.csv": "iata,v\n", "u.csv": "iata,v", "t.jsonl": "\n"} {
		watchedLookup(t, file, text, func(w *watched) {
			later(time.Minute)
			w.logged(0)
			if !w.s.Empty() {
				t.Errorf("%s has rows", file)
			}
			if strings.HasSuffix(file, "l") {
				w.write(`{"iata":"A","v":"1"}`)
			} else {
				w.write("iata,v\nA,1\n")
			}
			later(inForce)
			w.is("1")
			w.logged(1, asInfo, `"rows":1`)
		})
	}
}

// Two steps may share a file: both see the change, and each says so.
func TestLookupsShareAFile(t *testing.T) {
	s := lookupSettings(t, "t.csv", "iata,v\nA,0\n")
	synctest.Test(t, func(t *testing.T) {
		first := startWatched(t, s)
		later(300 * time.Millisecond)
		second := startWatched(t, s)
		first.write("iata,v\nA,1\n")
		later(inForce)
		for _, w := range []*watched{first, second} {
			w.is("1")
			w.logged(1, asInfo)
		}
	})
}

// The watch ends with the stage, also one that never began, and Close may come twice.
func TestLookupCloses(t *testing.T) {
	s := lookupSettings(t, "t.csv", "iata,v\nA,0\n")
	l, err := NewLookup(s)
	must(t, l, err)
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) { // fails when a goroutine is left
		w := startWatched(t, s)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		w.write("iata,v\nA,1\n")
		later(time.Minute)
		w.is("0")
		w.logged(0)
	})
}
