package server

import (
	"crypto/tls"
	"errors"
	"net/url"
	"path/filepath"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/internal/listen"
	"github.com/penstockio/penstock/pipeline/secretfiles"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/pipeline/tlsfiles"
)

// Settings are where a component of a pipeline listens and who may call it, to be embedded inline in its own.
type Settings struct {
	Listen         string          `yaml:"listen" required:"true" doc:"host:port, as 127.0.0.1:8080, or unix: and the whole path of a socket; what other machines reach needs tls, and a token or tls.client_ca"`
	TLS            *TLS            `yaml:"tls" doc:"the certificate to show; requests have to come over TLS 1.2 or later then"`
	Token          settings.Secret `yaml:"token" doc:"has to come with every request, as Authorization: Bearer; 16 characters at least when other machines reach the address"`
	TokenFile      settings.Path   `yaml:"token_file" doc:"file that holds the token; read again when it changes"`
	Hosts          []string        `yaml:"hosts" commas:"true" doc:"names that requests may be addressed to, beside localhost, the host of listen and plain addresses: one, or several"`
	Origins        []string        `yaml:"origins" commas:"true" doc:"sites whose pages may call from a browser, beside those of this address: https://chat.example, or '*' for all"`
	MaxConnections int             `yaml:"max_connections" min:"1" max:"100000" doc:"connections at once; one too many takes the place of the one that has been without a request for longest; when all have one it is refused or closed; 0: 1,000"`
}

// TLS is the certificate of a server, and whose certificates callers have to show.
type TLS struct {
	Cert     settings.Path `yaml:"cert" required:"true" doc:"PEM file of the certificate, with those between it and the authority; read again when it changes"`
	Key      settings.Path `yaml:"key" required:"true" doc:"PEM file of its key; read again when it changes"`
	ClientCA settings.Path `yaml:"client_ca" doc:"PEM file of the authorities from which a caller has to show a certificate; read again when it changes"`
}

// defaultConnections holds a thousand callers, each with a few buffers of a few KiB.
const defaultConnections = 1000

func (s *Settings) connections() int {
	if s.MaxConnections == 0 {
		return defaultConnections
	}
	return s.MaxConnections
}

// Validate finds what is wrong without looking at any file. Each error is a FieldError.
func (s *Settings) Validate() error {
	var p settings.Problems
	if s.Token != "" && s.TokenFile != "" {
		p.Add("token_file", "token is given too: give one of them")
	}
	for _, host := range s.Hosts {
		if !listen.IsName(host) {
			p.Add("hosts", "it takes names, not %q: write the name alone, without https:// and without a port", host)
		}
	}
	for _, origin := range s.Origins {
		p.Check("origins", checkOrigin(origin))
	}
	at, err := listen.Parse(s.Listen)
	if err != nil {
		p.Add("listen", "it %w", err)
		return p.Err()
	}
	if at.Socket != "" && !filepath.IsAbs(at.Socket) {
		p.Add("listen", "the path of the socket is not whole: write unix:/run/penstock/%s", filepath.Base(at.Socket))
	}
	if at.Socket != "" && s.TLS != nil {
		p.Add("tls", "only the user of the process, and root, can connect to a socket: remove tls")
	}
	check := secretfiles.CheckToken
	if !at.Local() {
		check = secretfiles.CheckLongToken
		p.Check("listen", s.checkShared(at))
	}
	if s.Token != "" {
		if err := check(s.Token.Reveal()); err != nil {
			p.Add("token", "it is none: %w", err)
		}
	}
	return p.Err()
}

// checkShared refuses an address that other machines can reach without what keeps strangers out.
func (s *Settings) checkShared(at listen.Address) error {
	token := s.Token != "" || s.TokenFile != "" || s.TLS != nil && s.TLS.ClientCA != ""
	missing := ""
	switch {
	case s.TLS == nil && !token:
		missing = "there is no TLS and no token"
	case s.TLS == nil:
		missing = "there is no TLS"
	case !token:
		missing = "there is neither a token nor tls.client_ca"
	default:
		return nil
	}
	return errors.New("it is reachable from other machines, and " + missing +
		": write 127.0.0.1:" + at.Port + "; or give tls: {cert: …, key: …} and token_file: …")
}

// checkOrigin refuses what no browser sends as Origin (RFC 6454, 6.1): then it would never fit.
func checkOrigin(text string) error {
	if text == "*" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Scheme+"://"+u.Host != text {
		return errors.New("it takes sites, as https://chat.example or http://127.0.0.1:8080: scheme, host and port alone")
	}
	return nil
}

// open reads the files. An error is an EnvironmentError that names the file.
func (t *TLS) open(warn func(error)) (*tls.Config, error) {
	base := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.ClientCA != "" {
		base.ClientAuth = tls.RequireAndVerifyClientCert
	}
	files, err := tlsfiles.Open(tlsfiles.Paths{ClientCA: string(t.ClientCA), Cert: string(t.Cert), Key: string(t.Key)}, base, warn)
	if err != nil {
		return nil, &pipeline.EnvironmentError{Err: err}
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ClientAuth:         base.ClientAuth, // New asks for it
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return files.Config(), nil },
	}, nil
}
