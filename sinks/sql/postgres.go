package sqlsink

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/database"
)

// postgres has the server read every value from its text, as the type of its column: all types are
// exact then, of other people's extensions too.
type postgres struct {
	settings *Settings
	names    []string
	config   *pgx.ConnConfig
	table    string // quoted
	noCopy   atomic.Bool
}

func newPostgres(s *Settings, names []string) (*postgres, error) {
	config, err := database.Postgres(s.DSN)
	if err != nil {
		return nil, err
	}
	parts, err := tableName(s.Table)
	if err != nil {
		return nil, err
	}
	return &postgres{settings: s, names: names, config: config, table: quoted(`"`, ".", parts...)}, nil
}

func (d *postgres) where() string { return database.PostgresWhere(d.config) }
func (d *postgres) host() string  { return database.PostgresHost(d.config) }
func (d *postgres) close()        {}

func (d *postgres) connectTimeout(err error) time.Duration {
	return database.PostgresConnectTimeout(d.config, err)
}

// guard ends what nobody waits for any more: a statement that waits for a lock when the process that sent it has
// been killed would be carried out when others have written later rows. A server before version 14 does not know it.
const guard = "SET client_connection_check_interval = '1s'"

func (d *postgres) open(limits client.SQLLimits) (*dbsql.DB, error) {
	guarded := stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		var refused *pgconn.PgError
		if _, err := conn.Exec(ctx, guard); err != nil && !errors.As(err, &refused) {
			return err
		}
		return nil
	})
	return client.OpenSQL(stdlib.GetConnector(*d.config, guarded), limits), nil
}

const (
	// A text is cast to what its column's type is based on, without its length: a cast to varchar(3), or to a domain
	// that is one, would cut what is longer, and storing refuses it. Other types have their modifiers, which round:
	// the values are compared as they are stored. format_type with -1 gives types without lengths.
	columnsOfTable = `SELECT a.attname, a.atttypid,
pg_catalog.format_type(b.oid, CASE WHEN b.typcategory IN ('N', 'D', 'T') THEN greatest(a.atttypmod, b.modifier) ELSE -1 END), pg_catalog.format_type(a.atttypid, a.atttypmod),
a.attgenerated <> '' OR a.attidentity = 'a', a.atttypmod < 0 AND b.modifier < 0 AND coalesce(c.collisdeterministic, true),
CASE WHEN c.oid IS NOT NULL AND c.oid <> b.typcollation THEN ' COLLATE ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.collname) ELSE '' END,
a.attidentity <> '' OR coalesce(pg_catalog.pg_get_expr(v.adbin, v.adrelid) ~ '^(nextval|gen_random_uuid|([a-z_]+\.)?uuid_generate_v[14])\(', false)
FROM pg_catalog.pg_attribute a
CROSS JOIN LATERAL (WITH RECURSIVE d(oid, base, modifier) AS (
  SELECT t.oid, t.typbasetype, t.typtypmod FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid
  UNION ALL SELECT t.oid, t.typbasetype, greatest(t.typtypmod, d.modifier) FROM d JOIN pg_catalog.pg_type t ON t.oid = d.base
) SELECT d.oid, d.modifier, t.typcategory, t.typcollation FROM d JOIN pg_catalog.pg_type t ON t.oid = d.oid WHERE d.base = 0) b
LEFT JOIN pg_catalog.pg_attrdef v ON v.adrelid = a.attrelid AND v.adnum = a.attnum
LEFT JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped`
	uniqueOfTable = `SELECT i.indexrelid, a.attname FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
WHERE i.indrelid = pg_catalog.to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL`
	othersOfTable = `SELECT (SELECT count(*) FROM pg_catalog.pg_index WHERE indrelid = pg_catalog.to_regclass($1) AND (indisunique OR indisexclusion)),
EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE contype = 'f' AND conrelid = pg_catalog.to_regclass($1) AND confrelid = conrelid)`
)

