//go:build real

package sqlsink

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A value stays one value, whatever character set the server has its connections begin with.
func TestMariaCharacterSets(t *testing.T) {
	p := mariaPlace(t)
	p.exec("CREATE TABLE f (id int PRIMARY KEY, a varchar(200), b varchar(200))", "DROP USER IF EXISTS plain@'%'", "CREATE USER plain@'%'", "GRANT ALL ON sinktest.* TO plain@'%'")
	t.Cleanup(func() { p.exec("SET GLOBAL init_connect = ''", "DROP USER plain@'%'") }) // whom it does not spare, as it does root
	for i, set := range []string{"gbk", "sjis", "big5", "cp932", "latin1"} {
		p.exec("SET GLOBAL init_connect = 'SET NAMES "+set+"'", "DELETE FROM f")
		k := p.sink("f", func(s *Settings) {
			upsertBy("id")(s)
			u, err := url.Parse(s.DSN.Reveal())
			if err != nil {
				t.Fatal(err)
			}
			u.User, u.RawQuery = url.User("plain"), ""
			s.DSN = settings.Secret(u.String())
		}, "id", "id", "a", "a", "b", "b")
		isOutcome(t, k.Write(t.Context(), records(fmt.Sprintf(`{"id":%d,"a":"丿'é\\","b":", version())# "}`, i))), "")
		p.wants("SELECT id, a, b FROM f", fmt.Sprintf(`%d 丿'é\ , version())# `, i))
	}
}

