package sqlsink

import (
	"bytes"
	"context"

	"github.com/jackc/pgx/v5"
)

// copy sends the rows in the text form of COPY.
func (d *postgres) copy(ctx context.Context, conn *pgx.Conn, text string, rows []*row) error {
	size := 0
	for _, r := range rows {
		size += r.size + 4
	}
	lines := make([]byte, 0, size)
	for _, r := range rows {
		for i, v := range r.values {
			if i > 0 {
				lines = append(lines, '\t')
			}
			if s, ok := v.(string); ok {
				lines = appendCopied(lines, s)
			} else {
				lines = append(lines, '\\', 'N')
			}
		}
		lines = append(lines, '\n')
	}
	_, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(lines), text)
	return err
}

// appendCopied writes a value of the text form.
func appendCopied(out []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case '\\', '\t':
		case '\n':
			c = 'n'
		case '\r':
			c = 'r'
		default:
			continue
		}
		out = append(append(out, s[from:i]...), '\\', c)
		from = i + 1
	}
	return append(out, s[from:]...)
}
