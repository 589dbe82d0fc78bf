package stages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/pipeline/textformat"
)

// ReasonNotParsed is the reason of a record that was rejected because its text is not of the format.
const ReasonNotParsed = "not_parsed" // a text is not of the format as which it is parsed

// ParseSettings are the settings of a Parse.
type ParseSettings struct {
	As           TextFormat           `yaml:"as" required:"true" enum:"json|csv|logfmt|key_value|regex|url|query|timestamp|access_log|syslog|base64|hex|gzip|zstd|text" doc:"what the text is. json: JSON; csv: one line, RFC 4180; logfmt, key_value: pairs, a key alone is true; regex: the named groups of pattern; url: scheme, user, password, host, port, path, query, fragment; query: a query string; timestamp: a moment in one of layouts; access_log: a line of Apache or nginx, common or combined; syslog: RFC 5424 or RFC 3164; base64, hex, gzip, zstd: what is coded or compressed; text: any text, as a string. What is not there has no field, a name that comes several times has an array, and - in an access_log or syslog is not there"`
	Field        settings.FieldPath   `yaml:"field" doc:"field to parse, where it is a string or a number; one that is missing or null is left as it is; gzip and zstd stand in a field as base64; left out: the value as it stands"`
	Into         settings.FieldPath   `yaml:"into" doc:"field that takes the result; left out: in place; without field the value becomes an object that has this field alone"`
	Columns      []settings.FieldName `yaml:"columns" doc:"names of the fields of csv, in order, as many as there are; left out: column1, column2, …"`
	Separator    string               `yaml:"separator" doc:"what parts the fields of csv (left out: a comma) or the pairs of key_value (left out: white space)"`
	KeySeparator string               `yaml:"key_separator" doc:"what parts key and value of key_value; left out: ="`
	Pattern      string               `yaml:"pattern" doc:"of regex: RE2, at most 1,000 bytes, with groups that have names"`
	Numbers      bool                 `yaml:"numbers" doc:"of csv, logfmt, key_value and regex: what is written as JSON has a number (7, -0.5, 1e+09) becomes one; what may be a code stays text: 007, 12e456, more than 18 digits; left out: all stays text"`
	Layouts      []string             `yaml:"layouts" doc:"of timestamp, tried in turn: rfc3339, rfc2822, rfc850, http, ansic, clf, nginx_error, syslog (its year is the one nearest to the record's time), datetime, date, unix, unix_ms, unix_us, unix_ns, in upper or lower case, or one written with the parts of 2006-01-02 15:04:05.000 -0700"`
	Zone         string               `yaml:"zone" doc:"of timestamp and syslog: zone of what names none, like Europe/Berlin; left out: UTC"`
	To           string               `yaml:"to" enum:"rfc3339|ms" doc:"of timestamp: text of RFC 3339 in UTC, or milliseconds since 1970; left out: rfc3339"`
	MaxBytes     settings.Size        `yaml:"max_bytes" min:"1B" max:"1GiB" doc:"of gzip and zstd: most bytes of what is compressed; more reject the record"`
}

const defaultMaxBytes = 16 << 20

// DefaultParse gives the settings of a Parse before a file is read.
func DefaultParse() ParseSettings { return ParseSettings{MaxBytes: defaultMaxBytes} }

var parseFormats = []TextFormat{AsJSON, AsCSV, AsLogfmt, AsKeyValue, AsRegex, AsURL, AsQuery, AsTimestamp, AsAccessLog, AsSyslog, AsBase64, AsHex, AsGzip, AsZstd, AsText}

// Validate implements the check of settings.
func (s *ParseSettings) Validate() error {
	_, err := s.parse()
	return err
}

// parse makes the stage of the settings, as far as they are right.
func (s *ParseSettings) parse() (*Parse, error) {
	var p problems
	p.as(s.As, parseFormats, []given{
		{"columns", s.Columns != nil, []TextFormat{AsCSV}},
		{"separator", s.Separator != "", []TextFormat{AsCSV, AsKeyValue}},
		{"key_separator", s.KeySeparator != "", []TextFormat{AsKeyValue}},
		{"pattern", s.Pattern != "", []TextFormat{AsRegex}},
		{"numbers", s.Numbers, []TextFormat{AsCSV, AsLogfmt, AsKeyValue, AsRegex}},
		{"layouts", s.Layouts != nil, []TextFormat{AsTimestamp}},
		{"zone", s.Zone != "", []TextFormat{AsTimestamp, AsSyslog}},
		{"to", s.To != "", []TextFormat{AsTimestamp}},
		{"max_bytes", s.MaxBytes != defaultMaxBytes && s.MaxBytes != 0, []TextFormat{AsGzip, AsZstd}},
	})
	if s.To != "" && s.To != "rfc3339" && s.To != "ms" {
		p.Add("to", "%q is neither rfc3339 nor ms", s.To)
	}
	if s.MaxBytes < 1 && s.As.compresses() {
		p.Add("max_bytes", "below one byte")
	}
	t := &Parse{as: s.As, most: int(s.MaxBytes), field: p.place("field", s.Field), into: p.place("into", s.Into)}
	if t.field == nil {
		for _, step := range t.into {
			if step.Kind == jsontext.Indexed {
				p.Add("into", "the value becomes an object with this field alone: %s can only have names", s.Into)
			}
		}
	}
	t.read = s.reader(&p, t)
	t.doing = workOn("parsing", t.as, t.field)
	return t, p.Err()
}

// A reader appends what text says to dst.
type reader func(dst, text []byte, near time.Time) ([]byte, error)

// timeless makes a reader of one that does not ask for a time.
func timeless(read func(dst, text []byte) ([]byte, error)) reader {
	return func(dst, text []byte, _ time.Time) ([]byte, error) { return read(dst, text) }
}

