package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// This file says which command a request is: by its path, and by the members of its body.

const (
	pathReload    = "/api/v1/reload"
	pathLogLevel  = "/api/v1/loglevel"
	pathRates     = "/api/v1/rates/"
	pathPipelines = "/api/v1/pipelines/"
)

// Path gives where the command is asked for.
func (c *Command) Path() string {
	switch c.Verb {
	case VerbReload:
		return pathReload
	case VerbLogLevel:
		return pathLogLevel
	case VerbRate:
		return pathRates + url.PathEscape(c.Rate)
	case VerbWorkers:
		return pathPipelines + url.PathEscape(c.Pipeline) + "/steps/" + url.PathEscape(c.Step) + "/workers"
	}
	return pathPipelines + url.PathEscape(c.Pipeline) + "/" + string(c.Verb)
}

// commandAt gives the command of a path, without what its body says. Its verb is "" when there is none.
func commandAt(path string, rest []string) (c Command) {
	switch {
	case path == pathReload:
		c.Verb = VerbReload
	case path == pathLogLevel:
		c.Verb = VerbLogLevel
	case path == pathRates && len(rest) == 1:
		c.Verb, c.Rate = VerbRate, rest[0]
	case path == pathPipelines && len(rest) == 4 && rest[1] == "steps" && rest[3] == "workers":
		c.Verb, c.Pipeline, c.Step = VerbWorkers, rest[0], rest[2]
	case path == pathPipelines && len(rest) == 2:
		switch v := Verb(rest[1]); v {
		case VerbPause, VerbResume, VerbDrain, VerbSkip, VerbUnskip:
			c.Verb, c.Pipeline = v, rest[0]
		}
	}
	return c
}

// partsOf gives the parts of a request's path behind that of its route, unescaped: a name may hold a slash.
func partsOf(r *http.Request, path string) ([]string, error) {
	text := strings.TrimPrefix(r.URL.EscapedPath(), path)
	if text == "" {
		return nil, nil
	}
	parts := strings.Split(text, "/")
	for i := range parts {
		var err error
		if parts[i], err = url.PathUnescape(parts[i]); err != nil {
			return nil, errors.New("the path cannot be read: percent-encode the names in it")
		}
	}
	return parts, nil
}

// commands are the routes of commands.
func (s *Server) commands() []route {
	parse := func(path string) func([]string, []byte) (Command, error) {
		return func(rest []string, body []byte) (Command, error) {
			c := commandAt(path, rest)
			if c.Verb == "" {
				return c, notFoundError{errors.New("there is no such command: there is " + knownCommands)}
			}
			return c, c.read(body)
		}
	}
	var all []route
	for _, path := range []string{pathReload, pathLogLevel, pathRates, pathPipelines} {
		all = append(all, s.steered(path, parse(path)))
	}
	return all
}

const knownCommands = "/api/v1/reload, /api/v1/loglevel, /api/v1/rates/NAME, /api/v1/pipelines/NAME/pause, …/resume, …/drain, …/skip, …/unskip and …/steps/STEP/workers"

// A keyBody names a key: as text, or in base64 when it is none. Or it names a record, as topic/partition@offset.
type keyBody struct {
	Key       *string `json:"key,omitempty"`
	KeyBase64 []byte  `json:"key_base64,omitempty"`
	Record    string  `json:"record,omitempty"`
}

type (
	laneBody struct {
		Lane *string `json:"lane,omitempty"`
	}
	levelBody struct {
		Level string `json:"level"`
		For   string `json:"for,omitempty"`
	}
	rateBody struct {
		Rate  *settings.Rate `json:"rate,omitempty"`
		Burst *int           `json:"burst,omitempty"`
	}
	workersBody struct {
		Workers int `json:"workers"`
	}
)

// read takes what the body says into the command.
func (c *Command) read(body []byte) error {
	switch c.Verb {
	case VerbPause, VerbResume:
		return c.readLane(body)
	case VerbLogLevel:
		return c.readLevel(body)
	case VerbRate:
		return c.readRate(body)
	case VerbWorkers:
		var b workersBody
		if err := readMembers(body, &b); err != nil {
			return err
		}
		if c.Workers = b.Workers; c.Workers < 1 {
			return errors.New("workers is a number above 0")
		}
		return nil
	case VerbSkip, VerbUnskip:
		return c.readKey(body)
	}
	return readMembers(body, &struct{}{})
}

// readLane reads which lane is meant. A member that names none is no way to mean all of them: whoever has sent it has lost a name.
func (c *Command) readLane(body []byte) error {
	var b laneBody
	all, err := membersOf(body)
	if err != nil {
		return err
	}
	if err := readMembers(body, &b); err != nil {
		return err
	}
	if _, named := all["lane"]; !named {
		return nil
	}
	if b.Lane == nil || *b.Lane == "" {
		return errors.New("lane is empty: name one, as orders/3, or leave lane out for the whole pipeline")
	}
	c.Lane = *b.Lane
	return nil
}

