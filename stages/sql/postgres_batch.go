package sql

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/penstockio/penstock/pipeline/database"
)

// A pgPlan is how a query is asked: what its parameters are, and the query that asks for several at once.
type pgPlan struct {
	params   []*database.Type
	together string // "": it can be asked for one at a time alone
}

// planned gives the plan; fresh says that it was made just now.
func (d *postgres) planned(ctx context.Context, conn *pgx.Conn) (plan *pgPlan, fresh bool, err error) {
	d.mu.Lock()
	plan = d.plan
	d.mu.Unlock()
	if plan != nil {
		return plan, false, nil
	}
	st, err := conn.Prepare(ctx, "", d.query.text)
	if err != nil {
		return nil, true, err
	}
	oids := append([]uint32(nil), st.ParamOIDs...)
	for _, f := range st.Fields {
		oids = append(oids, f.DataTypeOID)
	}
	if err := d.load(ctx, conn, oids); err != nil {
		return nil, true, err
	}
	plan = &pgPlan{params: make([]*database.Type, len(st.ParamOIDs))}
	d.mu.Lock()
	for i, oid := range st.ParamOIDs {
		plan.params[i] = d.types[oid]
	}
	d.mu.Unlock()
	if text := d.together(plan.params); text != "" {
		// The server says whether the query may stand there: one whose aggregate is over a
		// parameter alone may not, or one that the user may not read.
		_, err := conn.Prepare(ctx, "", text)
		var refused *pgconn.PgError
		switch {
		case err == nil:
			plan.together = text
		case !d.permanent(err) && !(errors.As(err, &refused) && refused.Code == "0A000"): // a feature that it does not have
			return nil, true, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plan = plan
	return plan, true, nil
}

func (d *postgres) permanent(err error) bool {
	permanent, _, _ := d.classify(err)
	return permanent
}

// forget has all types loaded again.
func (d *postgres) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plan, d.types = nil, nil
}

// pgKeys is the name of the table of parameters in a query for several. A query that has it itself is
// asked for one at a time.
const pgKeys = "penstock_keys"

// together gives the query that has the query run for each row of a table of parameters. The server runs
// it as it is, so that what it compares, orders and limits is what it would be for one; and each row
// says whose it is, so that nothing has to be compared here.
func (d *postgres) together(params []*database.Type) string {
	if len(params) == 0 || strings.Contains(strings.ToLower(d.query.text), pgKeys) {
		return ""
	}
	var lists, names strings.Builder
	for i, t := range params {
		// An array of arrays would come apart, and so would one of composites.
		if t == nil || t.ArrayName == "" || t.Resolve().Kind == database.Array || t.Resolve().Kind == database.Composite {
			return ""
		}
		fmt.Fprintf(&lists, "%spg_catalog.unnest($%d::%s)", comma(i), i+1, t.ArrayName)
		fmt.Fprintf(&names, "a%d, ", i+1)
	}
	var text strings.Builder
	at := 0
	for _, p := range d.query.places {
		fmt.Fprintf(&text, "%s(%s.a%d)", d.query.text[at:p.from], pgKeys, p.parameter)
		at = p.to
	}
	text.WriteString(d.query.text[at:d.query.end])
	return fmt.Sprintf("SELECT %s.n, q.* FROM ROWS FROM (%s) WITH ORDINALITY AS %[1]s(%[3]sn) CROSS JOIN LATERAL (SELECT * FROM (\n%[4]s\n) AS q LIMIT %[5]d) AS q",
		pgKeys, lists.String(), names.String(), text.String(), d.limit)
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ", "
}

// askTogether asks for several with one query. An error is of one of them, it is not known which.
func (d *postgres) askTogether(ctx context.Context, conn *pgx.Conn, plan *pgPlan, looks []*look) error {
	if plan.together == "" { // it was another a moment ago
		return errNotTogether
	}
	lists := make([][]byte, len(plan.params))
	for i, l := range looks {
		values, err := bindAll(plan.params, l.args)
		if err != nil {
			return err
		}
		for p, v := range values {
			if i == 0 {
				lists[p] = append(lists[p], '{')
			} else {
				lists[p] = append(lists[p], plan.params[p].Between)
			}
			if s, ok := v.(string); ok {
				lists[p] = database.AppendItem(lists[p], s)
			} else {
				lists[p] = append(lists[p], "NULL"...)
			}
		}
	}
	all := make([]any, len(lists))
	for p, list := range lists {
		all[p] = string(append(list, '}'))
	}
	err := d.read(ctx, conn, plan.together, all, looks)
	var shape *shapeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &shape): // one alone has the types loaded anew
		return errNotTogether
	}
	return &boundError{err, nil}
}

func (d *postgres) take(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.plan == nil || d.plan.together == "" {
		return 1
	}
	return n
}
