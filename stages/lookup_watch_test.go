package stages

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/settings"
)

// inForce is what the reference promises: how long after a change a record gets the new
// table, whatever came before it.
const inForce = 2 * time.Second

// A watched is a lookup as it stands in a pipeline, with its log.
type watched struct {
	*Lookup
	t    *testing.T
	path string
	log  watchLog
}

// A watchLog holds the lines until they are taken.
type watchLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *watchLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(line)
}

func (l *watchLog) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.buf.Reset()
	return l.buf.String()
}

// watchedLookup runs f in virtual time, with a lookup over a file of that name and text.
func watchedLookup(t *testing.T, name, text string, f func(w *watched)) {
	t.Helper()
	s := lookupSettings(t, name, text)
	synctest.Test(t, func(t *testing.T) { f(startWatched(t, s)) })
}

func startWatched(t *testing.T, s LookupSettings) *watched {
	t.Helper()
	l, err := NewLookup(s)
	return watch(t, must(t, l, err))
}

// watch begins to watch the file of a lookup.
func watch(t *testing.T, l *Lookup) *watched {
	t.Helper()
	w := &watched{Lookup: l, t: t, path: string(l.s.Table.File)}
	l.Attach(event.New(&w.log, event.Options{}))
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// later lets time go by, and the watch do what is due then.
func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// write writes the file in place.
func (w *watched) write(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// replace puts another file in the place of the file.
func (w *watched) replace(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path+".new", []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(w.path+".new", w.path); err != nil {
		w.t.Fatal(err)
	}
}

// setTime gives a file a time of writing that is the same for all.
func setTime(t *testing.T, path string) {
	t.Helper()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func (w *watched) sameTime() { w.t.Helper(); setTime(w.t, w.path) }

// is sends one record, and says what it must get.
func (w *watched) is(v string) {
	w.t.Helper()
	processes(w.t, w.Lookup, []row{{`{"origin":"A"}`, `{"origin":"A","from":{"iata":"A","v":"` + v + `"}}`}})
}

// logged wants n lines since it was called last, that hold the texts.
func (w *watched) logged(n int, texts ...string) {
	w.t.Helper()
	got := w.log.take()
	if lines := strings.Count(got, "\n"); lines != n {
		w.t.Errorf("%d lines in the log, want %d:\n%s", lines, n, got)
	}
	for _, text := range texts {
		if !strings.Contains(got, text) {
			w.t.Errorf("the log does not say %s:\n%s", text, got)
		}
	}
}

const (
	asWarn = `"level":"warn"`
	asInfo = `"level":"info"`
)

// Each change counts for the next record, how long ever none came before it.
func TestLookupReadsAChangedTableWithoutRecords(t *testing.T) {
	for _, pause := range []time.Duration{inForce, 4 * time.Second, time.Hour} {
		watchedLookup(t, "t.csv", "iata,v\nA,0\n", func(w *watched) {
			for n := 1; n <= 6; n++ {
				w.write(fmt.Sprintf("iata,v\nA,%d\n", n))
				later(pause)
				w.is(fmt.Sprint(n))
				w.logged(1, asInfo, `"rows":1`)
			}
		})
	}
	watchedLookup(t, "t.jsonl", `{"iata":"A","v":"0"}`, func(w *watched) {
		w.write(`{"iata":"A","v":"1"}`)
		later(inForce)
		w.is("1")
		w.logged(1, asInfo)
	})
}

// The bound holds wherever between two looks the change comes.
func TestLookupBoundHoldsAtEveryMoment(t *testing.T) {
	watchedLookup(t, "t.csv", "iata,v\nA,0\n", func(w *watched) {
		for n := 1; n <= 60; n++ {
			later(37 * time.Millisecond * time.Duration(n))
			w.write(fmt.Sprintf("iata,v\nA,%d\n", n))
			later(inForce)
			w.is(fmt.Sprint(n))
		}
	})
}

// A table of any make counts when it is another file: renamed into place, behind a link
// that is swapped, of the same size and time, removed and made again.
func TestLookupSeesEveryKindOfChange(t *testing.T) {
	changes := map[string]func(w *watched, text string){
		"renamed":  func(w *watched, text string) { w.replace(text) },
		"in place": func(w *watched, text string) { w.write(text) },
		"other file, same time": func(w *watched, text string) {
			w.replace(text)
			w.sameTime()
		},
	}
	maps.Copy(changes, changesOfSystem)
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			s := lookupSettings(t, "t.csv", "iata,v\nA,0\n")
			setTime(t, string(s.Table.File))
			synctest.Test(t, func(t *testing.T) {
				w := startWatched(t, s)
				for n := 1; n < 4; n++ {
					change(w, fmt.Sprintf("iata,v\nA,%d\n", n))
					later(inForce)
					w.is(fmt.Sprint(n))
				}
			})
		})
	}
	t.Run("link swapped", func(t *testing.T) {
		dir := t.TempDir() // as a ConfigMap is mounted: t.csv -> ..data/t.csv, ..data -> ..N
		version := func(n int) {
			t.Helper()
			folder := filepath.Join(dir, fmt.Sprint("..", n))
			for _, err := range []error{
				os.Mkdir(folder, 0o700),
				os.WriteFile(filepath.Join(folder, "t.csv"), fmt.Appendf(nil, "iata,v\nA,%d\n", n), 0o600),
				os.Symlink(fmt.Sprint("..", n), filepath.Join(dir, "..tmp")),
				os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")),
				os.RemoveAll(filepath.Join(dir, fmt.Sprint("..", n-1))),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		version(0)
		s := DefaultLookup()
		s.Table.File, s.Table.Key = settings.Path(filepath.Join(dir, "t.csv")), "iata"
		s.Match, s.Into = expression(t, "origin"), "from"
		if err := os.Symlink(filepath.Join("..data", "t.csv"), string(s.Table.File)); err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			w := startWatched(t, s)
			for n := 1; n < 4; n++ {
				version(n)
				later(inForce)
				w.is(fmt.Sprint(n))
				w.logged(1, asInfo)
			}
		})
	})
}

