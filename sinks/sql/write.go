package sqlsink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
)

// A row is what a record makes of the table.
type row struct {
	index  int // of the record in the write
	remove bool
	values []any // by column; nil is NULL. Of a row to delete those of the key alone
	key    string
	size   int    // about how many bytes the values have
	older  []*row // of the same key, not sent because this one is; in their order

	replaced bool // it is such a one of another
}

// A write is the work of one Write.
type write struct {
	sink   *Sink
	table  *table
	list   []*row // to store, in the order of the records
	failed []pipeline.Failure
	sure   bool // rows of different keys are of different keys to the database too

	suspects []suspect
	passed   [2]bool // rows have been stored; and deleted
	short    bool    // a few that failed were enough; the next write tries all again, or a few bad ones would stop it for good
}

// A suspect is a row that has failed alone, with an error that may be about it or about all rows.
type suspect struct {
	row *row
	err error
}

// few is how many rows that fail alone tell that it is as it was at the write before.
const few = 8

func (r *row) kind() int {
	if r.remove {
		return 1
	}
	return 0
}

func (w *write) fail(r *row, err error) {
	w.failed = append(w.failed, pipeline.Failure{Index: r.index, Err: err})
}

// later lists a row that is not stored now, and those that it stands for.
func (w *write) later(r *row, err error) {
	w.fail(r, err)
	for _, o := range r.older {
		w.later(o, err)
	}
}

// rows makes the rows of the records. Those of which that is not possible are rejected. When rows of one
// key replace each other, the last stands for those before it.
func (w *write) rows(recs []*pipeline.Record) {
	all := make([]row, len(recs))
	values := make([]any, len(recs)*len(w.table.columns))
	var text []byte
	for i, rec := range recs {
		r := &all[i]
		r.index = i
		r.values, values = values[:len(w.table.columns):len(w.table.columns)], values[len(w.table.columns):]
		var err error
		if text, err = w.row(r, rec, text); err != nil {
			w.fail(r, err)
			continue
		}
		w.list = append(w.list, r)
	}
	if len(w.table.key) > 0 && !w.table.mixed {
		w.sure = w.differ()
		w.replace()
	}
}

// replace takes rows off the list that make no difference, because of a later one of the same key: a row to delete
// takes with it whatever is before it; one to store takes others to store, when it replaces all that they have.
func (w *write) replace() {
	s := &w.sink.settings
	if s.Mode != "upsert" || s.Newer != "" || w.table.ordered || !w.sure {
		return
	}
	left := make(map[string][]*row, len(w.list)) // by key
	gone := 0
	for _, r := range w.list {
		rows := left[r.key]
		from := len(rows)
		for from > 0 && (r.remove || w.table.full && !rows[from-1].remove) {
			from--
		}
		for _, o := range rows[from:] {
			o.replaced = true
			gone++
		}
		r.older = slices.Clone(rows[from:])
		left[r.key] = append(rows[:from], r)
	}
	if gone > 0 {
		w.list = slices.DeleteFunc(w.list, func(r *row) bool { return r.replaced })
	}
}

// row makes the row of a record. buf is room for texts.
func (w *write) row(r *row, rec *pipeline.Record, buf []byte) ([]byte, error) {
	k := w.sink
	if r.remove = rec.Tombstone(); r.remove && k.settings.OnTombstone == "reject" {
		return buf, pipeline.Reject(pipeline.ReasonNotObject, client.NewError(pipeline.ReasonNotObject,
			k.what()+": a tombstone has no fields; on_tombstone: delete deletes its row", nil))
	}
	for i, c := range w.table.columns {
		if r.remove && !slices.Contains(w.table.key, i) {
			continue
		}
		var err error
		if buf, err = k.settings.Columns[i].Value.AppendJSON(buf[:0], rec); err != nil {
			return buf, err
		}
		v := gjson.ParseBytes(buf)
		if len(buf) == 0 || v.Type == gjson.Null {
			continue
		}
		value, wrong := k.dialect.bind(c, v)
		if wrong != "" {
			return buf, k.reject("column "+c.name+" is "+wrong+", and takes "+c.typ, nil)
		}
		r.values[i] = value
		r.size += len(buf) + 8
	}
	if len(w.table.key) == 0 {
		return buf, nil
	}
	buf = buf[:0]
	for _, i := range w.table.key {
		if r.values[i] == nil {
			return buf, k.reject("column "+w.table.columns[i].name+" of key is null", nil)
		}
		buf = appendKey(buf, r.values[i])
	}
	r.key = string(buf)
	return buf, nil
}

// store writes the rows, and then those that stood back for one that is rejected.
func (w *write) store(ctx context.Context) {
	for len(w.list) > 0 {
		var again []*row
		rejected := func(r *row, err error) {
			w.fail(r, err)
			again = append(again, r.older...)
		}
		var failure error
		for _, rows := range w.groups() {
			for len(rows) > 0 {
				n := len(rows)
				if failure == nil {
					n = w.sink.dialect.fits(w.table, rows)
					if most := int(w.sink.most.Load()); most > 0 {
						n = min(n, most)
					}
				}
				failure = w.part(ctx, rows[:n], failure, rejected)
				rows = rows[n:]
			}
		}
		w.judge(rejected)
		if failure != nil {
			for _, r := range again {
				w.later(r, client.ErrHeldBack)
			}
			return
		}
		slices.SortFunc(again, func(a, b *row) int { return a.index - b.index })
		w.list = again
	}
}

