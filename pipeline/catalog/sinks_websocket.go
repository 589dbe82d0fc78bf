package catalog

import (
	"errors"
	"fmt"

	"github.com/penstockio/penstock/pipeline/config"
	websocketsink "github.com/penstockio/penstock/sinks/websocket"
)

// warnManyClients warns of more clients than the process has memory for, if all of them come.
func warnManyClients(given any, p *config.Pipeline) []config.Warning {
	s := given.(*websocketsink.Settings)
	budget := p.Limits.InFlightBytes
	if s.ClientBytes() <= int64(budget) {
		return nil
	}
	return []config.Warning{{
		Field: "max_connections",
		Text: fmt.Sprintf("%d clients may take %d MiB, %d KiB each, beside the %s that the process has for all records",
			s.MaxConnections, s.ClientBytes()>>20, websocketsink.ClientSize>>10, budget),
		Suggestion: fmt.Sprintf("write %d at most, or more for limits.in_flight_bytes", int64(budget)/websocketsink.ClientSize),
	}}
}

// websocketKind is the row of the sink websocket.
func websocketKind() config.Kind {
	return config.Kind{
		Section: config.SinkSection, Name: "websocket",
		Doc: "shows records live to any number of clients, over WebSockets and as server-sent events; each may filter, and ask for the last ones",
		Example: `websocket:
  listen: 127.0.0.1:8089
  catch_up: 1000`,
		Settings: settingsOf(websocketsink.Defaults),
		Guarantee: "shown to those who watch at that moment, and kept for those who catch up, as long as the process runs; order of each lane kept at each client; " +
			"a client that is too slow is dropped and told so",
		Check: func(given any, p *config.Pipeline) error {
			if p.DeadLetter != nil && p.DeadLetter.Settings == given {
				return errors.New("dead letters have to outlive the process, and a websocket only shows them: write file or kafka, and a second sink to watch with")
			}
			return nil
		},
		Beside: func(given any) int64 { return given.(*websocketsink.Settings).ClientBytes() },
		Warn:   warnManyClients,
		Build: build(func(s websocketsink.Settings, _ config.Env) (*websocketsink.Sink, error) {
			return websocketsink.New(s)
		}),
	}
}