func (d *postgres) describe(ctx context.Context, db *dbsql.DB) (*description, error) {
	found := &description{columns: map[string]*column{}}
	err := database.WithPostgres(ctx, db, func(conn *pgx.Conn) error {
		answer := conn.PgConn().ExecParams(ctx, columnsOfTable, [][]byte{[]byte(d.table)}, nil, nil, nil).Read()
		if answer.Err != nil {
			return answer.Err
		}
		var oids []uint32
		for _, row := range answer.Rows {
			oid, err := strconv.ParseUint(string(row[1]), 10, 32)
			if err != nil {
				return err
			}
			oids = append(oids, uint32(oid))
		}
		types, err := database.Load(ctx, conn, oids)
		if err != nil {
			return err
		}
		for i, row := range answer.Rows {
			c := &column{name: string(row[0]), typ: string(row[3]), made: string(row[4]) == "t", cast: string(row[2]) + string(row[6]), pg: types[oids[i]], counts: string(row[7]) == "t"}
			switch base := c.pg.Resolve(); {
			case base.Numeric == database.WholeNumber:
				c.exact = true
			case base.OID == pgtype.TextOID, base.OID == pgtype.VarcharOID:
				c.exact, c.folds = string(row[5]) == "t", true
			case base.OID == pgtype.UUIDOID, base.OID == pgtype.BPCharOID:
				c.folds = true
			}
			found.columns[c.name] = c
		}
		indexes := conn.PgConn().ExecParams(ctx, uniqueOfTable, [][]byte{[]byte(d.table)}, nil, nil, nil).Read()
		if indexes.Err != nil {
			return indexes.Err
		}
		found.unique = grouped(indexes.Rows)
		others := conn.PgConn().ExecParams(ctx, othersOfTable, [][]byte{[]byte(d.table)}, nil, nil, nil).Read()
		if others.Err != nil {
			return others.Err
		}
		all, err := strconv.Atoi(string(others.Rows[0][0]))
		found.others, found.itself = all-len(found.unique), string(others.Rows[0][1]) == "t"
		return err
	})
	return found, err
}

// grouped gives the second column of rows, by the first.
func grouped(rows [][][]byte) (lists [][]string) {
	at := map[string]int{}
	for _, row := range rows {
		i, ok := at[string(row[0])]
		if !ok {
			i = len(lists)
			at[string(row[0])] = i
			lists = append(lists, nil)
		}
		lists[i] = append(lists[i], string(row[1]))
	}
	return lists
}

func (d *postgres) bind(c *column, v gjson.Result) (value any, wrong string) {
	base := c.pg.Resolve()
	switch {
	case v.Type == gjson.Number && (base.OID == pgtype.TimestamptzOID || base.OID == pgtype.TimestampOID):
		t, ok := moment(v.Raw)
		if !ok {
			return nil, noMoment
		}
		return t.Format("2006-01-02 15:04:05.999Z07:00"), ""
	case v.Type == gjson.String && base.Numeric == database.WholeNumber:
		text, ok := wholeText(v.String())
		if !ok {
			return nil, noWhole
		}
		return text, ""
	}
	text, wrong := database.Bind(c.pg, v)
	if strings.IndexByte(text, 0) >= 0 {
		return nil, hasNUL
	}
	return text, wrong
}

func (d *postgres) fits(_ *table, rows []*row) int { return len(rows) }

func (d *postgres) create(names, key []string) string {
	return createTable(d.table, names, key, "text", `"`)
}

func (d *postgres) write(ctx context.Context, db *dbsql.DB, t *table, rows []*row) error {
	return database.WithPostgres(ctx, db, func(conn *pgx.Conn) error {
		switch {
		case rows[0].remove:
			return d.exec(ctx, conn, d.deletes(t), t.key, rows)
		case d.settings.Mode == "insert" && !d.noCopy.Load():
			err := d.copy(ctx, conn, "COPY "+d.table+" ("+quoted(`"`, ", ", d.names...)+") FROM STDIN", rows)
			// With row security, and into a view, it is never done.
			if e := (*pgconn.PgError)(nil); !errors.As(err, &e) || e.Code != "0A000" && e.Code != "42809" {
				return err
			}
			d.noCopy.Store(true)
		}
		all := make([]int, len(t.columns))
		for i := range all {
			all[i] = i
		}
		return d.exec(ctx, conn, d.inserts(t), all, rows)
	})
}

