package tail

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A writer appends numbered lines to files that it renames and opens anew, as programs that log do.
type writer struct {
	r     *rig
	rand  *rand.Rand
	name  string // of the file, without the ending
	file  *os.File
	n     int    // lines begun
	rest  string // of a line of which a part is written
	old   []oldFile
	moves int
	lines []string // all that were written whole
}

// An oldFile is one that was renamed and whose end is still to be written.
type oldFile struct {
	file *os.File
	rest string
}

func (w *writer) open() {
	var err error
	w.file, err = os.OpenFile(w.r.at(w.name+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	w.r.must(err)
}

func (w *writer) write(f *os.File, text string) {
	_, err := f.WriteString(text)
	w.r.must(err)
}

// line writes some lines, and maybe a part of one.
func (w *writer) line() {
	for range w.rand.IntN(20) {
		w.write(w.file, w.rest)
		if w.rest == "" {
			w.write(w.file, w.next())
		}
		w.rest = ""
	}
	if w.rest == "" && w.rand.IntN(3) == 0 {
		text := w.next()
		cut := 1 + w.rand.IntN(len(text)-1)
		w.write(w.file, text[:cut])
		w.rest = text[cut:]
	}
}

func (w *writer) next() string {
	w.n++
	line := fmt.Sprintf("%s-%d-%s.", w.name, w.n, strings.Repeat("x", w.rand.IntN(40)*w.rand.IntN(40)))
	w.lines = append(w.lines, line)
	return line + "\n"
}

// rotate renames the file and begins another. What is begun in the old one is ended there, later. A file whose new name
// is not followed has to have been seen under the old one.
func (w *writer) rotate(follows bool) {
	if !follows {
		if w.r.end == nil {
			return
		}
		w.r.pass(1100 * time.Millisecond)
	}
	w.moves++
	w.r.rename(w.name+".log", fmt.Sprintf("%s.log.%d", w.name, w.moves))
	w.old = append(w.old, oldFile{w.file, w.rest})
	w.rest = ""
	w.open()
}

// cut empties the file in place, as copytruncate does, when all that stands in it has been read.
func (w *writer) cut() {
	if w.r.end == nil || w.rest != "" || w.r.step != nil {
		return
	}
	w.r.pass(time.Second)
	w.r.must(os.Truncate(w.r.at(w.name+".log"), 0))
}

// settle ends what was begun in files that were renamed.
func (w *writer) settle() {
	for _, o := range w.old {
		w.write(o.file, o.rest)
		w.r.must(o.file.Close())
	}
	w.old = nil
}

// TestRandom writes, rotates, cuts, stops and crashes at random: after stops alone every line comes once and in order within its
// file; after crashes none is lost, and none is torn.
func TestRandom(t *testing.T) {
	runs := 12
	if testing.Short() {
		runs = 4
	}
	for run := range runs {
		seed := uint64(run)
		if run > runs/2 {
			seed = rand.Uint64()
		}
		crashes := run%2 == 1
		t.Run(fmt.Sprintf("seed=%d/crashes=%v", seed, crashes), func(t *testing.T) {
			inBubble(t, func(r *rig) { random(r, rand.New(rand.NewPCG(seed, 1)), crashes) })
		})
	}
}

func random(r *rig, rnd *rand.Rand, crashes bool) {
	r.s.MaxOpen = 1 + rnd.IntN(4)
	r.s.Linger = time.Hour // the ends of renamed files come before
	follows := rnd.IntN(2) == 0
	if follows {
		r.s.Files = []settings.Path{settings.Path(r.at("*.log*"))}
	}
	if rnd.IntN(2) == 0 {
		r.step = pipeline.StageFunc(func(context.Context, *pipeline.Record) error {
			time.Sleep(time.Duration(len(r.sink.Values())%7) * time.Millisecond)
			return nil
		})
	}
	var writers []*writer
	for _, name := range []string{"a", "b", "c"} {
		w := &writer{r: r, rand: rnd, name: name}
		w.open()
		writers = append(writers, w)
	}
	for range 60 {
		w := writers[rnd.IntN(len(writers))]
		switch k := rnd.IntN(20); {
		case k < 12:
			w.line()
		case k < 14:
			w.rotate(follows)
		case k == 14 && rnd.IntN(2) == 0:
			w.settle()
		case k == 14:
			w.cut()
		case r.end == nil:
			r.start()
		case k < 17 && crashes:
			text, err := os.ReadFile(r.at("position"))
			r.must(err)
			r.stop()
			r.must(os.WriteFile(r.at("position"), text, 0o600)) // what is delivered since does not stand there
		case k < 17:
			r.stop()
		default:
			r.pass(time.Duration(rnd.IntN(500)) * time.Millisecond)
		}
	}
	for _, w := range writers {
		w.settle()
		w.write(w.file, w.rest)
		r.must(w.file.Close())
	}
	if r.end == nil {
		r.start()
	}
	r.pass(time.Minute)
	r.stop()
	r.checkAll(writers, !crashes)
}

// checkAll checks that every line of the writers has come, whole and at one place, and in order within its file.
func (r *rig) checkAll(writers []*writer, once bool) {
	r.Helper()
	places := map[string]pipeline.Position{}
	last := map[string]int64{}
	for _, rec := range r.sink.Records() {
		line, pos := string(rec.Value()), rec.Position
		at, again := places[line]
		if again && (once || at != pos) {
			r.Fatalf("%q came at %v and at %v\n%s", line, at, pos, r.shortLog())
		}
		places[line] = pos
		file := fmt.Sprintf("%s/%d", pos.Topic, pos.Partition)
		if once && last[file] > pos.Offset {
			r.Fatalf("%q came behind a later line of its file", line)
		}
		last[file] = pos.Offset
	}
	for _, w := range writers {
		for i, line := range w.lines {
			if _, ok := places[line]; !ok {
				r.Fatalf("line %d of %d of %s has not come: %q\n%s", i+1, len(w.lines), w.name, line, r.shortLog())
			}
			delete(places, line)
		}
	}
	for line := range places {
		r.Fatalf("nobody wrote %q", line)
	}
}