// judge settles what becomes of the rows that have failed alone. When none like them has passed they wait.
func (w *write) judge(rejected func(*row, error)) {
	for _, s := range w.suspects {
		if w.passed[s.row.kind()] {
			rejected(s.row, w.sink.atFault(s.err))
		} else {
			w.sink.forget()
			w.sink.none.Store(w.passed == [2]bool{} && !w.short)
			w.later(s.row, s.err)
		}
	}
	w.suspects = nil
}

// differ says whether rows of different keys are sure to have keys that are different to the database.
func (w *write) differ() bool {
	if w.table.exact || !w.table.folds {
		return w.table.exact
	}
	seen := make(map[string]string, len(w.list))
	var folded []byte
	for _, r := range w.list {
		folded = folded[:0]
		for _, i := range w.table.key {
			var ok bool
			if folded, ok = fold(fmt.Sprint(r.values[i]), folded); !ok {
				return false
			}
			folded = append(folded, 0)
		}
		if key, there := seen[string(folded)]; there && key != r.key {
			return false
		}
		seen[string(folded)] = r.key
	}
	return true
}

// groups parts the list into rows that can go into one statement, in the order in which they have to
// go. Rows of different keys may change places, when it is sure that they are different and do not stand in each
// other's way: they are in the order of their keys then, so that writes at the same time do not wait for each other in
// a circle.
func (w *write) groups() (groups [][]*row) {
	t := w.table
	if t.mixed || len(t.key) == 0 {
		return [][]*row{w.list}
	}
	free := w.sure && !t.ordered
	if free {
		slices.SortStableFunc(w.list, func(a, b *row) int { return strings.Compare(a.key, b.key) })
	}
	seen := map[string]int{} // by key, in how many statements it stands; apart
	if free && w.sink.settings.Mode == "upsert" && w.sink.settings.Newer == "" {
		// Of a key the row to delete is the first, or those after it would not be there.
		groups = [][]*row{nil}
		for _, r := range w.list {
			at := 0
			if !r.remove {
				at = 1
				if t.apart {
					seen[r.key]++
					at = seen[r.key]
				}
			}
			for len(groups) <= at {
				groups = append(groups, nil)
			}
			groups[at] = append(groups[at], r)
		}
		return groups
	}
	for _, r := range w.list {
		last := len(groups) - 1
		if last < 0 || groups[last][0].remove != r.remove || t.apart && seen[r.key] == last+1 {
			groups = append(groups, nil)
			last++
		}
		groups[last] = append(groups[last], r)
		if t.apart {
			seen[r.key] = last + 1
		}
	}
	return groups
}

// part stores rows, those that the database refuses left out, which are given to rejected. The error
// is what has kept the rest from being stored: from then on nothing is sent. held is that of rows
// before these.
func (w *write) part(ctx context.Context, rows []*row, held error, rejected func(*row, error)) error {
	if held != nil {
		for _, r := range rows {
			w.later(r, client.ErrHeldBack)
		}
		return held
	}
	k := w.sink
	of := aboutNow
	err := k.limiter.Do(ctx, k.dialect.host(), func(ctx context.Context) error {
		err := k.dialect.write(ctx, k.db, w.table, rows)
		if err != nil {
			of, err = k.failure(ctx, err)
		}
		return err
	})
	most := k.most.Load()
	switch {
	case err == nil:
		k.none.Store(false)
		w.passed[rows[0].kind()] = true
		if w.table.mixed {
			w.passed[1-rows[0].kind()] = true
		}
		if int64(len(rows)) == most {
			k.most.CompareAndSwap(most, most+most/4+1)
		}
		return nil
	case of == aboutRow && len(rows) == 1:
		now, changed := k.changed(ctx, w.table)
		switch {
		case changed != nil:
			err = changed
		case now != nil:
			err = client.NewError(client.TypeSQL, k.what()+": the table has changed meanwhile", nil)
		default:
			rejected(rows[0], err)
			return nil
		}
	case of == aboutAny && len(rows) == 1:
		w.suspects = append(w.suspects, suspect{rows[0], err})
		return nil
	case of == aboutAny && k.none.Load() && len(w.suspects) >= few && w.passed == [2]bool{}:
		w.short = true
	case of == aboutRow, of == aboutAny:
		half := len(rows) / 2
		return w.part(ctx, rows[half:], w.part(ctx, rows[:half], nil, rejected), rejected)
	case of == aboutTable:
		k.forget()
	case len(rows) > 1 && errors.Is(ctx.Err(), context.DeadlineExceeded):
		k.most.CompareAndSwap(most, int64(len(rows)/2))
	}
	for _, r := range rows {
		w.later(r, err)
	}
	return err
}
