package textformat

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// CSV is one line of comma-separated values, by RFC 4180: a field in double quotes may hold
// separators, line ends and, doubled, quotes. White space belongs to its field.
type CSV struct {
	Columns   []string // names of the fields, in order, of which no two are the same; none: column1, column2, …
	Separator rune     // 0: a comma
	Numbers   bool     // a field that is written as a number becomes one
}

// ParseSeparator gives the Separator of a CSV for what a file has: one character.
func ParseSeparator(text string) (rune, error) {
	r, n := utf8.DecodeRuneInString(text)
	switch {
	case n != len(text) || n == 0 || r == utf8.RuneError:
		return 0, whole(`a separator of csv is one character, like ";" or "\t"`)
	case r == '"' || r == '\r' || r == '\n':
		return 0, whole("a quote or a line end cannot be the separator")
	}
	return r, nil
}

// AppendObject appends an object with a member for each field of the line. Where columns are named,
// the line has as many fields.
func (c CSV) AppendObject(dst, line []byte) ([]byte, error) {
	o := begin(dst)
	n := 0
	err := c.fields(line, func(field []byte) {
		if n < len(c.Columns) {
			o.unique([]byte(c.Columns[n]))
		} else {
			var name [24]byte
			o.unique(strconv.AppendInt(append(name[:0], "column"...), int64(n+1), 10))
		}
		o.out = appendValue(o.out, field, c.Numbers)
		n++
	})
	if err == nil && len(c.Columns) > 0 && n != len(c.Columns) {
		err = whole(fmt.Sprintf("the line has %d fields and there are %d columns", n, len(c.Columns)))
	}
	if err != nil {
		return dst, err
	}
	return o.end(), nil
}

// AppendArray appends an array of the fields of the line.
func (c CSV) AppendArray(dst, line []byte) ([]byte, error) {
	out := append(dst, '[')
	err := c.fields(line, func(field []byte) {
		if out[len(out)-1] != '[' {
			out = append(out, ',')
		}
		out = appendValue(out, field, c.Numbers)
	})
	if err != nil {
		return dst, err
	}
	return append(out, ']'), nil
}

// fields calls yield for each field. A line end may stand behind the last one. What yield gets is
// valid until it returns.
func (c CSV) fields(line []byte, yield func(field []byte)) error {
	line = withoutLineEnd(line)
	var by [utf8.UTFMax]byte
	separator := by[:utf8.EncodeRune(by[:], c.separator())]
	for i := 0; ; {
		field, end := []byte(nil), 0
		var err error
		if i < len(line) && line[i] == '"' {
			field, end, err = quotedField(line, i, separator)
		} else {
			field, end, err = bareField(line, i, separator)
		}
		if err != nil {
			return err
		}
		yield(field)
		if end == len(line) {
			return nil
		}
		i = end + len(separator)
	}
}

func (c CSV) separator() rune {
	if c.Separator == 0 {
		return ','
	}
	return c.Separator
}

func withoutLineEnd(line []byte) []byte {
	if line, ok := bytes.CutSuffix(line, []byte("\n")); ok {
		return bytes.TrimSuffix(line, []byte("\r"))
	}
	return line
}

// bareField gives the field without quotes that begins at i.
func bareField(line []byte, i int, separator []byte) (field []byte, end int, err error) {
	end = len(line)
	if n := bytes.Index(line[i:], separator); n >= 0 {
		end = i + n
	}
	field = line[i:end]
	if n := bytes.IndexAny(field, "\"\n"); n >= 0 {
		if field[n] == '"' {
			return nil, 0, at(i+n, "a quote stands in a field that does not begin with one")
		}
		return nil, 0, at(i+n, "a second line begins, and one line is read: split before")
	}
	return field, end, nil
}

// quotedField gives the field whose opening quote is at i.
func quotedField(line []byte, i int, separator []byte) (field []byte, end int, err error) {
	opening := i
	for i++; ; i++ {
		n := bytes.IndexByte(line[i:], '"')
		if n < 0 {
			return nil, 0, at(opening, "the quote that opens here has no end")
		}
		part := line[i : i+n]
		i += n + 1
		if i < len(line) && line[i] == '"' { // a doubled one
			field = append(append(field, part...), '"')
			continue
		}
		if field == nil {
			field = part
		} else {
			field = append(field, part...)
		}
		switch {
		case i == len(line), bytes.HasPrefix(line[i:], separator):
			return field, i, nil
		case line[i] == '\n' || bytes.HasPrefix(line[i:], []byte("\r\n")):
			return nil, 0, at(i, "a second line begins, and one line is read: split before")
		}
		return nil, 0, at(i, "behind the closing quote stands neither a separator nor the end")
	}
}

// AppendLine appends an object, or an array, as one line without a line end. Of an object the
// members that Columns names are taken, in that order, or all in their own; one that is missing
// or null is an empty field. A value that is no string is written as JSON.
func (c CSV) AppendLine(dst, value []byte) ([]byte, error) {
	value = trim(value)
	out, n := dst, 0
	put := func(v []byte) {
		if n > 0 {
			out = utf8.AppendRune(out, c.separator())
		}
		n++
		if v != nil {
			out = c.appendField(out, plain(v))
		}
	}
	switch {
	case value[0] == '[' && len(c.Columns) == 0:
		jsontext.Elements(value, func(e []byte) bool {
			put(e)
			return true
		})
	case value[0] == '{' && len(c.Columns) == 0:
		_ = members(value, func(_ int, _, v []byte) error { // it is an object
			put(v)
			return nil
		})
	case value[0] == '{':
		for _, name := range c.Columns {
			put(jsontext.Find(value, jsontext.Path{{Name: name}}))
		}
	case len(c.Columns) > 0:
		return dst, whole("the value is no object, and columns are named")
	default:
		return dst, whole("the value is neither an object nor an array")
	}
	return out, nil
}

// appendField appends a field, in quotes where it needs them.
func (c CSV) appendField(dst, field []byte) []byte {
	if !bytes.ContainsRune(field, c.separator()) && !bytes.ContainsAny(field, "\"\r\n") {
		return append(dst, field...)
	}
	return append(append(append(dst, '"'), strings.ReplaceAll(string(field), `"`, `""`)...), '"')
}
