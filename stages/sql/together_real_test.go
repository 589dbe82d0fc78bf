//go:build real

package sql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

var mixed = []string{`5`, `5.0`, `"5"`, `"a"`, `"A"`, `"a "`, `"b"`, `""`, `null`, `5.5`, `true`, `"nope"`, `"æ"`, `"{a,\"b\\\\"`, `[1]`, `18446744073709551615`, `1e400`}

func TestPostgresTogether(t *testing.T) {
	dsn, conn := server(t)
	exec(t, conn, "DROP TABLE IF EXISTS tg", "DROP TYPE IF EXISTS mood", "CREATE TYPE mood AS ENUM ('a', 'b')",
		`CREATE TABLE tg (id int PRIMARY KEY, i int, s text, c char(3), n numeric, f float8, m mood, b bytea, ts timestamptz, bx box, l int[], x text COLLATE "C")`,
		`INSERT INTO tg VALUES (1, 5, 'a', 'a', 5, 5, 'a', '\x00ff', '2026-01-02T03:04:05Z', '(1,1),(0,0)', '{1,2}', 'a'),
		(2, 5, 'A', 'A', 5.50, 5.5, 'b', '\x', '2026-01-02T03:04:05.5Z', NULL, '{}', 'A'), (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
		(4, 6, 'a ', 'b', 'NaN', 'NaN', NULL, '\x35', 'infinity', '(2,2),(0,0)', '{NULL}', '{a,"b\')`,
		"INSERT INTO tg SELECT g, g, 'x', 'x', g, g, NULL, NULL, NULL, NULL, NULL, 'x' FROM generate_series(5, 40) g")
	for _, q := range []question{
		{query: "SELECT id, i, s FROM tg WHERE i = $1 ORDER BY id", values: mixed, params: 1},
		{query: "SELECT id, s FROM tg WHERE s = $1", values: mixed, params: 1},
		{query: "SELECT id FROM tg WHERE s IS NOT DISTINCT FROM $1 -- the end", values: mixed, params: 1},
		{query: "SELECT id FROM tg WHERE c = $1", values: mixed, params: 1},
		{query: "SELECT id FROM tg WHERE c = $1::char(3)", values: mixed, params: 1},
		{query: "SELECT id, n FROM tg WHERE n = $1 OR n = 'NaN'", values: append([]string{`"NaN"`}, mixed...), params: 1},
		{query: "SELECT id FROM tg WHERE f >= $1 ORDER BY f DESC, id LIMIT 3;", rows: "all", values: mixed, params: 1},
		{query: "SELECT id FROM tg WHERE m = $1", values: mixed, params: 1},
		{query: "SELECT id, b FROM tg WHERE b = $1", values: []string{`"AP8="`, `""`, `"NQ=="`, `"no"`, `null`}, params: 1},
		{query: "SELECT id, ts FROM tg WHERE ts <= $1 ORDER BY ts DESC, id", rows: "all", values: []string{`"2026-01-02T03:04:05Z"`, `"2026-01-03"`, `"infinity"`, `"x"`, `null`}, params: 1},
		{query: "SELECT id, area(bx) AS a FROM tg WHERE bx = $1", values: []string{`"(1,1),(0,0)"`, `"(2,2),(0,0)"`, `null`}, params: 1},
		{query: "SELECT id FROM tg WHERE x > $1 ORDER BY x, id", rows: "all", values: []string{`"a"`, `"A"`, `"Z"`, `null`}, params: 1},
		{query: "SELECT id FROM tg WHERE i > $2 AND s = $1 AND $1 <> 'q' ORDER BY id DESC", rows: "all", values: []string{`"x"`, `"a"`, `4`, `"5"`, `30`, `null`}, params: 2, begin: []string{`"x"`, `4`}},
		{query: "SELECT count(*) AS n, max(i) AS m, $1::text AS k FROM tg WHERE i < $1::int", values: mixed, params: 1},
		{query: "WITH x AS (SELECT id FROM tg WHERE i = $1 UNION ALL SELECT 0) SELECT id FROM x ORDER BY id DESC", rows: "all", values: mixed, params: 1},
		{query: "SELECT 10 / $1::int AS v", values: []string{`5`, `0`, `3`, `null`}, params: 1},
		{query: "SELECT id FROM tg ORDER BY id LIMIT $1", rows: "all", values: []string{`1`, `3`, `0`, `null`, `-1`}, params: 1},
		{query: "VALUES ($1::text, $2::json)", values: mixed, params: 2},
		{query: "SELECT id, ROW(id, s) AS r, NULL AS z, 'lit' AS t, l FROM tg WHERE id = $1", values: []string{`1`, `2`, `3`, `4`}, params: 1},
		{query: "SELECT penstock_key.id FROM tg AS penstock_key WHERE id = $1", values: []string{`1`, `2`}, params: 1, alone: true},
		{query: "SELECT id FROM tg WHERE i = ANY ($1) ORDER BY id", values: []string{`[5]`, `[1,2]`, `null`}, params: 1, alone: true},
		{query: "SELECT max($1::int) AS m FROM tg", values: []string{`1`, `2`}, params: 1, alone: true},
		{query: "SELECT id FROM tg WHERE id < $1 ORDER BY id", rows: "all", values: []string{`2`, `30`, `10`}, params: 1}, // more rows than max_rows
	} {
		t.Run("", func(t *testing.T) {
			st := pgStage(t, dsn, q.query, func(s *Settings) { s.Rows, s.MaxRows = cmp.Or(q.rows, "first"), 12 }, []string{"a", "a"}[:q.params]...)
			sameTogether(t, st, q)
		})
	}
}

