package redisserver

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newServer makes a server of the settings that ends with the test.
func newServer(t testing.TB, s Settings, conns int) *Server {
	t.Helper()
	s.MaxConns = conns
	v, err := New(s, conns, func(err error) { t.Log(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func get(ctx context.Context, v *Server, key string) (text string, err error) {
	err = v.Do(ctx, 0, func(ctx context.Context, c *goredis.Client) (err error) {
		text, err = c.Get(ctx, key).Result()
		return err
	})
	return text, err
}

// TestAConnectionThatTheServerHasClosedIsReplaced: a restart between two calls is no error of the second.
func TestAConnectionThatTheServerHasClosedIsReplaced(t *testing.T) {
	m := miniredis.RunT(t)
	v := newServer(t, Settings{Address: m.Addr()}, 2)
	if err := m.Set("a", "b"); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if got, err := get(t.Context(), v, "a"); got != "b" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		m.Close()
		if err := m.Restart(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestConnectionsAreBounded: there are no more than are said, those that are used last are used again, and each has one caller at a time.
func TestConnectionsAreBounded(t *testing.T) {
	m := miniredis.RunT(t)
	v := newServer(t, Settings{Address: m.Addr()}, 3)
	var mu sync.Mutex
	busy, most := 0, 0
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			err := v.Do(t.Context(), 0, func(ctx context.Context, c *goredis.Client) error {
				mu.Lock()
				busy++
				most = max(most, busy)
				mu.Unlock()
				err := c.Ping(ctx).Err()
				mu.Lock()
				busy--
				mu.Unlock()
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := m.TotalConnectionCount(); most > 3 || n > 3 {
		t.Errorf("%d at once, %d connections", most, n)
	}
}

// TestCloseEndsWhatIsGivenBack: a connection in use is closed when it is given back, and none is made any more.
func TestCloseEndsWhatIsGivenBack(t *testing.T) {
	m := miniredis.RunT(t)
	v := newServer(t, Settings{Address: m.Addr()}, 1)
	err := v.Do(t.Context(), 0, func(ctx context.Context, c *goredis.Client) error {
		v.Close()
		return c.Ping(ctx).Err()
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := get(t.Context(), v, "a"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
	for end := time.Now().Add(time.Minute); m.CurrentConnectionCount() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the connection is open")
		}
	}
}

// TestTLS: the server is checked against the file of authorities, by the name of its address.
func TestTLS(t *testing.T) {
	h := httptest.NewTLSServer(nil)
	defer h.Close()
	m, err := miniredis.RunTLS(&tls.Config{Certificates: h.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		tls  *client.TLS
		kind string
	}{
		"trusted":    {&client.TLS{CA: settings.Path(ca)}, ""},
		"unknown":    {&client.TLS{}, client.TypeTLS},
		"other name": {&client.TLS{CA: settings.Path(ca), ServerName: "other.test"}, client.TypeTLS},
		"no TLS":     {nil, client.TypeNetwork},
	} {
		v := newServer(t, Settings{Address: m.Addr(), TLS: tt.tls}, 1)
		_, err := get(t.Context(), v, "a")
		if errors.Is(err, goredis.Nil) {
			err = nil
		}
		kind := ""
		if err != nil {
			_, err = Explain(t.Context(), "reading", err)
			e := new(client.Error)
			if errors.As(err, &e) {
				kind = e.Type
			}
		}
		if kind != tt.kind {
			t.Errorf("%s: %q, %v", name, kind, err)
		}
	}
}

// TestATLSConnectionThatTheServerHasClosedIsReplaced: so it is with TLS, where each connection that is lost would be an attempt that failed.
func TestATLSConnectionThatTheServerHasClosedIsReplaced(t *testing.T) {
	h := httptest.NewTLSServer(nil)
	defer h.Close()
	m, err := miniredis.RunTLS(&tls.Config{Certificates: h.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	v := newServer(t, Settings{Address: m.Addr(), TLS: &client.TLS{CA: settings.Path(ca)}}, 2)
	if err := m.Set("a", "b"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for range 2 { // the second over the connection of the first
			if got, err := get(t.Context(), v, "a"); got != "b" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		}
		if n := m.CurrentConnectionCount(); n != 1 {
			t.Errorf("%d connections", n)
		}
		at := m.Addr()
		m.Close()
		if err := m.StartAddrTLS(at, &tls.Config{Certificates: h.TLS.Certificates}); err != nil { // Restart is one without TLS
			t.Fatal(err)
		}
	}
}

// TestAServerWithoutTLS: who speaks TLS to it is told what to look at, and not that the network is down.
func TestAServerWithoutTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // says nothing, as a Redis that waits for the rest of a command
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	v := newServer(t, Settings{Address: l.Addr().String(), TLS: &client.TLS{}}, 1)
	v.limit = 20 * time.Millisecond
	_, err = get(t.Context(), v, "a")
	_, err = Explain(t.Context(), "reading", err)
	e := new(client.Error)
	want := "reading: no connection within 20ms; the connection is there, and nobody answers with TLS: has the server TLS at this port?"
	if !errors.As(err, &e) || e.Type != client.TypeTimeout || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// TestAPasswordThatIsRenewed: the next connection logs in with what the file holds then.
func TestAPasswordThatIsRenewed(t *testing.T) {
	m := miniredis.RunT(t)
	m.RequireUserAuth("some", "one")
	file := filepath.Join(t.TempDir(), "password")
	put := func(text string) {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("one")
	v := newServer(t, Settings{Address: m.Addr(), Username: "some", PasswordFile: settings.Path(file)}, 1)
	if err := v.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.RequireUserAuth("some", "two")
	m.Close()
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	put("two")
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) { // the file is looked at once a second
		err := v.Ping(t.Context())
		if err == nil {
			break
		}
		var e *pipeline.EnvironmentError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), "refuses the log-in") || time.Now().After(end) {
			t.Fatal(err)
		}
	}
	_, err := New(Settings{Address: m.Addr(), PasswordFile: "/none/of/these"}, 1, nil)
	if err == nil || !strings.Contains(err.Error(), "/none/of/these") {
		t.Errorf("%v", err)
	}
}

// TestPing: what does not answer is said with what to do.
func TestPing(t *testing.T) {
	m := miniredis.RunT(t)
	m.RequireAuth("right")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for want, s := range map[string]Settings{
		"connecting to redis " + m.Addr() + ": the server wants a log-in: give password or password_file, and username where it has users (NOAUTH)": {Address: m.Addr()},
		"connecting to redis " + m.Addr() + "/3: the server refuses the log-in: mend username, password or password_file (WRONGPASS)":               {Address: m.Addr(), DB: 3, Password: "wrong"},
		"connecting to redis 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused":                                                        {Address: "127.0.0.1:1"},
		"connecting to redis " + l.Addr().String() + ": context deadline exceeded":                                                                  {Address: l.Addr().String()},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if strings.Contains(want, "deadline") {
			cancel()
			ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		}
		var e *pipeline.EnvironmentError
		if err := newServer(t, s, 1).Ping(ctx); !errors.As(err, &e) || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
		cancel()
	}
}

// TestASocketOfThisMachine: an address may be the path of a socket.
func TestASocketOfThisMachine(t *testing.T) {
	m := miniredis.RunT(t)
	dir, err := os.MkdirTemp("", "r") // short: a path of a socket has at most about 100 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // hands the connection on to the server
		from, err := l.Accept()
		if err != nil {
			return
		}
		defer from.Close()
		to, err := net.Dial("tcp", m.Addr())
		if err != nil {
			return
		}
		defer to.Close()
		go func() {
			_, _ = io.Copy(to, from) // until one of the two has hung up
			_ = to.Close()
		}()
		_, _ = io.Copy(from, to)
	}()
	v := newServer(t, Settings{Address: path}, 1)
	if err := v.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	v.Close()
}

// TestAnswersAreBounded: what is larger than the caller reads ends the connection, and the next call has another.
func TestAnswersAreBounded(t *testing.T) {
	m := miniredis.RunT(t)
	if err := errors.Join(m.Set("large", strings.Repeat("x", 8<<20)), m.Set("small", "x")); err != nil {
		t.Fatal(err)
	}
	v := newServer(t, Settings{Address: m.Addr()}, 1)
	for key, tooLarge := range map[string]bool{"large": true, "small": false} {
		for range 3 {
			err := v.Do(t.Context(), 1<<20, func(ctx context.Context, c *goredis.Client) error { return c.Get(ctx, key).Err() })
			if errors.Is(err, ErrTooLarge) != tooLarge || !tooLarge && err != nil {
				t.Errorf("%s: %v", key, err)
			}
		}
	}
}
