package redis

import (
	"testing"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
)

func TestSettings(t *testing.T) {
	good := func() Settings {
		s := Default()
		s.Server.Address, s.Key, s.Into = "127.0.0.1:6379", template(t, "k:{id}"), "got"
		return s
	}
	for want, change := range map[string]func(*Settings){
		"": func(*Settings) {},
		"address: name the server: write host:port, 127.0.0.1:6379, or the path of a socket": func(s *Settings) { s.Server.Address = "" },
		"address: it is no URL: write host:port, 127.0.0.1:6379, or the path of a socket; log-in, database and TLS have settings of their own: username, password, db, tls": func(s *Settings) {
			s.Server.Address = "redis://:secret@host:6379"
		},
		"address: write host:port, 127.0.0.1:6379, or the path of a socket":         func(s *Settings) { s.Server.Address = "host" },
		"address: the port is none: write a number from 1 to 65535":                 func(s *Settings) { s.Server.Address = "host:redis" },
		"password: give one of password and password_file":                          func(s *Settings) { s.Server.Password, s.Server.PasswordFile = "a", "b" },
		"username: it needs password or password_file":                              func(s *Settings) { s.Server.Username = "a" },
		"tls: a socket of this machine has no TLS: leave it out":                    func(s *Settings) { s.Server.Address, s.Server.TLS = "/run/redis.sock", &client.TLS{} },
		"command: \"del\" is none: write get, mget, hget or hgetall":                func(s *Settings) { s.Command = "del" },
		"key: mget has keys: write it there, or write command: get":                 func(s *Settings) { s.Command, s.Keys = "mget", []expr.Template{s.Key} },
		"keys: these are for mget: write key, or command: mget":                     func(s *Settings) { s.Keys = []expr.Template{s.Key} },
		"key: name the key to look up: user:{id}":                                   func(s *Settings) { s.Key = expr.Template{} },
		"field: hget needs the field of the hash; all of them are command: hgetall": func(s *Settings) { s.Command = "hget" },
		"field: get has none: write command: hget, or leave it out":                 func(s *Settings) { s.Field = s.Key },
		"into: name the field that takes what was found":                            func(s *Settings) { s.Into = "" },
		"as: \"xml\" is none: write json, text or base64":                           func(s *Settings) { s.As = "xml" },
		"max_bytes: 1GiB is out of range: write a size from 1B to 512MiB":           func(s *Settings) { s.MaxBytes = settings.Size(1 << 30) },
		"batch: 0 is out of range: write 1 to 1000":                                 func(s *Settings) { s.Batch = 0 },
		"max_conns: it must be at least 1":                                          func(s *Settings) { s.Server.MaxConns = 0 },
		"db: it must not be below 0":                                                func(s *Settings) { s.Server.DB = -1 },
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
