//go:build real

package redisserver

import (
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/redisserver/redistest"
	"github.com/penstockio/penstock/pipeline/settings"
)

// TestRealTLSConnectionsAreKept: what a real server sends beside answers, the tickets of TLS 1.3, is not taken for the end of a connection.
func TestRealTLSConnectionsAreKept(t *testing.T) {
	h := httptest.NewTLSServer(nil)
	defer h.Close()
	cert := h.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name, kind string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := file("cert.pem", "CERTIFICATE", h.Certificate().Raw)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	s := redistest.Start(t, "--tls-port", port, "--tls-cert-file", ca, "--tls-key-file", file("key.pem", "PRIVATE KEY", key), "--tls-auth-clients", "no")
	v := newServer(t, Settings{Address: "127.0.0.1:" + port, TLS: &client.TLS{CA: settings.Path(ca)}}, 1)
	first := v.idle
	for i := range 10 {
		if _, err := get(t.Context(), v, "a"); err != goredis.Nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = append(first, v.idle...)
		}
		time.Sleep(5 * time.Millisecond) // anything that was still to come is there
	}
	if len(v.idle) != 1 || v.idle[0] != first[0] {
		t.Error("the connection was replaced")
	}
	s.Kill()
	if _, err := get(t.Context(), v, "a"); !NotSent(err) {
		t.Errorf("a server that has gone: %v; want that nothing was sent", err)
	}
}
