package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/tlsfiles"
)

// checkProgressEvery is how often progress is checked when nobody asks /livez: a standstill
// is measured from the first look at it.
const checkProgressEvery = 10 * time.Second

// serve starts the administration endpoint of the process, when a file asks for one.
// The error has the place of the setting.
func (p *process) serve(set *config.Set) (*admin.Server, error) {
	s, err := p.newEndpoint(set)
	if s == nil || err != nil {
		return nil, err
	}
	if err := s.Start(); err != nil {
		return nil, &exitError{exitEnvironment, fmt.Errorf("%s: %w", settingPlace(set, "admin.listen"), err)}
	}
	return s, nil
}

// newEndpoint makes the endpoint, with its token and its certificate; nil: no file asks for one.
func (p *process) newEndpoint(set *config.Set) (*admin.Server, error) {
	a := set.Process.Admin
	if a == nil {
		return nil, nil
	}
	warn := func(err error) { p.events.Log().Warn().Msg(err.Error()) }
	secure, err := serverTLS(a.TLS, warn)
	if err != nil {
		return nil, &exitError{exitEnvironment, fmt.Errorf("%s: %w", settingPlace(set, "admin.tls"), err)}
	}
	p.watchProgress(true)
	live := func() error { return errors.Join(p.failed.error(), p.checkProgress()) }
	taps, err := p.openTaps(set)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	b := buildInfo()
	s, err := admin.New(admin.Options{
		Listen: a.Listen, TLS: secure, Token: a.Token, TokenFile: a.TokenFile, Hosts: a.Hosts, Pprof: a.Pprof, Warn: warn,
		Live: live, Ready: p.readiness, Snapshots: p.snapshots, Log: p.log.Counts, Metrics: p.metrics(),
		Holds: p.holds, InFlight: p.inFlight, Tap: taps, Commands: p.commanding(a),
		Files:  func() ([]admin.File, error) { return shownFiles(p.config.now().set) },
		Shapes: func() []admin.Shape { return shapes(p.config.now().set) }, Recent: p.events.Recent(), Page: a.Page,
		Version: admin.Version{Service: "penstock", Version: b.Version, Revision: b.Revision, Go: b.Go, Instance: p.events.Instance()},
		Hash:    func() string { return p.config.now().set.Hash },
	})
	var env *pipeline.EnvironmentError
	switch {
	case errors.As(err, &env):
		setting := "admin.token_file"
		if strings.Contains(err.Error(), "admin.command_token_file") {
			setting = "admin.command_token_file"
		}
		return nil, &exitError{exitEnvironment, fmt.Errorf("%s: %w", settingPlace(set, setting), err)}
	case err != nil:
		return nil, &exitError{exitUsage, fmt.Errorf("%s: %w", settingPlace(set, "admin.listen"), err)}
	}
	return s, nil
}

// settingPlace gives where a setting of the process stands: in one of its files, or in none, and then
// where it would stand.
func settingPlace(set *config.Set, path string) string {
	place, around := set.Pipelines[0].File, path[:strings.LastIndexByte(path, '.')]
	for _, file := range set.Pipelines {
		switch at := file.Place(path); at {
		case file.File:
		case file.Place(around):
			place = at
		default:
			return at
		}
	}
	return place
}

// serverTLS gives the settings that show the certificate of a file, read again when it changes; nil: none.
func serverTLS(t *config.AdminTLS, warn func(error)) (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	files, err := tlsfiles.Open(tlsfiles.Paths{Cert: string(t.Cert), Key: string(t.Key)}, &tls.Config{MinVersion: tls.VersionTLS12}, warn)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return files.Config(), nil },
	}, nil
}

// shownFiles gives the effective settings of all pipelines, as config show has them.
func shownFiles(set *config.Set) (all []admin.File, err error) {
	for _, p := range set.Pipelines {
		text, err := p.Show()
		if err != nil {
			return nil, err
		}
		all = append(all, admin.File{Pipeline: p.Name, File: p.File, Hash: p.Hash, YAML: string(text)})
	}
	return all, nil
}

// shutDownPatience is how long a request under way may take at the end: answers are made in
// memory.
const shutDownPatience = 250 * time.Millisecond

// shutDown ends the endpoint; nil: the process has none.
func shutDown(s *admin.Server) {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutDownPatience)
	defer cancel()
	_ = s.Shutdown(ctx) // the process ends
}

func (p *process) snapshots() (all []engine.Snapshot) {
	for _, m := range p.pipelines {
		all = append(all, m.runner.Snapshot())
	}
	return all
}

// readiness is what /readyz answers.
func (p *process) readiness() error {
	switch {
	case p.draining.Load():
		return errors.New("stopping")
	case len(p.failed.all()) > 0:
		return p.failed.error() // at once: watch sees it only at its next look
	case p.ready.Load():
		return nil
	}
	why := p.unready()
	if why == "" {
		why = "starting"
	}
	return errors.New(why)
}
