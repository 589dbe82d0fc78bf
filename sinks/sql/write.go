package sqlsink

import (
	"context"
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
	size   int  // about how many bytes the values have
	older  *row // of the same key, not sent because this one is
}

// A write is the work of one Write.
type write struct {
	sink   *Sink
	table  *table
	list   []*row // to store, in the order of the records
	failed []pipeline.Failure
}

func (w *write) fail(r *row, err error) {
	w.failed = append(w.failed, pipeline.Failure{Index: r.index, Err: err})
}

// later lists a row that is not stored now, and those that it stands for.
func (w *write) later(r *row, err error) {
	for ; r != nil; r = r.older {
		w.fail(r, err)
	}
}

// rows makes the rows of the records. Those of which that is not possible are rejected. When rows of one
// key replace each other, the last stands for those before it.
func (w *write) rows(recs []*pipeline.Record) {
	s := &w.sink.settings
	var last map[string]*row
	if s.Mode == "upsert" && s.Newer == "" {
		last = make(map[string]*row, len(recs))
	}
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
		if last != nil {
			r.older = last[r.key]
			last[r.key] = r
		}
		w.list = append(w.list, r)
	}
	if last != nil {
		w.list = slices.DeleteFunc(w.list, func(r *row) bool { return last[r.key] != r })
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
			if r.older != nil {
				again = append(again, r.older)
			}
		}
		var failure error
		for _, rows := range w.groups() {
			for len(rows) > 0 {
				n := len(rows)
				if failure == nil {
					n = w.sink.dialect.fits(w.table, rows)
				}
				failure = w.part(ctx, rows[:n], failure, rejected)
				rows = rows[n:]
			}
		}
		if failure != nil {
			for _, r := range again {
				w.later(r, client.ErrHeldBack)
			}
			return
		}
		w.list = again
	}
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
// go. Rows of different keys may change places, when it is sure that they are different: those to
// store go before those to delete, and both are in the order of their keys, so that writes at the
// same time do not wait for each other in a circle.
func (w *write) groups() [][]*row {
	if w.table.mixed || len(w.table.key) == 0 {
		return [][]*row{w.list}
	}
	groups := [][]*row{nil, nil}
	differ := w.differ()
	if differ {
		slices.SortStableFunc(w.list, func(a, b *row) int { return strings.Compare(a.key, b.key) })
	}
	if differ && w.sink.settings.Newer == "" {
		for _, r := range w.list {
			i := 0
			if r.remove {
				i = 1
			}
			groups[i] = append(groups[i], r)
		}
		return groups
	}
	groups = nil
	for _, r := range w.list {
		if last := len(groups) - 1; last >= 0 && groups[last][0].remove == r.remove {
			groups[last] = append(groups[last], r)
		} else {
			groups = append(groups, []*row{r})
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
	switch {
	case err == nil:
		return nil
	case of == aboutRow && len(rows) == 1:
		rejected(rows[0], err)
		return nil
	case of == aboutRow:
		half := len(rows) / 2
		return w.part(ctx, rows[half:], w.part(ctx, rows[:half], nil, rejected), rejected)
	case of == aboutTable:
		k.forget()
	}
	for _, r := range rows {
		w.later(r, err)
	}
	return err
}
