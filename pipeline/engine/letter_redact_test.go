package engine

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/event"
)

// A letter goes to its sink as its Redact has left it, without what a server has said; and when
// Redact panics, with nothing that is the record's own. Events have no hash of a redacted key.
func TestLettersAreRedacted(t *testing.T) {
	for name, c := range map[string]struct {
		redact             func(*deadletter.Contents)
		key, value, got    string
		own, redactedNames string
		message            string // "": as it was
	}{
		"redacted": {redact: func(c *deadletter.Contents) {
			if string(c.Key) != "key" || string(c.Value) != `{"a":1}` || string(c.Got) != `{"a":1,"b":2}` || !c.HasGot || len(c.Headers) != 1 {
				t.Errorf("to be redacted is %+v", c)
			}
			if c.Error != "asking: no" {
				t.Errorf("the message to be redacted is %q", c.Error)
			}
			c.Error = "asking ***"
			c.Key, c.Value, c.Headers[0].Value, c.Got = []byte("k"), []byte("v"), []byte("h"), []byte("g")
			c.Redacted = []string{"fields", "key"}
		}, key: "k", value: "v", got: "g", own: "h", redactedNames: "fields,key", message: "asking ***"},
		"all is gone": {redact: func(c *deadletter.Contents) { *c = deadletter.Contents{Error: c.Error, Redacted: []string{"value"}} }, redactedNames: "value"},
		"grown":       {redact: func(c *deadletter.Contents) { c.Got = bytes.Repeat([]byte("x"), deadletter.MaxValue+1) }, key: "key", value: `{"a":1}`, own: "canary"},
		"a panic":     {redact: func(*deadletter.Contents) { panic("redacting") }, redactedNames: "headers,key,value", message: "redacting the letter panicked, and the message is left out"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				dead := &collect{}
				_, err := run(t, Options{
					Source: &memory{lanes: 1, records: 1, key: func(int, int) string { return "key" }, value: func(int, int) string { return `{"a":1}` },
						wrap: withHeaders(func(*pipeline.Record) []pipeline.Header {
							return []pipeline.Header{{Name: "own", Value: []byte("canary")}}
						})},
					Sinks: []Output{{Name: "out", Sink: &collect{}}}, Events: event.New(&log, event.Options{}),
					DeadLetter: DeadLetter{Sink: dead, Redact: c.redact, RedactsKey: true},
					Steps: []Step{edits("b", "2"), {Name: "x", Stage: does(func(context.Context, *pipeline.Record) error {
						return pipeline.Permanent(detailed{errors.New("asking: no")})
					})}},
				})
				if got := dead.all(); err != nil || len(got) != 1 {
					t.Fatal(err, got)
				}
				s := dead.all()[0]
				if s.key != c.key || s.value != c.value || s.headers[deadletter.Value] != c.got || s.headers["own"] != c.own || s.headers[deadletter.Redacted] != c.redactedNames {
					t.Errorf("%+v", s)
				}
				message := c.message
				if message == "" {
					message = "asking: no"
				}
				if got := s.headers[deadletter.Error]; got != message {
					t.Errorf("the message is %q, want %q", got, message)
				}
				if s.headers[deadletter.Reason] != pipeline.ReasonPermanent || s.headers[deadletter.Offset] != "0" {
					t.Errorf("the reason is gone: %v", s.headers)
				}
				if _, ok := s.headers[deadletter.Detail]; ok {
					t.Error("the letter has what the server said")
				}
				if text := log.String(); !strings.Contains(text, "record.rejected") || strings.Contains(text, "key_hash") {
					t.Errorf("the log:\n%s", text)
				}
			})
		})
	}
}
