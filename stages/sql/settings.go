package sql

import (
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/database"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Settings are the settings of the sql stage.
type Settings struct {
	Driver   string             `yaml:"driver" doc:"kind of database; mysql and mariadb are the same" enum:"sqlite|postgres|mysql|mariadb" required:"true"`
	Path     settings.Path      `yaml:"path" doc:"database file of sqlite; it is opened for reading"`
	DSN      settings.Secret    `yaml:"dsn" doc:"address of the others: postgres://user:password@host:port/database, mysql://user:password@host:port/database"`
	TLS      client.TLS         `yaml:"tls" doc:"of mysql: how the server is checked, and who this side is. Without it the connection is encrypted where the server can, and the server not checked, unless dsn has ?tls=true; postgres has sslmode and sslrootcert in dsn"`
	Query    string             `yaml:"query" doc:"one SELECT; its parameters are $1, $2 and so on in postgres, ? in the others" required:"true"`
	Args     []expr.Expr        `yaml:"args" value:"true" doc:"values of the parameters, in order; they are bound, never put into the text. Of postgres an array takes a list, json any value as it is, bytea base64, and an integer also 5.0"`
	Into     settings.FieldPath `yaml:"into" doc:"field that takes the result: an object of the columns by name. Of postgres arrays are lists, composites and hstores are objects, and what JSON has no form for is the text that the server writes" required:"true"`
	Rows     string             `yaml:"rows" doc:"first: the first row as an object; all: an array of them" enum:"first|all"`
	OnMiss   client.OnMiss      `yaml:"on_miss" doc:"what a result without rows does to the record: null (with rows: all an empty array), reject or filter" enum:"null|reject|filter"`
	MaxRows  int                `yaml:"max_rows" doc:"most rows with rows: all; more reject the record" min:"1"`
	MaxBytes settings.Size      `yaml:"max_bytes" doc:"largest result as JSON; a larger one rejects the record" min:"1B" max:"1GiB"`
	MaxConns int                `yaml:"max_conns" doc:"most connections of this step, and most queries at once; with more workers than that the look-ups of the others go together in the next query" min:"1"`
	Batch    int                `yaml:"batch" doc:"most look-ups that one query asks for, of those that wait while all connections are busy; it is for fewer, or one, where that would take long. 1: each has a query of its own. Of mysql 64 is the most; sqlite is always asked for one" min:"1" max:"1000"`
}

// Default gives the settings of an sql stage before a file is read.
func Default() Settings {
	return Settings{Rows: "first", OnMiss: client.MissNull, MaxRows: 1000, MaxBytes: 1 << 20, MaxConns: 8, Batch: 64}
}

// Validate checks what can be known without a database. It joins several errors.
func (s *Settings) Validate() error {
	var p settings.Problems
	database.Address{Driver: s.Driver, Path: s.Path, DSN: s.DSN, TLS: s.TLS}.Check(&p)
	p.Check("query", checkQuery(s.Query, s.Driver, len(s.Args)))
	if s.Into == "" {
		p.Add("into", "name the field that takes the result")
	} else if _, err := s.Into.Place(); err != nil {
		p.Add("into", "%w", err)
	}
	if s.Rows != "first" && s.Rows != "all" {
		p.Add("rows", "%q is none: write first or all", s.Rows)
	}
	p.Check("on_miss", s.OnMiss.Validate())
	if s.MaxRows < 1 {
		p.Add("max_rows", "it must be at least 1")
	}
	if s.MaxBytes < 1 || s.MaxBytes > 1<<30 {
		p.Add("max_bytes", "%v is out of range: write a size from 1B to 1GiB", s.MaxBytes)
	}
	if s.MaxConns < 1 {
		p.Add("max_conns", "it must be at least 1")
	}
	if s.Batch < 1 || s.Batch > 1000 {
		p.Add("batch", "%d is out of range: write 1 to 1000", s.Batch)
	}
	return p.Err()
}
