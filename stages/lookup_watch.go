package stages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// A file is looked at every lookEvery, and read when it has stayed the same for rest: one
// that is being written is left alone. A change is seen after one lookEvery at most and
// taken two of them later, which leaves half a second of the two that are promised for
// reading. rest is a little less than two, so that a look that comes early does not
// cost a third.
const (
	lookEvery = 500 * time.Millisecond
	rest      = 2*lookEvery - lookEvery/5
)

// restless is how long a file may go on changing before somebody is told.
const restless = 10 * time.Second

var (
	errNoRows   = errors.New("it has no rows; to work with an empty table, restart")
	errRestless = fmt.Errorf("it has been changing for %v; write it beside, and rename it into place", restless)
)

// A tableWatch keeps the table of a Lookup like its file. One goroutine uses it.
type tableWatch struct {
	s    LookupSettings
	read func(LookupSettings) (*table, error)
	rows *atomic.Pointer[table]
	emit *event.Emitter

	seen   stamp     // of the file, at the last look
	since  time.Time // when it first looked like that
	unrest time.Time // since when it has been changing; zero: it rests
	bad    stamp     // of a file whose content is of no use
	fault  string    // what was told last; "": nothing is wrong
}

// newTableWatch makes the watch of a lookup that has its table.
func newTableWatch(l *Lookup, e *event.Emitter) *tableWatch {
	return &tableWatch{s: l.s, read: l.read, rows: &l.rows, emit: e, seen: l.rows.Load().stamp, since: time.Now()}
}

// run looks at the file until ctx ends.
func (w *tableWatch) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.look(time.Now())
		}
	}
}

func (w *tableWatch) look(now time.Time) {
	is := stampOf(string(w.s.Table.File))
	if !is.same(w.seen) {
		w.changed(is, now)
		return
	}
	if now.Sub(w.since) < rest {
		return
	}
	w.unrest = time.Time{}
	switch {
	case is.err != nil:
		w.bad = stamp{}
		w.wrong(fmt.Errorf("looking at the table: %w", is.err))
	case is.same(w.rows.Load().stamp):
		w.good()
	case !is.same(w.bad):
		w.take(now)
	}
}

// changed notes that the file is not what it was at the look before.
func (w *tableWatch) changed(is stamp, now time.Time) {
	w.seen, w.since = is, now
	if w.unrest.IsZero() {
		w.unrest = now
	}
	if now.Sub(w.unrest) >= restless {
		w.wrong(errRestless)
	}
}

// take reads the file that rests.
func (w *tableWatch) take(now time.Time) {
	t, err := w.read(w.s)
	if err == nil && len(t.rows) == 0 {
		err = errNoRows
	}
	var open *fs.PathError
	switch {
	case errors.Is(err, errChanging):
		w.changed(stamp{}, now)
	case errors.As(err, &open): // may pass without a trace on the file: the next look tries again
		w.wrong(err)
	case err != nil:
		w.bad = w.seen
		w.wrong(err)
	default:
		w.rows.Store(t)
		if w.fault == "" {
			w.tell("read the changed table")
		}
		w.good()
	}
}

// wrong tells that the file is of no use, once for each fault.
func (w *tableWatch) wrong(err error) {
	if w.fault == err.Error() {
		return
	}
	w.fault = err.Error()
	w.emit.Log().Warn().Err(err).Str("file", string(w.s.Table.File)).Msg("cannot use the changed table; the one in memory stays")
}

// good tells that the table in memory is that of the file again.
func (w *tableWatch) good() {
	w.bad = stamp{}
	if w.fault == "" {
		return
	}
	w.fault = ""
	w.tell("the table can be used again")
}

func (w *tableWatch) tell(text string) {
	w.emit.Log().Info().Str("file", string(w.s.Table.File)).Int("rows", len(w.rows.Load().rows)).Msg(text)
}
