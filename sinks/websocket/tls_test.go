package websocketsink

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/server"
	"github.com/penstockio/penstock/pipeline/settings"
)

// certificate writes a certificate for 127.0.0.1, and its key, and gives who trusts it.
func certificate(t *testing.T) (files *server.TLS, trust *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files = &server.TLS{Cert: settings.Path(filepath.Join(dir, "cert.pem")), Key: settings.Path(filepath.Join(dir, "key.pem"))}
	for file, block := range map[settings.Path]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: der}, files.Key: {Type: "PRIVATE KEY", Bytes: pkcs}} {
		if err := os.WriteFile(string(file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trust = x509.NewCertPool()
	trust.AddCert(parsed)
	return files, trust
}

// TestOtherMachines: what they reach is encrypted and wants a token; messages of all sizes come whole.
func TestOtherMachines(t *testing.T) {
	files, trust := certificate(t)
	s := opened(t, func(s *Settings) { s.Listen, s.TLS, s.Token = ":0", files, "0123456789abcdef" })
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}, DisableKeepAlives: true}
	dial := func(query string) (*websocket.Conn, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c, _, err := websocket.Dial(ctx, "wss://127.0.0.1:"+port+"/live"+query, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
		return c, err
	}
	if _, err := dial(""); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("without a token: %v", err)
	}
	c, err := dial("?access_token=0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(1 << 20)
	clients(t, s, 1)
	var want []string
	for i, size := range []int{1, 125, 126, recordSize - 4, recordSize, 65535, 65536, 200 << 10, 3} {
		want = append(want, fmt.Sprint(i)+strings.Repeat("x", size-1))
	}
	var recs []*pipeline.Record
	for i, value := range want {
		recs = append(recs, record(0, i, value))
	}
	write(t, s, recs)
	wantNext(t, c, want...)
}

// TestPlainConnectionsAreWrittenAtOnce: many messages go to the system in one call, which wants the connection itself.
func TestPlainConnectionsAreWrittenAtOnce(t *testing.T) {
	s := opened(t, nil)
	c := dial(t, s, "")
	clients(t, s, 1)
	var of any
	s.each(func(c *client) { of = c.line.(*socket).wire.plain })
	if _, ok := of.(*net.TCPConn); !ok {
		t.Errorf("messages are written to a %T", of)
	}
	var want []string
	var recs []*pipeline.Record
	for i, size := range []int{1, 125, 126, 65535, 65536, 200 << 10, 3, sendBytes, sendBytes - 2, 0} {
		value := strings.Repeat("x", size)
		want, recs = append(want, value), append(recs, record(0, i, value))
	}
	write(t, s, recs)
	wantNext(t, c, want...)
}