// longestFor bounds how long a level of the log may hold before it goes back.
const longestFor = 7 * 24 * time.Hour

func (c *Command) readLevel(body []byte) error {
	var b levelBody
	if err := readMembers(body, &b); err != nil {
		return err
	}
	switch c.Level = b.Level; c.Level {
	case "debug", "info", "warn", "error", "disabled":
	default:
		return errors.New("level is debug, info, warn, error or disabled")
	}
	if b.For == "" {
		return nil
	}
	d, err := time.ParseDuration(b.For)
	if err != nil || d <= 0 || d > longestFor {
		return fmt.Errorf("for is a time like 10m, at most %dh", int(longestFor.Hours()))
	}
	c.For = d
	return nil
}

func (c *Command) readRate(body []byte) error {
	var b rateBody
	if err := readMembers(body, &b); err != nil {
		return err
	}
	if b.Rate == nil && b.Burst == nil {
		return errors.New("it takes rate, as 50/s, or burst, or both")
	}
	if b.Rate != nil {
		c.Per = *b.Rate
	}
	if b.Burst == nil {
		return nil
	}
	if c.Burst = *b.Burst; c.Burst < 1 || c.Burst > 1_000_000 {
		return errors.New("burst is a number from 1 to 1000000")
	}
	return nil
}

func (c *Command) readKey(body []byte) error {
	var b keyBody
	if err := readMembers(body, &b); err != nil {
		return err
	}
	switch {
	case b.Key != nil && b.KeyBase64 == nil && b.Record == "":
		c.Key = []byte(*b.Key)
	case b.KeyBase64 != nil && b.Key == nil && b.Record == "":
		c.Key = b.KeyBase64
	case b.Record != "" && b.Key == nil && b.KeyBase64 == nil:
		at, err := ParsePosition(b.Record)
		c.Record = &at
		return err
	default:
		return errors.New("it takes key, a text, or key_base64, or record, as orders/3@4711")
	}
	return nil
}

// ParsePosition reads topic/partition@offset, as events and answers have it: orders/3@4711. A topic may hold a slash and
// an at sign.
func ParsePosition(text string) (at pipeline.Position, err error) {
	wrong := errors.New("a record is named by its position, topic/partition@offset, as orders/3@4711")
	lane, offset, ok := cutLast(text, "@")
	topic, partition, isLane := cutLast(lane, "/")
	if !ok || !isLane || topic == "" {
		return at, wrong
	}
	n, err := strconv.ParseInt(partition, 10, 32)
	if err != nil || n < 0 {
		return at, wrong
	}
	if at.Offset, err = strconv.ParseInt(offset, 10, 64); err != nil || at.Offset < 0 {
		return pipeline.Position{}, wrong
	}
	at.Topic, at.Partition = topic, int32(n)
	return at, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// Body gives what is sent to the path of the command.
func (c *Command) Body() any {
	switch c.Verb {
	case VerbPause, VerbResume:
		if c.Lane == "" {
			return laneBody{}
		}
		return laneBody{&c.Lane}
	case VerbLogLevel:
		b := levelBody{Level: c.Level}
		if c.For > 0 {
			b.For = c.For.String()
		}
		return b
	case VerbRate:
		var b rateBody
		if c.Per.Per > 0 {
			b.Rate = &c.Per
		}
		if c.Burst > 0 {
			b.Burst = &c.Burst
		}
		return b
	case VerbWorkers:
		return workersBody{c.Workers}
	case VerbSkip, VerbUnskip:
		if c.Record != nil {
			return keyBody{Record: c.Record.String()}
		}
		if text := string(c.Key); utf8.ValidString(text) {
			return keyBody{Key: &text}
		}
		return keyBody{KeyBase64: c.Key}
	}
	return struct{}{}
}

// readMembers reads a JSON object into a struct. One that is not known is an error: a command with a member that is misspelt would do
// something else.
func readMembers(body []byte, into any) error {
	all, err := membersOf(body)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		body = []byte("{}")
	}
	var known []string
	t := reflect.TypeOf(into).Elem()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		known = append(known, name)
		delete(all, name)
	}
	for name := range all {
		if len(known) == 0 {
			return fmt.Errorf("there is no member %q here: it takes none", name)
		}
		return fmt.Errorf("there is no member %q here: there is %s", name, strings.Join(known, ", "))
	}
	if err := json.Unmarshal(body, into); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return fmt.Errorf("%s is no %s", wrong.Field, typeWords[wrong.Type.Kind()])
		}
		return fmt.Errorf("the body is wrong: %w", err)
	}
	return nil
}

// membersOf gives the members of a JSON object. A body of nothing has none.
func membersOf(body []byte) (all map[string]json.RawMessage, err error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(body, &all); err != nil || all == nil {
		return nil, errors.New("the body is no JSON object")
	}
	return all, nil
}

var typeWords = map[reflect.Kind]string{reflect.String: "text", reflect.Int: "whole number", reflect.Slice: "text in base64", reflect.Struct: "rate, as 50/s"}
