package websocketsink

import (
	"net/url"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/server"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Settings are the settings of a WebSocket sink.
type Settings struct {
	server.Settings `yaml:",inline"`

	Path         string        `yaml:"path" doc:"path of the address at which records can be watched, like /live"`
	As           string        `yaml:"as" enum:"value|json|fixture" doc:"value: the record's value as it stands; json: the value, as a JSON string when it is no JSON; fixture: the whole record with key, headers and position"`
	CatchUp      int           `yaml:"catch_up" min:"0" max:"1000000" doc:"most records that a client can ask for of those before it came (?last=N)"`
	CatchUpBytes settings.Size `yaml:"catch_up_bytes" min:"1KiB" max:"16GiB" doc:"most bytes of these"`
	Queue        int           `yaml:"queue" min:"1" max:"1000000" doc:"records that a client may be behind, counted before its filter; then it is too slow. Memory is shared: a record is kept once, however many wait for it"`
	QueueBytes   settings.Size `yaml:"queue_bytes" min:"1KiB" max:"16GiB" doc:"bytes that a client may be behind; the newest record does not count"`
	Slow         string        `yaml:"slow" enum:"drop|wait" doc:"what becomes of a client that is too slow; drop: it gets a notice and is disconnected, and the pipeline never waits; wait: the pipeline waits for it"`
	MaxWait      time.Duration `yaml:"max_wait" min:"1ms" max:"24h" doc:"with slow: wait, how long the pipeline waits for a client before that one is dropped"`
	WriteTimeout time.Duration `yaml:"write_timeout" min:"1ms" max:"1h" doc:"time in which a client has to take 64 KiB, or it is too slow; with slow: wait it has max_wait at least"`
	Ping         time.Duration `yaml:"ping" min:"10ms" max:"1h" doc:"how often a client is asked whether it is still there; one that has not answered when it is asked again is disconnected"`
	Page         settings.Path `yaml:"page" read:"start" doc:"an HTML file to serve at /, to everybody who may connect, without the token; its scripts and styles have to stand in it"`
	PageCalls    []string      `yaml:"page_calls" commas:"true" doc:"sites that the page may call beside its own: http://127.0.0.1:8090"`
}

// Defaults gives the settings of a WebSocket sink before a file is read.
func Defaults() Settings {
	s := Settings{
		Path: "/live", As: asValue, CatchUp: 1000, CatchUpBytes: 8 << 20, Queue: 10_000, QueueBytes: 16 << 20,
		Slow: slowDrop, MaxWait: 10 * time.Second, WriteTimeout: 10 * time.Second, Ping: 30 * time.Second,
	}
	s.MaxConnections = 2000
	return s
}

// ClientBytes is about what as many clients take as may watch at once.
func (s *Settings) ClientBytes() int64 { return int64(s.MaxConnections) * ClientSize }

// timeout is how long a client may take for 64 KiB.
func (s *Settings) timeout() time.Duration {
	if s.Slow == slowWait {
		return max(s.WriteTimeout, s.MaxWait)
	}
	return s.WriteTimeout
}

const (
	slowDrop = "drop"
	slowWait = "wait"
)

// Validate finds what is wrong without looking at any file. It joins several errors.
func (s *Settings) Validate() error {
	var p settings.Problems
	p.Join(s.Settings.Validate())
	if u, err := url.Parse(s.Path); err != nil || !strings.HasPrefix(s.Path, "/") || u.Path != s.Path || u.Host != "" {
		p.Add("path", "it is a path without a query, like /live, and not %q", s.Path)
	}
	if s.Path == "/" && s.Page != "" {
		p.Add("path", "the page is at /: write another path, like /live")
	}
	switch s.As {
	case "", asValue, asJSON, asFixture:
	default:
		p.Add("as", "%q is none: write value, json or fixture", s.As)
	}
	if s.Slow != slowDrop && s.Slow != slowWait {
		p.Add("slow", "%q is none: write drop or wait", s.Slow)
	}
	for _, least := range []struct {
		name      string
		is, least int64
	}{
		{"catch_up", int64(s.CatchUp), 0}, {"catch_up_bytes", int64(s.CatchUpBytes), 1}, {"queue", int64(s.Queue), 1}, {"queue_bytes", int64(s.QueueBytes), 1},
		{"max_wait", int64(s.MaxWait), 1}, {"write_timeout", int64(s.WriteTimeout), 1}, {"ping", int64(s.Ping), 1},
	} {
		if least.is < least.least {
			p.Add(least.name, "it is too small")
		}
	}
	for _, site := range s.PageCalls {
		if u, err := url.Parse(site); err != nil || u.Host == "" || u.Scheme+"://"+u.Host != site || strings.ContainsAny(site, " ;,'\"") {
			p.Add("page_calls", "it takes sites, as https://chat.example or http://127.0.0.1:8090: scheme, host and port alone")
		}
	}
	if len(s.PageCalls) > 0 && s.Page == "" {
		p.Add("page_calls", "there is no page: give page, or leave page_calls out")
	}
	return p.Err()
}
