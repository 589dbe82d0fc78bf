package redis

import (
	"slices"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/redisserver"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Settings are the settings of the redis stage.
type Settings struct {
	Server   redisserver.Settings `yaml:",inline"`
	Command  string               `yaml:"command" doc:"get: the value of key; mget: those of keys, as a list; hget: a field of the hash at key; hgetall: all of its fields, as an object" enum:"get|mget|hget|hgetall"`
	Key      expr.Template        `yaml:"key" doc:"key to look up: user:{id}; a part that is missing or empty rejects the record"`
	Keys     []expr.Template      `yaml:"keys" doc:"keys of mget: [\"price:{product}\", \"stock:{product}\"]"`
	Field    expr.Template        `yaml:"field" doc:"field of hget: a name, or a part of the record in braces"`
	Into     settings.FieldPath   `yaml:"into" doc:"field that takes what was found" required:"true"`
	As       string               `yaml:"as" doc:"json: what is JSON is put in as it is, anything else as text; text: always as text; base64: as base64, which takes any bytes" enum:"json|text|base64"`
	OnMiss   client.OnMiss        `yaml:"on_miss" doc:"what a look-up that finds nothing does to the record: null (with mget a list of nulls), reject or filter; of mget it is one when none of keys is there" enum:"null|reject|filter"`
	MaxBytes settings.Size        `yaml:"max_bytes" doc:"largest answer, of hgetall and mget all of it; a larger one rejects the record" min:"1B" max:"512MiB"`
	Batch    int                  `yaml:"batch" doc:"most look-ups that go together, of those that wait while all connections are busy. 1: each goes alone" min:"1" max:"1000"`
}

// Default gives the settings of a redis stage before a file is read.
func Default() Settings {
	return Settings{
		Server: redisserver.Settings{MaxConns: 4}, Command: "get", As: "json", OnMiss: client.MissNull, MaxBytes: 1 << 20, Batch: 128,
	}
}

// Validate checks what can be known without a server. It joins several errors.
func (s *Settings) Validate() error {
	var p settings.Problems
	s.Server.Check(&p)
	if !slices.Contains([]string{"get", "mget", "hget", "hgetall"}, s.Command) {
		p.Add("command", "%q is none: write get, mget, hget or hgetall", s.Command)
	}
	s.checkKeys(&p)
	if s.Into == "" {
		p.Add("into", "name the field that takes what was found")
	} else if _, err := s.Into.Place(); err != nil {
		p.Add("into", "%w", err)
	}
	if s.As != "json" && s.As != "text" && s.As != "base64" {
		p.Add("as", "%q is none: write json, text or base64", s.As)
	}
	p.Check("on_miss", s.OnMiss.Validate())
	if s.MaxBytes < 1 || s.MaxBytes > 512<<20 {
		p.Add("max_bytes", "%v is out of range: write a size from 1B to 512MiB", s.MaxBytes)
	}
	if s.Batch < 1 || s.Batch > 1000 {
		p.Add("batch", "%d is out of range: write 1 to 1000", s.Batch)
	}
	return p.Err()
}

func (s *Settings) checkKeys(p *settings.Problems) {
	switch many := s.Command == "mget"; {
	case many && len(s.Keys) == 0:
		p.Add("keys", "mget needs the keys: [\"price:{product}\", \"stock:{product}\"]")
	case many && !s.Key.IsZero():
		p.Add("key", "mget has keys: write it there, or write command: get")
	case !many && len(s.Keys) > 0:
		p.Add("keys", "these are for mget: write key, or command: mget")
	case !many && s.Key.IsZero():
		p.Add("key", "name the key to look up: user:{id}")
	}
	switch has := !s.Field.IsZero(); {
	case s.Command == "hget" && !has:
		p.Add("field", "hget needs the field of the hash; all of them are command: hgetall")
	case s.Command != "hget" && has:
		p.Add("field", "%s has none: write command: hget, or leave it out", s.Command)
	}
}
