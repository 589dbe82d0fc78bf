package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline/admin"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/fixture"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/redact"
)

// This file is what a process shows of its records at the endpoint, as admin.tap of its file allows it.

// tapSteps bounds what the condition of a tap may do for one record: a tenth of what one in a file may.
const tapSteps = 100_000

// tappable is a pipeline that can be tapped: one that could start.
type tappable interface {
	Tap(engine.TapOptions) (*engine.Tap, error)
	Places() []string
}

// openTaps gives what opens taps; nil: no file allows any.
func (p *process) openTaps(set *config.Set) (func(admin.TapRequest) (admin.Tap, error), error) {
	allowed := set.Process.Admin.Tap
	if allowed == nil {
		return nil, nil
	}
	redaction := func(file *config.Pipeline) (func(*engine.TapContents), error) {
		r, err := tapRedaction(allowed.Redact, file)
		if err != nil || r == nil {
			return nil, err
		}
		return func(c *engine.TapContents) { r.Seen((*redact.Seen)(c)) }, nil
	}
	for _, file := range set.Pipelines {
		if _, err := redaction(file); err != nil {
			return nil, fmt.Errorf("%s: %w", settingPlace(set, "admin.tap.redact"), err)
		}
	}
	return func(asked admin.TapRequest) (admin.Tap, error) {
		i := slices.IndexFunc(p.pipelines, func(m *managedPipeline) bool { return m.name == asked.Pipeline })
		if i < 0 {
			return nil, fmt.Errorf("the pipeline %s is not there any more", asked.Pipeline)
		}
		m := p.pipelines[i]
		of, ok := m.runner.(tappable)
		if !ok {
			return nil, fmt.Errorf("the pipeline %s could not start", m.name)
		}
		o := engine.TapOptions{Step: asked.Step, Sides: asked.Sides, Rate: asked.Rate, Values: allowed.Values}
		if allowed.Rate.PerSecond() < asked.Rate.PerSecond() {
			o.Rate = allowed.Rate
		}
		if asked.Where != "" {
			where := new(expr.Condition)
			if err := where.UnmarshalText([]byte(asked.Where)); err != nil {
				return nil, fmt.Errorf("where: %w", err)
			}
			where.Limit(tapSteps)
			o.Where = where.Condition
		}
		t := &openTap{m: m, of: of, o: o, redaction: redaction, asked: asked}
		err := t.open()
		if errors.Is(err, engine.ErrNoStep) {
			return nil, fmt.Errorf("%w %q in %s that can be looked at: there is %s", err, asked.Step, m.name, strings.Join(of.Places(), ", "))
		}
		if err != nil {
			return nil, err
		}
		m.events.Emit(event.TapStarted{Step: asked.Step, Side: asked.Sides.String(), AskedBy: asked.By, AskedFrom: asked.From}, "")
		return t, nil
	}, nil
}

// tapRedaction gives what takes out of the records of a pipeline what must not be seen: what the taps' own redact names, and that of its
// dead letters. nil: nothing is to be taken out.
func tapRedaction(own *redact.Settings, file *config.Pipeline) (*redact.Redactor, error) {
	var s redact.Settings
	switch d := file.DeadLetter; {
	case own == nil && (d == nil || d.Redact == nil):
		return nil, nil
	case own == nil:
		s = *d.Redact
	case d == nil || d.Redact == nil:
		s = *own
	default:
		s = *own
		s.Fields = slices.Concat(own.Fields, d.Redact.Fields)
		s.Headers = slices.Concat(own.Headers, d.Redact.Headers)
		s.Key = own.Key || d.Redact.Key
	}
	return redact.New(s)
}

// An openTap gives what one tap shows as lines. What it hides is what the file hides that was loaded last: when that is another after a
// reload, a tap of the engine is opened in place of the one before.
type openTap struct {
	m         *managedPipeline
	of        tappable
	o         engine.TapOptions // but for Redact and Limit
	redaction func(*config.Pipeline) (func(*engine.TapContents), error)
	asked     admin.TapRequest

	tap    *engine.Tap
	file   *config.Pipeline // whose redaction it has
	before engine.TapCounts // of the taps before it
	number uint64           // of the last record
	base   uint64           // of the last one of the taps before it
}

// open opens the tap of the engine.
func (t *openTap) open() error {
	file, o := t.m.runs.Load().file, t.o
	hide, err := t.redaction(file)
	if err != nil {
		return fmt.Errorf("redacting what is shown of %s: %w", t.m.name, err)
	}
	o.Redact = hide
	if t.asked.Limit > 0 {
		o.Limit = t.asked.Limit - t.before.Shown
	}
	t.tap, err = t.of.Tap(o)
	t.file = file
	return err
}

