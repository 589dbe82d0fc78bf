package tail

import (
	"context"
	"io"
	"os"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/settings"
)

// inLinkedFolder has a rig follow files through a link to their folder, which can be made to lead nowhere: then the folder can be listed no
// more, and nobody knows what is in it.
func inLinkedFolder(t *testing.T, test func(r *rig, readable func(bool))) {
	inBubble(t, func(r *rig) {
		r.must(os.Mkdir(r.at("logs"), 0o700))
		readable := func(is bool) {
			to := "link" // itself
			if is {
				to = "logs"
			}
			r.must(os.RemoveAll(r.at("link")))
			r.must(os.Symlink(to, r.at("link")))
		}
		readable(true)
		r.s.Files = []settings.Path{settings.Path(r.at("link/*.log"))}
		test(r, readable)
	})
}

// TestFolderThatCannotBeListed: what is in a folder that cannot be listed for a while is not taken for deleted, and does not come again.
func TestFolderThatCannotBeListed(t *testing.T) {
	inLinkedFolder(t, func(r *rig, readable func(bool)) {
		r.add("logs/a.log", "1\n")
		r.start()
		r.pass(10 * time.Minute) // it rests, and is not open
		readable(false)
		r.pass(10 * time.Minute)
		readable(true)
		r.add("logs/a.log", "2\n")
		r.pass(time.Minute)
		r.came("a.log/0@0 1", "a.log/0@2 2")
		r.says("cannot be listed now")
	})
}

// TestFolderThatCannotBeListedAtStart: the source does not start without knowing what became of its files: it would read them all again.
func TestFolderThatCannotBeListedAtStart(t *testing.T) {
	inLinkedFolder(t, func(r *rig, readable func(bool)) {
		r.add("logs/a.log", "1\n")
		r.start()
		r.stop()
		readable(false)
		r.start()
		r.fails("cannot be listed")
		readable(true)
		r.add("logs/a.log", "2\n")
		r.start()
		r.came("a.log/0@0 1", "a.log/0@2 2")
	})
}

// A feed opens lanes that have no room.
type feed struct{ lane pipeline.Lane }

func (f feed) Lane(_ context.Context, _ string, committed int64) (pipeline.Lane, int64, error) {
	return f.lane, committed, nil
}
func (feed) Room() <-chan struct{} { return nil }

type idleLane struct{ pipeline.Lane }

func (idleLane) Ended() <-chan struct{} { return nil }
func (idleLane) Room() int64            { return 0 }

// TestFileThatCannotBeOpenedAtStart: what stands in it is compared when it can be opened, and it is read on behind the line that the mark is in.
func TestFileThatCannotBeOpenedAtStart(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		number int32
		offset int64
	}{
		"as it was": {"one\ntwo\nthree\n", 0, 8},
		"another":   {"ONE\nTWO\nTHREE\n", 1, 0},
		"cut":       {"o", 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.add("a.log", "one\ntwo\n")
				r.start()
				r.stop()
				at, _ := lookAt(r.at("a.log"))
				stored := r.position().Files[0]
				stored.Offset = 5 // behind the first byte of a line that is done
				r.must(os.WriteFile(r.at("a.log"), []byte(c.text), 0o600))

				src, err := New(r.s, Options{Pipeline: "p"})
				r.must(err)
				src.Attach(event.New(io.Discard, event.Options{}).Pipeline("p"))
				src.engine, src.next = feed{idleLane{}}, 1
				r.must(src.resume(stored, newSurvey([]foundFile{{name: at.name, path: r.at("not-there"), id: at.id}}, src.ownFiles(), &src.looks), time.Now()))
				f := src.files[0]
				f.path, f.recorded = at.path, true
				_, err = src.look(r.Context(), f, time.Now())
				r.must(err)
				f = src.files[0]
				if f.number != c.number || f.offset != c.offset {
					r.Errorf("file %d is read on at %d, want file %d at %d", f.number, f.offset, c.number, c.offset)
				}
				src.closeFile(f)
				src.cancel()
			})
		})
	}
}
