package client

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/penstockio/penstock/pipeline/secretfiles"
	"github.com/penstockio/penstock/pipeline/settings"
)

// An Auth says how this side logs in: one of its fields is set. What stands in files is read again
// when they change. It goes to the servers that are called, never to another host to which a
// redirect leads.
type Auth struct {
	Basic  *BasicAuth  `yaml:"basic" doc:"a user name and a password"`
	Bearer *BearerAuth `yaml:"bearer" doc:"a token"`
	Header *HeaderAuth `yaml:"header" doc:"a header of the server's own, like X-Api-Key"`
	OAuth2 *OAuth2Auth `yaml:"oauth2" doc:"a token of OAuth 2.0 by client credentials, got and renewed as needed"`
}

// Beside is Validate beside headers that may log in too. a may be nil: then nothing is wrong.
func (a *Auth) Beside(secret map[string]settings.Secret) error {
	if a == nil {
		return nil
	}
	if err := a.Validate(); err != nil {
		return err
	}
	for name := range secret {
		if strings.EqualFold(name, a.Shows()) {
			return fmt.Errorf("%s stands under secret_headers too: leave it out there", name)
		}
	}
	return nil
}

// BasicAuth is a user name and a password.
type BasicAuth struct {
	Username     string          `yaml:"username" doc:"name of the user" required:"true"`
	Password     settings.Secret `yaml:"password" doc:"password"`
	PasswordFile settings.Path   `yaml:"password_file" doc:"file that holds the password; read again when it changes"`
}

// BearerAuth is a token.
type BearerAuth struct {
	Token     settings.Secret `yaml:"token" doc:"token"`
	TokenFile settings.Path   `yaml:"token_file" doc:"file that holds the token; read again when it changes"`
}

// HeaderAuth is a header of the server's own.
type HeaderAuth struct {
	Name      string          `yaml:"name" doc:"name of the header" required:"true"`
	Value     settings.Secret `yaml:"value" doc:"its value"`
	ValueFile settings.Path   `yaml:"value_file" doc:"file that holds the value; read again when it changes"`
}

// OAuth2Auth is the grant of client credentials.
type OAuth2Auth struct {
	TokenURL         string          `yaml:"token_url" query:"hidden" doc:"where tokens are got; tls, but for its server_name, and proxy hold for it too" required:"true"`
	ClientID         string          `yaml:"client_id" doc:"who this side is" required:"true"`
	ClientSecret     settings.Secret `yaml:"client_secret" doc:"secret of the client"`
	ClientSecretFile settings.Path   `yaml:"client_secret_file" doc:"file that holds the secret; read again when it changes"`
	Scopes           []string        `yaml:"scopes" doc:"scopes to ask for"`
	Audience         string          `yaml:"audience" doc:"audience to ask for, where the server wants one"`
}

// Shows gives the name of the header in which the log-in goes.
func (a *Auth) Shows() string {
	if a.Header != nil {
		return a.Header.Name
	}
	return "Authorization"
}

// Validate checks what can be known without reading a file. It joins several errors.
func (a *Auth) Validate() error {
	var p settings.Problems
	n := 0
	for _, set := range []bool{a.Basic != nil, a.Bearer != nil, a.Header != nil, a.OAuth2 != nil} {
		if set {
			n++
		}
	}
	if n != 1 {
		p.Join(errors.New("give one of basic, bearer, header and oauth2"))
	}
	if b := a.Basic; b != nil {
		if b.Username == "" || strings.ContainsFunc(b.Username, func(r rune) bool { return r == ':' || r < ' ' || r == 0x7f }) {
			p.Check("basic.username", errors.New("write a name without a colon or control characters"))
		}
		p.Check("basic", oneSecret("password", b.Password, b.PasswordFile, nil))
	}
	if b := a.Bearer; b != nil {
		p.Check("bearer", oneSecret("token", b.Token, b.TokenFile, secretfiles.CheckToken))
	}
	if h := a.Header; h != nil {
		p.Check("header.name", CheckHeader(h.Name, ""))
		p.Check("header", oneSecret("value", h.Value, h.ValueFile, checkValue))
	}
	if o := a.OAuth2; o != nil {
		u, err := url.Parse(o.TokenURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
			p.Check("oauth2.token_url", errors.New("the address is not valid: write https://host/path"))
		}
		if o.ClientID == "" {
			p.Check("oauth2.client_id", errors.New("say who this side is"))
		}
		p.Check("oauth2", oneSecret("client_secret", o.ClientSecret, o.ClientSecretFile, nil))
	}
	return p.Err()
}

// oneSecret checks that a secret stands in one of its two places.
func oneSecret(name string, literal settings.Secret, file settings.Path, check func(string) error) error {
	switch {
	case (literal == "") == (file == ""):
		return fmt.Errorf("give one of %s and %s_file", name, name)
	case check != nil && file == "":
		return check(literal.Reveal())
	}
	return nil
}

// checkValue refuses a secret that cannot be the value of a header, without showing it.
func checkValue(text string) error {
	if CheckHeader("Authorization", text) != nil {
		return errors.New("it holds a line break or another control character")
	}
	return nil
}

// credentials are what a request shows of who this side is. They are safe for concurrent use.
type credentials interface {
	// name gives the header that takes the value.
	name() string
	// value gives what goes with the next request. It may wait, until ctx ends.
	value(ctx context.Context) (string, error)
	// refused takes note that a server has answered 401 to used, and says whether another value is
	// worth an attempt.
	refused(used string) bool
	// secrets gives what may be shown to the server alone.
	secrets() []string
	close()
}

// A fixed credential is made of a secret alone.
type fixed struct {
	header string
	secret *secretfiles.Secret
	make   func(secret string) string
}

func (f *fixed) name() string                          { return f.header }
func (f *fixed) value(context.Context) (string, error) { return f.make(f.secret.Text()), nil }
func (f *fixed) secrets() []string                     { return []string{f.secret.Text()} }
func (f *fixed) close()                                {}

// refused looks at the file at once: keys are renewed on both sides at about the same time.
func (f *fixed) refused(used string) bool { return f.make(f.secret.Look()) != used }

// open reads the files. h is the client whose calls are to show what they hold.
func (a *Auth) open(h *HTTP) (credentials, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	open := func(o secretfiles.Options) (*secretfiles.Secret, error) {
		o.Every, o.Warn = checkFilesEvery, h.options.Warn
		return secretfiles.Open(o)
	}
	f := &fixed{header: "Authorization"}
	var err error
	switch {
	case a.Basic != nil:
		f.secret, err = open(secretfiles.Options{
			Literal: a.Basic.Password, File: a.Basic.PasswordFile, What: "the password of auth.basic.password_file",
		})
		user := a.Basic.Username
		f.make = func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+s)) }
	case a.Bearer != nil:
		f.secret, err = open(secretfiles.Options{
			Literal: a.Bearer.Token, File: a.Bearer.TokenFile, What: "the token of auth.bearer.token_file", Token: true, Check: secretfiles.CheckToken,
		})
		f.make = func(s string) string { return "Bearer " + s }
	case a.Header != nil:
		f.secret, err = open(secretfiles.Options{
			Literal: a.Header.Value, File: a.Header.ValueFile, What: "the value of auth.header.value_file", Check: checkValue,
		})
		f.header, f.make = a.Header.Name, func(s string) string { return s }
	default:
		return openTokens(a.OAuth2, h)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}