// isStale says whether the pipeline's file hides something else by now.
func (t *openTap) isStale() bool {
	now := t.m.runs.Load().file
	if now == t.file {
		return false
	}
	if reflect.DeepEqual(redactOf(now), redactOf(t.file)) {
		t.file = now
		return false
	}
	return true
}

func redactOf(file *config.Pipeline) *redact.Settings {
	if file.DeadLetter == nil {
		return nil
	}
	return file.DeadLetter.Redact
}

// renew opens another tap of the engine. What was seen for the one before and not shown is not shown. When it cannot be opened this one is over.
func (t *openTap) renew() error {
	was, before := t.tap, t.before
	was.Close()
	t.before, t.base = t.Counts(), t.number
	err := t.open()
	if err == nil {
		return nil
	}
	if t.tap, t.before = was, before; !errors.Is(err, engine.ErrTapOver) {
		t.m.events.Log().Warn().Err(err).Msg("a tap ends")
	}
	return engine.ErrTapOver
}

// Next implements admin.Tap.
func (t *openTap) Next(ctx context.Context) (lines [][]byte, err error) {
	for {
		if t.asked.Limit > 0 && t.Counts().Shown >= t.asked.Limit {
			return nil, io.EOF
		}
		if t.isStale() {
			if err := t.renew(); err != nil {
				return nil, err
			}
		}
		seen, err := t.tap.Next(ctx)
		if err != nil {
			return nil, err
		}
		if t.isStale() { // it may be of the parts that run now
			t.before.Shown--
			t.before.Skipped++
			continue
		}
		for i := range seen {
			seen[i].Number += t.base
			seen[i].Skipped += t.before.Skipped
			t.number = seen[i].Number
			lines = append(lines, tapLine(t.asked.Step, &seen[i]))
		}
		return lines, nil
	}
}

// Counts implements admin.Tap.
func (t *openTap) Counts() engine.TapCounts {
	c := t.tap.Counts()
	return engine.TapCounts{Shown: t.before.Shown + c.Shown, Skipped: t.before.Skipped + c.Skipped, Failed: t.before.Failed + c.Failed}
}

// Close implements admin.Tap.
func (t *openTap) Close(reason string) {
	t.tap.Close()
	c := t.Counts()
	t.m.events.Emit(event.TapEnded{
		Step: t.asked.Step, Side: t.asked.Sides.String(), Reason: reason, Records: c.Shown, NotShown: c.Skipped,
		AskedBy: t.asked.By, AskedFrom: t.asked.From,
	}, "")
}

// tapped is what a line of a tap has beside the fixture of its record.
type tapped struct {
	Step     string `json:"step"`
	Side     string `json:"side"`
	Time     string `json:"time"`               // when it was seen: RFC 3339, milliseconds, UTC
	Seen     uint64 `json:"seen"`               // of what number: what was seen of one record on several sides has the same
	Part     int32  `json:"part,omitempty"`     // of a split
	Parts    int    `json:"parts,omitempty"`    // how many the split has made of it
	Became   string `json:"became,omitempty"`   // of one seen before: passed, filtered, rejected, abandoned
	Reason   string `json:"reason,omitempty"`   // why it was rejected
	Error    string `json:"error,omitempty"`    //
	Bytes    int    `json:"bytes,omitempty"`    // of the value, where it is not there as a whole
	Cut      bool   `json:"cut,omitempty"`      // it is too long to be shown whole
	LeftOut  string `json:"left_out,omitempty"` // which of key, headers and value are not shown, with commas
	Redacted string `json:"redacted,omitempty"` // what was taken out: fields, headers, key, with commas
	Skipped  int64  `json:"skipped,omitempty"`  // records that the tap has skipped so far
}

// tapLine gives the line of a record: a fixture, with what the tap knows of it behind that.
func tapLine(step string, r *engine.TapRecord) []byte {
	line := fixture.Append(nil, &r.Record, "")
	more := tapped{
		Step: step, Side: r.Side.String(), Time: r.Time.UTC().Format("2006-01-02T15:04:05.000Z07:00"), Seen: r.Number, Part: r.Record.Part, Parts: r.Parts,
		Became: r.Became, Reason: r.Reason, Error: r.Error, Cut: r.Cut, LeftOut: strings.Join(r.LeftOut, ","), Redacted: strings.Join(r.Redacted, ","), Skipped: r.Skipped,
	}
	if r.Cut || len(r.LeftOut) > 0 {
		more.Bytes = r.Bytes
	}
	text, err := json.Marshal(more)
	if err != nil { // texts and numbers always have a form
		text = append(jsontext.AppendString([]byte(`{"error":`), err.Error()), '}')
	}
	line = append(line[:len(line)-len("}\n")], ',')
	return append(line, text[1:]...)
}
