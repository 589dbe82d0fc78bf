package admin

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// ofClient makes a client, which has to be possible.
func ofClient(t *testing.T, o ClientOptions) *Client {
	t.Helper()
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestClientReads: over TCP, a unix socket and TLS the client reads what the server shows.
func TestClientReads(t *testing.T) {
	pair := httptest.NewTLSServer(http.NotFoundHandler())
	pair.Close()
	dir, err := os.MkdirTemp("", "a") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := "unix:" + filepath.Join(dir, "s")
	for name, tt := range map[string]struct {
		listen string
		serve  *tls.Config
		trust  *tls.Config
		scheme string
	}{
		"tcp":           {listen: "127.0.0.1:0"},
		"unix":          {listen: socket},
		"tls":           {listen: "127.0.0.1:0", serve: &tls.Config{Certificates: pair.TLS.Certificates}, trust: trustOf(pair)},
		"tls by scheme": {listen: "127.0.0.1:0", serve: &tls.Config{Certificates: pair.TLS.Certificates}, trust: trustOf(pair), scheme: "https://"},
	} {
		o := healthy()
		o.Listen, o.TLS, o.Token = tt.listen, tt.serve, "canary"
		s := start(t, o)
		address := tt.scheme + s.Addr()
		if tt.listen == socket {
			address = socket
		}
		var v Version
		if err := ofClient(t, ClientOptions{Address: address, Token: "canary", TLS: tt.trust}).Get(t.Context(), "/version", &v); err != nil || v != o.Version {
			t.Errorf("%s: %v %v", name, v, err)
		}
	}
}

func trustOf(s *httptest.Server) *tls.Config {
	return s.Client().Transport.(*http.Transport).TLSClientConfig
}

// authorityOf trusts the certificate of a server, under the names that it has.
func authorityOf(s *httptest.Server) *tls.Config {
	c := trustOf(s).Clone()
	c.ServerName = ""
	return c
}

// TestClientSaysWhatToDo: each error names the endpoint, the path and what helps, and no token.
func TestClientSaysWhatToDo(t *testing.T) {
	o := healthy()
	o.Token = "canary"
	o.Ready = func() error { return errors.New("connecting") }
	s := start(t, o)
	pair := httptest.NewTLSServer(http.NotFoundHandler())
	defer pair.Close()
	plain := func(body string, status int) string {
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(other.Close)
		return other.Listener.Addr().String()
	}
	gone := closedPort()
	for name, tt := range map[string]struct {
		options ClientOptions
		path    string
		env     bool // an EnvironmentError
		status  int  // of an AnswerError
		want    string
	}{
		"nobody":        {ClientOptions{Address: gone}, "/version", true, 0, "admin: {listen: " + gone + "}"},
		"no socket":     {ClientOptions{Address: "unix:/nowhere/s"}, "/version", true, 0, "admin: {listen: unix:/nowhere/s}"},
		"no token":      {ClientOptions{Address: s.Addr()}, "/version", false, 401, "token_file"},
		"wrong token":   {ClientOptions{Address: s.Addr(), Token: "canary2"}, "/version", false, 401, "token_file"},
		"no such path":  {ClientOptions{Address: s.Addr(), Token: "canary"}, "/api/v9", false, 404, "there is /livez,"},
		"not ready":     {ClientOptions{Address: s.Addr(), Token: "canary"}, "/readyz", false, 503, "connecting"},
		"TLS":           {ClientOptions{Address: pair.Listener.Addr().String()}, "/version", false, 400, "https://"},
		"no authority":  {ClientOptions{Address: pair.URL}, "/version", true, 0, "authority that has signed"},
		"another name":  {ClientOptions{Address: "https://" + strings.Replace(pair.Listener.Addr().String(), "127.0.0.1", "localhost", 1), TLS: authorityOf(pair)}, "/version", true, 0, "ask by one that it has (example.com, *.example.com, 127.0.0.1, ::1)"},
		"another":       {ClientOptions{Address: plain("hello", 200)}, "/version", true, 0, "is not penstock"},
		"another's {}":  {ClientOptions{Address: plain("{}", 200)}, "/api/v1/why?pipeline=a", true, 0, "is not penstock"},
		"another's []":  {ClientOptions{Address: plain("[]", 200)}, "/api/v1/stats", true, 0, "is not penstock"},
		"another's 500": {ClientOptions{Address: plain("hello", 500)}, "/version", true, 0, "500 Internal Server Error: what listens there is not penstock"},
		"a redirect":    {ClientOptions{Address: plain("", 302)}, "/version", true, 0, "302 Found: what listens there is not penstock"},
		"no HTTP":       {ClientOptions{Address: speaks(t, "\x00\x00\x00\x00")}, "/version", true, 0, "does not speak HTTP"},
		"hangs up":      {ClientOptions{Address: speaks(t, "")}, "/version", true, 0, "does not speak HTTP"},
	} {
		var into struct{ Status string }
		err := ofClient(t, tt.options).Get(t.Context(), tt.path, &into)
		var env *pipeline.EnvironmentError
		var answer *AnswerError
		if err == nil || errors.As(err, &env) != tt.env || errors.As(err, &answer) != (tt.status != 0) ||
			answer != nil && answer.Status != tt.status || !strings.Contains(err.Error(), tt.want) ||
			!strings.Contains(err.Error(), tt.options.Address) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
		if name == "not ready" && into.Status != "failing" {
			t.Errorf("%s: what is said of it was not read: %v", name, into)
		}
	}
}

// speaks gives the address of somebody who reads a line, says some bytes and hangs up.
func speaks(t *testing.T, bytes string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, bytes)
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

// TestClientOfASilentPort: who takes the connection and answers nothing, as a broker does, is given up, and the error says what
// may be wrong. That the caller has ended it says nothing of the kind.
func TestClientOfASilentPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ofClient(t, ClientOptions{Address: "127.0.0.1:9092"})
		c.http.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, there) }()
			return here, nil
		}
		var into any
		err := c.Get(t.Context(), "/api/v1/why", &into)
		var env *pipeline.EnvironmentError
		if !errors.As(err, &env) || !strings.Contains(err.Error(), "no answer within 10s") || !strings.Contains(err.Error(), "does not speak HTTP") {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Get(ctx, "/api/v1/why", &into); !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "HTTP") {
			t.Error(err)
		}
	})
}

