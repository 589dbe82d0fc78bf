package database

import (
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A password that ends the address where it should not is refused, and nothing of it is taken for a name that messages
// show.
func TestPasswordsThatEndAnAddress(t *testing.T) {
	for _, rest := range []string{
		"u:7/S3CRET@127.0.0.1:5432/d", "u:7?S3CRET@127.0.0.1/d", "u:7#S3CRET@127.0.0.1/d", "u:7?a=S3CRET@127.0.0.1/d", "u:a@b/S3CRET@127.0.0.1/d",
		"u:7/S3CRET/x@127.0.0.1/d", "u:7@S3CRET@127.0.0.1/d", "7/S3CRET@127.0.0.1/d?sslmode=disable", "u:%S3CRET@127.0.0.1/d", "u:7/a?b=c&S3CRET@127.0.0.1/d",
	} {
		if c, err := Postgres(settings.Secret("postgres://" + rest)); err == nil || strings.Contains(err.Error(), "S3CRET") {
			t.Errorf("postgres://%s: %+v, %v", rest, c, err)
		}
		if c, err := Postgres(settings.Secret("postgresql://" + rest)); err == nil || strings.Contains(err.Error(), "S3CRET") {
			t.Errorf("postgresql://%s: %+v, %v", rest, c, err)
		}
		if c, err := MySQL(settings.Secret("mysql://"+rest), client.TLS{}); err == nil || strings.Contains(err.Error(), "S3CRET") {
			t.Errorf("mysql://%s: %+v, %v", rest, c, err)
		}
	}
	if c, err := Postgres("user=u password=a S3CRET host=127.0.0.1 dbname=d"); err == nil || strings.Contains(err.Error(), "S3CRET") {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAddressesWithOddPasswords(t *testing.T) {
	for dsn, want := range map[string]string{ // password, host, database
		"postgres://u:a%2FS@h:5433/d?sslmode=disable":                    "a/S h d",
		"postgres:///d?host=/run/postgresql&user=x@y&password=p@ss":      "p@ss /run/postgresql d",
		"user=u password='a /b@c' host=h dbname=d search_path=a,b":       "a /b@c h d",
		"postgres://u:p@h/d?options=-c%20penstock.x%3D1&penstock.y_1=on": "p h d",
	} {
		c, err := Postgres(settings.Secret(dsn))
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
		} else if got := c.Password + " " + c.Host + " " + c.Database; got != want {
			t.Errorf("%s: %s, want %s", dsn, got, want)
		}
	}
	c, err := MySQL("u:a/S3@b@tcp(h:1)/d", client.TLS{})
	if err != nil || c.Passwd != "a/S3@b" || c.DBName != "d" {
		t.Errorf("%+v, %v", c, err)
	}
}
