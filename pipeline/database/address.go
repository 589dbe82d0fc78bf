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

// Check checks what can be known without a database, and adds to p what is wrong: with driver,
// path, dsn or tls. What it says quotes no secret.
func (a Address) Check(p *settings.Problems) {
	switch a.Driver {
	case "sqlite":
		if a.Path == "" {
			p.Add("path", "sqlite needs the path of its database file")
		}
		if a.DSN != "" {
			p.Add("dsn", "sqlite has none: write path")
		}
	case "mysql", "mariadb":
		_, err := MySQL(a.DSN, a.TLS)
		a.checkServer("mysql", err, p)
	case "postgres":
		_, err := Postgres(a.DSN)
		a.checkServer("postgres", err, p)
	default:
		p.Add("driver", "%q is none: write sqlite, postgres, mysql or mariadb", a.Driver)
	}
	if err := a.TLS.Validate(); err != nil {
		p.Add("tls", "%w", err)
	} else if a.TLS != (client.TLS{}) && a.Driver == "postgres" {
		p.Add("tls", "postgres has its files in dsn: write ?sslmode=verify-full&sslrootcert=ca.pem there")
	} else if a.TLS != (client.TLS{}) && a.Driver == "sqlite" {
		p.Add("tls", "sqlite has no connection to encrypt")
	}
}

// checkServer is Check for the databases that have a server. invalid is what is wrong with dsn.
func (a Address) checkServer(scheme string, invalid error, p *settings.Problems) {
	if a.DSN == "" {
		p.Add("dsn", "%s needs its address: write dsn: %s://user:password@host:port/database", a.Driver, scheme)
	} else if invalid != nil {
		p.Add("dsn", "%w", invalid)
	}
	if a.Path != "" {
		p.Add("path", "%s has none: write dsn", a.Driver)
	}
}