func TestMySQLTogether(t *testing.T) {
	dsn, db := mariadb(t)
	execMy(t, db, "DROP TABLE IF EXISTS tg", `CREATE TABLE tg (id INT PRIMARY KEY, i INT, s VARCHAR(20), cs VARCHAR(20) COLLATE utf8mb4_bin, c CHAR(3), l1 VARCHAR(20) CHARACTER SET latin1,
		n DECIMAL(10,2), f DOUBLE, f4 FLOAT, e ENUM('a','b'), st SET('a','b'), b VARBINARY(5), bl BLOB, bt BIT(9), y YEAR, da DATE, dt DATETIME(3), ts TIMESTAMP NULL, ti TIME,
		j JSON, u BIGINT UNSIGNED, zf INT(6) ZEROFILL, tx MEDIUMTEXT, bn BINARY(3), KEY (i), KEY (s))`,
		`INSERT INTO tg VALUES (1, 5, 'a', 'a', 'a', 'a', 5, 5, 1.1, 'a', 'a,b', x'00ff', x'ff', b'100000001', 2026, '2026-01-02', '2026-01-02 03:04:05.6', '2026-01-02 03:04:05', '-01:02:03', '[1]', 18446744073709551615, 7, 't', 'a'),
		(2, 5, 'A', 'A', 'A', 'æ', 5.5, 5.5, 2, 'b', '', x'', x'', b'0', 1999, '2026-01-02', '1000-01-01', '2026-07-02 03:04:05', '800:00:00', '{"a": 1.10}', 1, 123456, '', 'abc')`,
		"INSERT INTO tg (id) VALUES (3)", "INSERT INTO tg (id, i, s, cs, c, l1) VALUES (4, 6, 'a ', 'a ', 'b', 'b')",
		"INSERT INTO tg (id, i, s) SELECT seq, seq, 'x' FROM seq_5_to_40")
	for _, q := range []question{
		{query: "SELECT id, i, s FROM tg WHERE i = ? ORDER BY id", values: mixed, params: 1},
		{query: "SELECT id, s FROM tg WHERE s = ? ORDER BY id DESC", rows: "all", values: mixed, params: 1},
		{query: "SELECT id FROM tg WHERE s <=> ? ORDER BY id # the end", values: mixed, params: 1},
		{query: "SELECT id FROM tg WHERE cs = ? ORDER BY id", values: mixed, params: 1},
		{query: "SELECT id FROM tg WHERE c = ? ORDER BY id", values: mixed, params: 1},
		{query: "SELECT id FROM tg WHERE l1 = ? ORDER BY id", values: mixed, params: 1},
		{query: "SELECT id, n FROM tg WHERE n >= ? ORDER BY n, id", rows: "all", values: mixed, params: 1},
		{query: "SELECT id FROM tg WHERE e = ?", values: mixed, params: 1},
		{query: "SELECT * FROM tg WHERE id = ?", values: []string{`1`, `2`, `3`, `4`, `"1"`, `1.0`, `9999`}, params: 1},
		{query: "SELECT ? AS v FROM DUAL", values: mixed, params: 1, alone: true},
		{query: "SELECT v, id FROM tg JOIN (SELECT ? AS v) x WHERE id < 4 ORDER BY id", values: mixed, params: 1, alone: true},
		{query: "SELECT tg.id FROM tg JOIN tg y ON y.i = ? AND y.id = tg.id WHERE tg.s <> ? ORDER BY 1", rows: "all", values: mixed, params: 2},
		{query: "SELECT SQL_CALC_FOUND_ROWS id FROM tg WHERE id = ?", values: []string{`1`, `2`}, params: 1, alone: true},
		{query: "SELECT DISTINCT s, i FROM tg WHERE i > ? GROUP BY 2, 1 HAVING COUNT(*) > 0 ORDER BY 2 DESC", rows: "all", values: mixed, params: 1},
		{query: "SELECT TRIM(LEADING 'a' FROM s) AS v, ROW_NUMBER() OVER (ORDER BY id DESC) AS n FROM tg WHERE i = ? ORDER BY 2", rows: "all", values: mixed, params: 1},
		{query: "SELECT j.*, tg.id FROM tg, JSON_TABLE('[1,2]', '$[*]' COLUMNS (x INT PATH '$')) j WHERE tg.id = ? ORDER BY x DESC", rows: "all", values: mixed, params: 1},
		{query: "SELECT CONCAT(?, s) AS v, ? * 1.10 AS w FROM tg ORDER BY id LIMIT 2", rows: "all", values: mixed, params: 2, alone: true},
		{query: "SELECT id, dt FROM tg WHERE dt < ? ORDER BY dt DESC", rows: "all", values: []string{`"2026-01-02 03:04:05.7"`, `"2026-01-01"`, `null`}, params: 1},
		{query: "SELECT id FROM tg WHERE i > ? AND s = ? ORDER BY id DESC", rows: "all", values: []string{`"x"`, `"a"`, `4`, `"5"`, `30`, `null`}, params: 2, begin: []string{`"x"`, `4`}},
		{query: "SELECT COUNT(*) AS n, MAX(i) AS m FROM tg WHERE i < ? AND s <> ?", values: mixed, params: 2},
		{query: "WITH x AS (SELECT id FROM tg WHERE i = ? UNION ALL SELECT 0) SELECT id FROM x ORDER BY id DESC", rows: "all", values: mixed, params: 1, alone: true},
		{query: "SELECT id FROM tg WHERE i = ? UNION SELECT 0 ORDER BY id DESC", rows: "all", values: mixed, params: 1, alone: true},
		{query: "SELECT id FROM tg ORDER BY id LIMIT ?", rows: "all", values: []string{`1`, `3`, `0`}, params: 1},
		{query: "SELECT id FROM tg WHERE id = 1 AND 9223372036854775807 + ? > 0", values: []string{`0`, `-1`, `1`, `5`}, params: 1},
		{query: "SELECT id FROM tg WHERE s REGEXP ? ORDER BY id", values: []string{`"a"`, `"("`, `"b"`}, params: 1},
		{query: "SELECT id FROM tg WHERE JSON_EXTRACT(j, ?) = 1.1", values: []string{`"$.a"`, `"x"`, `null`}, params: 1},
		{query: "SELECT x.id, (SELECT y.id FROM tg y WHERE y.i > x.i ORDER BY y.i LIMIT 1) AS n FROM tg x WHERE x.id = ?", values: []string{`1`, `4`, `12`}, params: 1},
		{query: "SELECT id FROM tg WHERE id < ? ORDER BY id", rows: "all", values: []string{`2`, `30`, `10`}, params: 1}, // more rows than max_rows
		{query: "(SELECT id FROM tg WHERE id = ?)", values: []string{`1`, `2`}, params: 1, alone: true},
		{query: "SELECT id FROM tg WHERE id = ? LOCK IN SHARE MODE", values: []string{`1`, `2`}, params: 1, alone: true},
		{query: `SELECT id, '\'' AS q FROM tg WHERE id = ?`, values: []string{`1`, `2`}, params: 1, alone: true},
		{query: "SELECT SQL_CALC_FOUND_ROWS id FROM tg WHERE id = ? PROCEDURE ANALYSE(1, 1)", values: []string{`1`, `2`}, params: 1, alone: true},
	} {
		t.Run("", func(t *testing.T) {
			st := myStage(t, dsn, q.query, func(s *Settings) { s.Rows, s.MaxRows = cmp.Or(q.rows, "first"), 12 }, []string{"a", "a"}[:q.params]...)
			sameTogether(t, st, q)
		})
	}
}

