package sql

import (
	"cmp"
	"context"
	dbsql "database/sql"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// counted counts the queries that a stage sends.
type counted struct {
	dialect
	n atomic.Int64
}

func (d *counted) ask(ctx context.Context, db *dbsql.DB, looks []*look) error {
	d.n.Add(1)
	return d.dialect.ask(ctx, db, looks)
}

func count(st *Stage) *counted {
	d := &counted{dialect: st.dialect}
	st.dialect = d
	return d
}

// A question is a query and the JSON texts that its parameters may be.
type question struct {
	query  string
	rows   string
	values []string
	params int
	begin  []string // parameters that the query takes; nil: the first of values for each
	alone  bool     // the database cannot be asked for several at once
}

// first gives parameters that the query takes.
func (q question) first() []string {
	if q.begin != nil {
		return q.begin
	}
	return slices.Repeat(q.values[:1], q.params)
}

func lookFor(st *Stage, args []string) *look {
	l := &look{settings: &st.settings}
	for _, a := range args {
		l.args = append(l.args, []byte(a))
	}
	return l
}

func outcome(l *look) string { return fmt.Sprintf("%d %s %v", l.result.rows, l.result.json, l.err) }

// sameTogether checks that look-ups that go together find what each finds alone: for values
// that repeat, that are not there, of other types, NULL, and refused ones among them.
func sameTogether(t *testing.T, st *Stage, q question) {
	t.Helper()
	if err := st.Ping(t.Context()); err != nil {
		t.Fatalf("%s: %v", q.query, err)
	}
	for _, n := range []int{1, 2} { // the server has said whether it takes the query for several
		var looks []*look
		for range n {
			looks = append(looks, lookFor(st, q.first()))
		}
		st.ask(t.Context(), looks)
	}
	alone := map[string]string{}
	together, queries := 0, count(st)
	rapid.Check(t, func(rt *rapid.T) {
		draw := rapid.SliceOfN(rapid.SampledFrom(q.values), q.params, q.params)
		var looks []*look
		for _, args := range rapid.SliceOfN(draw, 1, 70).Draw(rt, "look-ups") {
			looks = append(looks, lookFor(st, args))
			if key := strings.Join(args, "\x00"); alone[key] == "" {
				one := lookFor(st, args)
				st.ask(t.Context(), []*look{one})
				alone[key] = outcome(one)
			}
		}
		for len(looks) > 0 {
			n := st.dialect.take(min(len(looks), st.settings.Batch))
			before := queries.n.Load()
			st.ask(t.Context(), looks[:n])
			failed := 0
			for _, l := range looks[:n] {
				var key []string
				for _, a := range l.args {
					key = append(key, string(a))
				}
				if got, want := outcome(l), alone[strings.Join(key, "\x00")]; got != want {
					rt.Errorf("%s with %q, together with %d others: %s\nalone: %s", q.query, key, n-1, got, want)
				}
				if l.err != nil {
					failed++
				}
			}
			if sent := queries.n.Load() - before; failed == 0 && sent != 1 {
				rt.Errorf("%s: %d queries for %d look-ups", q.query, sent, n)
			}
			together = max(together, n)
			looks = looks[n:]
		}
	})
	if (together == 1) != q.alone {
		t.Errorf("%s: at most %d went together", q.query, together)
	}
}

func TestSQLiteTogether(t *testing.T) {
	path := fileOf(t, airports...)
	for _, q := range []question{
		{query: "SELECT iata, n FROM airports WHERE iata = ?", values: []string{`"OSL"`, `"osl"`, `7`, `"7"`, `7.0`, `null`, `"x"`}, params: 1, alone: true},
		{query: "SELECT iata FROM airports WHERE n > ? AND iata <> ? ORDER BY n", rows: "all", values: []string{`1`, `"BGO"`, `null`, `-1`}, params: 2, alone: true},
		{query: "SELECT json_extract('{}', ?) AS v", values: []string{`"$.a"`, `"bad"`}, params: 1, alone: true},
	} {
		st := stage(t, path, q.query, func(s *Settings) { s.Rows = cmp.Or(q.rows, "first") }, []string{"a", "a"}[:q.params]...)
		sameTogether(t, st, q)
	}
}
