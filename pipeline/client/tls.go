package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/pipeline/tlsfiles"
)

// TLS says how a server is checked and how this side shows who it is. The zero
// value checks against the system's authorities. The protocol is TLS 1.2 or later.
type TLS struct {
	CA         settings.Path `yaml:"ca" read:"start" doc:"PEM file of the authorities to trust in place of the system's"`
	Cert       settings.Path `yaml:"cert" read:"start" of:"machine" doc:"PEM file of the certificate that this side shows"`
	Key        settings.Path `yaml:"key" read:"start" of:"machine" doc:"PEM file of the key that belongs to cert"`
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
	f, err := t.Open(nil)
	if err != nil {
		return nil, err
	}
	return f.Config(), nil
}

// Open is Config for files that may be renewed. warn is called when they cannot be used
// any more, once until they can; it may be nil.
func (t TLS) Open(warn func(error)) (*tlsfiles.Files, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	f, err := tlsfiles.Open(tlsfiles.Paths{CA: string(t.CA), Cert: string(t.Cert), Key: string(t.Key)},
		&tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}, warn)
	if err != nil {
		return nil, &pipeline.EnvironmentError{Err: err}
	}
	return f, nil
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