// Poolers that lend connections by transaction take no named statements.
func TestPostgresTogetherWithoutStatements(t *testing.T) {
	dsn, conn := server(t)
	exec(t, conn, "DROP TABLE IF EXISTS ts", "CREATE TABLE ts (id int PRIMARY KEY, s text)", "INSERT INTO ts VALUES (5, 'a'), (6, '5')")
	for _, mode := range []string{"exec", "simple_protocol", "describe_exec", "cache_describe"} {
		for _, q := range []question{
			{query: "SELECT s FROM ts WHERE id = $1", values: mixed, params: 1},
			{query: "SELECT id FROM ts WHERE s = $1 OR s = $2 ORDER BY id", rows: "all", values: mixed, params: 2},
		} {
			st := pgStage(t, dsn+settings.Secret("&default_query_exec_mode="+mode), q.query, func(s *Settings) { s.Rows = cmp.Or(q.rows, "first") }, []string{"a", "a"}[:q.params]...)
			sameTogether(t, st, q)
		}
	}
}

// A query that the server can only plan well when it knows the values is asked for one at a time.
func TestPostgresPlansOfSeveral(t *testing.T) {
	dsn, conn := server(t)
	exec(t, conn, "DROP TABLE IF EXISTS w", "CREATE TABLE w (id int PRIMARY KEY, s text, kind text)", "INSERT INTO w SELECT g, 's' || g, 'k' || g % 50 FROM generate_series(1, 20000) g",
		"CREATE INDEX ON w (s text_pattern_ops)", "CREATE INDEX ON w (kind, id)", "ANALYZE w")
	for query, together := range map[string]bool{
		"SELECT id FROM w WHERE s = $1":                                        true,
		"SELECT id FROM w WHERE id = $1::int":                                  true,
		"SELECT id FROM w WHERE kind = $1 ORDER BY id DESC LIMIT 3":            true,
		"SELECT w.id, v.s FROM w JOIN w v ON v.id = w.id + 1 WHERE w.s = $1":   true,
		"SELECT count(*) FROM w WHERE s <> $1 -- reads all of it, as one does": true,
		"SELECT id FROM w WHERE s LIKE $1":                                     false,
		"SELECT id FROM w WHERE $1::text IS NULL OR s = $1":                    false,
	} {
		st := pgStage(t, dsn, query, nil, "v")
		if n := st.dialect.take(64); n != 1 {
			t.Errorf("%s: %d before the server was asked", query, n)
		}
		for _, v := range []string{`"7 not of the type"`, `null`, `"s77"`, `"7"`} {
			_ = st.Process(t.Context(), record(`{"v":`+v+`}`))
		}
		if n := st.dialect.take(64); (n == 64) != together {
			t.Errorf("%s: %d together", query, n)
		}
	}
}

