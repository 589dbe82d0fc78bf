package redissink

import (
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/expr"
)

func TestSettings(t *testing.T) {
	good := func() Settings {
		s := Defaults()
		s.Server.Address, s.Command, s.Key = "127.0.0.1:6379", "set", template(t, "k:{id}")
		return s
	}
	for want, change := range map[string]func(*Settings){
		"": func(*Settings) {},
		"command: \"get\" is none: write set, hset, xadd or publish": func(s *Settings) { s.Command = "get" },
		"key: name the key, the stream or the channel: user:{id}":    func(s *Settings) { s.Key = expr.Template{} },
		"value: hset has none: it is of set and publish":             func(s *Settings) { s.Command, s.Value = "hset", expression(t, "a") },
		"fields: set has none: it is of hset and xadd":               func(s *Settings) { s.Fields = fields(t, "a", "a") },
		"fields: a field has a name alone: write a dot in it as a\\.b": func(s *Settings) {
			s.Command, s.Fields = "hset", fields(t, "a.b", "a")
		},
		"ttl: publish has none: it is of set and hset":                          func(s *Settings) { s.Command, s.TTL = "publish", time.Hour },
		"ttl: it must be at least 1ms":                                          func(s *Settings) { s.TTL = 1 },
		"maxlen: set has none: it is of xadd":                                   func(s *Settings) { s.MaxLen = 1 },
		"id: set has none: it is of xadd":                                       func(s *Settings) { s.ID, s.Key = "position", template(t, "{meta.topic}{meta.partition}") },
		"id: \"now\" is neither auto nor position":                              func(s *Settings) { s.ID = "now" },
		"on_tombstone: xadd has none: it is of set and hset":                    func(s *Settings) { s.Command, s.OnTombstone = "xadd", "delete" },
		"on_tombstone: \"drop\" is none: write reject or delete":                func(s *Settings) { s.OnTombstone = "drop" },
		"as: \"json\" is neither value nor fixture":                             func(s *Settings) { s.As = "json" },
		"as: value says what is stored: leave one of the two out":               func(s *Settings) { s.As, s.Value = "fixture", expression(t, "a") },
		"as: a hash has fields: write them under fields, or write command: set": func(s *Settings) { s.Command, s.As = "hset", "fixture" },
		"key: id: position needs a stream for each partition, or entries of one would stand in the way of another's: write {meta.topic} and {meta.partition} into key": func(s *Settings) {
			s.Command, s.ID, s.Key = "xadd", "position", template(t, "s:{meta.partition}")
		},
	} {
		s := good()
		change(&s)
		got := ""
		if err := s.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
