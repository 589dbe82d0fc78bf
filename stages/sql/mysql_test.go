package sql

import (
	"net"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/penstockio/penstock/pipeline/settings"
)

// What a server says of a bound value may hold that value.
func TestMySQLErrorsQuoteNoBoundValue(t *testing.T) {
	d := &mySQL{}
	for _, c := range []struct {
		err              error
		permanent, shown bool
	}{
		{&boundError{err: &mysql.MySQLError{Number: 1292, SQLState: [5]byte{'2', '2', '0', '0', '7'}, Message: "Incorrect value 'canary'"}}, true, false},
		{&boundError{err: &mysql.MySQLError{Number: 1105, SQLState: [5]byte{'H', 'Y', '0', '0', '0'}, Message: "XPATH syntax error: 'canary'"}}, false, false},
		{&boundError{err: &mysql.MySQLError{Number: 1146, SQLState: [5]byte{'4', '2', 'S', '0', '2'}, Message: "Table 'canary' doesn't exist"}}, false, false},
		{&boundError{err: &mysql.MySQLError{Number: 1644, SQLState: [5]byte{'4', '5', '0', '0', '0'}, Message: "no canary"}}, false, false},
		{&boundError{err: &mysql.MySQLError{Number: 1213, SQLState: [5]byte{'4', '0', '0', '0', '1'}, Message: "Deadlock canary"}}, false, false},
		{&mysql.MySQLError{Number: 1064, SQLState: [5]byte{'4', '2', '0', '0', '0'}, Message: "syntax near 'canary'"}, true, true}, // of the file's query
		{&mysql.MySQLError{Number: 1040, SQLState: [5]byte{'0', '8', '0', '0', '4'}, Message: "Too many connections canary"}, false, true},
		{&mysql.MySQLError{Number: 1203, SQLState: [5]byte{'4', '2', '0', '0', '0'}, Message: "canary has too many"}, false, true},
		{&mysql.MySQLError{Number: 2000, Message: "no state canary"}, false, true},
		{&boundError{err: mysql.ErrInvalidConn}, false, false},
		{&boundError{err: mysql.ErrPktTooLarge}, true, false},
	} {
		permanent, text, _ := d.classify(c.err)
		if permanent != c.permanent || strings.Contains(text, "canary") != c.shown || text == "" {
			t.Errorf("%v: permanent %v, %s", c.err, permanent, text)
		}
	}
}

// What is of the query, of the server or of the time is of no value.
func TestMySQLFaults(t *testing.T) {
	d := &mySQL{}
	for number, want := range map[uint16]fault{1146: ofAll, 1054: ofAll, 1142: ofAll, 1040: ofAll, 1927: ofAll, 1969: ofTime, 3024: ofTime, 4078: ofOne, 1292: ofOne, 1644: ofOne, 1205: ofOne} {
		if got := d.fault(&boundError{err: &mysql.MySQLError{Number: number, SQLState: [5]byte{'H', 'Y', '0', '0', '0'}}}); got != want {
			t.Errorf("%d: %v, want %v", number, got, want)
		}
	}
	if got := d.fault(&boundError{err: mysql.ErrInvalidConn}); got != ofAll {
		t.Errorf("a lost connection: %v", got)
	}
	if got := d.fault(&boundError{err: mysql.ErrPktTooLarge}); got != ofOne {
		t.Errorf("too large: %v", got)
	}
}

// A server that is silent has as long as the connection may take, and not as long as the call.
func TestMySQLConnectionThatTakesTooLong(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	st := stage(t, "", "SELECT 1", func(s *Settings) {
		s.Driver, s.DSN = "mysql", settings.Secret("mysql://u:canary@"+silent.Addr().String()+"/d?timeout=300ms")
	})
	if err := st.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "database d: no connection within 300ms;") {
		t.Errorf("got %v", err)
	}
}

func TestMySQLSizes(t *testing.T) {
	q, err := scan("SELECT a FROM t WHERE b = ?", "mysql")
	if err != nil {
		t.Fatal(err)
	}
	d := &mySQL{query: q, limit: 1}
	for n, want := range map[int]int{1: 1, 2: 2, 5: 4, 7: 6, 63: 48, 64: 64, 1000: 64} {
		if got := d.take(n); got != want {
			t.Errorf("%d of %d", got, n)
		}
	}
	long := &mySQL{query: &scanner{text: strings.Repeat("x", maxBatchBytes/5)}}
	if got := long.take(64); got != 4 {
		t.Errorf("%d of a long query", got)
	}
	if got, want := d.text(2), "(SELECT a \n, 0 AS penstock_n FROM t WHERE b = ?\nLIMIT 1\n) UNION ALL (SELECT a \n, 1 AS penstock_n FROM t WHERE b = ?\nLIMIT 1\n)"; got != want {
		t.Errorf("%q", got)
	}
}

// Types that MariaDB does not have.
func TestMySQLValuesOfOtherServers(t *testing.T) {
	for typ, c := range map[string]struct{ text, want string }{
		"JSON":   {`{"a": 1.10, "b": [1, 2]}`, `{"a":1.10,"b":[1,2]}`},
		"VECTOR": {"\x00\x01", `"AAE="`},
		"TEXT":   {`{"a": 1}`, `"{\"a\": 1}"`},
	} {
		if got, err := appendMySQL(nil, []byte(c.text), column{`"c":`, typ}); err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v", typ, got, err)
		}
	}
	if _, err := appendMySQL(nil, []byte("\xff"), column{`"c":`, "TEXT"}); err == nil {
		t.Error("text that is not UTF-8")
	}
	if _, err := appendMySQL(nil, []byte("x"), column{`"c":`, ""}); err == nil {
		t.Error("a type without a name")
	}
}
