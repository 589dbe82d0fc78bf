package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/internal/listen"
	"github.com/penstockio/penstock/pipeline/secretfiles"
	"github.com/penstockio/penstock/pipeline/settings"
)

// defaultEndpoint is asked when neither a file nor an address says another.
const defaultEndpoint = "127.0.0.1:9600"

// endpointFlags are the flags of commands that ask a running process.
type endpointFlags struct{ addr, tokenFile, ca string }

func (f *endpointFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.addr, "addr", "", "address of the endpoint: host:port, https://host:port or unix:/path; default: admin.listen of the file, or "+defaultEndpoint)
	f.addTrust(cmd)
}

// addTrust adds the flags but for the address.
func (f *endpointFlags) addTrust(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.tokenFile, "token-file", "", "file that holds the token; default: the token of the file's admin section")
	flags.StringVar(&f.ca, "ca", "", "PEM file of the authorities to trust; default: those of the system, and the file's own certificate")
}

// An endpoint is the running process that a command asks.
type endpoint struct {
	client  *admin.Client
	address string
	named   []string // the pipelines of the files that were named; empty: none were
}

// open makes the client for a process that runs pipeline files, or of an address. Nothing is connected to yet.
func (f *endpointFlags) open(g *globals, files []string) (*endpoint, error) {
	return f.openFor(g, files, false)
}

// openFor is open; steers says that commands are given, which may need a token of their own.
func (f *endpointFlags) openFor(g *globals, files []string, steers bool) (*endpoint, error) {
	o := admin.ClientOptions{Address: f.addr}
	var named []string
	switch {
	case len(files) > 0:
		of, names, err := endpointOf(g, files, steers)
		if err != nil {
			return nil, err
		}
		if o, named = of, names; f.addr != "" {
			o.Address = f.addr
		}
	case f.addr == "":
		o.Address = defaultEndpoint
	}
	if f.tokenFile != "" {
		var err error
		if o.Token, err = readToken(settings.Path(f.tokenFile), "the token of --token-file"); err != nil {
			return nil, err
		}
	}
	if f.ca != "" {
		name := ""
		if o.TLS != nil {
			name = o.TLS.ServerName
		}
		roots, err := readAuthorities(f.ca)
		if err != nil {
			return nil, err
		}
		o.TLS = &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12}
	}
	client, err := admin.NewClient(o)
	if err != nil {
		return nil, usagef("%w", err)
	}
	return &endpoint{client, o.Address, named}, nil
}

// ofPipelines is get for an answer about each pipeline. A process that runs none of the files that were named has the address of theirs: what it
// answers is not what was asked for.
func (e *endpoint) ofPipelines(ctx context.Context, path string, into any) error {
	var all json.RawMessage
	if err := e.get(ctx, path, &all); err != nil {
		return err
	}
	var there struct {
		Pipelines []struct {
			Pipeline string `json:"pipeline"`
		} `json:"pipelines"`
	}
	if err := json.Unmarshal(all, &there); err != nil {
		return fmt.Errorf("reading the answer of %s at %s: %w", path, e.address, err)
	}
	running := make([]string, 0, len(there.Pipelines))
	for _, p := range there.Pipelines {
		running = append(running, visible(p.Pipeline))
	}
	if len(e.named) > 0 && !slices.ContainsFunc(e.named, func(name string) bool { return slices.Contains(running, visible(name)) }) {
		what := "another pipeline: " + strings.Join(running, ", ")
		if len(running) == 0 {
			what = "no pipeline"
		}
		return &exitError{exitEnvironment, fmt.Errorf("the process that listens at %s runs %s; named was %s: start that, or give its --addr",
			e.address, what, strings.Join(e.named, ", "))}
	}
	return json.Unmarshal(all, into)
}