// databases are the stages of the tests that are the same for both servers. marks turns $1 into what
// the server takes.
func databases(t *testing.T) map[string]func(query string, change func(*Settings), args ...string) *Stage {
	t.Helper()
	pg, conn := server(t)
	my, db := mariadb(t)
	exec(t, conn, "DROP TABLE IF EXISTS k", "CREATE TABLE k (i int PRIMARY KEY, s text)", "INSERT INTO k SELECT g, 'n' || g FROM generate_series(0, 999) g")
	execMy(t, db, "DROP TABLE IF EXISTS k", "CREATE TABLE k (i INT PRIMARY KEY, s TEXT)", "INSERT INTO k SELECT seq, CONCAT('n', seq) FROM seq_0_to_999")
	return map[string]func(string, func(*Settings), ...string) *Stage{
		"postgres": func(query string, change func(*Settings), args ...string) *Stage {
			return pgStage(t, pg, strings.ReplaceAll(query, "SLEEP(", "pg_sleep("), change, args...)
		},
		"mysql": func(query string, change func(*Settings), args ...string) *Stage {
			return myStage(t, my, strings.ReplaceAll(query, "$1", "?"), change, args...)
		},
	}
}

// Many at once, through the whole stage: everybody gets what is theirs, with fewer queries than look-ups.
func TestManyLookupsAtOnce(t *testing.T) {
	for name, open := range databases(t) {
		for _, conns := range []int{1, 4} {
			st := open("SELECT s FROM k WHERE i = $1", func(s *Settings) { s.MaxConns = conns }, "i")
			queries := count(st)
			var wg sync.WaitGroup
			for w := range 64 {
				wg.Go(func() {
					for n := range 40 {
						i := w*40 + n // 1,560 of 2,560 are not there
						rec := record(fmt.Sprintf(`{"i":%d}`, i))
						want := fmt.Sprintf(`{"i":%d,"got":{"s":"n%d"}}`, i, i)
						if i > 999 {
							want = fmt.Sprintf(`{"i":%d,"got":null}`, i)
						}
						if err := st.Process(t.Context(), rec); err != nil || string(rec.Value()) != want {
							t.Errorf("%s, %v, want %s", rec.Value(), err, want)
							return
						}
					}
				})
			}
			wg.Wait()
			if n := queries.n.Load(); n >= 2560 {
				t.Errorf("%s: %d queries", name, n)
			} else {
				t.Logf("%s, %d connections: %d queries for 2,560 look-ups", name, conns, n)
			}
		}
	}
}

