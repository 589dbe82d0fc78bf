package redisserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/penstockio/penstock/pipeline/secretfiles"
	"github.com/penstockio/penstock/pipeline/tlsfiles"
)

const (
	connectLimit = 5 * time.Second // of a connection and its TLS handshake
	idleLimit    = 5 * time.Minute // an idle connection is closed then
)

// A Server keeps connections to a server, at most Settings.MaxConns, and each to one caller at a time. It is safe
// for concurrent use.
//
// The library's pool is not used: it dials in the background, on and on, and looks at no context while it waits for
// an answer, but at its deadline. Here each connection has a client of its own, which is gone when the
// connection is, and a context that ends closes the connection.
type Server struct {
	settings Settings
	password *secretfiles.Secret
	tls      *tlsfiles.Files // nil: none

	limit time.Duration // of a connection and its TLS handshake

	turns chan struct{} // one for each connection that there may be
	tries bool          // a transaction, with each connection

	mu     sync.Mutex
	idle   []*line // the last that was used is the last
	closed bool
}

// silence has the library log nothing: the log has a form of its own, and what goes wrong is in errors.
var silence = sync.OnceFunc(logging.Disable)

// New makes a server for at most conns connections; it connects when it is first used. warn is called when a
// file of the settings can no longer be used, once until it can. An error is an EnvironmentError that
// names a file. It turns off what the library logs by itself, for the whole process. The caller closes the server.
func New(s Settings, conns int, warn func(error)) (*Server, error) {
	silence()
	v := &Server{settings: s, limit: connectLimit, turns: make(chan struct{}, max(min(conns, s.MaxConns), 1))}
	var err error
	if v.password, err = s.secret(warn); err != nil {
		return nil, err
	}
	if s.TLS != nil {
		if v.tls, err = s.TLS.Open(warn); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// TryTransactions has each connection begin with an empty transaction, and be none where the server or the rights of the user allow no
// transactions (NotSent): what follows a MULTI that is refused the server carries out command by command, though the caller is told that it has not
// begun. It is called before the first Do.
func (v *Server) TryTransactions() { v.tries = true }

// Host is the server as calls have it: db.example:6379, db.example:6379/2.
func (v *Server) Host() string { return v.settings.host() }

// Conns is how many connections there may be.
func (v *Server) Conns() int { return cap(v.turns) }

// Do calls f with a connection, which is f's alone until it returns. When ctx ends meanwhile the connection is
// closed, so that f returns soon. The answers that f gets are at most answers bytes; 0: as many as
// there are. Nothing is kept room for that a server announces beyond that. A connection that the server has closed before f has sent anything is replaced: then f
// is called once more. f tries nothing again.
func (v *Server) Do(ctx context.Context, answers int64, f func(ctx context.Context, c *goredis.Client) error) error {
	select {
	case v.turns <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-v.turns }()
	for {
		l, fresh, err := v.take(ctx)
		if err != nil {
			return err
		}
		if !fresh && l.conn.isOver() {
			_ = l.client.Close()
			continue
		}
		err = l.do(ctx, answers, f)
		if l.conn.isClosed() || errors.As(err, new(*spoiled)) {
			_ = l.client.Close()
		} else {
			v.give(l)
		}
		if !fresh && errors.Is(err, errGone) && ctx.Err() == nil {
			continue
		}
		return err
	}
}

// take gives a connection: one that was used last, or a new one.
func (v *Server) take(ctx context.Context) (l *line, fresh bool, err error) {
	var old []*line
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return nil, false, net.ErrClosed
	}
	for len(v.idle) > 0 && time.Since(v.idle[0].used) > idleLimit {
		old, v.idle = append(old, v.idle[0]), v.idle[1:]
	}
	if last := len(v.idle) - 1; last >= 0 {
		l, v.idle = v.idle[last], v.idle[:last]
	}
	v.mu.Unlock()
	for _, o := range old {
		_ = o.client.Close()
	}
	if l != nil {
		return l, false, nil
	}
	l, err = v.dial(ctx)
	return l, true, err
}

func (v *Server) give(l *line) {
	l.used = time.Now()
	v.mu.Lock()
	closed := v.closed
	if !closed {
		v.idle = append(v.idle, l)
	}
	v.mu.Unlock()
	if closed {
		_ = l.client.Close()
	}
}

// Close closes the connections that nobody uses, and each other one when it is given back.
func (v *Server) Close() {
	v.mu.Lock()
	idle := v.idle
	v.idle, v.closed = nil, true
	v.mu.Unlock()
	for _, l := range idle {
		_ = l.client.Close()
	}
}

// dial connects, and makes the client of the connection.
func (v *Server) dial(ctx context.Context) (*line, error) {
	limited, cancel := context.WithTimeout(ctx, v.limit)
	defer cancel()
	network := "tcp"
	if isSocket(v.settings.Address) {
		network = "unix"
	}
	raw, err := new(net.Dialer).DialContext(limited, network, v.settings.Address)
	late := &limitError{v.limit, ""}
	if err == nil && v.tls != nil {
		late.tls = "; the connection is there, and nobody answers with TLS: has the server TLS at this port?"
		raw, err = v.handshake(limited, raw)
	}
	if err != nil {
		if ctx.Err() == nil && limited.Err() != nil {
			err = late
		}
		return nil, &dialError{err}
	}
	l := &line{conn: &conn{Conn: raw}}
	ready := func(ctx context.Context, c *goredis.Conn) error {
		if v.tries {
			if err := tryTransaction(ctx, c); err != nil {
				return err
			}
		}
		l.ready = true
		return nil
	}
	l.client = goredis.NewClient(&goredis.Options{
		Network: network, Addr: v.settings.Address, DB: v.settings.DB,
		Dialer: func(context.Context, string, string) (net.Conn, error) { return l.conn.once() },
		CredentialsProviderContext: func(context.Context) (string, string, error) {
			return v.settings.Username, v.password.Text(), nil
		},
		OnConnect: ready,
		// What is tried again is up to the engine. The deadlines of a call are those of its context.
		MaxRetries: -1, ContextTimeoutEnabled: true, ReadTimeout: -1, WriteTimeout: -1,
		// One connection, handed out once. There is room for more in the pool because it goes on dialing in the
		// background, whoever has closed it, when all of its places have failed.
		PoolSize: 8, PipelinePoolSize: -1, DialerRetries: 1, ConnMaxIdleTime: -1,
		// Nothing is asked of the server that a user of its access list might not be allowed.
		Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	return l, nil
}

func (v *Server) handshake(ctx context.Context, raw net.Conn) (net.Conn, error) {
	c := v.tls.Config().Clone()
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(v.settings.Address)
	}
	t := tls.Client(raw, c)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return t, nil
}

// A line is a connection and the client that uses it.
type line struct {
	client *goredis.Client
	conn   *conn
	ready  bool // it has logged in, and has its database
	used   time.Time
}

func (l *line) do(ctx context.Context, answers int64, f func(context.Context, *goredis.Client) error) error {
	l.conn.allow(answers)
	over := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(over)
		l.conn.abort()
	})
	err := f(ctx, l.client)
	if !stop() {
		<-over
	}
	switch {
	case err == nil:
		return nil
	case l.conn.refusal() != nil:
		return Spoiled(&notSent{l.conn.refusal()}) // of no use any more
	case !l.ready:
		return &notSent{err}
	case l.conn.tooLarge():
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return err
}

// NotSent says that err comes of making the connection, of the log-in or of the choice of the database: no command of the caller
// was sent. The library does not set such an error on each command of a pipeline, all of which look answered then.
func NotSent(err error) bool { return errors.As(err, new(*notSent)) || errors.As(err, new(*dialError)) }

type notSent struct{ err error }

func (e *notSent) Error() string { return e.err.Error() }
func (e *notSent) Unwrap() error { return e.err }

var (
	// ErrTooLarge says that the answers are more than Do was to read.
	ErrTooLarge = errors.New("the answer is larger than is read")

	errGone = errors.New("the connection is gone")
)

// A limitError is one of a connection that has taken too long.
type limitError struct {
	limit time.Duration
	tls   string // what is to be said of the handshake
}

func (e *limitError) Error() string { return fmt.Sprintf("no connection within %v%s", e.limit, e.tls) }

// Spoiled marks an error of a connection from which answers may still come that nobody waits for: Do closes it. nil
// stays nil.
func Spoiled(err error) error {
	if err == nil {
		return nil
	}
	return &spoiled{err}
}

type spoiled struct{ err error }

func (e *spoiled) Error() string { return e.err.Error() }
func (e *spoiled) Unwrap() error { return e.err }

// A dialError is one of a connection that was not made.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }
