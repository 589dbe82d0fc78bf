// SPDX-License-Identifier: Apache-2.0

// Package redisserver says which Redis server is meant, keeps connections to it, and says what its errors
// mean. It is what the redis stage and the redis sink share.
package redisserver

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/secretfiles"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Settings say which server is meant. They stand within those of a stage or a sink.
type Settings struct {
	Address      string          `yaml:"address" doc:"server: host:port, or the path of its socket, /run/redis/redis.sock. Of a cluster or of sentinels nothing is known here" required:"true"`
	Username     string          `yaml:"username" doc:"user of the server's access list; without it the password is that of the default user"`
	Password     settings.Secret `yaml:"password" doc:"password"`
	PasswordFile settings.Path   `yaml:"password_file" doc:"file that holds the password; read again when it changes"`
	DB           int             `yaml:"db" doc:"number of the database" min:"0"`
	TLS          *client.TLS     `yaml:"tls" doc:"how the server is checked, and who this side is; {} checks it against the system's authorities. Without it the connection is not encrypted"`
	MaxConns     int             `yaml:"max_conns" doc:"most connections, and most pipelines of commands at once" min:"1"`
}

// Check adds what can be known to be wrong without a server.
func (s *Settings) Check(p *settings.Problems) {
	if err := checkAddress(s.Address); err != nil {
		p.Add("address", "%w", err)
	}
	if s.Password != "" && s.PasswordFile != "" {
		p.Add("password", "give one of password and password_file")
	}
	if s.Username != "" && s.Password == "" && s.PasswordFile == "" {
		p.Add("username", "it needs password or password_file")
	}
	if s.DB < 0 {
		p.Add("db", "it must not be below 0")
	}
	if s.TLS != nil {
		p.Check("tls", s.TLS.Validate())
		if isSocket(s.Address) {
			p.Add("tls", "a socket of this machine has no TLS: leave it out")
		}
	}
	if s.MaxConns < 1 {
		p.Add("max_conns", "it must be at least 1")
	}
}

func isSocket(address string) bool { return strings.HasPrefix(address, "/") }

// checkAddress refuses what is neither host:port nor the path of a socket. It does not quote it: an address of
// other tools may hold a password.
func checkAddress(address string) error {
	const form = "write host:port, 127.0.0.1:6379, or the path of a socket"
	switch {
	case address == "":
		return errors.New("name the server: " + form)
	case isSocket(address):
		return nil
	case strings.Contains(address, "://"), strings.Contains(address, "@"):
		return errors.New("it is no URL: " + form + "; log-in, database and TLS have settings of their own: username, password, db, tls")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || strings.ContainsAny(host, "/ ,") {
		return errors.New(form)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("the port is none: write a number from 1 to 65535")
	}
	return nil
}

// host is the server as calls have it.
func (s *Settings) host() string {
	if s.DB == 0 {
		return s.Address
	}
	return s.Address + "/" + strconv.Itoa(s.DB)
}

// checkFilesEvery is how old a look at the password's file may be.
const checkFilesEvery = time.Second

func (s *Settings) secret(warn func(error)) (*secretfiles.Secret, error) {
	return secretfiles.Open(secretfiles.Options{
		Literal: s.Password, File: s.PasswordFile, What: "the password of password_file", Every: checkFilesEvery, Warn: warn,
	})
}