// lists gives the query of the rows that are given as one list of texts for each of columns:
// a1, a2 and so on, and penstock_n, the place of the row.
func lists(t *table, columns []int) (selected []string, from string) {
	var texts, names []string
	for i, c := range columns {
		selected = append(selected, fmt.Sprintf("r.a%d::%s", i+1, t.columns[c].cast))
		texts = append(texts, fmt.Sprintf("pg_catalog.unnest($%d::pg_catalog.text[])", i+1))
		names = append(names, fmt.Sprintf("a%d", i+1))
	}
	return selected, "ROWS FROM (" + strings.Join(texts, ", ") + ") WITH ORDINALITY AS r(" + strings.Join(names, ", ") + ", " + t.place() + ")"
}

// place is the name of the place of a row in the statement, which no column has.
func (t *table) place() string {
	name := "penstock_n"
	for slices.ContainsFunc(t.columns, func(c *column) bool { return c.name == name }) {
		name += "_"
	}
	return name
}

// deletes gives the statement that deletes rows. It locks them in the order in which upserts does.
func (d *postgres) deletes(t *table) string {
	selected, from := lists(t, t.key)
	key := quoted(`"`, ", ", d.settings.Key...)
	return "WITH penstock_d AS MATERIALIZED (SELECT " + key + " FROM " + d.table + " WHERE (" + key + ") IN (SELECT " + d.inKeyOrder(t, selected) + " FROM " + from + ") ORDER BY " + key +
		" FOR UPDATE) DELETE FROM " + d.table + " WHERE (" + key + ") IN (SELECT " + key + " FROM penstock_d)"
}

// inKeyOrder gives what is selected for the columns of the key, which the table has in its own order, in
// the order of the settings.
func (d *postgres) inKeyOrder(t *table, selected []string) string {
	var list []string
	for _, name := range d.settings.Key {
		for i, c := range t.key {
			if t.columns[c].name == name {
				list = append(list, selected[i])
			}
		}
	}
	return strings.Join(list, ", ")
}

// inserts gives the statement that stores rows. Where two texts can be one key, the server picks the
// last row of each, by its own idea of what is equal: it takes none that would replace a row of the
// same statement. Rows that may not change places go in theirs, others in the order of their keys.
func (d *postgres) inserts(t *table) string {
	all := make([]int, len(t.columns))
	for i := range all {
		all[i] = i
	}
	selected, from := lists(t, all)
	for i, name := range d.names {
		selected[i] += " AS " + quoted(`"`, "", name)
	}
	columns := quoted(`"`, ", ", d.names...)
	s := "INSERT INTO " + d.table + " AS penstock_t (" + columns + ") "
	if d.settings.Mode == "insert" {
		return s + "SELECT " + strings.Join(selected, ", ") + " FROM " + from + " ORDER BY r." + t.place()
	}
	key := quoted(`"`, ", ", d.settings.Key...)
	place := t.place()
	pick, order := false, ""
	switch {
	case t.ordered:
		order = place
	case d.settings.Mode == "ignore":
		pick, order = true, key+", "+place
	case t.full && d.settings.Newer != "":
		pick, order = true, key+", "+quoted(`"`, "", d.settings.Newer)+" DESC NULLS LAST, "+place+" DESC"
	case t.full && !t.exact:
		pick, order = true, key+", "+place+" DESC"
	default:
		order = key + ", " + place
	}
	s += "SELECT "
	if pick {
		s += "DISTINCT ON (" + key + ") "
	}
	s += columns + " FROM (SELECT " + strings.Join(selected, ", ") + ", r." + place + " FROM " + from + ") AS q ORDER BY " + order
	return s + onConflict(d.settings, d.names)
}

// exec runs a statement that takes the rows as lists.
func (d *postgres) exec(ctx context.Context, conn *pgx.Conn, text string, columns []int, rows []*row) error {
	args := make([][]byte, len(columns))
	size := 0
	for _, r := range rows {
		size += r.size
	}
	for i, c := range columns {
		list := make([]byte, 0, size/len(columns)+len(rows)*4)
		for j, r := range rows {
			if list = append(list, ','); j == 0 {
				list[0] = '{'
			}
			if s, ok := r.values[c].(string); ok {
				list = database.AppendItem(list, s)
			} else {
				list = append(list, "NULL"...)
			}
		}
		args[i] = append(list, '}')
	}
	return conn.PgConn().ExecParams(ctx, text, args, nil, nil, nil).Read().Err
}
