package stages

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/pipeline/textformat"
)

// What parse and format share.

// A TextFormat names a format of text.
type TextFormat string

// The formats.
const (
	AsJSON      TextFormat = "json"
	AsText      TextFormat = "text"
	AsCSV       TextFormat = "csv"
	AsLogfmt    TextFormat = "logfmt"
	AsKeyValue  TextFormat = "key_value"
	AsRegex     TextFormat = "regex"
	AsURL       TextFormat = "url"
	AsQuery     TextFormat = "query"
	AsTimestamp TextFormat = "timestamp"
	AsAccessLog TextFormat = "access_log"
	AsSyslog    TextFormat = "syslog"
	AsBase64    TextFormat = "base64"
	AsHex       TextFormat = "hex"
	AsGzip      TextFormat = "gzip"
	AsZstd      TextFormat = "zstd"
)

// isBytes says whether the format is one of bytes: what it holds may be anything.
func (f TextFormat) isBytes() bool { return f == AsBase64 || f == AsHex || f.compresses() }

// compresses says whether the format itself is bytes too, and no text.
func (f TextFormat) compresses() bool { return f == AsGzip || f == AsZstd }

// A given is a setting that only some formats have, and says whether the file has it.
type given struct {
	name string
	is   bool
	with []TextFormat
}

// as checks the format, and that the settings go with it.
func (p *problems) as(as TextFormat, formats []TextFormat, list []given) {
	if !slices.Contains(formats, as) {
		p.Add("as", "%q is no format: write one of %s", string(as), formatNames(formats, ", "))
		return
	}
	for _, g := range list {
		if g.is && !slices.Contains(g.with, as) {
			p.Add(g.name, "it goes with as: %s, and not with as: %s", formatNames(g.with, " or "), as)
		}
	}
}

func formatNames(formats []TextFormat, glue string) string {
	all := make([]string, len(formats))
	for i, f := range formats {
		all[i] = string(f)
	}
	return strings.Join(all, glue)
}

// columns checks the names of columns.
func (p *problems) columns(columns []settings.FieldName) (list []string) {
	for i, c := range columns {
		if c == "" || slices.Contains(columns[:i], c) {
			p.Add("columns", "column %d has no name, or that of another", i+1)
		}
		list = append(list, string(c))
	}
	return list
}

// separators checks those of csv and key_value.
func (p *problems) separators(as TextFormat, separator, key string) (of rune, pairs textformat.Pairs) {
	pairs = textformat.Pairs{Separator: separator, KeySeparator: key, Logfmt: as == AsLogfmt}
	if as == AsCSV && separator != "" {
		r, err := textformat.ParseSeparator(separator)
		if err != nil {
			p.Add("separator", "%w", err)
		}
		of = r
	}
	if as != AsKeyValue {
		return of, pairs
	}
	var err error
	if pairs.Separator, err = textformat.PairSeparator(separator); err != nil {
		p.Add("separator", "%w", err)
	} else if err = textformat.CheckKeySeparator(key, pairs.Separator); err != nil {
		p.Add("key_separator", "%w", err)
	}
	return of, pairs
}

// zone checks the name of a zone; "" is UTC.
func (p *problems) zone(name string) *time.Location {
	if name == "" {
		return time.UTC
	}
	zone, err := textformat.LoadZone(name)
	if err != nil {
		p.Add("zone", "%w", err)
	}
	return zone
}

// workOn says in an error what was worked on.
func workOn(doing string, as TextFormat, field jsontext.Path) string {
	if field == nil {
		return fmt.Sprintf("%s the value as %s", doing, as)
	}
	return fmt.Sprintf("%s the field %s as %s", doing, field, as)
}

// roomFor is about how much JSON text a text becomes.
func roomFor(rec *pipeline.Record, n int) []byte { return rec.Room(n + n/2 + 128) }

// notNil makes an empty slice of none: a value that is nil is a tombstone.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
