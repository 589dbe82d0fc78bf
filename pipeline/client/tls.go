package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/penstockio/penstock/pipeline"
)

// TLS says how a server is checked and how this side shows who it is. The zero
// value checks against the system's authorities. The protocol is TLS 1.2 or later.
type TLS struct {
	CA         pipeline.Path `yaml:"ca" doc:"PEM file of the authorities to trust in place of the system's"`
	Cert       pipeline.Path `yaml:"cert" doc:"PEM file of the certificate that this side shows"`
	Key        pipeline.Path `yaml:"key" doc:"PEM file of the key that belongs to cert"`
	ServerName string        `yaml:"server_name" doc:"name that the server's certificate must carry, when it is not the one in the address"`
}

// Validate checks what can be known without reading a file.
func (t TLS) Validate() error {
	if (t.Cert == "") != (t.Key == "") {
		return errors.New("cert and key belong together: give both or none")
	}
	return nil
}

// Config reads the files. An error is an EnvironmentError that names the file.
func (t TLS) Config() (*tls.Config, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := os.ReadFile(string(t.CA))
		if err != nil {
			return nil, &pipeline.EnvironmentError{Err: fmt.Errorf("reading the trusted authorities: %w", err)}
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &pipeline.EnvironmentError{Err: fmt.Errorf("reading the trusted authorities: %s holds no PEM certificate", t.CA)}
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(string(t.Cert), string(t.Key))
		if err != nil {
			return nil, &pipeline.EnvironmentError{Err: fmt.Errorf("reading the certificate %s and its key: %w", t.Cert, err)}
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// handshake closes conn when it fails.
func handshake(ctx context.Context, conn net.Conn, c *tls.Config, host string) (net.Conn, error) {
	c = c.Clone()
	if c.ServerName == "" {
		c.ServerName = host
	}
	t := tls.Client(conn, c)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return t, nil
}