func (s *ParseSettings) reader(p *problems, t *Parse) reader {
	separator, pairs := p.separators(s.As, s.Separator, s.KeySeparator)
	pairs.Numbers = s.Numbers
	zone := p.zone(s.Zone)
	switch s.As {
	case AsJSON:
		return timeless(textformat.AppendJSON)
	case AsText:
		return timeless(textformat.AppendText)
	case AsCSV:
		return timeless(textformat.CSV{Columns: p.columns(s.Columns), Separator: separator, Numbers: s.Numbers}.AppendObject)
	case AsLogfmt, AsKeyValue:
		return timeless(pairs.AppendObject)
	case AsURL:
		return timeless(textformat.AppendURL)
	case AsQuery:
		return timeless(textformat.AppendQuery)
	case AsAccessLog:
		return timeless(textformat.AppendAccessLog)
	case AsSyslog:
		return textformat.Syslog{Zone: zone}.AppendObject
	case AsBase64:
		return timeless(textformat.AppendFromBase64)
	case AsHex:
		return timeless(textformat.AppendFromHex)
	case AsGzip:
		return timeless(func(dst, text []byte) ([]byte, error) { return t.codecs.AppendFromGzip(dst, text, t.most) })
	case AsZstd:
		return timeless(func(dst, text []byte) ([]byte, error) { return t.codecs.AppendFromZstd(dst, text, t.most) })
	case AsRegex:
		pattern, err := textformat.NewPattern(s.Pattern)
		if err != nil {
			p.Add("pattern", "%w", err)
			return nil
		}
		return timeless(func(dst, text []byte) ([]byte, error) { return pattern.AppendObject(dst, text, s.Numbers) })
	case AsTimestamp:
		stamp, err := textformat.NewTimestamp(s.Layouts, zone)
		if err != nil {
			p.Add("layouts", "%w", err)
			return nil
		}
		return func(dst, text []byte, near time.Time) ([]byte, error) {
			return stamp.AppendRead(dst, text, near, s.To == "ms")
		}
	}
	return nil // and as is wrong
}

// A Parse makes JSON of text: of the value, whatever its bytes are, or of a field. Text that is not
// of the format rejects the record with not_parsed, and the error says where it does not fit. A
// field that is missing or null is left as it is. What a field cannot be read for is rejected as in
// every stage, and a result that has no place with no_path. What base64, hex, gzip and zstd hold
// becomes the value itself, whatever it is; in a field it must be UTF-8. Tombstones pass unchanged.
type Parse struct {
	as          TextFormat
	field, into jsontext.Path // nil: none
	most        int           // bytes of what is compressed
	read        reader
	doing       string // for errors
	codecs      textformat.Compression
}

// NewParse makes a Parse.
func NewParse(s ParseSettings) (*Parse, error) {
	t, err := s.parse()
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Process implements pipeline.Stage.
func (t *Parse) Process(_ context.Context, rec *pipeline.Record) error {
	if rec.Tombstone() {
		return nil
	}
	if t.field != nil {
		return t.inField(rec)
	}
	text := rec.Value()
	if t.as == AsJSON && t.into == nil {
		if err := textformat.CheckJSON(text); err != nil {
			return t.failed(err)
		}
		return nil // byte for byte as it came
	}
	out, err := t.apply(rec, nil, text, t.into != nil)
	if err == nil && t.into != nil {
		out, err = jsontext.Set(nil, []byte("null"), t.into, out)
	}
	if err != nil {
		return t.failed(err)
	}
	rec.SetValue(notNil(out))
	return nil
}

func (t *Parse) inField(rec *pipeline.Record) error {
	value, err := rec.At(t.field)
	if err != nil || value == nil || value[0] == 'n' {
		return err
	}
	text, room := value, []byte(nil)
	switch c := value[0]; {
	case c == '"' && bytes.IndexByte(value, '\\') < 0:
		text = value[1 : len(value)-1]
	case c == '"':
		// One room for the characters and for what they become: each that is asked for may be made anew.
		text = jsontext.AppendUnquoted(roomFor(rec, 2*len(value)), value)
		room = text[len(text):]
	case c != '-' && (c < '0' || c > '9') && t.as != AsJSON:
		return t.failed(errors.New("it is neither a string nor a number"))
	}
	if t.as.compresses() {
		if text, err = textformat.AppendFromBase64(nil, text); err != nil {
			return t.failed(fmt.Errorf("the base64 around it: %w", err))
		}
	}
	out, err := t.apply(rec, room, text, true)
	if err != nil {
		return t.failed(err)
	}
	to := t.into
	if to == nil {
		to = t.field
	}
	return rec.SetRawAt(to, out)
}

// apply gives what text says, as JSON where that is needed: bytes become a string. It writes into
// room, or makes room when that is nil.
func (t *Parse) apply(rec *pipeline.Record, room, text []byte, needJSON bool) ([]byte, error) {
	if room == nil && !t.as.compresses() { // whose size says nothing
		room = roomFor(rec, len(text))
	}
	out, err := t.read(room, text, timeOf(rec))
	if err != nil || !needJSON || !t.as.isBytes() {
		return out, err
	}
	if out, err = textformat.AppendText(roomFor(rec, len(out)), out); err != nil {
		return nil, fmt.Errorf("what it holds is no text: %w", err)
	}
	return out, nil
}

// timeOf gives the record's time, the zero time where it has none.
func timeOf(rec *pipeline.Record) time.Time {
	if rec.Time == pipeline.NoTime {
		return time.Time{}
	}
	return time.UnixMilli(rec.Time)
}

func (t *Parse) failed(err error) error {
	return pipeline.Reject(ReasonNotParsed, fmt.Errorf("%s: %w", t.doing, err))
}
