package sql

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/settings"
)

func TestMySQLAddress(t *testing.T) {
	for dsn, want := range map[string]string{ // user, password, network, address, database, TLS
		"mysql://u:p@db.example:3307/shop":                       "u p tcp db.example:3307 shop preferred",
		"mariadb://u@db.example/shop?tls=true":                   "u  tcp db.example:3306 shop true",
		"mysql://u%40h:p%3A%2F%40%3F%25@[::1]/a%2Fb?tls=false":   "u@h p:/@?% tcp [::1]:3306 a/b false",
		"mysql://db.example":                                     "  tcp db.example:3306  preferred",
		"u:p@tcp(db.example:3307)/shop?parseTime=true&loc=Local": "u p tcp db.example:3307 shop preferred",
		"u@unix(/run/mysqld/mysqld.sock)/shop":                   "u  unix /run/mysqld/mysqld.sock shop ",
	} {
		c, err := mysqlConfig(settings.Secret(dsn), client.TLS{})
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		if got := strings.Join([]string{c.User, c.Passwd, c.Net, c.Addr, c.DBName, c.TLSConfig}, " "); got != want {
			t.Errorf("%s: %q, want %q", dsn, got, want)
		}
		if c.ParseTime || c.Loc != time.UTC || c.Timeout != 10*time.Second || c.Params["time_zone"] != "'+00:00'" {
			t.Errorf("%s: %+v", dsn, c)
		}
	}
	c, err := mysqlConfig("mysql://u@h/d?timeout=3s&multiStatements=true&interpolateParams=true&allowAllFiles=true&time_zone=%27SYSTEM%27&max_statement_time=5", client.TLS{})
	if err != nil || c.MultiStatements || c.InterpolateParams || c.AllowAllFiles || c.Timeout != 3*time.Second || c.Params["time_zone"] != "'+00:00'" || c.Params["max_statement_time"] != "5" {
		t.Errorf("%+v, %v", c, err)
	}
	for _, dsn := range []string{
		"mysql://u:canary@", "mysql://u:canary@h:x/d", "mysql://u:canary@h/d?strict=true", "mysql://u:canary@h/d?parseTime=perhaps", "mysql://u:canary@h/d#f",
		"postgres://u:canary@h/d", "u:canary@h/d", "canary", "mysql://u:canary@h/d?tls=no-such-name", "mysql://a%3Ab:canary@h/d",
	} {
		if _, err := mysqlConfig(settings.Secret(dsn), client.TLS{}); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", dsn, err)
		}
	}
	if _, err := mysqlConfig("mysql://u@h/d?tls=true", client.TLS{CA: "ca.pem"}); err == nil || !strings.Contains(err.Error(), "not both") {
		t.Error(err)
	}
}

// What a server says of a bound value may hold that value.
func TestMySQLErrorsQuoteNoBoundValue(t *testing.T) {
	d := &mySQL{}
	for _, c := range []struct {
		err              error
		permanent, shown bool
	}{
		{&boundError{err: &mysql.MySQLError{Number: 1292, SQLState: [5]byte{'2', '2', '0', '0', '7'}, Message: "Incorrect value 'canary'"}}, true, false},
		{&boundError{err: &mysql.MySQLError{Number: 1105, SQLState: [5]byte{'H', 'Y', '0', '0', '0'}, Message: "XPATH syntax error: 'canary'"}}, false, false},
		{&boundError{err: &mysql.MySQLError{Number: 1146, SQLState: [5]byte{'4', '2', 'S', '0', '2'}, Message: "Table 'canary' doesn't exist"}}, true, true},
		{&boundError{err: &mysql.MySQLError{Number: 1213, SQLState: [5]byte{'4', '0', '0', '0', '1'}, Message: "Deadlock canary"}}, false, true},
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

func TestMySQLParametersOfNumbers(t *testing.T) {
	for text, want := range map[string]any{
		`5`: int64(5), `5.0`: int64(5), `5e2`: int64(500), `-9223372036854775808`: int64(-9223372036854775808), `18446744073709551615`: uint64(18446744073709551615),
		`18446744073709551616`: "18446744073709551616", `0.1`: 0.1, `1e300`: 1e300, `1e400`: "1e400", `123456789012345678.5`: "123456789012345678.5",
		`true`: int64(1), `false`: int64(0), `null`: nil, ``: nil, `"5"`: "5", `[1,"a"]`: `[1,"a"]`, `{"a":1}`: `{"a":1}`,
	} {
		if got, err := bindMySQL([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %#v, %v, want %#v", text, got, err, want)
		}
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
