// SPDX-License-Identifier: Apache-2.0

// Package admin is the HTTP endpoint of a process, and the client that asks it: its health,
// its version and its figures, and commands of those who have the right to them. What it shows and
// does comes from functions of whoever runs the pipelines.
package admin

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/internal/listen"
	"github.com/penstockio/penstock/pipeline/server"
	"github.com/penstockio/penstock/pipeline/settings"
)

const (
	mostConnections = 64 // some probes, some scrapers, and people
	probePlaces     = 8  // of them for /livez and /readyz alone
)

// Options are the settings of a Server. The functions may be called at any time
// between Start and the return of Shutdown, from several goroutines.
//
// Reason for its size: it is what each path needs, and who may ask for it.
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
	Hash      func() string // of what is configured now, in place of Version.ConfigHash; nil: it does not change
	Live      func() error  // nil: what runs makes progress. See Watch
	Ready     func() error  // nil: everything is connected
	Snapshots func() []engine.Snapshot
	Holds     func() []PipelineHolds        // answers /api/v1/why; nil: there is no such path
	InFlight  func() []PipelineInFlight     // answers /api/v1/inflight; nil: there is no such path. The lists are the server's
	Log       func() event.QueueCounts      // of the log; nil: not shown
	Metrics   http.Handler                  // answers /metrics; nil: there is no such path
	Tap       func(TapRequest) (Tap, error) // answers /api/v1/tap, behind a token or on a socket alone; nil: there is no such path, and nobody sees a record
	// Files gives the effective settings, secrets masked; nil: there is no /api/v1/config.
	Files func() ([]File, error)
	// Commands change something; the zero value: none are taken.
	Commands Commanding
	// Shapes gives what /api/v1/graph draws; nil: there is no such path.
	Shapes func() []Shape
	// Recent has the last lines of the log, for /api/v1/logs/stream; nil: there is no such path.
	Recent *event.Recent
	Page   bool        // answer / with a page that shows all this in a browser
	Pprof  bool        // answer /debug/pprof/ too
	Warn   func(error) // is told once when TokenFile cannot be used any more; may be nil
}

// A Version is what /version answers.
type Version struct {
	Service    string `json:"service"`
	Version    string `json:"version"`
	Revision   string `json:"revision"`
	Go         string `json:"go"`
	ConfigHash string `json:"config_hash"`
	Instance   string `json:"instance,omitempty"` // service_instance_id of the log
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
	options Options
	server  *server.Server
	streams streams
	frames  frames
	history *history
	noted   chan struct{} // closed: the history has ended; nil: it has not begun
}

// New checks the options, reads the token, and listens to nothing yet. The error is an
// EnvironmentError when the token cannot be read.
func New(o Options) (*Server, error) {
	if o.Live == nil || o.Ready == nil || o.Snapshots == nil {
		return nil, errors.New("making the admin endpoint: Live, Ready and Snapshots are needed")
	}
	at, err := listen.Parse(o.Listen)
	if err == nil && o.Tap != nil && at.Socket == "" && o.Token == "" && o.TokenFile == "" {
		return nil, errors.New("making the admin endpoint: Tap shows records, and every user of the machine can ask: a token is needed, or a unix socket")
	}
	s := &Server{options: o, history: newHistory()}
	s.streams.patience, s.streams.ending = streamPatience, make(chan struct{})
	s.frames.make = func() ([]byte, error) { return json.Marshal(s.stats(o.Snapshots())) }
	if err = o.checkCommands(); err != nil {
		return nil, err
	}
	s.server, err = server.New(server.Options{
		Settings: server.Settings{Listen: o.Listen, Token: o.Token, TokenFile: o.TokenFile, Hosts: o.Hosts, MaxConnections: mostConnections},
		What:     "the admin endpoint", Prefix: "admin.", Config: o.TLS, Handler: s.routes(), Kept: probePlaces, Warn: o.Warn,
		Higher: server.Token{Literal: o.Commands.Token, File: o.Commands.TokenFile, Name: "command_token_file"},
		Read:   10 * time.Second, Write: 30 * time.Second, Idle: 60 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Start listens, and serves until Shutdown. An error is an EnvironmentError: the port is
// taken, or must not be used.
func (s *Server) Start() error {
	if err := s.server.Start(); err != nil {
		return err
	}
	s.noted = make(chan struct{})
	go func() {
		defer close(s.noted)
		s.history.follow(s.options.Snapshots, s.streams.ending)
	}()
	return nil
}

// Addr gives where the server listens, after Start: host:port, with the port that the
// system has chosen for 0, or the path of the socket.
func (s *Server) Addr() string { return s.server.Addr() }

// Shutdown ends the server: streams end at once, other requests under way may finish until ctx ends. It may be
// called without Start.
func (s *Server) Shutdown(ctx context.Context) error {
	s.streams.end()
	err := s.server.Shutdown(ctx)
	if s.noted != nil {
		select {
		case <-s.noted:
		case <-ctx.Done(): // a snapshot that hangs
		}
	}
	return err
}
