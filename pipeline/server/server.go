// SPDX-License-Identifier: Apache-2.0

// Package server is an HTTP server as each part of penstock that listens needs it: it says where one listens, who may call, and how
// much of it callers may take. What is answered is its user's.
//
// What other machines can reach needs TLS, and a token or certificates of the callers. A page in a browser reaches what
// listens on its own machine, too: so a request is refused when it is addressed to a name that is none of this server's
// ([Server.Addressed]), or comes from a page of another site ([Server.FromHere]).
package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/internal/listen"
	"github.com/penstockio/penstock/pipeline/secretfiles"
	"github.com/penstockio/penstock/pipeline/settings"
)

const tokenEvery = time.Second // the least between two looks at the file of the token

// Options are what a Server is made of.
type Options struct {
	Settings
	What    string // for messages: "the admin endpoint"
	Prefix  string // of the settings' names, for messages: "admin."
	Handler http.Handler
	// Config is how TLS is spoken, in place of Settings.TLS; GetConfigForClient, if it is set, has to want TLS 1.2 at least.
	Config *tls.Config
	// Kept is how many of the connections Enter keeps for probes.
	Kept int
	// Spare is how many connections there may be beyond Settings.MaxConnections, for answering who is one too many: Enter lets none of
	// their requests in.
	Spare int
	// Times after which a caller that is slow loses the connection; 0: never, but for ReadHeader, which is 5 seconds then. Read and Write
	// count from where a request begins, and a handler may move them, see http.ResponseController.
	ReadHeader, Read, Write, Idle time.Duration
	// MaxHeader is how many bytes the header of a request may have; 0: 16 KiB.
	MaxHeader int
	// Token gives what a request shows in place of Authorization: Bearer, for callers that cannot set headers; "": nothing. It may
	// be nil.
	Token func(r *http.Request) string
	// Higher has to come with what needs more than the right to ask, and may come with the rest too; the zero value: there is none, and the token
	// of the settings is enough.
	Higher Token
	// Warn is told once when a file of TLS or the token cannot be used any more, until it can. It may be nil.
	Warn func(error)
}

// A Token is Literal, or what stands in File, which is read again when it changes.
type Token struct {
	Literal settings.Secret
	File    settings.Path
	Name    string // of the setting, for messages: "command_token_file"
}

// A Server listens from Start to Shutdown. Start and Shutdown are for one goroutine, the rest for any.
type Server struct {
	options  Options
	at       listen.Address
	token    *secretfiles.Secret // nil: none is needed
	higher   *secretfiles.Secret // of Options.Higher; nil: none
	tls      *tls.Config         // nil: plain
	places   *places
	http     *http.Server
	listener net.Listener
	done     sync.WaitGroup
}

// New checks the options, reads the token and the certificates, and listens to nothing yet. The error is an EnvironmentError
// when a file cannot be read.
func New(o Options) (*Server, error) {
	at, err := listen.Parse(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("making %s: listen %w (it is %q)", o.What, err, o.Listen)
	}
	s := &Server{options: o, at: at, tls: o.Config}
	if s.tls == nil && o.TLS != nil {
		if s.tls, err = o.TLS.open(o.Warn); err != nil {
			return nil, err
		}
	}
	check := secretfiles.CheckToken
	if !at.Local() {
		check = secretfiles.CheckLongToken
		if s.tls == nil || o.Settings.Token == "" && o.TokenFile == "" && s.tls.ClientAuth != tls.RequireAndVerifyClientCert {
			return nil, fmt.Errorf("making %s: %s is reachable from other machines: that needs TLS and a token", o.What, o.Listen)
		}
	}
	if err := s.readTokens(check); err != nil {
		return nil, err
	}
	s.places = newPlaces(o.connections()+o.Spare, o.Kept+o.Spare)
	s.http = &http.Server{
		Handler:           o.Handler,
		ReadHeaderTimeout: cmp.Or(o.ReadHeader, 5*time.Second),
		ReadTimeout:       o.Read,
		WriteTimeout:      o.Write,
		IdleTimeout:       o.Idle,
		MaxHeaderBytes:    cmp.Or(o.MaxHeader, 16<<10),
		ErrorLog:          log.New(io.Discard, "", 0), // it is about callers that misbehave
		ConnContext:       placeOf,
		// Whatever comes has to pass the handler, also OPTIONS *.
		DisableGeneralOptionsHandler: true,
	}
	return s, nil
}

