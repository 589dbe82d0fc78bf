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

// A file is looked at every lookEvery, and read when it has stayed the same for settleTime: one
// that is being written is left alone. A change is seen after one lookEvery at most and read two
// of them later, which leaves half a second for reading: two seconds are promised. settleTime is
// a little less than two lookEvery, so that a look that comes early does not wait for a third.
const (
	lookEvery  = 500 * time.Millisecond
	settleTime = 2*lookEvery - lookEvery/5
)

// changingLimit is how long a file may go on changing before there is a warning.
const changingLimit = 10 * time.Second

var (
	errNoRows        = errors.New("it has no rows; to work with an empty table, restart")
	errKeepsChanging = fmt.Errorf("it has been changing for %v; write it beside, and rename it into place", changingLimit)
)

// A tableWatch keeps the table of a Lookup like its file. One goroutine uses it.
type tableWatch struct {
	s    LookupSettings
	read func(LookupSettings) (*table, error)
	rows *atomic.Pointer[table]
	emit *event.Emitter

	seen          stamp     // of the file, at the last look
	since         time.Time // when it first looked like that
	changingSince time.Time // since when it has been changing; zero: it rests
	unusable      stamp     // of a file whose content is of no use
	reported      string    // the fault that was logged last; "": there is none
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
	if now.Sub(w.since) < settleTime {
		return
	}
	w.changingSince = time.Time{}
	switch {
	case is.err != nil:
		w.unusable = stamp{}
		w.reportFault(fmt.Errorf("looking at the table: %w", is.err))
	case is.same(w.rows.Load().stamp):
		w.reportUsable()
	case !is.same(w.unusable):
		w.readChanged(now)
	}
}

// changed notes that the file has changed since the last look.
func (w *tableWatch) changed(is stamp, now time.Time) {
	w.seen, w.since = is, now
	if w.changingSince.IsZero() {
		w.changingSince = now
	}
	if now.Sub(w.changingSince) >= changingLimit {
		w.reportFault(errKeepsChanging)
	}
}

// readChanged reads the file, which has not changed for settleTime.
func (w *tableWatch) readChanged(now time.Time) {
	t, err := w.read(w.s)
	if err == nil && len(t.rows) == 0 {
		err = errNoRows
	}
	var open *fs.PathError
	switch {
	case errors.Is(err, errChanging):
		w.changed(stamp{}, now)
	case errors.As(err, &open): // the next look tries again: what is wrong may pass without a change of the file
		w.reportFault(err)
	case err != nil:
		w.unusable = w.seen
		w.reportFault(err)
	default:
		w.rows.Store(t)
		if w.reported == "" {
			w.logInfo("read the changed table")
		}
		w.reportUsable()
	}
}

// reportFault warns that the file cannot be used, once for each fault.
func (w *tableWatch) reportFault(err error) {
	if w.reported == err.Error() {
		return
	}
	w.reported = err.Error()
	w.emit.Log().Warn().Err(err).Str("file", string(w.s.Table.File)).Msg("cannot use the changed table; the one in memory stays")
}

// reportUsable logs that the table in memory is that of the file again, after a fault.
func (w *tableWatch) reportUsable() {
	w.unusable = stamp{}
	if w.reported == "" {
		return
	}
	w.reported = ""
	w.logInfo("the table can be used again")
}

func (w *tableWatch) logInfo(text string) {
	w.emit.Log().Info().Str("file", string(w.s.Table.File)).Int("rows", len(w.rows.Load().rows)).Msg(text)
}
