package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// TestValidate: each mistake is told at its field, and what is right is told of by nobody.
func TestValidate(t *testing.T) {
	pair := &TLS{Cert: "c.pem", Key: "k.pem"}
	long := settings.Secret("0123456789abcdef")
	for name, c := range map[string]struct {
		s    Settings
		want string // "": nothing
	}{
		"loopback":                {s: Settings{Listen: "127.0.0.1:0"}},
		"localhost with a token":  {s: Settings{Listen: "localhost:80", Token: "short"}},
		"a socket":                {s: Settings{Listen: "unix:/run/x.sock"}},
		"all, guarded":            {s: Settings{Listen: ":443", TLS: pair, Token: long}},
		"all, certificates":       {s: Settings{Listen: ":443", TLS: &TLS{Cert: "c", Key: "k", ClientCA: "ca"}}},
		"sites":                   {s: Settings{Listen: "127.0.0.1:1", Origins: []string{"https://chat.example", "http://127.0.0.1:8080", "*"}}},
		"no address":              {Settings{Listen: "80"}, "listen: it takes host:port"},
		"a relative socket":       {Settings{Listen: "unix:x.sock"}, "listen: the path of the socket is not whole"},
		"a socket with TLS":       {Settings{Listen: "unix:/x", TLS: pair}, "tls: only the user"},
		"all, plain":              {Settings{Listen: ":80"}, "listen: it is reachable from other machines, and there is no TLS and no token"},
		"all, a token":            {Settings{Listen: "0.0.0.0:80", Token: long}, "there is no TLS:"},
		"all, TLS":                {Settings{Listen: ":80", TLS: pair}, "neither a token nor tls.client_ca"},
		"all, a short token":      {Settings{Listen: ":80", TLS: pair, Token: "short"}, "token: it is none: it has fewer than 16"},
		"two tokens":              {Settings{Listen: "127.0.0.1:1", Token: "a", TokenFile: "b"}, "token_file: token is given too"},
		"a host with a port":      {Settings{Listen: "127.0.0.1:1", Hosts: []string{"x:1"}}, "hosts: it takes names"},
		"a site with a path":      {Settings{Listen: "127.0.0.1:1", Origins: []string{"https://chat.example/"}}, "origins: it takes sites"},
		"a site without a scheme": {Settings{Listen: "127.0.0.1:1", Origins: []string{"chat.example"}}, "origins: it takes sites"},
	} {
		err := c.s.Validate()
		var field *settings.FieldError
		switch {
		case c.want == "" && err != nil, c.want != "" && (!errors.As(err, &field) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		case strings.Contains(fmt.Sprint(err), "short"):
			t.Errorf("%s: the error shows the token", name)
		}
	}
}

// TestCheck: who is refused, and by which status.
func TestCheck(t *testing.T) {
	s, err := New(Options{
		Settings: Settings{Listen: "127.0.0.1:8080", Token: "secret-of-ours", Hosts: []string{"Live.example"}, Origins: []string{"https://chat.example"}},
		What:     "the test", Token: func(r *http.Request) string { return r.URL.Query().Get("access_token") },
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		host, origin, authorization, query string
		want                               int
	}{
		"all right":             {"127.0.0.1:8080", "", "Bearer secret-of-ours", "", 0},
		"lower case, blanks":    {"localhost:8080", "", "bearer   secret-of-ours", "", 0},
		"a name":                {"live.EXAMPLE.", "", "Bearer secret-of-ours", "", 0},
		"its own page":          {"127.0.0.1:8080", "http://127.0.0.1:8080", "Bearer secret-of-ours", "", 0},
		"a page that may":       {"127.0.0.1:8080", "https://Chat.example", "Bearer secret-of-ours", "", 0},
		"by its address":        {"127.0.0.1:8080", "", "", "access_token=secret-of-ours", 0},
		"no token":              {"127.0.0.1:8080", "", "", "", 401},
		"another":               {"127.0.0.1:8080", "", "Bearer secret-of-our", "", 401},
		"another scheme":        {"127.0.0.1:8080", "", "Basic secret-of-ours", "", 401},
		"another host":          {"evil.example", "", "Bearer secret-of-ours", "", 421},
		"another site":          {"127.0.0.1:8080", "http://evil.example", "Bearer secret-of-ours", "", 403},
		"another port":          {"127.0.0.1:8080", "http://127.0.0.1:9090", "Bearer secret-of-ours", "", 403},
		"another scheme's page": {"127.0.0.1:8080", "https://127.0.0.1:8080", "Bearer secret-of-ours", "", 403},
		"a page of no site":     {"127.0.0.1:8080", "null", "Bearer secret-of-ours", "", 403},
	} {
		r := httptest.NewRequest(http.MethodPost, "/x?"+c.query, nil)
		r.Host = c.host
		for key, value := range map[string]string{"Origin": c.origin, "Authorization": c.authorization} {
			if value != "" {
				r.Header.Set(key, value)
			}
		}
		refused, got := s.Check(r), 0
		if refused != nil {
			got = refused.Status
		}
		if got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestCallersShowCertificates: without a certificate of the authority nobody gets through, and with one without a token.
func TestCallersShowCertificates(t *testing.T) {
	dir := t.TempDir()
	ca, signer := certificate(t, dir, "ca", nil, nil)
	certificate(t, dir, "server", ca, signer)
	certificate(t, dir, "caller", ca, signer)
	other, otherSigner := certificate(t, dir, "other-ca", nil, nil)
	certificate(t, dir, "stranger", other, otherSigner)
	at := func(name string) settings.Path { return settings.Path(filepath.Join(dir, name)) }
	s, err := New(Options{
		Settings: Settings{Listen: ":0", TLS: &TLS{Cert: at("server.pem"), Key: at("server.key"), ClientCA: at("ca.pem")}},
		What:     "the test", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			leave, _ := Enter(r, false)
			defer leave()
			if s := Connection(r); s < 1 {
				t.Errorf("the connection has the number %d", s)
			}
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(l)
	defer func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	for who, want := range map[string]bool{"caller": true, "stranger": false, "": false} {
		c := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
		if who != "" {
			pair, err := tls.LoadX509KeyPair(string(at(who+".pem")), string(at(who+".key")))
			if err != nil {
				t.Fatal(err)
			}
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil } // whatever the server asks for
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
		resp, err := client.Get("https://" + s.Addr())
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != want {
			t.Errorf("%q: %v", who, err)
		}
	}
}

// TestFilesThatAreNotThere: the error is one of the machine, and names the file and the setting.
func TestFilesThatAreNotThere(t *testing.T) {
	for want, s := range map[string]Settings{
		"x.token_file": {Listen: "127.0.0.1:0", TokenFile: "missing"},
		"tls.cert":     {Listen: "127.0.0.1:0", TLS: &TLS{Cert: "missing", Key: "missing"}},
	} {
		var env *pipeline.EnvironmentError
		if _, err := New(Options{Settings: s, What: "the test", Prefix: "x."}); !errors.As(err, &env) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "missing") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// certificate writes NAME.pem and NAME.key, signed by ca; nil: it is an authority itself.
func certificate(t *testing.T, dir, name string, ca *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: ca == nil,
	}
	if ca == nil {
		ca, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed, key
}
