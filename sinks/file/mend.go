package filesink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/sinks/lines"
)

// longestLine bounds how far back the start of a torn line is looked for.
const longestLine = 64 << 20

// mend gives a last line without an end its line end, or cuts the line off when it is what a crash
// has left of a write of ours. Remains of ours can only be in a file that is being opened; while it
// is open, what stands there is somebody else's (docs/decisions/0024-torn-lines.md).
func (f *Sink) mend(g *os.File, opening bool) error {
	line, start, size, err := lastLine(g)
	if err != nil || len(line) == 0 {
		return err
	}
	kept := line
	if opening {
		kept = f.keptPart(g, line, start)
	}
	if err := f.shorten(g, start+int64(len(kept)), size); err != nil {
		return err
	}
	if len(kept) > 0 {
		if !mayBeWhole(kept) {
			f.emit.Log().Warn().Str("file", f.where()).Int64("bytes", int64(len(kept))).
				Msg("ended a last line without an end that is none of ours")
		}
		if _, err := g.Write([]byte("\n")); err != nil {
			return err
		}
	}
	return syncFile(g)
}

// keptPart gives what is kept of a last line without an end: nothing when it is ours and torn.
func (f *Sink) keptPart(g *os.File, line []byte, start int64) []byte {
	text := bytes.TrimRight(line, "\x00") // blocks that a power cut has kept from being written
	from, end, marked := markedWrite(g)
	switch {
	case mayBeWhole(text):
		return text
	case marked && start >= from && start+int64(len(line)) <= end:
		return nil
	case keepsMarks(g): // no write of ours was going on there: another program may yet end its line
		return text
	case torn(f.form, text):
		return nil
	}
	return text
}

// shorten truncates the file, which was found to be size bytes long, to a new end. It does not
// while another program writes the file: its lines would be cut off too.
func (f *Sink) shorten(g *os.File, end, size int64) error {
	if end == size {
		return nil
	}
	now, err := g.Stat()
	if err != nil {
		return err
	}
	if now.Size() != size {
		return errBusy
	}
	if err := g.Truncate(end); err != nil {
		return fmt.Errorf("cutting off a torn last line: %w", err)
	}
	f.emit.Log().Warn().Str("file", f.where()).Int64("bytes", size-end).
		Msg("cut off a last line that a crash had torn")
	return nil
}

var errBusy = errors.New("another program writes it at this moment")

// mayBeWhole says whether a last line without an end may be a whole one that a sink has
// written: a JSON object or array ends where it ends, a number or a text may go on.
func mayBeWhole(line []byte) bool {
	first := jsontext.Space(line, 0)
	return first < len(line) && (line[first] == '{' || line[first] == '[') && json.Valid(line)
}

// torn says whether the line is the beginning of what a sink of this form writes, and cannot be whole.
func torn(form lines.Form, line []byte) bool {
	const begin = `{"topic":`
	if form.Fixtures && !strings.HasPrefix(begin, string(line[:min(len(line), len(begin))])) {
		return false
	}
	if len(line) == 0 {
		return true
	}
	first := jsontext.Space(line, 0)
	if first == len(line) || line[first] != '{' && line[first] != '[' {
		return false
	}
	return errors.Is(json.NewDecoder(bytes.NewReader(line)).Decode(new(json.RawMessage)), io.ErrUnexpectedEOF)
}

// lastLine gives what stands behind the last line end, and where.
func lastLine(g *os.File) (line []byte, start, size int64, err error) {
	if size, err = g.Seek(0, io.SeekEnd); err != nil {
		return nil, 0, 0, err
	}
	buf := make([]byte, 64<<10)
	start = size
	for start > 0 {
		if size-start > longestLine {
			return nil, 0, 0, fmt.Errorf("%w: its last %v hold no line end", errNoFile, settings.Size(longestLine))
		}
		part := buf[:min(start, int64(len(buf)))]
		if _, err := g.ReadAt(part, start-int64(len(part))); err != nil {
			return nil, 0, 0, err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			start -= int64(len(part) - i - 1)
			break
		}
		start -= int64(len(part))
	}
	line = make([]byte, size-start)
	_, err = io.ReadFull(io.NewSectionReader(g, start, size-start), line)
	return line, start, size, err
}