// One of those whose look-ups went together gives up: the others get theirs. All do: the query
// ends on the server, long before it would have.
func TestGivenUpTogether(t *testing.T) {
	for name, open := range databases(t) {
		st := open("SELECT s, SLEEP(CASE WHEN i = 0 THEN 1 WHEN i > 900 THEN 600 ELSE 0 END) AS z FROM k WHERE i = $1",
			func(s *Settings) { s.MaxConns = 1 }, "i")
		if err := st.Process(t.Context(), record(`{"i":1}`)); err != nil { // the plan is there
			t.Fatal(err)
		}
		ask := func(ctx context.Context, wg *sync.WaitGroup, i int, ends bool) {
			wg.Go(func() {
				rec := record(fmt.Sprintf(`{"i":%d}`, i))
				if err := st.Process(ctx, rec); (err != nil) != ends {
					t.Errorf("%s: %d: %v", name, i, err)
				}
			})
			for range 1000 { // until it waits, or is asked for
				st.batches.mu.Lock()
				there := st.batches.running > 0 && (i != 0 || len(st.batches.waiting) == 0)
				st.batches.mu.Unlock()
				if there {
					break
				}
				time.Sleep(time.Millisecond)
			}
		}
		var wg sync.WaitGroup
		short, cancel := context.WithCancel(t.Context())
		ask(t.Context(), &wg, 0, false) // a second
		for i := 10; i < 20; i++ {
			ask(t.Context(), &wg, i, false)
		}
		ask(short, &wg, 5, true)
		cancel()
		wg.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		for i := 901; i < 910; i++ {
			ask(ctx, &wg, i, true)
		}
		wg.Wait()
		cancel()
		st.batches.wait() // ten minutes, did they not end
		if err := st.Process(t.Context(), record(`{"i":1}`)); err != nil {
			t.Errorf("%s: behind it: %v", name, err)
		}
	}
}

// A server that ends the connection under a batch fails its records for this attempt alone.
func TestConnectionLostUnderABatch(t *testing.T) {
	kill := map[string]string{"postgres": "SELECT s, pg_terminate_backend(pg_backend_pid()) AS z FROM k WHERE i = $1", "mysql": ""}
	for name, open := range databases(t) {
		if kill[name] == "" {
			continue
		}
		st := open(kill[name], nil, "i")
		looks := []*look{lookFor(st, []string{"1"}), lookFor(st, []string{"2"}), lookFor(st, []string{"3"})}
		st.ask(t.Context(), looks)
		for _, l := range looks {
			err := st.queryError(t.Context(), l.err)
			var env *pipeline.EnvironmentError
			if _, permanent := pipeline.IsPermanent(err); permanent || err == nil || errors.As(err, &env) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
