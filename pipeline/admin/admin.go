// SPDX-License-Identifier: Apache-2.0

// Package admin is the HTTP endpoint of a process, and the client that asks it: its health,
// its version and its figures. It only reads; what it shows comes from functions of whoever
// runs the pipelines.
package admin

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Options are the settings of a Server. The functions may be called at any time
// between Start and the return of Shutdown, from several goroutines.
type Options struct {
	// Listen is host:port, or unix: and the path of a socket. A host that is not a
	// loopback address needs TLS and Token.
	Listen string
	// Token, when set, must come as Authorization: Bearer with every request but /livez
	// and /readyz, which give no reasons without it.
	Token settings.Secret
	TLS   *tls.Config
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
}

// A Version is what /version answers.
type Version struct {
	Service    string `json:"service"`
	Version    string `json:"version"`
	Revision   string `json:"revision"`
	Go         string `json:"go"`
	ConfigHash string `json:"config_hash"`
}

// A Server is the endpoint. Its methods are for one goroutine, Addr for any.
type Server struct {
	options  Options
	http     *http.Server
	listener net.Listener
	socket   string // path of the unix socket, "": none
	done     sync.WaitGroup
}

// New checks the options and listens to nothing yet.
func New(o Options) (*Server, error) {
	if o.Live == nil || o.Ready == nil || o.Snapshots == nil {
		return nil, errors.New("making the admin endpoint: Live, Ready and Snapshots are needed")
	}
	s := &Server{options: o}
	if path, ok := strings.CutPrefix(o.Listen, "unix:"); ok {
		if path == "" {
			return nil, errors.New("making the admin endpoint: listen names no socket: write unix:/run/penstock/admin.sock")
		}
		s.socket = path
	} else {
		host, _, err := net.SplitHostPort(o.Listen)
		if err != nil {
			return nil, fmt.Errorf("making the admin endpoint: listen takes host:port or unix:/path, not %q", o.Listen)
		}
		if !loopback(host) && (o.TLS == nil || o.Token == "") {
			return nil, fmt.Errorf("making the admin endpoint: %s is reachable from other machines: that needs TLS and a token", o.Listen)
		}
	}
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          discardLog(),
	}
	return s, nil
}

// loopback says whether only this machine can reach host. Of names it trusts localhost alone:
// what another one resolves to may change.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Start listens, and serves until Shutdown. An error is an EnvironmentError: the port is
// taken, or must not be used.
func (s *Server) Start() error {
	fail := func(err error) error {
		return &pipeline.EnvironmentError{Err: fmt.Errorf("listening on %s for the admin endpoint: %w", s.options.Listen, err)}
	}
	var err error
	if s.socket != "" {
		s.listener, err = listenUnix(s.socket)
	} else {
		s.listener, err = net.Listen("tcp", s.options.Listen)
	}
	if err != nil {
		var sys *os.SyscallError
		if errors.Is(err, syscall.EADDRINUSE) {
			err = errors.New("it is in use: stop what listens there, or choose another")
		} else if errors.As(err, &sys) {
			err = sys
		}
		return fail(err)
	}
	l := s.listener
	if s.options.TLS != nil {
		c := s.options.TLS.Clone()
		c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
		l = tls.NewListener(l, c)
	}
	s.done.Go(func() { _ = s.http.Serve(l) }) // ends with Shutdown, and with nothing else
	return nil
}

// listenUnix takes the place of a socket that nobody listens on. Only the user of the
// process may connect.
func listenUnix(path string) (net.Listener, error) {
	if st, err := os.Lstat(path); err == nil {
		if st.Mode()&os.ModeSocket == 0 {
			return nil, errors.New("a file is there that is no socket")
		}
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			_ = c.Close()
			return nil, syscall.EADDRINUSE
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
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

// guard refuses what must not reach a handler.
func (s *Server) guard(w http.ResponseWriter, r *http.Request, to route) {
	switch {
	case !s.addressed(r.Host):
		refuse(w, http.StatusMisdirectedRequest, "the request is addressed to another host")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "nothing can be changed here: GET alone")
	case !to.open && !s.authorized(r):
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, http.StatusUnauthorized, "the token is missing or wrong")
	default:
		r.Body = http.MaxBytesReader(w, r.Body, 1<<10)
		to.handler.ServeHTTP(w, r)
	}
}

// addressed says whether a Host header is one of this server's.
func (s *Server) addressed(hostport string) bool {
	if s.socket != "" {
		return true // no browser gets here
	}
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" {
		return true
	}
	own, _, _ := net.SplitHostPort(s.options.Listen)
	return host != "" && (host == strings.ToLower(own) || slices.ContainsFunc(s.options.Hosts, func(h string) bool {
		return host == strings.ToLower(h)
	}))
}

// authorized says whether the request carries the token, if there is one.
func (s *Server) authorized(r *http.Request) bool {
	if s.options.Token == "" {
		return true
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && subtle.ConstantTimeCompare([]byte(token), []byte(s.options.Token.Reveal())) == 1
}

func (s *Server) health(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body := struct {
			Status string `json:"status"`
			Reason string `json:"reason,omitempty"`
		}{Status: "ok"}
		status := http.StatusOK
		if err := check(); err != nil {
			status, body.Status = http.StatusServiceUnavailable, "failing"
			if s.authorized(r) {
				body.Reason = err.Error()
			}
		}
		answer(w, status, body)
	}
}

func refuse(w http.ResponseWriter, status int, why string) {
	answer(w, status, struct {
		Error string `json:"error"`
	}{why})
}

func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer has no JSON form"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the caller may have gone
}
