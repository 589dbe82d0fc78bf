// SPDX-License-Identifier: Apache-2.0

// Package admin is the HTTP endpoint of a process, and the client that asks it: its health,
// its version and its figures. It only reads; what it shows comes from functions of whoever
// runs the pipelines.
package admin

import (
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
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/internal/listen"
	"github.com/penstockio/penstock/pipeline/secretfiles"
	"github.com/penstockio/penstock/pipeline/settings"
)

const (
	tokenEvery      = time.Second // the least between two looks at the file of the token
	mostConnections = 64          // some probes, some scrapers, and people
	probePlaces     = 8           // of them for /livez and /readyz alone
)

// Options are the settings of a Server. The functions may be called at any time
// between Start and the return of Shutdown, from several goroutines.
type Options struct {
	// Listen is host:port, or unix: and the path of a socket. A host that is not a
	// loopback address needs TLS and Token. An abstract socket is refused: it has no mode, and every user of the
	// machine may connect to it.
	Listen string
	// A token must come as Authorization: Bearer with every request but /livez and /readyz,
	// which give no reasons without it. It is Token, or what stands in the file TokenFile,
	// which is read again when it changes.
	Token     settings.Secret
	TokenFile settings.Path
	// TLS has the certificate to show; GetConfigForClient, if it is set, has to want
	// TLS 1.2 at least.
	TLS *tls.Config
	// Hosts are names that a request may be addressed to, beside localhost, the host of
	// Listen and plain addresses. A page in a browser that has its name resolve to this
	// machine is refused.
	Hosts []string

	Version   Version
	Live      func() error // nil: what runs makes progress. See Watch
	Ready     func() error // nil: everything is connected
	Snapshots func() []engine.Snapshot
	Holds     func() []PipelineHolds    // answers /api/v1/why; nil: there is no such path
	InFlight  func() []PipelineInFlight // answers /api/v1/inflight; nil: there is no such path. The lists are the server's
	Log       func() event.QueueCounts  // of the log; nil: not shown
	Metrics   http.Handler              // answers /metrics; nil: there is no such path
	// Files gives the effective settings, secrets masked; nil: there is no /api/v1/config.
	Files func() ([]File, error)
	Pprof bool        // answer /debug/pprof/ too
	Warn  func(error) // is told once when TokenFile cannot be used any more; may be nil
}

// A Version is what /version answers.
type Version struct {
	Service    string `json:"service"`
	Version    string `json:"version"`
	Revision   string `json:"revision"`
	Go         string `json:"go"`
	ConfigHash string `json:"config_hash"`
}

// A File is the effective settings of one pipeline, as /api/v1/config shows them.
type File struct {
	Pipeline string `json:"pipeline"`
	File     string `json:"file"`
	Hash     string `json:"config_hash"`
	YAML     string `json:"yaml"` // a pipeline file that means the same, secrets as ***
}

// A Server is the endpoint. Its methods are for one goroutine, Addr for any.
type Server struct {
	options  Options
	at       listen.Address
	token    *secretfiles.Secret // nil: none is needed
	places   *places
	http     *http.Server
	listener net.Listener
	done     sync.WaitGroup
}

// New checks the options, reads the token, and listens to nothing yet. The error is an
// EnvironmentError when the token cannot be read.
func New(o Options) (*Server, error) {
	if o.Live == nil || o.Ready == nil || o.Snapshots == nil {
		return nil, errors.New("making the admin endpoint: Live, Ready and Snapshots are needed")
	}
	at, err := listen.Parse(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("making the admin endpoint: listen %w (it is %q)", err, o.Listen)
	}
	s := &Server{options: o, at: at}
	check := secretfiles.CheckToken
	if !at.Local() {
		check = secretfiles.CheckLongToken
		if o.TLS == nil || o.Token == "" && o.TokenFile == "" {
			return nil, fmt.Errorf("making the admin endpoint: %s is reachable from other machines: that needs TLS and a token", o.Listen)
		}
	}
	if err := s.readToken(check); err != nil {
		return nil, err
	}
	s.places = newPlaces(mostConnections, probePlaces)
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.New(io.Discard, "", 0), // it is about callers that misbehave
		ConnContext:       placeOf,
		// Whatever comes has to pass the guard, also OPTIONS *.
		DisableGeneralOptionsHandler: true,
	}
	return s, nil
}

// readToken reads the token, if there is one.
func (s *Server) readToken(check func(string) error) (err error) {
	o := &s.options
	switch {
	case o.Token == "" && o.TokenFile == "":
		return nil
	case o.TokenFile == "":
		if err := check(o.Token.Reveal()); err != nil {
			return fmt.Errorf("making the admin endpoint: the token is none: %w", err)
		}
	}
	s.token, err = secretfiles.Open(secretfiles.Options{
		Literal: o.Token, File: o.TokenFile, What: "the token of admin.token_file", Token: true, Every: tokenEvery, Check: check, Warn: o.Warn,
	})
	return err
}

// Start listens, and serves until Shutdown. An error is an EnvironmentError: the port is
// taken, or must not be used.
func (s *Server) Start() error {
	fail := func(err error) error {
		return &pipeline.EnvironmentError{Err: fmt.Errorf("listening on %s for the admin endpoint: %w", s.options.Listen, err)}
	}
	var err error
	if s.at.Socket != "" {
		s.listener, err = listenUnix(s.at.Socket)
	} else {
		s.listener, err = net.Listen("tcp", s.options.Listen)
	}
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			err = errors.New("it is in use: stop what listens there, or choose another")
		} else if _, ok := err.(*net.OpError); ok { // which has the address once more
			err = systemError(err)
		}
		return fail(err)
	}
	s.serve(s.listener)
	return nil
}

// systemError gives what the system says, without what stands around it.
func systemError(err error) error {
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		return sys
	}
	return err
}

func (s *Server) serve(l net.Listener) {
	l = s.places.listener(l)
	if s.options.TLS != nil {
		c := s.options.TLS.Clone()
		c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
		l = tls.NewListener(l, c)
	}
	s.done.Go(func() { _ = s.http.Serve(l) }) // ends with Shutdown, and with nothing else
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

// Shutdown ends the server: requests under way may finish until ctx ends. It may be
// called without Start.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	s.done.Wait()
	return err
}