// get asks for a path. An error that is not one of the environment is one of what was asked for.
func (e *endpoint) get(ctx context.Context, path string, into any) error {
	err := e.client.Get(ctx, path, into)
	var answer *admin.AnswerError
	if errors.As(err, &answer) && answer.Status == 401 {
		return &exitError{exitEnvironment, fmt.Errorf("%w; --token-file gives one", err)}
	}
	if named := (x509.HostnameError{}); errors.As(err, &named) {
		return &exitError{exitEnvironment, fmt.Errorf("%w; of the pipeline file, given beside --addr, the certificate is taken under its own name", err)}
	}
	return err
}

// endpointOf finds the endpoint of a process that runs pipeline files: its address, its token, or that of commands where they have one, and
// the certificate that it shows; and the names of the pipelines.
func endpointOf(g *globals, files []string, steers bool) (o admin.ClientOptions, named []string, err error) {
	set, err := g.load(files)
	var invalid *config.InvalidError
	switch {
	case errors.As(err, &invalid):
		printProblems(g.err, invalid.Problems)
		return o, nil, usagef("the file does not say where to ask: mend it, or give --addr without the file")
	case err != nil:
		return o, nil, err
	}
	for _, p := range set.Pipelines {
		named = append(named, p.Name)
	}
	a := set.Process.Admin
	if a == nil {
		return o, nil, usagef("%s: the file has no admin section, so by it nothing listens: write admin: {listen: %s} and start it again; "+
			"of a process that runs several files name also the one that has it, or give --addr", set.Pipelines[0].File, defaultEndpoint)
	}
	o.Address, o.Token = a.Listen, a.Token
	file, setting := a.TokenFile, "admin.token_file"
	if steers && (a.CommandToken != "" || a.CommandTokenFile != "") {
		o.Token, file, setting = a.CommandToken, a.CommandTokenFile, "admin.command_token_file"
	}
	if file != "" {
		if o.Token, err = readToken(file, "the token of "+setting); err != nil {
			return o, nil, fmt.Errorf("%s: %w", settingPlace(set, setting), err)
		}
	}
	at, err := listen.Parse(a.Listen) // which has been checked
	if err != nil || at.Socket != "" {
		return o, named, err
	}
	host := at.Host
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	o.Address = net.JoinHostPort(host, at.Port)
	if a.TLS != nil {
		o.TLS = trustIn(string(a.TLS.Cert), host)
	}
	return o, named, nil
}

func readToken(path settings.Path, what string) (settings.Secret, error) {
	s, err := secretfiles.Open(secretfiles.Options{File: path, What: what, Token: true, Check: secretfiles.CheckToken})
	if err != nil {
		return "", err
	}
	return settings.Secret(s.Text()), nil
}

func readAuthorities(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &pipeline.EnvironmentError{Err: fmt.Errorf("reading the authorities of --ca: %w", err)}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, &pipeline.EnvironmentError{Err: fmt.Errorf("reading the authorities of --ca: %s holds no PEM certificate", path)}
	}
	return roots, nil
}

// trustIn trusts the certificate of a file, which the pipeline file names as that of its endpoint, beside what
// the system's authorities have signed. The name that it has to carry is host if it does, else its first one: the
// address that a process listens on is often none that a certificate has. When it cannot be read the system decides.
func trustIn(file, host string) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	text, err := os.ReadFile(file)
	block, _ := pem.Decode(text)
	if err != nil || block == nil {
		return c
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return c
	}
	if c.RootCAs, err = x509.SystemCertPool(); err != nil {
		c.RootCAs = x509.NewCertPool()
	}
	c.RootCAs.AppendCertsFromPEM(text)
	switch {
	case leaf.VerifyHostname(host) == nil:
		c.ServerName = host
	case len(leaf.DNSNames) > 0:
		c.ServerName = strings.Replace(leaf.DNSNames[0], "*", "penstock", 1)
	case len(leaf.IPAddresses) > 0:
		c.ServerName = leaf.IPAddresses[0].String()
	}
	return c
}