// A table that is being written is left alone until it rests, and one that never rests is
// told about.
func TestLookupLeavesAHalfWrittenTable(t *testing.T) {
	watchedLookup(t, "t.csv", "iata,v\nA,0\n", func(w *watched) {
		text := "iata,v\n"
		for n := range 8 { // each state of it would do as a table
			w.write(text)
			later(800 * time.Millisecond)
			w.is("0")
			text += fmt.Sprintf("%d,x\n", n)
		}
		w.logged(0)
		w.write(text + "A,1\n")
		later(inForce)
		w.is("1")
		w.logged(1, asInfo, `"rows":9`)

		for n := range 40 {
			w.write(text + strings.Repeat("\n", n))
			later(lookEvery)
			w.is("1")
		}
		w.logged(1, asWarn, "changing")
		w.write(text + "A,2\n")
		later(inForce)
		w.is("2")
		w.logged(1, asInfo, "again")
	})
	// Gone for a moment, between removal and the next version, is no fault.
	watchedLookup(t, "t.csv", "iata,v\nA,0\n", func(w *watched) {
		if err := os.Remove(w.path); err != nil {
			t.Fatal(err)
		}
		later(lookEvery)
		w.write("iata,v\nA,1\n")
		later(inForce)
		w.is("1")
		w.logged(1, asInfo)
	})
}

// What changed while it was read is read again when it rests.
func TestLookupTakesNoTableThatChangedWhileItWasRead(t *testing.T) {
	s := lookupSettings(t, "t.csv", "iata,v\nA,0\n")
	synctest.Test(t, func(t *testing.T) {
		l, err := NewLookup(s)
		must(t, l, err)
		var reads atomic.Int32
		l.read = func(s LookupSettings) (*table, error) {
			if reads.Add(1) == 1 {
				return nil, fmt.Errorf("reading: %w", errChanging)
			}
			return readTable(s)
		}
		w := watch(t, l)
		w.write("iata,v\nA,1\n")
		later(inForce)
		w.is("0")
		w.logged(0)
		later(inForce)
		w.is("1")
		w.logged(1, asInfo)
		if n := reads.Load(); n != 2 {
			t.Errorf("read %d times, want twice", n)
		}
	})
}

// Close does not wait for a file system that hangs.
func TestLookupClosesWhileAReadHangs(t *testing.T) {
	s := lookupSettings(t, "t.csv", "iata,v\nA,0\n")
	synctest.Test(t, func(t *testing.T) {
		l, err := NewLookup(s)
		must(t, l, err)
		hangs := make(chan struct{})
		l.read = func(s LookupSettings) (*table, error) {
			<-hangs
			return readTable(s)
		}
		w := watch(t, l)
		w.write("iata,v\nA,1\n")
		later(inForce)
		w.is("0")
		began := time.Now()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > closeWait {
			t.Errorf("Close took %v", took)
		}
		close(hangs)
	})
}
