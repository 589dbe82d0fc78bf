package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// TLS says how to encrypt connections. The zero value trusts the system's
// authorities and shows no certificate.
type TLS struct {
	CA         string // file of PEM certificates to trust instead of the system's
	Cert, Key  string // files of the client's PEM certificate and key; both or none
	ServerName string // name in the broker's certificate; "": the host
	Insecure   bool   // accept any certificate
}

// Config reads the files and makes a TLS configuration.
func (t TLS) Config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.Insecure}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("reading the authorities of tls.ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading the authorities of tls.ca: %s holds no PEM certificate", t.CA)
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, errors.New("setting up TLS: tls.cert and tls.key need each other; give both or none")
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate of tls.cert and tls.key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// SASL says who we are.
type SASL struct {
	Mechanism          string // plain, scram-sha-256, scram-sha-512
	Username, Password string
	// Plaintext allows credentials on connections that are not encrypted and leave
	// this machine.
	Plaintext bool
}

// Mechanisms are the values of SASL.Mechanism.
var Mechanisms = []string{"plain", "scram-sha-256", "scram-sha-512"}

// Config makes the mechanism.
func (s SASL) Config() (sasl.Mechanism, error) {
	if s.Username == "" {
		return nil, errors.New("setting up SASL: sasl.username is missing")
	}
	switch strings.ToLower(s.Mechanism) {
	case "plain":
		return plain.Mechanism{Username: s.Username, Password: s.Password}, nil
	case "scram-sha-256":
		return scramMechanism(scram.SHA256, s)
	case "scram-sha-512":
		return scramMechanism(scram.SHA512, s)
	}
	return nil, fmt.Errorf("setting up SASL: unknown sasl.mechanism %q: use one of %s", s.Mechanism, strings.Join(Mechanisms, ", "))
}

func scramMechanism(a scram.Algorithm, s SASL) (sasl.Mechanism, error) {
	m, err := scram.Mechanism(a, s.Username, s.Password)
	if err != nil {
		return nil, errors.New("setting up SASL: sasl.username or sasl.password has characters that SCRAM does not allow")
	}
	return m, nil
}

// Secure fills in TLS and SASL of a configuration; nil leaves them off. It refuses
// credentials that would leave this machine unencrypted, unless SASL.Plaintext says
// so. Brokers must be set.
func (c *Config) Secure(t *TLS, s *SASL) (err error) {
	if t != nil {
		if c.TLS, err = t.Config(); err != nil {
			return err
		}
	}
	if s == nil {
		return nil
	}
	if c.SASL, err = s.Config(); err != nil {
		return err
	}
	if t == nil && !s.Plaintext {
		for _, b := range c.Brokers {
			if !Loopback(b) {
				return fmt.Errorf("setting up SASL: without tls the password would go to %s unencrypted; add tls, or sasl.plaintext: true if you mean it", b)
			}
		}
	}
	return nil
}

// Loopback says whether a broker address is on this machine.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

func isAuth(err error) bool {
	var k kafkago.Error
	if errors.As(err, &k) {
		switch k {
		case kafkago.SASLAuthenticationFailed, kafkago.UnsupportedSASLMechanism, kafkago.IllegalSASLState:
			return true
		}
	}
	var e Error
	if errors.As(err, &e) && (e == SASLAuthenticationFailed || e == 33 || e == 34) {
		return true
	}
	// xdg-go/scram gives no type for it.
	return err != nil && strings.Contains(err.Error(), "server error: ")
}

func isTLS(err error) bool {
	var (
		record tls.RecordHeaderError
		alert  tls.AlertError
		verify *tls.CertificateVerificationError
	)
	return errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &verify) ||
		err != nil && (strings.Contains(err.Error(), "tls: ") || strings.Contains(err.Error(), "expecting TLS"))
}

// isBroken says whether a connection ended under a request.
func isBroken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed)
}

type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

// explain puts what to do into errors of a connection whose own words do not say.
func explain(err error, begun bool, c *Config) error {
	var record tls.RecordHeaderError
	var k kafkago.Error
	text := ""
	switch {
	case errors.As(err, &k) && k == kafkago.UnsupportedSASLMechanism:
		text = "the broker does not offer this SASL mechanism: check sasl.mechanism and the listener's port"
	case errors.As(err, &k) && k == kafkago.IllegalSASLState:
		text = "the broker's listener does not expect SASL: check sasl and the port"
	case isAuth(err):
		text = "the broker does not accept the credentials: check sasl.username, sasl.password and sasl.mechanism"
	case errors.As(err, &record):
		text = "the broker does not answer in TLS on this port: check tls and the port"
	case err != nil && strings.Contains(err.Error(), "expecting TLS"):
		text = "the broker expects TLS on this port: add tls"
	case errors.Is(err, syscall.ECONNREFUSED):
		text = "connection refused: is the broker running, and is the address right?"
	case isBroken(err) && !begun && c.SASL != nil:
		text = "the broker closed the connection during authentication: check sasl.username, sasl.password, sasl.mechanism and the port"
	case isBroken(err) && !begun && c.TLS != nil:
		text = "the broker closed the connection during the TLS handshake: check tls and the port"
	case isBroken(err) && !begun:
		text = "the broker closed the connection at once: does it expect tls or sasl on this port?"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		text = "the broker closed the connection"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		text = "no answer in time"
		if !begun {
			text = "no connection in time: check the address and the firewall"
			if c.TLS != nil {
				text += ", and whether the port speaks TLS"
			}
		}
	}
	if text == "" {
		return err
	}
	return &explained{text, err}
}
