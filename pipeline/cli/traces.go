package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/metrics"
	"github.com/penstockio/penstock/pipeline/trace"
)

// openTraces begins to trace as the files say; without that nothing is traced.
func (p *process) openTraces(set *config.Set) error {
	c := set.Process.Traces
	if c == nil {
		return nil
	}
	header, err := c.Header()
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("%s: %w", settingPlace(set, "traces.endpoint"), err)}
	}
	var secrets []string
	for _, s := range c.SecretHeaders {
		secrets = append(secrets, s.Reveal())
	}
	p.traces, err = trace.New(trace.Options{
		Endpoint: c.Endpoint, Header: header, Secrets: secrets,
		Auth: c.Auth, TLS: c.TLS,
		Sample: float64(c.Sample), Parent: c.Parent, Baggage: c.Baggage, Hosts: c.Hosts, Queue: c.Queue,
		Service: c.Service, Instance: p.events.Instance(), Version: buildInfo().Version,
		Warn: func(err error, dropped int64) {
			p.events.Log().Warn().Int64("dropped", dropped).Msg("the collector of traces takes no spans, and they are dropped until it does: " + err.Error())
		},
		Note: func(text string) { p.events.Log().Info().Msg(text) },
		Full: func(dropped int64) {
			p.events.Log().Warn().Int64("dropped", dropped).Msg("spans of traces find no room and are dropped: trace fewer records (traces.sample), or let more spans wait (traces.queue)")
		},
		Refused: func(dropped int64) {
			p.events.Log().Warn().Int64("dropped", dropped).Msg("the collector of traces takes some spans of a request and refuses others, which are dropped: its own log says why")
		},
		WarnFile: func(err error) {
			p.events.Log().Warn().Err(err).Msg("a file of traces.tls or traces.auth is not used as it is now")
		},
	})
	if away := (*pipeline.EnvironmentError)(nil); errors.As(err, &away) {
		return &exitError{exitEnvironment, fmt.Errorf("%s: %w", settingPlace(set, "traces.endpoint"), err)}
	}
	if err != nil {
		return &exitError{exitUsage, fmt.Errorf("%s: %w", settingPlace(set, "traces.endpoint"), err)}
	}
	return nil
}

// traced gives what the options of a pipeline get, so that it is traced if the process traces.
func (p *process) traced(set *config.Set) func(*engine.Options) {
	if p.traces == nil {
		return nil
	}
	return func(o *engine.Options) {
		for _, file := range set.Pipelines {
			if file.Name == o.Name {
				of := trace.Pipeline{Name: file.Name, Source: file.Source.Kind.Name}
				if s, ok := o.Source.(interface{ Group() string }); ok {
					of.Group = s.Group()
				}
				o.Tracer = p.traces.Pipeline(of)
			}
		}
	}
}

// The end of a process waits for its last spans for as long as there is left of the drain budget, within these bounds; one that is forced for the
// least time.
const (
	leastFlush = 500 * time.Millisecond
	mostFlush  = 5 * time.Second
)

// closeTraces sends the last spans, and says how many have not been sent in all.
func (p *process) closeTraces() {
	if p.traces == nil {
		return
	}
	p.unlessForced(p.flushTime(), p.traces.Close)
	if sent, dropped, waiting := p.traces.Counts(); dropped+waiting > 0 {
		p.events.Log().Warn().Int64("sent", sent).Int64("dropped", dropped+waiting).Msg("some spans of traces were not sent")
	}
}

// unlessForced waits for f. Its ctx ends after a time, and at a signal that asks for the end once more.
func (p *process) unlessForced(most time.Duration, f func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	for {
		select {
		case <-done:
			return
		case s := <-p.signals:
			if asksToEnd(s, p.terminal) && time.Since(p.signalAt) >= sameSignal {
				cancel()
			}
		}
	}
}

// flushTime is how long the end waits for the last spans.
func (p *process) flushTime() time.Duration {
	left := mostFlush
	switch {
	case p.forcedBy != nil:
		left = leastFlush
	case !p.stopping.IsZero():
		left = min(max(p.drain-time.Since(p.stopping), leastFlush), mostFlush)
	}
	return left
}

// traceCounts says what has become of spans. nil: nothing is traced.
func (p *process) traceCounts() func() metrics.TraceCounts {
	if p.traces == nil {
		return nil
	}
	return func() (n metrics.TraceCounts) {
		n.Sent, n.Dropped, n.Waiting = p.traces.Counts()
		return n
	}
}
