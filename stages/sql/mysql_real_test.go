//go:build real

package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/database"
	"github.com/penstockio/penstock/pipeline/settings"
)

// mariadb gives the dsn of the MariaDB that `make test-real` has started, with a database of this
// test, and a pool that may write.
func mariadb(t *testing.T) (settings.Secret, *dbsql.DB) {
	t.Helper()
	dsn := os.Getenv("PENSTOCK_TEST_MARIADB")
	if dsn == "" {
		t.Fatal("PENSTOCK_TEST_MARIADB is not set: run make test-real")
	}
	config, err := database.MySQL(settings.Secret(dsn), client.TLS{})
	if err != nil {
		t.Fatal(err)
	}
	config.DBName = "penstock_test"
	c, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	db := dbsql.OpenDB(c)
	t.Cleanup(func() { _ = db.Close() })
	return settings.Secret(strings.Replace(dsn, "/?", "/penstock_test?", 1)), db
}

func execMy(t *testing.T, db *dbsql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func myStage(t *testing.T, dsn settings.Secret, query string, change func(*Settings), args ...string) *Stage {
	t.Helper()
	return stage(t, "", query, func(s *Settings) {
		s.Driver, s.DSN = "mysql", dsn
		if change != nil {
			change(s)
		}
	}, args...)
}

func TestMySQLValues(t *testing.T) {
	dsn, db := mariadb(t)
	execMy(t, db, "DROP TABLE IF EXISTS v", `CREATE TABLE v (id INT PRIMARY KEY, bi BIGINT, bu BIGINT UNSIGNED, si SMALLINT UNSIGNED, dc DECIMAL(30,10), f FLOAT, d DOUBLE,
		bt BIT(12), y YEAR, da DATE, dt DATETIME(6), ts TIMESTAMP(3) NULL, ti TIME(2), c CHAR(5), vc VARCHAR(20), tx TEXT, e ENUM('x','y'), s SET('p','q'),
		bn BINARY(3), vb VARBINARY(3), bl BLOB, j JSON, b BOOL, zf INT(6) ZEROFILL)`,
		`INSERT INTO v VALUES (1, -9223372036854775808, 18446744073709551615, 65535, 12345678901234567890.1234567890, 1.1, 2, b'100000000001', 2026,
		'2026-01-02', '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05.5', '-01:02:03.45', 'ab', 'æ"<\\', 'text', 'x', 'p,q',
		'a', x'00ff', x'ff', '{"a": 1.10}', true, 42)`,
		"INSERT INTO v (id) VALUES (2)",
		`INSERT INTO v (id, da, dt, ts) VALUES (3, '9999-12-31', '1000-01-01 00:00:00', '2026-07-01 00:00:00')`)
	execMy(t, db, "SET STATEMENT sql_mode = '' FOR INSERT INTO v (id, da, dt) VALUES (4, '0000-00-00', '0000-00-00 00:00:00')")
	row := map[string]string{
		"1": `{"id":1,"bi":-9223372036854775808,"bu":18446744073709551615,"si":65535,"dc":12345678901234567890.1234567890,"f":1.1,"d":2.0,"bt":2049,"y":2026,` +
			`"da":"2026-01-02","dt":"2026-01-02T03:04:05.678901Z","ts":"2026-01-02T03:04:05.5Z","ti":"-01:02:03.45","c":"ab","vc":"æ\"<\\","tx":"text","e":"x","s":"p,q",` +
			`"bn":"YQAA","vb":"AP8=","bl":"/w==","j":"{\"a\": 1.10}","b":1,"zf":42}`,
		"2": `{"id":2,"bi":null,"bu":null,"si":null,"dc":null,"f":null,"d":null,"bt":null,"y":null,"da":null,"dt":null,"ts":null,"ti":null,"c":null,"vc":null,` +
			`"tx":null,"e":null,"s":null,"bn":null,"vb":null,"bl":null,"j":null,"b":null,"zf":null}`,
	}
	st := myStage(t, dsn, "SELECT * FROM v WHERE id = ?", nil, "id")
	for id, want := range row {
		if got := field(t, st, `{"id":`+id+`}`); got != want {
			t.Errorf("%s, want\n%s", got, want)
		}
	}
	for query, want := range map[string]string{
		"SELECT da, dt, ts FROM v WHERE id = 3":                    `{"da":"9999-12-31","dt":"1000-01-01T00:00:00Z","ts":"2026-07-01T00:00:00Z"}`,
		"SELECT da, dt FROM v WHERE id = 4":                        `{"da":"0000-00-00","dt":"0000-00-00 00:00:00.000000"}`,
		"SELECT 1 = 1 AS v, @@session.time_zone AS z":              `{"v":1,"z":"+00:00"}`,
		"SELECT POINT(1, 2) AS v":                                  `{"v":"AAAAAAEBAAAAAAAAAAAA8D8AAAAAAAAAQA=="}`,
		"SELECT 1/3 AS v, 0.1 + 0.2 AS w, 1e0 AS x":                `{"v":0.3333,"w":0.3,"x":1.0}`,
		"SELECT _utf8mb4'☕' AS v, 'a' COLLATE utf8mb4_bin AS w":    `{"v":"☕","w":"a"}`,
		"SELECT '?' AS v, \"it\\\"s ?\" AS `?` # ?":                `{"v":"?","?":"it\"s ?"}`,
		"SELECT NULL AS v, UNHEX('ff') AS w, JSON_ARRAY(1) AS x":   `{"v":null,"w":"/w==","x":"[1]"}`,
		"WITH x AS (SELECT 1 AS a) SELECT a FROM x":                `{"a":1}`,
		"SELECT CAST(18446744073709551615 AS UNSIGNED) AS v -- ok": `{"v":18446744073709551615}`,
	} {
		if got := field(t, myStage(t, dsn, query, nil), `{}`); got != want {
			t.Errorf("%s: %s, want\n%s", query, got, want)
		}
	}
}

func TestMySQLParameters(t *testing.T) {
	dsn, db := mariadb(t)
	execMy(t, db, "DROP TABLE IF EXISTS p", "CREATE TABLE p (i BIGINT, u BIGINT UNSIGNED, n DECIMAL(30,10), s VARCHAR(100), b BOOL, j JSON, f DOUBLE, t DATETIME(3), c CHAR(5))",
		`INSERT INTO p VALUES (9223372036854775807, 18446744073709551615, 0.1, 'a''; DROP TABLE p; -- \\', true, '[1, 2]', 0.5, '2026-01-02 03:04:05.678', 'ab')`)
	for cond, value := range map[string]string{
		"i = ?":               `9223372036854775807`,
		"i = ? + 0":           `9223372036854775807`,
		"u = ?":               `18446744073709551615`,
		"u = ? AND 1":         `"18446744073709551615"`,
		"n = ?":               `0.1`,
		"n < ?":               `123456789012345678901234567890`,
		"s = ?":               `"a'; DROP TABLE p; -- \\"`,
		"b = ?":               `true`,
		"JSON_CONTAINS(?, j)": `[2,1,3]`,
		"f = ?":               `0.5`,
		"t = STR_TO_DATE(?, '%Y-%m-%dT%H:%i:%s.%fZ')": `"2026-01-02T03:04:05.678Z"`,
		"? IS NULL":                `null`,
		"c = ?":                    `"AB  "`, // as the collation has it
		"i <> ? AND i IS NOT NULL": `7`,
		"? = 5":                    `5.0`,
	} {
		st := myStage(t, dsn, "SELECT 1 AS ok FROM p WHERE "+cond, nil, "v")
		if got := field(t, st, `{"v":`+value+`}`); got != `{"ok":1}` {
			t.Errorf("%s with %s: %s", cond, value, got)
		}
	}
	st := myStage(t, dsn, "SELECT 1 AS ok FROM p WHERE s = ?", nil, "v")
	for _, v := range []string{`"a' OR '1'='1"`, `"\\' OR 1=1 -- "`} {
		if got := field(t, st, `{"v":`+v+`}`); got != "null" {
			t.Errorf("an injected condition held: %s", got)
		}
	}
}

func TestMySQLErrors(t *testing.T) {
	dsn, db := mariadb(t)
	execMy(t, db, "DROP TABLE IF EXISTS e", "CREATE TABLE e (i INT, j JSON)", "INSERT INTO e VALUES (1, '{}')")
	for query, permanent := range map[string]bool{
		"SELECT 1 FROM nope WHERE ? = 'x'":                                false,
		"SELECT nope FROM e WHERE ? = 'x'":                                false,
		"SELECT 1 FROM e WHERE ? <> '' AND 1 REGEXP CONCAT(?, '(')":       true,  // 1139
		"SELECT 1 FROM e WHERE ? <> '' AND i = (SELECT 1 UNION SELECT 2)": true,  // 1242
		"SELECT 9223372036854775807 + i FROM e WHERE ? <> ''":             true,  // 1690
		"SELECT i FROM e WHERE ? <> '' AND SLEEP(0) = KILL_ME()":          false, // 1305
		"SELECT 'a' COLLATE utf8mb4_bin = ? COLLATE utf8mb4_general_ci":   true,  // 1267
	} {
		args := []string{"v", "v"}[:strings.Count(query, "?")]
		st := myStage(t, dsn, query, nil, args...)
		err := st.Process(t.Context(), record(`{"v":"canary"}`))
		if err == nil {
			t.Errorf("%s: no error", query)
			continue
		}
		if _, got := pipeline.IsPermanent(err); got != permanent {
			t.Errorf("%s: permanent %v: %v", query, got, err)
		}
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error quotes a value: %v", query, err)
		}
		t.Log(err)
	}
	// Nothing is written, by whatever user.
	for _, query := range []string{"WITH x AS (SELECT 1) SELECT NEXTVAL(seq) FROM x"} {
		execMy(t, db, "CREATE OR REPLACE SEQUENCE seq")
		err := myStage(t, dsn, query, nil).Process(t.Context(), record(`{}`))
		if _, permanent := pipeline.IsPermanent(err); !permanent {
			t.Errorf("%s: %v", query, err)
		}
	}
	st := myStage(t, dsn, "SELECT 1", nil)
	err := st.dialect.(*mySQL).server.With(t.Context(), st.db, func(c *database.MySQLConn) error {
		_, err := c.ExecContext(t.Context(), "DELETE FROM e", nil)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "READ ONLY") {
		t.Errorf("a connection that may write: %v", err)
	}
	var host settings.Secret = "mysql://nobody:canary@127.0.0.1:1/x?timeout=1s"
	var env *pipeline.EnvironmentError
	for name, st := range map[string]*Stage{
		"no server":    myStage(t, host, "SELECT 1", nil),
		"no database":  myStage(t, settings.Secret(strings.Replace(string(dsn), "/penstock_test", "/nope", 1)), "SELECT 1", nil),
		"no user":      myStage(t, settings.Secret(strings.Replace(string(dsn), "root@", "nobody:canary@", 1)), "SELECT 1", nil),
		"no table":     myStage(t, dsn, "SELECT 1 FROM nope", nil),
		"twice":        myStage(t, dsn, "SELECT 1 AS a, 2 AS a", nil),
		"twice of *":   myStage(t, dsn, "SELECT * FROM e x JOIN e y", nil),
		"which is off": myStage(t, dsn, "SELECT * FROM e WHERE i = ? -- ?", nil, "a"),
	} {
		err := st.Ping(t.Context())
		if name == "which is off" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if !errors.As(err, &env) || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
		t.Log(err)
	}
}

// The server's certificate is checked when the file asks for it, and for the name that it has.
func TestMySQLTLS(t *testing.T) {
	dsn, _ := mariadb(t)
	ca := os.Getenv("PENSTOCK_TEST_MARIADB_CA")
	if ca == "" {
		t.Fatal("PENSTOCK_TEST_MARIADB_CA is not set: run make test-real")
	}
	cipher := "SELECT variable_value <> '' AS encrypted FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'"
	for name, tt := range map[string]struct {
		params string
		files  client.TLS
		want   string // the value, or part of the error
	}{
		"as it comes":      {"", client.TLS{}, `{"encrypted":1}`},
		"off":              {"&tls=false", client.TLS{}, `{"encrypted":0}`},
		"the system's":     {"&tls=true", client.TLS{}, "failed to verify certificate"},
		"the wrong name":   {"", client.TLS{CA: settings.Path(ca)}, "cannot validate certificate for 127.0.0.1"},
		"the server's own": {"", client.TLS{CA: settings.Path(ca), ServerName: "localhost"}, `{"encrypted":1}`},
	} {
		st := myStage(t, dsn+settings.Secret(tt.params), cipher, func(s *Settings) { s.TLS = tt.files })
		rec := record(`{}`)
		got := fmt.Sprint(st.Process(t.Context(), rec))
		if got == "<nil>" {
			got = string(rec.Value())
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// A query that is given up ends on the server too.
func TestMySQLGivenUpQueryEnds(t *testing.T) {
	dsn, db := mariadb(t)
	st := myStage(t, dsn, "SELECT SLEEP(60), 'given up'", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := st.Process(ctx, record(`{}`))
	var own *client.Error
	if !errors.As(err, &own) || own.Type != client.TypeTimeout {
		t.Error(err)
	}
	if err := st.Close(); err != nil { // waits for the query and its end
		t.Error(err)
	}
	var n int
	for range 100 {
		if err := db.QueryRow("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(60)%'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		execMy(t, db, "DO SLEEP(0.05)")
	}
	t.Errorf("%d queries still run", n)
}

// A connection that the server has closed while it was idle costs no attempt.
func TestMySQLIdleConnectionEnds(t *testing.T) {
	dsn, db := mariadb(t)
	st := myStage(t, dsn, "SELECT CONNECTION_ID() AS id, ? AS v", func(s *Settings) { s.MaxConns = 1 }, "v")
	before := field(t, st, `{"v":1}`)
	id := strings.TrimSuffix(strings.TrimPrefix(before, `{"id":`), `,"v":1}`)
	execMy(t, db, "KILL "+id, "DO SLEEP(0.1)")
	if after := field(t, st, `{"v":1}`); after == before {
		t.Errorf("the same connection: %s", after)
	}
}
