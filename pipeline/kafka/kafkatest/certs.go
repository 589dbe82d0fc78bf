package kafkatest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certs are the files of a certificate authority, a server and a client, in PEM.
type Certs struct {
	CA                    string // the authority's certificate
	ServerPair            string // the server's key and certificate in one file, as Kafka wants them
	ServerCert, ServerKey string
	ClientCert, ClientKey string
}

// MakeCerts makes certificates for 127.0.0.1, valid for a day, in dir.
func MakeCerts(dir string) (Certs, error) {
	c := Certs{
		CA:         filepath.Join(dir, "ca.pem"),
		ServerPair: filepath.Join(dir, "server-pair.pem"),
		ServerCert: filepath.Join(dir, "server.pem"), ServerKey: filepath.Join(dir, "server-key.pem"),
		ClientCert: filepath.Join(dir, "client.pem"), ClientKey: filepath.Join(dir, "client-key.pem"),
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return c, err
	}
	ca := &x509.Certificate{
		Subject: pkix.Name{CommonName: "penstock test authority"}, IsCA: true,
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true,
	}
	caCert, caKey, caPEM, _, err := issue(ca, nil, nil)
	if err != nil {
		return c, err
	}
	server := &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	_, _, serverPEM, serverKeyPEM, err := issue(server, caCert, caKey)
	if err != nil {
		return c, err
	}
	client := &x509.Certificate{
		Subject:  pkix.Name{CommonName: "penstock"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	_, _, clientPEM, clientKeyPEM, err := issue(client, caCert, caKey)
	if err != nil {
		return c, err
	}
	for name, text := range map[string][]byte{
		c.CA: caPEM, c.ServerCert: serverPEM, c.ServerKey: serverKeyPEM, c.ClientCert: clientPEM, c.ClientKey: clientKeyPEM,
		c.ServerPair: append(append(append([]byte(nil), serverKeyPEM...), serverPEM...), caPEM...),
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return c, err
		}
	}
	return c, nil
}

var serial int64

func issue(t, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (cert *x509.Certificate, key *ecdsa.PrivateKey, certPEM, keyPEM []byte, err error) {
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	serial++
	t.SerialNumber = big.NewInt(serial)
	t.NotBefore, t.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	if parent == nil {
		parent, parentKey = t, key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, nil, nil, nil, fmt.Errorf("issuing %s: %w", t.Subject.CommonName, err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		return nil, nil, nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	return cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

// ServerTLS gives the side of a server, which wants a certificate of every client.
func (c Certs) ServerTLS(t T) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(c.ServerCert, c.ServerKey)
	if err != nil {
		t.Fatalf("loading the certificate of the server: %v", err)
	}
	ca, err := os.ReadFile(c.CA)
	if err != nil {
		t.Fatalf("loading the authority: %v", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
}
