package stages

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline"
)

// A table is the rows of a file, by key, each the JSON text to put in.
type table struct {
	rows  map[string][]byte
	stamp stamp
}

// A stamp tells one state of a file from another.
type stamp struct {
	info    fs.FileInfo
	missing bool
}

func (s stamp) same(o stamp) bool {
	if s.info == nil || o.info == nil {
		return s.missing && o.missing
	}
	return os.SameFile(s.info, o.info) && s.info.Size() == o.info.Size() && s.info.ModTime().Equal(o.info.ModTime())
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	return stamp{info: info}, err
}

func withoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
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

// readTable reads the file. Errors name the setting, the file and the line; they quote
// no values.
func readTable(s LookupSettings) (*table, error) {
	wrong := func(err error) error {
		return &pipeline.FieldError{Field: "table.file", Err: fmt.Errorf("reading the table: %w", err)}
	}
	g, err := os.Open(string(s.Table.File))
	if err != nil {
		return nil, wrong(err)
	}
	defer func() { _ = g.Close() }() // nothing was written
	t := &table{rows: map[string][]byte{}}
	if t.stamp.info, err = g.Stat(); err != nil {
		return nil, wrong(err)
	}
	if t.stamp.info.IsDir() {
		return nil, wrong(fmt.Errorf("%s is a folder", s.Table.File))
	}
	text, err := io.ReadAll(io.LimitReader(g, int64(s.Table.MaxBytes)+1))
	if err != nil {
		return nil, wrong(err)
	}
	if len(text) > int(s.Table.MaxBytes) {
		return nil, wrong(fmt.Errorf("%s is larger than max_bytes, %v", s.Table.File, s.Table.MaxBytes))
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	b := tableBuilder{s: s, t: t}
	if format, _ := s.Table.format(); format == "csv" {
		err = b.csv(text)
	} else {
		err = b.jsonl(text)
	}
	var f *pipeline.FieldError
	if errors.As(err, &f) {
		return nil, f
	}
	if err != nil {
		return nil, wrong(err)
	}
	return t, nil
}

type tableBuilder struct {
	s     LookupSettings
	t     *table
	lines map[string]int // where a key stands
}

func (b *tableBuilder) at(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", b.s.Table.File, line, fmt.Errorf(format, args...))
}

func (b *tableBuilder) add(line int, key string, row []byte) error {
	if b.lines == nil {
		b.lines = map[string]int{}
	}
	if before, ok := b.lines[key]; ok {
		return b.at(line, "%q is the same as in line %d; keys stand once", b.s.Table.Key, before)
	}
	b.lines[key] = line
	b.t.rows[key] = row
	return nil
}

// unknown says that a setting names a column that is not there.
func unknown(field, column string, columns []string) error {
	return &pipeline.FieldError{Field: field, Err: fmt.Errorf("the table has no column %q; it has %s", column, strings.Join(columns, ", "))}
}

func (b *tableBuilder) csv(text []byte) error {
	r := csv.NewReader(bytes.NewReader(text))
	r.ReuseRecord = true
	header, err := r.Read()
	if err == io.EOF {
		return errors.New(string(b.s.Table.File) + ": it is empty; the first line names the columns")
	}
	if err != nil {
		return b.csvError(err)
	}
	header = slices.Clone(header)
	names := make([][]byte, len(header)) // as JSON text; nil: left out
	for i, h := range header {
		if !utf8.ValidString(h) {
			return b.at(1, "not valid UTF-8")
		}
		if slices.Contains(header[:i], h) {
			return b.at(1, "two columns are called %q", h)
		}
		if len(b.s.Columns) == 0 || slices.Contains(b.s.Columns, pipeline.FieldName(h)) {
			names[i] = quote(h)
		}
	}
	key := slices.Index(header, string(b.s.Table.Key))
	if key < 0 {
		return unknown("table.key", string(b.s.Table.Key), header)
	}
	for _, c := range b.s.Columns {
		if !slices.Contains(header, string(c)) {
			return unknown("columns", string(c), header)
		}
	}
	for {
		values, err := r.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return b.csvError(err)
		}
		line, _ := r.FieldPos(key)
		row := []byte{'{'}
		for i, v := range values {
			if !utf8.ValidString(v) {
				return b.at(line, "column %q is not valid UTF-8", header[i])
			}
			if names[i] != nil {
				row = appendField(row, names[i], quote(v))
			}
		}
		if values[key] == "" {
			return b.at(line, "%q is empty", b.s.Table.Key)
		}
		if err := b.add(line, strings.Clone(values[key]), append(row, '}')); err != nil {
			return err
		}
	}
}

func (b *tableBuilder) csvError(err error) error {
	var p *csv.ParseError
	if errors.As(err, &p) {
		return b.at(p.Line, "column %d: %w", p.Column, p.Err)
	}
	return err
}

func (b *tableBuilder) jsonl(text []byte) error {
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
			return b.at(line, "not valid UTF-8")
		case !json.Valid(row) || row[0] != '{':
			return b.at(line, "not a JSON object")
		}
		var key []byte
		out, whole := []byte{'{'}, len(b.s.Columns) == 0
		pipeline.JSONMembers(row, func(name, value []byte) bool {
			is := pipeline.FieldName(unquote(name))
			if is == b.s.Table.Key && key == nil {
				key = value
			}
			if !whole && slices.Contains(b.s.Columns, is) {
				out = appendField(out, name, value)
			}
			return true
		})
		if key == nil || key[0] == 'n' || string(key) == `""` {
			return b.at(line, "%q is missing or empty", b.s.Table.Key)
		}
		if out = append(out, '}'); whole {
			out = bytes.Clone(row)
		}
		if err := b.add(line, plain(key), out); err != nil {
			return err
		}
	}
	return nil
}
