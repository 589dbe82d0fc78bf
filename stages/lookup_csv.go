package stages

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// unknown is the error of a setting that names a column that is not there, with what may be meant.
func unknown(field, column string, columns []string) error {
	shown := make([]string, len(columns))
	hint := ""
	for i, c := range columns {
		shown[i] = c
		if strings.TrimSpace(c) != c || strings.ContainsAny(c, "\t;|\"\r\n") || c == "" {
			shown[i] = fmt.Sprintf("%q", c)
		}
		if strings.EqualFold(strings.TrimSpace(c), strings.TrimSpace(column)) {
			hint = fmt.Sprintf("; did you mean %q?", c)
		}
	}
	for _, separator := range []string{";", "\t", "|"} {
		if slices.ContainsFunc(columns, func(c string) bool {
			return slices.ContainsFunc(strings.Split(c, separator), func(part string) bool {
				return part != c && strings.Trim(part, ` "`) == column
			})
		}) {
			hint = fmt.Sprintf("; the file seems to have %q between its columns: write commas", separator)
		}
	}
	return &settings.FieldError{Field: field, Err: fmt.Errorf("the table has no column %q; it has %s%s", column, strings.Join(shown, ", "), hint)}
}

// bareReturn gives the line of the first carriage return that stands neither in quotes
// nor before a line feed, 0 when there is none. The reader of CSV takes it for text: a
// file with such line ends would be one long header, and no rows.
func bareReturn(text []byte) int {
	line, quoted := 1, false
	for i, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '\n':
			line++
		case c == '\r' && !quoted && (i+1 == len(text) || text[i+1] != '\n'):
			return line
		}
	}
	return 0
}

// A csvTable is what the header says.
type csvTable struct {
	header []string
	names  [][]byte // as JSON text; nil: left out
	key    int      // the column
}

func (b *tableBuilder) csv(text []byte) error {
	if line := bareReturn(text); line > 0 {
		return b.at(line, `a carriage return without a line feed; lines end with \n or \r\n: convert the file (tr '\r' '\n'), or put the text in quotes`)
	}
	r := csv.NewReader(bytes.NewReader(text))
	r.ReuseRecord = true
	header, err := r.Read()
	if err == io.EOF {
		return errors.New(string(b.s.Table.File) + ": it is empty; the first line names the columns")
	}
	if err != nil {
		return b.csvError(err)
	}
	line, _ := r.FieldPos(0)
	h, err := b.header(line, slices.Clone(header))
	if err != nil {
		return err
	}
	for {
		values, err := r.Read()
		if err == io.EOF {
			return nil
		}
		if errors.Is(err, csv.ErrFieldCount) {
			line, _ := r.FieldPos(0)
			return b.at(line, "values: %d, columns in the header: %d; a value with a comma or a line end stands in quotes", len(values), len(h.header))
		}
		if err != nil {
			return b.csvError(err)
		}
		if err := b.csvRow(r, h, values); err != nil {
			return err
		}
	}
}

// header checks the names of the columns.
func (b *tableBuilder) header(line int, header []string) (*csvTable, error) {
	var columns []string
	for _, path := range b.columns {
		columns = append(columns, path[0].Name)
	}
	h := &csvTable{header: header, names: make([][]byte, len(header)), key: slices.Index(header, b.called())}
	for i, name := range header {
		if !utf8.ValidString(name) {
			return nil, b.at(line, "not valid UTF-8; save the file as UTF-8")
		}
		if name != "" && slices.Contains(header[:i], name) {
			return nil, b.at(line, "two columns are called %q", name)
		}
		if len(columns) == 0 || slices.Contains(columns, name) {
			h.names[i] = jsontext.AppendString(nil, name)
		}
	}
	if h.key < 0 {
		return nil, unknown("table.key", b.called(), header)
	}
	for _, c := range columns {
		if !slices.Contains(header, c) {
			return nil, unknown("columns", c, header)
		}
	}
	if i := slices.Index(header, ""); i >= 0 && h.names[i] != nil {
		return nil, b.at(line, "column %d has no name; name it, or say with columns which ones are put in", i+1)
	}
	return h, nil
}

func (b *tableBuilder) csvRow(r *csv.Reader, h *csvTable, values []string) error {
	row := []byte{'{'}
	for i, v := range values {
		if !utf8.ValidString(v) {
			line, _ := r.FieldPos(i)
			return b.at(line, "column %q is not valid UTF-8; save the file as UTF-8", h.header[i])
		}
		if h.names[i] != nil {
			row = appendField(row, h.names[i], jsontext.AppendString(nil, v))
		}
	}
	line, _ := r.FieldPos(h.key)
	if values[h.key] == "" {
		return b.at(line, "%q is empty", b.called())
	}
	return b.add(line, strings.Clone(values[h.key]), append(row, '}'))
}

func (b *tableBuilder) csvError(err error) error {
	var p *csv.ParseError
	switch {
	case !errors.As(err, &p):
		return err
	case p.StartLine != p.Line:
		return b.at(p.Line, "column %d: %w; the row begins in line %d", p.Column, p.Err, p.StartLine)
	}
	return b.at(p.Line, "column %d: %w", p.Column, p.Err)
}
