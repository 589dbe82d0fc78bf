package database

import (
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/settings"
)

// An Address says which database is meant, by the settings of the same names.
type Address struct {
	Driver string // sqlite, postgres, mysql or mariadb; the last two are the same
	Path   settings.Path
	DSN    settings.Secret
	TLS    client.TLS
}

// Check checks what can be known without a database, and calls bad with each setting that is wrong: driver,
// path, dsn or tls. What it says quotes no secret.
func (a Address) Check(bad func(field, format string, args ...any)) {
	switch a.Driver {
	case "sqlite":
		if a.Path == "" {
			bad("path", "sqlite needs the path of its database file")
		}
		if a.DSN != "" {
			bad("dsn", "sqlite has none: write path")
		}
	case "mysql", "mariadb":
		_, err := MySQL(a.DSN, a.TLS)
		a.checkServer("mysql", err, bad)
	case "postgres":
		_, err := Postgres(a.DSN)
		a.checkServer("postgres", err, bad)
	default:
		bad("driver", "%q is none: write sqlite, postgres, mysql or mariadb", a.Driver)
	}
	if err := a.TLS.Validate(); err != nil {
		bad("tls", "%w", err)
	} else if a.TLS != (client.TLS{}) && a.Driver == "postgres" {
		bad("tls", "postgres has its files in dsn: write ?sslmode=verify-full&sslrootcert=ca.pem there")
	} else if a.TLS != (client.TLS{}) && a.Driver == "sqlite" {
		bad("tls", "sqlite has no connection to encrypt")
	}
}

// checkServer is Check for the databases that have a server. invalid is what is wrong with dsn.
func (a Address) checkServer(scheme string, invalid error, bad func(field, format string, args ...any)) {
	if a.DSN == "" {
		bad("dsn", "%s needs its address: write dsn: %s://user:password@host:port/database", a.Driver, scheme)
	} else if invalid != nil {
		bad("dsn", "%w", invalid)
	}
	if a.Path != "" {
		bad("path", "%s has none: write dsn", a.Driver)
	}
}
