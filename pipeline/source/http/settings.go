package http

import (
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/server"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Settings are the settings of a source that records are posted to.
type Settings struct {
	server.Settings `yaml:",inline"`

	Path         string         `yaml:"path" doc:"path that records are posted to"`
	As           string         `yaml:"as" enum:"json|ndjson|text" doc:"what each body is, whatever its Content-Type says: json (a value, or an array with a record for each element), ndjson (a value a line), text (all of it is the value of one record, as it stands); without it the Content-Type decides: application/json, application/x-ndjson, or text/plain and application/octet-stream"`
	Topic        string         `yaml:"topic" doc:"meta.topic of the records; default: the name of the pipeline"`
	Key          *expr.Expr     `yaml:"key" doc:"expression that gives the key of a record; what it fails on refuses the request"`
	Time         *expr.Expr     `yaml:"time" doc:"expression that gives the time of a record, as a date or in milliseconds since 1970; without it, and where it gives nil, when the request came"`
	Headers      []string       `yaml:"headers" commas:"true" doc:"headers of a request that its records keep, under their names in lower case: one, or several"`
	Answer       string         `yaml:"answer" enum:"durable|accepted" doc:"durable: 200 when each record of the request is delivered, filtered or in the dead letters; accepted: 202 when all are in memory, from where a crash loses them, and a stop whose drain budget ends"`
	AnswerWithin time.Duration  `yaml:"answer_within" min:"1s" max:"24h" doc:"how long a request waits for records that were taken; then it is answered 503, and its records go on"`
	Wait         time.Duration  `yaml:"wait" max:"10m" doc:"how long a request waits for room before it is answered 429, with nothing of it taken"`
	Lanes        int            `yaml:"lanes" min:"1" max:"1024" doc:"in how many lanes the records run; a connection keeps to one, so what comes over it keeps its order; where limits.in_flight_bytes is spent, one body of each lane may grow beyond it"`
	MaxBody      settings.Size  `yaml:"max_body" min:"1KiB" max:"256MiB" doc:"bytes that a body may have, also after decompression; lanes times that may be held beyond limits.in_flight_bytes"`
	MaxRecords   int            `yaml:"max_records" min:"1" max:"1000000" doc:"records that a request may have"`
	Rate         *settings.Rate `yaml:"rate" doc:"records in a time at most, as 1000/s; more are answered 429; default: no bound"`
	Burst        int            `yaml:"burst" min:"1" max:"100000000" doc:"with rate: records that may come at once after a quiet time; a request with more passes when the whole burst is free; default: those of a second, and 1 at least"`
	HeaderTime   time.Duration  `yaml:"header_timeout" min:"100ms" max:"10m" doc:"how long the header of a request may take to come"`
	BodyTime     time.Duration  `yaml:"body_timeout" min:"100ms" max:"1h" doc:"how long its body may take to come"`
	IdleTime     time.Duration  `yaml:"idle_timeout" min:"1s" max:"24h" doc:"how long a connection may be without a request"`
	Idempotency  *Idempotency   `yaml:"idempotency" doc:"how long the Idempotency-Key of a request is remembered; without it the header means nothing"`
}

// Idempotency says how long keys of requests are remembered.
type Idempotency struct {
	Keep time.Duration `yaml:"keep" min:"1s" max:"720h" doc:"how long a key is remembered from when its request was answered"`
	Size int           `yaml:"size" min:"1" max:"10000000" doc:"how many keys are remembered at most; one too many takes the place of the oldest"`
	File settings.Path `yaml:"file" doc:"file that holds them over a restart, written before the answer; without it they are gone with the process"`
}

// SetDefaults implements the settings of package config.
func (i *Idempotency) SetDefaults() { *i = Idempotency{Keep: time.Hour, Size: 100_000} }

// Values of Settings.As and Settings.Answer.
const (
	asJSON   = "json"
	asNDJSON = "ndjson"
	asText   = "text"

	Durable  = "durable"
	Accepted = "accepted"
)

// Defaults gives the settings that a file does not name.
func Defaults() Settings {
	return Settings{
		Path: "/records", Answer: Durable, AnswerWithin: time.Minute, Wait: 2 * time.Second,
		Lanes: 16, MaxBody: 4 << 20, MaxRecords: 10_000,
		HeaderTime: 5 * time.Second, BodyTime: 30 * time.Second, IdleTime: 2 * time.Minute,
	}
}

// secret are headers that no record may keep: they hold what lets a caller in, and records are stored and shown.
var secret = []string{"Authorization", "Cookie", "Proxy-Authorization"}

// Validate finds what is wrong without looking at any file.
func (s *Settings) Validate() error {
	var p settings.Problems
	p.Join(s.Settings.Validate())
	if !strings.HasPrefix(s.Path, "/") || strings.ContainsAny(s.Path, "?#% {}") {
		p.Add("path", "%q is no path: it begins with /, and has neither ? nor # nor escapes: write /records", s.Path)
	}
	for _, name := range s.Headers {
		switch key := textproto.CanonicalMIMEHeaderKey(name); {
		case name == "" || strings.ContainsAny(name, " :\r\n\t\"(),/;<=>?@[\\]{}"):
			p.Add("headers", "%q is no name of a header", name)
		case slices.Contains(secret, key):
			p.Add("headers", "%s holds what lets a caller in, and records are stored and shown: take it out", key)
		}
	}
	if s.Burst > 0 && s.Rate == nil {
		p.Add("burst", "there is no rate: write rate: 1000/s beside it")
	}
	if s.Time != nil {
		p.Check("time", s.Time.CheckTime())
	}
	return p.Err()
}
