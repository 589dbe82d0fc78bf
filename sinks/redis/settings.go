package redissink

import (
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/redisserver"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Settings are the settings of the redis sink.
type Settings struct {
	Server      redisserver.Settings       `yaml:",inline"`
	Command     string                     `yaml:"command" doc:"set: a value at a key; hset: fields of the hash at a key; xadd: an entry of a stream; publish: a message on a channel, which whoever does not listen then never gets" enum:"set|hset|xadd|publish" required:"true"`
	Key         expr.Template              `yaml:"key" doc:"key, stream or channel: user:{id}; a part that is missing or empty rejects the record" required:"true"`
	Value       expr.Expr                  `yaml:"value" value:"true" doc:"of set and publish: what is stored or sent, a text as it is, anything else as JSON. Default: the record's value"`
	Fields      settings.Fields[expr.Expr] `yaml:"fields" value:"true" doc:"of hset and xadd: fields by name, each an expression. A field that is null is taken out of the hash, and left out of the entry. Default: of hset each field of the record's value, of xadd the one field value, which is the record's value" max:"1000"`
	As          string                     `yaml:"as" enum:"value|fixture" doc:"what stands for the record's value where neither value nor fields is given: value (default, but for dead letters): the value; fixture: the whole record with key, headers and position"`
	TTL         time.Duration              `yaml:"ttl" min:"1ms" doc:"of set and hset: how long the key lives, counted anew with each write. Default: for ever, and of hset as before. hset does it by a script, as it takes out fields, for which the user of the server needs the right to EVAL"`
	MaxLen      int64                      `yaml:"maxlen" min:"1" doc:"of xadd: about how many entries the stream keeps; the server takes out the oldest. Default: all"`
	ID          string                     `yaml:"id" enum:"auto|position" doc:"of xadd: auto: the server's time, and an entry that is sent again is there twice; position: made of the record's offset, partition and part, and what is sent again is there once; a record whose ID is that of another entry is rejected. That needs a stream for each partition, so key has {meta.topic} and {meta.partition} in it, positions that no later run gives to other records, and order: partition"`
	OnTombstone string                     `yaml:"on_tombstone" doc:"what becomes of a record without a value: reject; delete: of set and hset, its key is deleted, so key must have values of it, like meta.key" enum:"reject|delete"`
}

// Defaults gives the settings of a redis sink before a file is read.
func Defaults() Settings {
	return Settings{Server: redisserver.Settings{MaxConns: 4}, ID: "auto", OnTombstone: "reject"}
}

// Validate checks what can be known without a server. It joins several errors.
func (s *Settings) Validate() error {
	var p settings.Problems
	s.Server.Check(&p)
	if !slices.Contains([]string{"set", "hset", "xadd", "publish"}, s.Command) {
		p.Add("command", "%q is none: write set, hset, xadd or publish", s.Command)
		return p.Err()
	}
	if s.Key.IsZero() {
		p.Add("key", "name the key, the stream or the channel: user:{id}")
	}
	if s.As != "" && s.As != "value" && s.As != "fixture" {
		p.Add("as", "%q is neither value nor fixture", s.As)
	}
	for _, other := range []struct {
		field    string
		given    bool
		commands []string
	}{
		{"value", !s.Value.IsZero(), []string{"set", "publish"}},
		{"fields", len(s.Fields) > 0, []string{"hset", "xadd"}},
		{"ttl", s.TTL != 0, []string{"set", "hset"}},
		{"maxlen", s.MaxLen != 0, []string{"xadd"}},
		{"id", s.ID == "position", []string{"xadd"}},
		{"on_tombstone", s.OnTombstone == "delete", []string{"set", "hset"}},
	} {
		if other.given && !slices.Contains(other.commands, s.Command) {
			p.Add(other.field, "%s has none: it is of %s", s.Command, strings.Join(other.commands, " and "))
		}
	}
	s.checkValues(&p)
	return p.Err()
}

func (s *Settings) checkValues(p *settings.Problems) {
	if _, err := s.names(); err != nil {
		p.Add("fields", "%w", err)
	}
	switch {
	case s.As == "fixture" && !s.Value.IsZero():
		p.Add("as", "value says what is stored: leave one of the two out")
	case s.As == "fixture" && len(s.Fields) > 0:
		p.Add("as", "fields say what is stored: leave one of the two out")
	case s.As == "fixture" && s.Command == "hset":
		p.Add("as", "a hash has fields: write them under fields, or write command: set")
	}
	if s.TTL < 0 || s.TTL > 0 && s.TTL < time.Millisecond {
		p.Add("ttl", "it must be at least 1ms")
	}
	if s.MaxLen < 0 || s.MaxLen > math.MaxInt32 {
		p.Add("maxlen", "%d is out of range: write 1 to %d", s.MaxLen, math.MaxInt32)
	}
	switch s.ID {
	case "auto":
	case "position":
		if !s.perPartition() {
			p.Add("key", "id: position needs a stream for each partition, or entries of one would stand in the way of another's: write {meta.topic} and {meta.partition} into key")
		}
	default:
		p.Add("id", "%q is neither auto nor position", s.ID)
	}
	if s.OnTombstone != "reject" && s.OnTombstone != "delete" {
		p.Add("on_tombstone", "%q is none: write reject or delete", s.OnTombstone)
	}
}

// perPartition says whether records of different partitions have different keys.
func (s *Settings) perPartition() bool {
	var topic, partition bool
	for _, part := range s.Key.Parts() {
		switch strings.TrimSpace(part.Expr.String()) {
		case "meta.topic":
			topic = true
		case "meta.partition":
			partition = true
		}
	}
	return topic && partition
}

// names gives the names of fields, in order.
func (s *Settings) names() ([]string, error) {
	var names []string
	for _, f := range s.Fields {
		path, err := f.Name.Place()
		if err != nil {
			return nil, err
		}
		if len(path) != 1 || path[0].Kind != jsontext.Named {
			return nil, errors.New("a field has a name alone: write a dot in it as a\\.b")
		}
		names = append(names, path[0].Name)
	}
	return names, nil
}
