package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/settings"
)

// selfSigned makes a certificate that vouches for itself, with its key, as PEM.
func selfSigned(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kd, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kd})
}

// A certificate that is renewed on disk is shown to the server without a restart, and
// a new authority is trusted; a file that is bad changes nothing and is told of once.
func TestTLSFilesAreRenewed(t *testing.T) {
	cert, key := selfSigned(t, 1)
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	serials := make(chan int64, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		serials <- r.TLS.PeerCertificates[0].SerialNumber.Int64()
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	defer s.Close()
	dir := t.TempDir()
	file := func(name string, text []byte) settings.Path {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return settings.Path(path)
	}
	warnings := 0
	files, err := TLS{CA: file("ca", cert), Cert: file("cert", cert), Key: file("key", key)}.Open(func(error) { warnings++ })
	if err != nil {
		t.Fatal(err)
	}
	h, err := NewHTTP(HTTPOptions{TLSFiles: files})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	call := func(want int64) {
		t.Helper()
		h.mu.Lock()
		h.filesChecked = time.Time{} // a while ago
		h.mu.Unlock()
		if _, err := get(t, h, s.URL); err != nil {
			t.Fatal(err)
		}
		if got := <-serials; got != want {
			t.Errorf("showed certificate %d, not %d", got, want)
		}
	}
	call(1)
	cert2, key2 := selfSigned(t, 2)
	file("cert", cert2)
	call(1) // the key is still the old one's
	call(1)
	if warnings != 1 {
		t.Errorf("%d warnings", warnings)
	}
	file("key", key2)
	call(2)
	file("ca", []byte("none"))
	call(2)
	if warnings != 2 {
		t.Errorf("%d warnings", warnings)
	}
}