// A tombstone deletes the row whose key its value is, and none that the value only begins with or comes near to.
func TestMariaDeletesByType(t *testing.T) {
	p := mariaPlace(t)
	for _, c := range []struct {
		typ, rows  string
		none, gone []string // keys that delete nothing, and keys that delete a row
	}{
		{"decimal(20,2)", "(5), (0), (123456789012345678.12)", []string{"5abc", "xyz", "", "123456789012345678.13", "123456789012345678", "1e", "99999999999999999999", "0x5"}, []string{"5.00", "-0", "123456789012345678.12"}},
		{"double", "(5), (0.1), (0)", []string{"5abc", "xyz", "0.10000001", "1e999"}, []string{"5.0", "0.1", "-0"}},
		{"bigint unsigned", "(18446744073709551615), (5)", []string{"5abc", "18446744073709551616", "18446744073709551614", "5.5"}, []string{"18446744073709551615", " 5"}},
		{"bit(8)", "(5), (53)", []string{"5abc", "x", "-5"}, []string{"5", "53"}},
		{"year", "(2013), (2000)", []string{"2013x", "x", "3000"}, []string{"13", "0"}},
		{"date", "('2013-01-01'), ('2014-01-01')", []string{"2013-01-01junk", "2013", "20130101x", "2013-13-45"}, []string{"2013-01-01", "2014-01-01"}},
		{"datetime(1)", "('2013-01-01 10:00:00.5'), ('2014-01-01')", []string{"2013-01-01 10:00:00.5junk", "2013-01-01 10", "2013-01-01 10:00:00"}, []string{"2013-01-01T11:00:00.52+01:00", "2014-01-01"}},
		{"time", "('10:00:00'), ('00:00:05')", []string{"10:00:00x", "5x", "x"}, []string{"10:00:00", "00:00:05"}},
		{"varchar(9)", "('5'), ('6')", []string{"5abc", "5.0"}, []string{"5", "6"}},
		{"binary(4)", "('5'), ('6')", []string{"NWE=", "5abc"}, []string{"NQ==", "Ng=="}},
		{"enum('a','b')", "('a'), ('b')", []string{"1", "0", "ax"}, []string{"a", "b"}},
	} {
		p.exec("DROP TABLE IF EXISTS f", "CREATE TABLE f (k "+c.typ+" PRIMARY KEY, v int)", "INSERT INTO f (k) VALUES "+c.rows)
		left := len(strings.Split(c.rows, "), ("))
		k := p.sink("f", func(s *Settings) { upsertBy("k")(s); s.OnTombstone = "delete" }, "k", "meta.key", "v", "v")
		for _, key := range c.none {
			if err := k.Write(t.Context(), []*pipeline.Record{record(0, key, "")}); err != nil {
				isOutcome(t, err, "0 sql")
			}
			p.wants("SELECT count(*) FROM f", fmt.Sprint(left))
			if t.Failed() {
				t.Fatalf("%s: %q", c.typ, key)
			}
		}
		for _, key := range c.gone {
			isOutcome(t, k.Write(t.Context(), []*pipeline.Record{record(0, key, "")}), "")
			left--
			p.wants("SELECT count(*) FROM f", fmt.Sprint(left))
			// What is stored under a key is what the key deletes.
			isOutcome(t, k.Write(t.Context(), []*pipeline.Record{record(0, key, `{"v":1}`)}), "")
			p.wants("SELECT count(*) FROM f", fmt.Sprint(left+1))
			isOutcome(t, k.Write(t.Context(), []*pipeline.Record{record(0, key, "")}), "")
			p.wants("SELECT count(*) FROM f", fmt.Sprint(left))
			if t.Failed() {
				t.Fatalf("%s: %q", c.typ, key)
			}
		}
	}
	for _, typ := range []string{"float", "double(10,2)"} {
		p.exec("DROP TABLE IF EXISTS f", "CREATE TABLE f (k "+typ+" PRIMARY KEY, v int)")
		err := p.sink("f", func(s *Settings) { upsertBy("k")(s); s.OnTombstone = "delete" }, "k", "meta.key", "v", "v").Ping(t.Context())
		if err == nil || !strings.Contains(err.Error(), "cannot be deleted by") {
			t.Errorf("%s: %v", typ, err)
		}
		if err := p.sink("f", upsertBy("k"), "k", "meta.key", "v", "v").Ping(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// Whatever a trigger or a partition says of one row rejects that record, holds no other, and stands in no log.
func TestMariaPoison(t *testing.T) {
	p := mariaPlace(t)
	p.exec("CREATE TABLE f (id int PRIMARY KEY, v varchar(99))", `CREATE TRIGGER odd BEFORE INSERT ON f FOR EACH ROW BEGIN
		IF NEW.v LIKE 'A%' THEN SIGNAL SQLSTATE 'HY000' SET MESSAGE_TEXT = NEW.v; END IF;
		IF NEW.v LIKE 'B%' THEN SIGNAL SQLSTATE '08S01' SET MESSAGE_TEXT = NEW.v; END IF;
		IF NEW.v LIKE 'C%' THEN SIGNAL SQLSTATE '42000' SET MESSAGE_TEXT = NEW.v, MYSQL_ERRNO = 5555; END IF;
		END`)
	k := p.sink("f", upsertBy("id"), "id", "id", "v", "v")
	for _, how := range []string{"A", "B", "C"} {
		p.exec("DELETE FROM f")
		err := k.Write(t.Context(), records(`{"id":1,"v":"good"}`, fmt.Sprintf(`{"id":3,"v":"%s canary"}`, how), `{"id":4,"v":"good"}`))
		isOutcome(t, err, "1 sql")
		p.wants("SELECT count(*) FROM f", "2")
		var detail pipeline.Detailer
		if !errors.As(err, &detail) || !strings.Contains(detail.Detail(), "canary") {
			t.Errorf("%s: no detail: %v", how, err)
		}
	}
	p.exec("CREATE TABLE g (id int PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (100))")
	k = p.sink("g", upsertBy("id"), "id", "id")
	isOutcome(t, k.Write(t.Context(), records(`{"id":1}`, `{"id":100}`, `{"id":2}`)), "1 sql")
	isOutcome(t, k.Write(t.Context(), records(`{"id":100}`)), "0 sql")
}

// With another unique index and no column by which it shows, the sink says so at the start.
func TestMariaOtherIndexes(t *testing.T) {
	p := mariaPlace(t)
	p.exec("CREATE TABLE f (id int, u int, UNIQUE (id), UNIQUE (u))", "CREATE TABLE g (n int AUTO_INCREMENT PRIMARY KEY, id int, u int, UNIQUE (id))", "CREATE TABLE h (id int PRIMARY KEY, u int, UNIQUE (u, id))")
	err := p.sink("f", upsertBy("id"), "id", "id", "u", "u").Ping(t.Context())
	if err == nil || !strings.Contains(err.Error(), "another unique index") {
		t.Error(err)
	}
	for _, table := range []string{"g", "h"} {
		if err := p.sink(table, upsertBy("id"), "id", "id", "u", "u").Ping(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A connection to a server that only reads is not used again.
func TestMariaLeavesReaders(t *testing.T) {
	p := mariaPlace(t)
	p.exec("CREATE TABLE f (id int)", "DROP USER IF EXISTS reader@'%'", "CREATE USER reader@'%'", "GRANT ALL ON sinktest.* TO reader@'%'")
	t.Cleanup(func() { p.exec("SET GLOBAL read_only = 0", "DROP USER reader@'%'") })
	k := p.sink("f", func(s *Settings) { s.DSN = settings.Secret(strings.Replace(s.DSN.Reveal(), "root@", "reader@", 1)) }, "id", "id")
	isOutcome(t, k.Write(t.Context(), records(`{"id":1}`)), "")
	const of = "SELECT id FROM information_schema.processlist WHERE user = 'reader'"
	before := p.rows(of)
	p.exec("SET GLOBAL read_only = 1")
	isOutcome(t, k.Write(t.Context(), records(`{"id":2}`)), "0 ?")
	p.exec("SET GLOBAL read_only = 0")
	isOutcome(t, k.Write(t.Context(), records(`{"id":2}`)), "")
	if after := p.rows(of); len(before) == 0 || slices.Contains(after, before[0]) {
		t.Errorf("connections %v, then %v", before, after)
	}
}
