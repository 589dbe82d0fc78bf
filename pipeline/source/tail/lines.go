package tail

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/fixture"
	"github.com/penstockio/penstock/pipeline/settings"
)

// This file makes records of lines.

// A place is where a line begins.
type place struct {
	name   string
	number int32
	offset int64
}

// lines are whole lines of a file that wait to be made records of.
type lines struct {
	t      *Source
	at     place // of rest
	rest   []byte
	charge pipeline.Charge
	parser fixture.Parser
}

// What is wrong with a line, as events say it.
const (
	badTooLarge = "too_large"
	badFixture  = "fixture"
	badKey      = "key"
)

// A lineError says what is wrong with a line, without its values.
type lineError struct {
	reason string
	err    error
}

func (e *lineError) Error() string { return e.err.Error() }
func (e *lineError) Unwrap() error { return e.err }

func errTooLong(most settings.Size) *lineError {
	return &lineError{badTooLarge, fmt.Errorf("the line is longer than max_line, which is %v; raise it", most)}
}

// fill is the Fill of a batch.
func (l *lines) fill(into []pipeline.Record) (n int, err error) {
	var bad skipped
	beside := int64(0) // bytes that records keep beside their lines
	defer func() { l.charge.Add(beside) }()
	for n < len(into) && len(l.rest) > 0 {
		size := bytes.IndexByte(l.rest, '\n') + 1
		if size == 0 { // the last line of a file
			size = len(l.rest)
		}
		at, text := l.at, lineText(l.rest[:size], l.at.offset == 0)
		l.rest = l.rest[size:]
		l.at.offset += int64(size)
		if len(bytes.TrimLeft(text, " \t\r")) == 0 {
			continue
		}
		more, wrong := l.record(&into[n], at, text)
		if wrong == nil {
			beside += more
			n++
			continue
		}
		if l.t.s.OnBadLine == "stop" {
			return n, l.t.badLine(at, int64(size), wrong)
		}
		bad.add(l.t, at, int64(size), wrong.reason)
	}
	bad.tell(l.t)
	return n, nil
}

// lineText is what a line holds, without its end and without a byte order mark.
func lineText(line []byte, first bool) []byte {
	text := bytes.TrimSuffix(line, []byte("\n"))
	text = bytes.TrimSuffix(text, []byte("\r"))
	if first {
		text = bytes.TrimPrefix(text, []byte("\ufeff"))
	}
	return text[:len(text):len(text)]
}

// record makes a record of a line, and says how many bytes of memory it keeps beside that.
func (l *lines) record(rec *pipeline.Record, at place, text []byte) (beside int64, wrong *lineError) {
	t := l.t
	if int64(len(text)) > int64(t.s.MaxLine) {
		return 0, errTooLong(t.s.MaxLine)
	}
	pos := pipeline.Position{Topic: at.name, Partition: at.number, Offset: at.offset}
	if t.s.As == "fixture" {
		if err := l.parser.Parse(rec, text, pos); err != nil {
			return 0, &lineError{badFixture, err}
		}
		rec.Position = pos // where it was read, so that marks may stand between the lines of a batch
		return l.parser.Beside(), nil
	}
	rec.Init(pos, nil, text, nil, pipeline.NoTime)
	if t.s.Key == nil {
		return 0, nil
	}
	key, err := t.s.Key.Bytes(rec)
	if err != nil {
		return 0, &lineError{badKey, fmt.Errorf("making the key: %w", err)}
	}
	rec.Init(pos, key, text, nil, pipeline.NoTime)
	return int64(len(key)), nil
}

// badLine tells of a line that stops the source.
func (t *Source) badLine(at place, size int64, wrong *lineError) error {
	t.corrupt(at, at.offset+size, wrong.reason)
	return fmt.Errorf("reading %s at byte %d: %w; or set on_bad_line: skip to go on behind such lines", at.name, at.offset, errors.Unwrap(wrong))
}

func (t *Source) corrupt(at place, to int64, reason string) {
	t.emit(event.SourceCorrupt{
		Topic: at.name, Partition: int64(at.number), OffsetFrom: at.offset, OffsetTo: to, Reason: reason, Policy: t.s.OnBadLine,
	})
}

// skipped are lines that stand one behind the other and are left out for the same reason: they are told of together.
type skipped struct {
	from   place
	to     int64
	reason string
}

func (s *skipped) add(t *Source, at place, size int64, reason string) {
	if s.reason != reason || s.to != at.offset {
		s.tell(t)
		s.from, s.reason = at, reason
	}
	s.to = at.offset + size
}

func (s *skipped) tell(t *Source) {
	if s.reason != "" {
		t.corrupt(s.from, s.to, s.reason)
	}
	s.reason = ""
}

const skipTurn = 64 // blocks that are looked through before it is another file's turn

// skipLong looks for the end of a line that is too long, without keeping it.
func (t *Source) skipLong(f *file, end int64) (*pipeline.Batch, error) {
	for range skipTurn {
		block := t.scratch(max(end-f.long, 0))
		n := int64(len(block))
		if n == 0 {
			f.looked = true
			t.noteEnd(f, f.offset)
			return nil, nil
		}
		if _, err := f.h.ReadAt(block, f.long); err != nil {
			return nil, nil // it was cut since it was looked at
		}
		i := bytes.IndexByte(block, '\n')
		if i < 0 {
			f.long += n
			continue
		}
		behind := f.long + int64(i) + 1
		t.corrupt(place{f.name, f.number, f.offset}, behind, badTooLarge)
		if err := f.moveTo(f.h, behind); err != nil {
			return nil, nil
		}
		return t.batch(f, &pipeline.Batch{}), nil
	}
	f.again = true
	return nil, nil
}
