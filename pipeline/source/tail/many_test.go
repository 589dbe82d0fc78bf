package tail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/settings"
)

// TestManyRenamed: where many files went is found by looking at each name of their folder once a scan, and not once for each file.
func TestManyRenamed(t *testing.T) {
	const files = 100
	for _, open := range []int{8, 2 * files} {
		t.Run(fmt.Sprint("open ", open), func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.s.MaxOpen = open
				for i := range files {
					r.add(fmt.Sprintf("%d.log", i), "1\n")
				}
				r.start()
				for i := range files {
					r.rename(fmt.Sprintf("%d.log", i), fmt.Sprintf("%d.log.1", i))
					r.add(fmt.Sprintf("%d.log", i), "2\n")
				}
				r.pass(5 * time.Second)
				r.stop()
				fewLooks(r, "after a rotation", 10*2*files)
				for i := range files {
					r.add(fmt.Sprintf("%d.log.1", i), "3\n")
				}
				r.start()
				r.pass(5 * time.Second)
				r.stop()
				fewLooks(r, "after a start", 10*2*files)
				if n := len(r.lines()); n != 3*files {
					r.Errorf("%d lines came, want %d", n, 3*files)
				}
			})
		})
	}
}

// TestManyCut: files that were cut together are stored together: the whole position is written each time.
func TestManyCut(t *testing.T) {
	const files = 100
	inBubble(t, func(r *rig) {
		for i := range files {
			r.add(fmt.Sprintf("%d.log", i), "1\n")
		}
		r.start()
		r.pass(time.Minute)
		before := r.writes()
		for i := range files {
			r.must(os.WriteFile(r.at(fmt.Sprintf("%d.log", i)), []byte("2\n"), 0o600))
		}
		r.pass(time.Minute)
		if n := r.writes() - before; n < 1 || n > 20 {
			r.Errorf("the position was written %d times", n)
		}
		if n := len(r.lines()); n != 2*files {
			r.Errorf("%d lines came, want %d", n, 2*files)
		}
	})
}

// writes is how often the position was written.
func (r *rig) writes() int {
	r.src.saving.Lock()
	defer r.src.saving.Unlock()
	return r.src.writes
}

func fewLooks(r *rig, when string, most int) {
	r.Helper()
	if r.src.looks > most {
		r.Errorf("%s there were %d looks at names, want at most %d", when, r.src.looks, most)
	}
}

// TestQuietFiles: a file of which nothing has come for long is looked at as often as it is looked for other files.
func TestQuietFiles(t *testing.T) {
	const poll, scan = 50 * time.Millisecond, 2 * time.Second
	for name, c := range map[string]struct {
		quiet time.Duration
		grows bool
		pause time.Duration
	}{
		"quiet":            {restAfter / 2, false, poll},
		"quiet for long":   {2 * restAfter, false, scan},
		"it grows by then": {2 * restAfter, true, poll},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.s.Poll, r.s.Scan = poll, scan
				r.add("a.log", "1\n")
				r.start()
				r.pass(c.quiet)
				want := []string{"a.log/0@0 1"}
				if c.grows {
					r.add("a.log", "2\n")
					r.pass(2 * scan)
					want = append(want, "a.log/0@2 2")
				}
				r.stop()
				r.came(want...)
				if pause := r.src.files[0].pause; pause != c.pause {
					r.Errorf("a pause of %v, want %v", pause, c.pause)
				}
			})
		})
	}
}

// A stoppedFeed opens no lane, as the pipeline stops.
type stoppedFeed struct {
	feed
	stop context.CancelFunc
}

func (f stoppedFeed) Lane(context.Context, string, int64) (pipeline.Lane, int64, error) {
	f.stop()
	return nil, 0, errors.New("the pipeline stops")
}

// TestStopBeforeALane: a stop that comes before the lane of a file is open is a stop, and no trouble.
func TestStopBeforeALane(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.add("a.log", "1\n")
		src, err := New(r.s, Options{Pipeline: "p"})
		r.must(err)
		src.Attach(event.New(&r.log, event.Options{}).Pipeline("p"))
		ctx, stop := context.WithCancel(r.Context())
		r.must(src.Open(ctx, stoppedFeed{stop: stop}))
		if _, err := src.Read(ctx); !errors.Is(err, context.Canceled) {
			r.Errorf("Read ended with %v", err)
		}
		r.must(src.Close(r.Context()))
	})
}

// TestStrangerThatCannotBeOpened: a file that has the inode of one that was renamed, and could not be opened at the start, is not read on when it
// can be: no pattern finds it.
func TestStrangerThatCannotBeOpened(t *testing.T) {
	for name, text := range map[string]string{"another": "ONE\nTWO\nTHREE\n", "cut": "o"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.add("a.log", "one\ntwo\n")
				r.start()
				r.stop()
				r.rename("a.log", "a.old")
				r.must(os.WriteFile(r.at("a.old"), []byte(text), 0o600))
				at, _ := lookAt(r.at("a.old"))
				src, err := New(r.s, Options{Pipeline: "p"})
				r.must(err)
				src.Attach(event.New(&r.log, event.Options{}).Pipeline("p"))
				src.engine, src.next = feed{idleLane{}}, 1
				v := src.survey()
				v.folders[r.dir] = folder{files: map[identity]foundFile{at.id: {path: r.at("not-there"), id: at.id}}}
				r.must(src.resume(r.position().Files[0], v, time.Now()))
				f := src.files[0]
				f.path, f.recorded = at.path, true
				_, err = src.look(r.Context(), f, time.Now())
				r.must(err)
				src.removeFinished()
				if len(src.files) != 0 {
					r.Errorf("it is followed as file %d at %d", src.files[0].number, src.files[0].offset)
					src.closeFile(src.files[0])
				}
				r.says("a file that was followed is gone")
				src.cancel()
			})
		})
	}
}

// TestOwnFiles: what the source writes itself is not followed, under whatever name a pattern finds it.
func TestOwnFiles(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.must(os.Mkdir(r.at("real"), 0o700))
		r.must(os.Symlink("real", r.at("link")))
		r.must(os.Symlink("real/position", r.at("alias")))
		r.s.Position = settings.Path(r.at("real/position"))
		r.s.Files = []settings.Path{settings.Path(r.at("link/*")), settings.Path(r.at("alias"))}
		r.add("real/a.log", "1\n")
		r.add("real/position.log", "2\n")
		r.start()
		r.add("real/a.log", "3\n")
		r.pass(time.Minute)
		r.came("a.log/0@0 1", "a.log/0@2 3", "position.log/1@0 2")
	})
}
