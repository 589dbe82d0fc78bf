package sqlsink

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/database"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Settings are the settings of the sql sink.
type Settings struct {
	Driver      string                     `yaml:"driver" doc:"kind of database; mysql and mariadb are the same" enum:"postgres|mysql|mariadb|sqlite" required:"true"`
	Path        settings.Path              `yaml:"path" doc:"database file of sqlite, which must be there. It gets a write-ahead log (journal_mode=WAL) and keeps it: files ending in -wal and -shm lie beside it while it is open"`
	DSN         settings.Secret            `yaml:"dsn" doc:"address of the others: postgres://user:password@host:port/database, mysql://user:password@host:port/database, whose texts go as utf8mb4"`
	TLS         client.TLS                 `yaml:"tls" doc:"of mysql: how the server is checked, and who this side is. Without it the connection is encrypted where the server can, and the server not checked, unless dsn has ?tls=true; postgres has sslmode and sslrootcert in dsn"`
	Table       string                     `yaml:"table" doc:"table to write to, with its schema or without: public.flights; capitals count" required:"true"`
	Columns     settings.Fields[expr.Expr] `yaml:"columns" value:"true" doc:"columns by name, each an expression. Any value goes into a kind of text as JSON, a whole number into a time as milliseconds since 1970, like meta.time, a text into bytes as base64, a list into an array of postgres; a value that its column cannot hold rejects the record. A column that is left out has its default" required:"true" min:"1" max:"1000"`
	Mode        string                     `yaml:"mode" doc:"insert: every record is a new row; upsert: the row of its key is replaced, or made; ignore: a row that is there already stays as it is" enum:"insert|upsert|ignore"`
	Key         []string                   `yaml:"key" doc:"columns that make a row, for upsert and ignore; a unique index on exactly these must be there. A row that is there by another unique index rejects the record. With on_tombstone: delete, mysql takes no float in it"`
	Update      []string                   `yaml:"update" doc:"columns that upsert replaces in a row that is there. Default: all but key"`
	Newer       string                     `yaml:"newer" doc:"column that says which row is newer, as a version or a time does: upsert replaces a row by one whose value is not smaller, and leaves it alone else. Against what comes late: a statement that a frozen server carries out when it goes on"`
	OnTombstone string                     `yaml:"on_tombstone" doc:"what becomes of a record without a value: reject; delete: with upsert its row is deleted, so the columns of key must have values of it, like meta.key" enum:"reject|delete"`
	MaxConns    int                        `yaml:"max_conns" doc:"most connections, and most writes at once; sqlite has one" min:"1"`
}

// Defaults gives the settings of an sql sink before a file is read.
func Defaults() Settings {
	return Settings{Mode: "insert", OnTombstone: "reject", MaxConns: 8}
}

// Validate checks what can be known without a database. It joins several errors.
func (s *Settings) Validate() error {
	var p settings.Problems
	database.Address{Driver: s.Driver, Path: s.Path, DSN: s.DSN, TLS: s.TLS}.Check(&p)
	if _, err := tableName(s.Table); err != nil {
		p.Add("table", "%w", err)
	}
	names, err := s.names()
	if err != nil {
		p.Add("columns", "%w", err)
	}
	s.validateMode(&p, names)
	if s.OnTombstone != "reject" && s.OnTombstone != "delete" {
		p.Add("on_tombstone", "%q is none: write reject or delete", s.OnTombstone)
	} else if s.OnTombstone == "delete" && s.Mode != "upsert" {
		p.Add("on_tombstone", "delete needs mode: upsert, and the key of the row")
	}
	if s.MaxConns < 1 {
		p.Add("max_conns", "it must be at least 1")
	}
	return p.Err()
}

func (s *Settings) validateMode(p *settings.Problems, names []string) {
	known := func(field string, list ...string) {
		for i, name := range list {
			if !slices.Contains(names, name) {
				p.Add(field, "%q is not in columns", name)
			} else if slices.Contains(list[:i], name) {
				p.Add(field, "%q stands in it twice", name)
			}
		}
	}
	switch s.Mode {
	case "insert":
		for field, given := range map[string]bool{"key": len(s.Key) > 0, "update": len(s.Update) > 0, "newer": s.Newer != ""} {
			if given {
				p.Add(field, "insert has none: write mode: upsert, or leave it out")
			}
		}
		return
	case "upsert":
		known("update", s.Update...)
		for _, name := range s.Update {
			if slices.Contains(s.Key, name) {
				p.Add("update", "%q is in key, and the same in both rows", name)
			}
		}
		if s.Newer != "" {
			known("newer", s.Newer)
		}
		if slices.Contains(s.Key, s.Newer) {
			p.Add("newer", "it is in key, and the same in both rows")
		} else if s.Newer != "" && len(s.Update) > 0 && !slices.Contains(s.Update, s.Newer) {
			p.Add("update", "%q of newer has to be in it, or the row would not say how new it is", s.Newer)
		}
	case "ignore":
		if len(s.Update) > 0 {
			p.Add("update", "ignore replaces nothing: write mode: upsert")
		}
		if s.Newer != "" {
			p.Add("newer", "ignore replaces nothing: write mode: upsert")
		}
	default:
		p.Add("mode", "%q is none: write insert, upsert or ignore", s.Mode)
		return
	}
	if len(s.Key) == 0 {
		p.Add("key", "%s needs the columns that make a row", s.Mode)
	}
	known("key", s.Key...)
}

// names gives the names of the columns, in order.
func (s *Settings) names() ([]string, error) {
	var names []string
	for _, f := range s.Columns {
		path, err := f.Name.Place()
		if err != nil {
			return nil, err
		}
		if len(path) != 1 || path[0].Kind != jsontext.Named {
			return nil, fmt.Errorf("%q is no column: write its name alone, a dot in it as a\\.b", f.Name)
		}
		if strings.ContainsRune(path[0].Name, 0) {
			return nil, errors.New("the name of a column has no NUL")
		}
		names = append(names, path[0].Name)
	}
	if len(names) == 0 {
		return nil, errors.New("name at least one")
	}
	return names, nil
}

// updated gives the columns that upsert replaces.
func (s *Settings) updated(names []string) (list []string) {
	for _, name := range names {
		if !slices.Contains(s.Key, name) && (len(s.Update) == 0 || slices.Contains(s.Update, name)) {
			list = append(list, name)
		}
	}
	return list
}

// tableName takes the name of a table apart: schema and table, or the table alone.
func tableName(text string) ([]string, error) {
	parts := strings.Split(text, ".")
	if len(parts) > 2 || slices.Contains(parts, "") || strings.ContainsAny(text, "\x00\"`") {
		return nil, errors.New("write the name of a table, with its schema or without: public.flights")
	}
	return parts, nil
}

// quoted quotes names, each with quote around it and what is within doubled.
func quoted(quote, between string, names ...string) string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = quote + strings.ReplaceAll(n, quote, quote+quote) + quote
	}
	return strings.Join(all, between)
}
