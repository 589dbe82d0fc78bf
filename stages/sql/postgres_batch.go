package sql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline/database"
)

// A pgPlan is how a query is asked: what its parameters are, and the query that asks for several at once.
type pgPlan struct {
	params   []*database.Type
	together string // "": it can be asked for one at a time alone
	weighed  bool   // together costs no more than each alone would; the postgres's mu guards it
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
	if text := d.together(plan.params, fmt.Sprint("LIMIT ", d.limit)); text != "" {
		names := fieldNames(st.Fields)
		// The server says whether the query may stand there: one whose aggregate is over a
		// parameter alone may not, or one that the user may not read.
		st, err := conn.Prepare(ctx, "", text)
		var refused *pgconn.PgError
		switch {
		case err == nil:
			// The name of a column that has none may come from the parameter.
			if slices.Equal(fieldNames(st.Fields)[1:], names) {
				plan.together = text
			}
		case !d.permanent(err) && !d.ofQuery(err) && !(errors.As(err, &refused) && refused.Code == "0A000"): // a feature that it does not have
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

// pgKeys is the name of the table of parameters in a query for several, and what the names of its columns
// begin with: a query that has it itself is asked for one at a time.
const pgKeys = "penstock_key"

// together gives the query that has the query run for each row of a table of parameters. The server runs
// it as it is, so that what it compares, orders and limits is what it would be for one; and each row
// says whose it is, so that nothing has to be compared here. limit stands behind the query.
func (d *postgres) together(params []*database.Type, limit string) string {
	if len(params) == 0 || strings.Contains(strings.ToLower(d.query.text), pgKeys) {
		return ""
	}
	var lists, names []string
	for i, t := range params {
		// An array of arrays would come apart, and so would one of composites.
		if t == nil || t.ArrayName == "" || t.Resolve().Kind == database.Array || t.Resolve().Kind == database.Composite {
			return ""
		}
		lists = append(lists, fmt.Sprintf("pg_catalog.unnest($%d::%s)", i+1, t.ArrayName))
		names = append(names, fmt.Sprint(pgKeys, i+1))
	}
	var text strings.Builder
	at := 0
	for _, p := range d.query.places {
		fmt.Fprintf(&text, "%s(%[2]s.%[2]s%[3]d)", d.query.text[at:p.from], pgKeys, p.parameter)
		at = p.to
	}
	text.WriteString(d.query.text[at:d.query.end])
	return fmt.Sprintf("SELECT %[1]s.%[1]s_n, q.* FROM ROWS FROM (%[2]s) WITH ORDINALITY AS %[1]s(%[3]s, %[1]s_n) CROSS JOIN LATERAL (SELECT * FROM (\n%[4]s\n) AS q %[5]s) AS q",
		pgKeys, strings.Join(lists, ", "), strings.Join(names, ", "), text.String(), limit)
}

// askTogether asks for several with one query. An error is of one of them, it is not known which.
func (d *postgres) askTogether(ctx context.Context, conn *pgx.Conn, plan *pgPlan, looks []*look) error {
	d.mu.Lock()
	weighed := plan.weighed
	d.mu.Unlock()
	if !weighed { // it was another a moment ago
		return errNotTogether
	}
	columns := make([][]any, len(plan.params)) // the values of each parameter
	for _, l := range looks {
		values, err := bindAll(plan.params, l.args)
		if err != nil {
			return err
		}
		for p, v := range values {
			columns[p] = append(columns[p], v)
		}
	}
	all := make([]any, len(columns))
	for p, values := range columns {
		all[p] = pgList(plan.params[p], values)
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
	if d.plan == nil || !d.plan.weighed {
		return 1
	}
	return n
}

// weigh finds out, once, whether a query for several is planned like a query for one. The server plans one
// for the values that it has, and one for several before it knows them: of col LIKE $1, or of
// $1 IS NULL OR col = $1, no index is left then, and each would read the whole table.
func (d *postgres) weigh(ctx context.Context, conn *pgx.Conn, plan *pgPlan, l *look) {
	d.mu.Lock()
	done := plan.weighed || plan.together == ""
	d.mu.Unlock()
	if done {
		return
	}
	values, err := bindAll(plan.params, l.args)
	if err != nil || slices.Contains(values, any(nil)) { // a NULL is looked for in no index, or finds nothing at once
		return
	}
	alone, err := costOf(ctx, conn, d.query.text[:d.query.end], values)
	lists := make([]any, len(values))
	for i, v := range values {
		lists[i] = pgList(plan.params[i], []any{v})
	}
	var together float64
	if err == nil {
		// All rows of it: the server takes it that the first of few is found soon.
		together, err = costOf(ctx, conn, d.together(plan.params, "OFFSET 0"), lists)
	}
	var refused *pgconn.PgError
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case plan.weighed || plan.together == "": // by another connection
	case err == nil && together <= 4*alone+20: // 8 is a row by its key
		plan.weighed = true
	case err == nil, errors.As(err, &refused):
		plan.together = ""
	}
}

// costOf gives what the server expects a query to cost, in its own unit.
func costOf(ctx context.Context, conn *pgx.Conn, text string, values []any) (float64, error) {
	var answer string
	err := conn.QueryRow(ctx, "EXPLAIN (FORMAT JSON) "+text, append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, values...)...).Scan(&answer)
	cost := gjson.Get(answer, "0.Plan.Total Cost")
	if err == nil && cost.Type != gjson.Number {
		err = errNotTogether
	}
	return cost.Float(), err
}

// pgList gives the literal of an array of values, each of which is a text or nil.
func pgList(t *database.Type, values []any) string {
	out := []byte{'{'}
	for i, v := range values {
		if i > 0 {
			out = append(out, t.Between)
		}
		if s, ok := v.(string); ok {
			out = database.AppendItem(out, s)
		} else {
			out = append(out, "NULL"...)
		}
	}
	return string(append(out, '}'))
}
