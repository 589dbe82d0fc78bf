package stages

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A table is the rows of a file, by key, each the JSON text to put in.
type table struct {
	rows  map[string][]byte
	stamp stamp
}

func (s *TableSettings) format() (string, error) {
	switch f := s.Format; {
	case f == "csv" || f == "jsonl":
		return f, nil
	case f != "":
		return "", fmt.Errorf("%q is none: write csv or jsonl", f)
	}
	switch ext := strings.ToLower(filepath.Ext(string(s.File))); ext {
	case ".csv":
		return "csv", nil
	case ".jsonl", ".ndjson":
		return "jsonl", nil
	default:
		return "", fmt.Errorf("a file that ends in %q may be anything: write csv or jsonl", ext)
	}
}

// readTable reads the file. Errors name the setting, the file and the line, and say what
// to do where that is not plain; they quote no values.
func readTable(s LookupSettings) (*table, error) {
	t := &table{rows: map[string][]byte{}}
	b := tableBuilder{s: s, t: t}
	var err error
	if b.key, b.columns, err = s.columns(); err != nil {
		return nil, err
	}
	text, err := t.load(s.Table)
	if err == nil {
		err = b.build(text)
	}
	var f *settings.FieldError
	switch {
	case err == nil:
		return t, nil
	case errors.As(err, &f):
		return nil, f
	}
	return nil, &settings.FieldError{Field: "table.file", Err: fmt.Errorf("reading the table: %w", err)}
}

// errChanging is the error of a file that changed while it was read: what was read may be half of
// one version and half of another.
var errChanging = errors.New("it changed while it was read; write it beside, and rename it into place")

// load gives what the file holds, with its stamp.
func (t *table) load(s TableSettings) (text []byte, err error) {
	path := string(s.File)
	info, err := os.Stat(path)
	var failed *fs.PathError
	switch {
	case errors.As(err, &failed):
		return nil, &fs.PathError{Op: "open", Path: path, Err: failed.Err}
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder", path)
	case !info.Mode().IsRegular(): // opening a pipe may wait for ever
		return nil, fmt.Errorf("%s is no regular file: a table is read more than once", path)
	}
	g, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = g.Close() }() // nothing was written
	if info, err = g.Stat(); err != nil {
		return nil, err
	}
	t.stamp = stamp{info: info}
	text, err = io.ReadAll(io.LimitReader(g, int64(s.MaxBytes)+1))
	if err != nil {
		return nil, err
	}
	if is := stampOf(path); !is.same(t.stamp) {
		return nil, fmt.Errorf("%s: %w", path, errChanging)
	}
	if int64(len(text)) > int64(s.MaxBytes) {
		return nil, fmt.Errorf("%s is larger than max_bytes, %v", path, s.MaxBytes)
	}
	return text, nil
}

type tableBuilder struct {
	s       LookupSettings
	key     jsontext.Path
	columns []jsontext.Path // nil: all
	t       *table
	lines   map[string]int // where a key stands
}

// called is what the key is called in messages.
func (b *tableBuilder) called() string {
	if len(b.key) == 1 {
		return b.key[0].Name
	}
	return b.key.String()
}

func (b *tableBuilder) at(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", b.s.Table.File, line, fmt.Errorf(format, args...))
}

func (b *tableBuilder) add(line int, key string, row []byte) error {
	if b.lines == nil {
		b.lines = map[string]int{}
	}
	if before, ok := b.lines[key]; ok {
		return b.at(line, "%q is the same as in line %d; keys stand once", b.called(), before)
	}
	b.lines[key] = line
	b.t.rows[key] = row
	return nil
}

// build makes the rows of the text.
func (b *tableBuilder) build(text []byte) error {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return b.at(1, "it is UTF-16; save it as UTF-8")
	}
	if i := bytes.IndexByte(text, 0); i >= 0 {
		return b.at(1+bytes.Count(text[:i], []byte("\n")), "a NUL byte; is the file UTF-16, or no text? save it as UTF-8")
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if format, _ := b.s.Table.format(); format == "csv" {
		return b.csv(text)
	}
	return b.jsonl(text)
}

func (b *tableBuilder) jsonl(text []byte) error {
	var columns *keepNode
	if len(b.columns) > 0 {
		columns = newKeep(b.columns)
	}
	line := 0
	for len(text) > 0 {
		var row []byte
		row, text, _ = bytes.Cut(text, []byte("\n"))
		line++
		if row = bytes.TrimSpace(row); len(row) == 0 {
			continue
		}
		switch {
		case !utf8.Valid(row):
			return b.at(line, "not valid UTF-8; save the file as UTF-8")
		case !json.Valid(row) || row[0] != '{':
			return b.at(line, "not a JSON object; each line holds one, whole")
		}
		key := jsontext.Find(row, b.key)
		if key == nil || key[0] == 'n' || string(key) == `""` {
			return b.at(line, "%q is missing or empty", b.called())
		}
		var out []byte
		if columns == nil {
			out = bytes.Clone(row)
		} else {
			w := keeper{}
			w.object(row, []*keepNode{columns})
			out = w.out
		}
		if err := b.add(line, plain(key), out); err != nil {
			return err
		}
	}
	return nil
}
