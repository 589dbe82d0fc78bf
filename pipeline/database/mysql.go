package database

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/settings"
)

// MySQL reads the dsn of a MySQL or MariaDB: a URL, or the driver's own form. The error does not quote it.
func MySQL(dsn settings.Secret, files client.TLS) (c *mysql.Config, err error) {
	invalid := errors.New("the address is not valid: write mysql://user:password@host:port/database, with @ : / ? # % of a password as %40 %3A %2F %3F %23 %25")
	defer func() {
		if recover() != nil { // the driver panics at a setting that it no longer has
			c, err = nil, invalid
		}
	}()
	text := dsn.Reveal()
	if scheme, _, ok := strings.Cut(text, "://"); ok && (scheme == "mysql" || scheme == "mariadb") {
		u, err := url.Parse(text)
		if err != nil || !urlIsClear(text) || u.Hostname() == "" || u.Opaque != "" || u.Fragment != "" || strings.Contains(u.User.Username(), ":") {
			return nil, invalid
		}
		port := u.Port()
		if port == "" {
			port = "3306"
		}
		password, _ := u.User.Password()
		text = u.User.Username() + ":" + password + "@tcp(" + net.JoinHostPort(u.Hostname(), port) + ")/" +
			url.PathEscape(strings.TrimPrefix(u.Path, "/")) + "?" + u.RawQuery
	}
	if c, err = mysql.ParseDSN(text); err != nil {
		return nil, invalid
	}
	if !isUTF8(c) {
		return nil, errors.New("texts go as utf8mb4: leave charset, collation and character_set settings out of the address, or write charset=utf8mb4")
	}
	encrypted := c.TLSConfig != ""
	switch {
	case files != (client.TLS{}) && encrypted:
		return nil, errors.New("write tls in dsn or beside it, not both")
	case !encrypted && files == (client.TLS{}) && c.Net != "unix":
		c.TLSConfig = "preferred" // as the clients of both servers have it
	}
	if c.Params == nil {
		c.Params = map[string]string{}
	}
	TakeParam(c.Params, "time_zone")
	c.Params["time_zone"] = "'+00:00'" // a TIMESTAMP is read as text, in the zone of the session
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	c.ParseTime, c.Loc = false, time.UTC
	c.InterpolateParams, c.MultiStatements, c.AllowAllFiles, c.ColumnsWithAlias = false, false, false, false
	c.Logger = &mysql.NopLogger{} // what matters is in an error
	return c, nil
}

// isUTF8 says whether an address leaves the character set of the connection alone. Only with one that has no byte
// of ASCII within another character is a value that stands quoted in a statement sure to end where it ends.
func isUTF8(c *mysql.Config) bool {
	for name := range c.Params {
		if name = strings.ToLower(name); strings.HasPrefix(name, "character_set_") || name == "collation_connection" || name == "names" {
			return false
		}
	}
	if c.Collation != "" && !strings.HasPrefix(c.Collation, "utf8mb4_") {
		return false
	}
	text := c.FormatDSN() // what it has as charset it shows nowhere else
	_, query, _ := strings.Cut(text[strings.LastIndexByte(text, '/')+1:], "?")
	params, err := url.ParseQuery(query)
	if err != nil {
		return false
	}
	for _, name := range strings.Split(strings.Join(params["charset"], ","), ",") {
		if name != "" && name != "utf8mb4" {
			return false
		}
	}
	return true
}

// MySQLMeanings are what errors say whose texts cannot be shown.
var MySQLMeanings = map[uint16]string{
	1139: "a regular expression that is not valid", 1242: "a subquery that must give one row gave more", 1292: "not the text of such a value",
	1365: "division by zero", 1366: "text with a character that the database cannot hold", 1411: "a value that a function does not take",
	1690: "a number out of range", 3140: "JSON text that is not valid", 3141: "JSON text that is not valid", 3143: "a path into JSON that is not valid",
	4038: "JSON text that is not valid", 4042: "a path into JSON that is not valid",
}
