package database

import (
	"strings"
	"testing"
	"time"

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
		c, err := MySQL(settings.Secret(dsn), client.TLS{})
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
	c, err := MySQL("mysql://u@h/d?timeout=3s&multiStatements=true&interpolateParams=true&allowAllFiles=true&time_zone=%27SYSTEM%27&max_statement_time=5", client.TLS{})
	if err != nil || c.MultiStatements || c.InterpolateParams || c.AllowAllFiles || c.Timeout != 3*time.Second || c.Params["time_zone"] != "'+00:00'" || c.Params["max_statement_time"] != "5" {
		t.Errorf("%+v, %v", c, err)
	}
	for _, dsn := range []string{
		"mysql://u:canary@", "mysql://u:canary@h:x/d", "mysql://u:canary@h/d?strict=true", "mysql://u:canary@h/d?parseTime=perhaps", "mysql://u:canary@h/d#f",
		"postgres://u:canary@h/d", "u:canary@h/d", "canary", "mysql://u:canary@h/d?tls=no-such-name", "mysql://a%3Ab:canary@h/d",
		"mysql://u:canary@h/d?charset=gbk", "mysql://u:canary@h/d?charset=utf8mb4,sjis", "mysql://u:canary@h/d?collation=big5_chinese_ci", "u:canary@tcp(h:3306)/d?charset=cp932",
		"mysql://u:canary@h/d?character_set_client=gbk", "mysql://u:canary@h/d?Character_Set_Connection=gbk",
	} {
		if _, err := MySQL(settings.Secret(dsn), client.TLS{}); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", dsn, err)
		}
	}
	if _, err := MySQL("mysql://u:a%2F%3Fcharset=gbk@h/d?charset=utf8mb4&collation=utf8mb4_bin", client.TLS{}); err != nil {
		t.Error(err)
	}
	if _, err := MySQL("mysql://u@h/d?tls=true", client.TLS{CA: "ca.pem"}); err == nil || !strings.Contains(err.Error(), "not both") {
		t.Error(err)
	}
}

func TestMySQLParametersOfNumbers(t *testing.T) {
	for text, want := range map[string]any{
		`5`: int64(5), `5.0`: int64(5), `5e2`: int64(500), `-9223372036854775808`: int64(-9223372036854775808), `18446744073709551615`: uint64(18446744073709551615),
		`18446744073709551616`: "18446744073709551616", `0.1`: 0.1, `1e300`: 1e300, `1e400`: "1e400", `123456789012345678.5`: "123456789012345678.5",
		`true`: int64(1), `false`: int64(0), `null`: nil, ``: nil, `"5"`: "5", `[1,"a"]`: `[1,"a"]`, `{"a":1}`: `{"a":1}`,
	} {
		if got, err := BindMySQL([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %#v, %v, want %#v", text, got, err, want)
		}
	}
}