// readTokens reads the tokens that there are.
func (s *Server) readTokens(check func(string) error) (err error) {
	o := &s.options
	if s.token, err = s.readToken(Token{o.Settings.Token, o.TokenFile, "token_file"}, check); err != nil {
		return err
	}
	s.higher, err = s.readToken(o.Higher, check)
	return err
}

// readToken reads a token, if there is one.
func (s *Server) readToken(t Token, check func(string) error) (*secretfiles.Secret, error) {
	o := &s.options
	switch {
	case t.Literal == "" && t.File == "":
		return nil, nil
	case t.File == "":
		if err := check(t.Literal.Reveal()); err != nil {
			return nil, fmt.Errorf("making %s: the token is none: %w", o.What, err)
		}
	}
	return secretfiles.Open(secretfiles.Options{
		Literal: t.Literal, File: t.File, What: "the token of " + o.Prefix + t.Name, Token: true,
		Every: tokenEvery, Check: check, Warn: o.Warn,
	})
}

// Start listens, and serves until Shutdown. An error is an EnvironmentError: the port is
// taken, or must not be used.
func (s *Server) Start() error {
	fail := func(err error) error {
		return &pipeline.EnvironmentError{Err: fmt.Errorf("listening on %s for %s: %w", s.options.Listen, s.options.What, err)}
	}
	var (
		l   net.Listener
		err error
	)
	if s.at.Socket != "" {
		l, err = listenUnix(s.at.Socket)
	} else {
		l, err = net.Listen("tcp", s.options.Listen)
	}
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			err = errors.New("it is in use: stop what listens there, or choose another")
		} else if _, ok := err.(*net.OpError); ok { // which has the address once more
			err = systemError(err)
		}
		return fail(err)
	}
	s.Serve(l)
	return nil
}

// Serve is Start on a listener that is there already. The server closes it.
func (s *Server) Serve(l net.Listener) {
	s.listener = l
	l = s.places.listener(l)
	if s.tls != nil {
		c := s.tls.Clone()
		c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
		l = tls.NewListener(l, c)
	}
	s.done.Go(func() { _ = s.http.Serve(l) }) // ends with Shutdown, and with nothing else
}

// systemError gives what the system says, without what stands around it.
func systemError(err error) error {
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		return sys
	}
	return err
}

// listenUnix takes the place of a socket that nobody listens on. Only the user of the
// process, and root, can ever connect.
func listenUnix(path string) (net.Listener, error) {
	if st, err := os.Lstat(path); err == nil {
		if st.Mode()&os.ModeSocket == 0 {
			return nil, errors.New("a file is there that is no socket")
		}
		// Nobody listens where a connection is refused, and nowhere else: one whose queue is full, or one of
		// another type, as those for logs are, belongs to somebody.
		c, err := net.DialTimeout("unix", path, time.Second)
		switch {
		case err == nil:
			_ = c.Close()
			return nil, syscall.EADDRINUSE
		case errors.Is(err, syscall.ECONNREFUSED):
			if err := os.Remove(path); err != nil {
				return nil, err
			}
		case !errors.Is(err, os.ErrNotExist):
			return nil, fmt.Errorf("a socket is there that somebody may use: %w: remove it when nobody does", systemError(err))
		}
	}
	l, err := listenPrivate(path)
	if errors.Is(err, syscall.EINVAL) {
		return nil, fmt.Errorf("its path has %d bytes, and the system takes some 100: choose a shorter one", len(path))
	}
	return l, err
}

// Addr gives where the server listens, after Start: host:port, with the port that the
// system has chosen for 0, or the path of the socket.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Shutdown ends the server: nobody can connect any more, requests under way may finish until ctx ends, and then their
// connections are closed. Connections that a handler has taken over are its own. It may be called without Start.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	s.done.Wait()
	return err
}
