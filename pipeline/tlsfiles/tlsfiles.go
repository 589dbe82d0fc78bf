// SPDX-License-Identifier: Apache-2.0

// Package tlsfiles keeps TLS settings that stand in files as they are on disk: a
// certificate that was renewed is used from the next connection on.
package tlsfiles

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"

	"github.com/penstockio/penstock/pipeline/internal/smallfile"
)

// Paths name the files, all of PEM. "": none.
type Paths struct {
	CA        string // authorities of servers to trust in place of the system's
	ClientCA  string // authorities of the callers of a server
	Cert, Key string // the certificate that this side shows, and its key; both or none
}

// Files are TLS settings with the files' content. They are safe for concurrent use.
type Files struct {
	paths Paths
	base  *tls.Config
	warn  func(error)

	mu     sync.Mutex
	raw    [4][]byte // content that config is made of
	config *tls.Config
	failed bool // since the files were last good
}

// Open reads the files; an error names the one that cannot be used. base has the settings that
// are in no file. warn is called when files have become unreadable or wrong, once until they are
// good again: what was read last stays in use. It may be nil.
func Open(p Paths, base *tls.Config, warn func(error)) (*Files, error) {
	if (p.Cert == "") != (p.Key == "") {
		return nil, errors.New("setting up TLS: cert and key need each other; give both or none")
	}
	f := &Files{paths: p, base: base, warn: warn}
	raw, err := f.read(smallfile.ReadOnce)
	if err != nil {
		return nil, err
	}
	if f.config, err = f.parse(raw); err != nil {
		return nil, err
	}
	f.raw = raw
	return f, nil
}

// Config gives the settings for one more connection, after a look at the files. The
// caller changes nothing of it.
func (f *Files) Config() *tls.Config {
	f.mu.Lock()
	c, problem := f.reload()
	f.mu.Unlock()
	if problem != nil && f.warn != nil {
		f.warn(fmt.Errorf("%w; what was read before stays in use until the files are good", problem))
	}
	return c
}

func (f *Files) reload() (_ *tls.Config, problem error) {
	raw, err := f.read(smallfile.Read)
	same := true
	for i := range raw {
		same = same && bytes.Equal(raw[i], f.raw[i])
	}
	var c *tls.Config
	if err == nil && !same {
		c, err = f.parse(raw)
	}
	switch {
	case err != nil && f.failed:
		return f.config, nil
	case err != nil:
		f.failed = true
		return f.config, err
	case c != nil:
		f.config, f.raw = c, raw
	}
	f.failed = false
	return f.config, nil
}

func (f *Files) read(one func(name string) ([]byte, error)) (raw [4][]byte, err error) {
	for i, file := range []struct{ path, what string }{
		{f.paths.CA, "the authorities of tls.ca"}, {f.paths.ClientCA, "the authorities of tls.client_ca"},
		{f.paths.Cert, "the certificate of tls.cert"}, {f.paths.Key, "the key of tls.key"},
	} {
		if file.path == "" {
			continue
		}
		if raw[i], err = one(file.path); err != nil {
			return raw, fmt.Errorf("reading %s: %w", file.what, err)
		}
	}
	return raw, nil
}

func (f *Files) parse(raw [4][]byte) (*tls.Config, error) {
	c := f.base.Clone()
	if f.paths.CA != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(raw[0]) {
			return nil, fmt.Errorf("reading the authorities of tls.ca: %s holds no PEM certificate", f.paths.CA)
		}
	}
	if f.paths.ClientCA != "" {
		c.ClientCAs = x509.NewCertPool()
		if !c.ClientCAs.AppendCertsFromPEM(raw[1]) {
			return nil, fmt.Errorf("reading the authorities of tls.client_ca: %s holds no PEM certificate", f.paths.ClientCA)
		}
	}
	if f.paths.Cert != "" {
		pair, err := tls.X509KeyPair(raw[2], raw[3])
		if err != nil {
			return nil, fmt.Errorf("reading the certificate of tls.cert and tls.key, %s and %s: %w", f.paths.Cert, f.paths.Key, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
