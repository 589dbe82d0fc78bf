package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"github.com/penstockio/penstock/pipeline/tlsfiles"
)

// TLS says how to encrypt connections. The zero value trusts the system's
// authorities and shows no certificate. The files are looked at again for every
// connection.
type TLS struct {
	CA         string // file of PEM certificates to trust instead of the system's
	Cert, Key  string // files of the client's PEM certificate and key; both or none
	ServerName string // name in the broker's certificate; "": the host
	Insecure   bool   // accept any certificate
	// Warn is told when files that were good cannot be used any more, once until they
	// are good again: what was read last stays in use. It may be nil.
	Warn func(error)
}

// Open reads the files. An error names the one that cannot be used.
func (t TLS) Open() (*tlsfiles.Files, error) {
	return tlsfiles.Open(tlsfiles.Paths{CA: t.CA, Cert: t.Cert, Key: t.Key},
		&tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.Insecure}, t.Warn)
}

func (c *Config) encrypted() bool { return c.TLS != nil || c.TLSFiles != nil }

// Config reads the files and makes a TLS configuration, which stays as it is.
func (t TLS) Config() (*tls.Config, error) {
	f, err := t.Open()
	if err != nil {
		return nil, err
	}
	return f.Config(), nil
}

// tls gives the settings of one more connection; nil: it is not encrypted.
func (c *Config) tls() *tls.Config {
	if c.TLSFiles != nil {
		return c.TLSFiles.Config()
	}
	return c.TLS
}

// SASL says who we are.
type SASL struct {
	Mechanism          string // plain, scram-sha-256, scram-sha-512
	Username, Password string
	// PasswordFile holds the password in place of Password, without a line's end. It
	// is read again for every log-in.
	PasswordFile string
	// Warn is told when PasswordFile cannot be read any more, once until it can be: what
	// was read last stays in use. It may be nil.
	Warn func(error)
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
	if s.PasswordFile == "" {
		return s.mechanism(s.Password)
	}
	f := &passwordFile{sasl: s}
	password, err := f.read()
	if err != nil {
		return nil, err
	}
	f.last, err = s.mechanism(password)
	return f, err
}

func (s SASL) mechanism(password string) (sasl.Mechanism, error) {
	switch strings.ToLower(s.Mechanism) {
	case "plain":
		return plain.Mechanism{Username: s.Username, Password: password}, nil
	case "scram-sha-256":
		return scramMechanism(scram.SHA256, s.Username, password)
	case "scram-sha-512":
		return scramMechanism(scram.SHA512, s.Username, password)
	}
	return nil, fmt.Errorf("setting up SASL: unknown sasl.mechanism %q: use one of %s", s.Mechanism, strings.Join(Mechanisms, ", "))
}

func scramMechanism(a scram.Algorithm, username, password string) (sasl.Mechanism, error) {
	m, err := scram.Mechanism(a, username, password)
	if err != nil {
		return nil, errors.New("setting up SASL: sasl.username or sasl.password has characters that SCRAM does not allow")
	}
	return m, nil
}

// A passwordFile is a mechanism whose password is read for every log-in.
type passwordFile struct {
	sasl SASL

	mu     sync.Mutex
	last   sasl.Mechanism
	failed bool // since the file was last good
}

// maxPassword bounds what is read of a file.
const maxPassword = 64 << 10

func (f *passwordFile) read() (string, error) {
	file, err := os.Open(f.sasl.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("reading the password of sasl.password_file: %w", err)
	}
	defer func() { _ = file.Close() }()
	b, err := io.ReadAll(io.LimitReader(file, maxPassword+1))
	text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the password of sasl.password_file: %w", err)
	case len(b) > maxPassword:
		return "", fmt.Errorf("reading the password of sasl.password_file: %s is larger than %d KiB", f.sasl.PasswordFile, maxPassword>>10)
	case text == "":
		return "", fmt.Errorf("reading the password of sasl.password_file: %s is empty", f.sasl.PasswordFile)
	}
	return text, nil
}

// Name implements sasl.Mechanism.
func (f *passwordFile) Name() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last.Name()
}

// Start implements sasl.Mechanism.
func (f *passwordFile) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	f.mu.Lock()
	password, err := f.read()
	var m sasl.Mechanism
	if err == nil {
		m, err = f.sasl.mechanism(password)
	}
	if err == nil {
		f.last = m
	}
	tell := err != nil && !f.failed
	f.failed = err != nil
	m = f.last
	f.mu.Unlock()
	if tell && f.sasl.Warn != nil {
		f.sasl.Warn(fmt.Errorf("%w; the password that was read before stays in use until the file is good", err))
	}
	return m.Start(ctx)
}

// Secure fills in TLS and SASL of a configuration; nil leaves them off. It refuses
// credentials that would leave this machine unencrypted, unless SASL.Plaintext says
// so. Brokers must be set.
func (c *Config) Secure(t *TLS, s *SASL) (err error) {
	if t != nil {
		if c.TLSFiles, err = t.Open(); err != nil {
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

const unsupportedMechanism Error = 33

func isAuth(err error) bool {
	var e Error
	if errors.As(err, &e) && (e == SASLAuthenticationFailed || e == unsupportedMechanism || e == illegalSASLState) {
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
		errors.Is(err, errExpectsTLS) || err != nil && strings.Contains(err.Error(), "tls: ")
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
	var silent *silentError
	text := ""
	switch {
	case errors.As(err, &silent):
		return silent
	case errors.Is(err, unsupportedMechanism):
		text = "the broker does not offer this SASL mechanism: check sasl.mechanism and the listener's port"
	case errors.Is(err, illegalSASLState):
		text = "the broker's listener does not expect SASL: check sasl and the port"
	case isAuth(err):
		text = "the broker does not accept the credentials: check sasl.username, sasl.password and sasl.mechanism"
	case errors.As(err, &record):
		text = "the broker does not answer in TLS on this port: check tls and the port"
	case errors.Is(err, errExpectsTLS):
		text = "the broker expects TLS on this port: add tls"
	case errors.Is(err, syscall.ECONNREFUSED):
		text = "connection refused: is the broker running, and is the address right?"
	case isBroken(err) && !begun && c.SASL != nil:
		text = "the broker closed the connection during authentication: check sasl.username, sasl.password, sasl.mechanism and the port"
	case isBroken(err) && !begun && c.encrypted():
		text = "the broker closed the connection during the TLS handshake: check tls and the port"
	case isBroken(err) && !begun:
		text = "the broker closed the connection at once: does it expect tls or sasl on this port?"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		text = "the broker closed the connection"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		text = "no answer in time"
		if !begun {
			text = "no connection in time: check the address and the firewall"
			if c.encrypted() {
				text += ", and whether the port speaks TLS"
			}
		}
	}
	if text == "" {
		return err
	}
	return &explained{text, err}
}
