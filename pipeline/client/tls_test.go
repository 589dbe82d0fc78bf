package client

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// pemFile writes one PEM block to a file of its own.
func pemFile(t *testing.T, kind string, der []byte) settings.Path {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return settings.Path(path)
}

func TestTLSSettings(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) != 1 {
			t.Error("the client showed no certificate")
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	defer s.Close()
	key, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, keyFile := pemFile(t, "CERTIFICATE", s.Certificate().Raw), pemFile(t, "PRIVATE KEY", key)
	for name, tt := range map[string]struct {
		settings TLS
		typ      string
	}{
		"both":           {TLS{CA: cert, Cert: cert, Key: keyFile}, ""},
		"own name":       {TLS{CA: cert, Cert: cert, Key: keyFile, ServerName: "example.com"}, ""},
		"another name":   {TLS{CA: cert, Cert: cert, Key: keyFile, ServerName: "other.test"}, TypeTLS},
		"no certificate": {TLS{CA: cert}, "any"}, // the refusal, or the end of the connection, whichever comes first
		"not trusted":    {TLS{Cert: cert, Key: keyFile}, TypeTLS},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := tt.settings.Config()
			if err != nil {
				t.Fatal(err)
			}
			h, err := NewHTTP(HTTPOptions{TLS: c})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			_, err = get(t, h, s.URL)
			if tt.typ == "any" && err != nil {
				return
			}
			if tt.typ != "" {
				is(t, err, tt.typ, false)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	for name, bad := range map[string]TLS{
		"no such file":     {CA: "nope.pem"},
		"no certificate":   {CA: keyFile},
		"key of no kind":   {Cert: cert, Key: cert},
		"key without cert": {Key: keyFile},
	} {
		_, err := bad.Config()
		var env *pipeline.EnvironmentError
		if err == nil || errors.As(err, &env) == (name == "key without cert") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