// TestAnswersHaveTheirKeys: what the client takes for the mark of an answer is in each answer.
func TestAnswersHaveTheirKeys(t *testing.T) {
	s := start(t, stuck())
	c := client(t, &http.Transport{})
	for path := range answerKeys {
		if _, body, _ := ask(t, c, "GET", "http://"+s.Addr()+path, nil); !isOurs(path, []byte(body)) {
			t.Errorf("%s answers %s", path, body)
		}
	}
}

// closedPort gives an address that nobody listens on: the system gives this port to nobody who asks for any, as it would one
// that has just been given back.
func closedPort() string { return "127.0.0.1:1" }

func TestClientRefusesAddresses(t *testing.T) {
	for _, address := range []string{"", "9600", ":9600", "unix:", "localhost:", "a@b:1", "https://"} {
		if _, err := NewClient(ClientOptions{Address: address}); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
	// In the clear a token stays on this machine.
	for address, ok := range map[string]bool{"127.0.0.1:1": true, "localhost:1": true, "http://localhost:1": true, "http://10.0.0.1:1": false, "10.0.0.1:1": false, "a.example:1": false, "https://a.example:1": true} {
		if _, err := NewClient(ClientOptions{Address: address, Token: "canary"}); (err == nil) != ok || err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestClientBoundsTheAnswer: an endless answer ends with an error, not with the memory.
func TestClientBoundsTheAnswer(t *testing.T) {
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		piece := make([]byte, 1<<20)
		for {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	var into any
	err := ofClient(t, ClientOptions{Address: endless.Listener.Addr().String()}).Get(t.Context(), "/api/v1/stats", &into)
	if err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Error(err)
	}
}
