package admin

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/engine"
)

// The answer of /api/v1/stats: the same figures under the same names as in the stats
// events, all of them totals since the start but those of the last interval, which
// are in the objects e2e_ms, lat_ms, write_ms and batch_records. Which there are, and
// what they are called, stands in the tables of the engine.

type statsJSON struct {
	Pipelines []*object `json:"pipelines"`
	Log       *logJSON  `json:"log,omitempty"`
}

// logJSON counts the lines of the log: a log that nobody reads cannot tell that it is dropped.
type logJSON struct {
	Written int64 `json:"written_total"`
	Dropped int64 `json:"dropped_total"`
	Waiting int64 `json:"waiting"`
}

func (s *Server) stats(all []engine.Snapshot) any {
	out := statsOf(all)
	if s.options.Log != nil {
		c := s.options.Log()
		out.Log = &logJSON{Written: c.Written, Dropped: c.Dropped, Waiting: c.Waiting}
	}
	return out
}

func statsOf(all []engine.Snapshot) statsJSON {
	out := statsJSON{Pipelines: make([]*object, 0, len(all))}
	for i := range all {
		out.Pipelines = append(out.Pipelines, pipelineOf(&all[i]))
	}
	return out
}

func pipelineOf(s *engine.Snapshot) *object {
	p := objectOf(engine.PipelineFigures, s)
	if len(s.Source.Partitions) > 0 { // absent: there are none, or the source has no such thing
		p.set("source.partitions", partitionObjects(s))
	}
	if len(s.Stalled) > 0 {
		stalled := make([]Hold, 0, len(s.Stalled))
		for _, h := range s.Stalled {
			stalled = append(stalled, holdOf(h))
		}
		p.set("stalled", stalled)
	}
	steps, sinks := make([]*object, 0, len(s.Steps)), make([]*object, 0, len(s.Sinks))
	for i := range s.Steps {
		steps = append(steps, objectOf(engine.StepFigures, &s.Steps[i]))
	}
	for i := range s.Sinks {
		sinks = append(sinks, objectOf(engine.SinkFigures, &s.Sinks[i]))
	}
	p.set("steps", steps)
	p.set("sinks", sinks)
	if s.DeadLetter != nil {
		p.set("dead_letter", objectOf(engine.SinkFigures, s.DeadLetter))
	}
	return p
}

// objectOf makes an object of the figures of a snapshot. What is not known is left out: -1, 0
// and null would be figures.
func objectOf[S any](figures []engine.Figure[S], s *S) *object {
	o := &object{}
	for i := range figures {
		f := &figures[i]
		if f.Admin == "" {
			continue
		}
		switch v := f.Value(s).(type) {
		case nil:
			if f.Zero {
				o.set(f.Admin, 0)
			}
		case float64:
			o.set(f.Admin, math.Round(v*1000)/1000)
		case time.Time:
			o.set(f.Admin, stamp(v))
		default:
			o.set(f.Admin, v)
		}
	}
	return o
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// An object is a JSON object whose members stand in the order in which they were set.
type object struct {
	names  []string
	values []any
}

// set adds a member, or a member of a member: "source.lag_sum".
func (o *object) set(path string, value any) {
	name, rest, inside := strings.Cut(path, ".")
	if !inside {
		o.names, o.values = append(o.names, name), append(o.values, value)
		return
	}
	for i, n := range o.names {
		if n == name {
			o.values[i].(*object).set(rest, value)
			return
		}
	}
	sub := &object{}
	sub.set(rest, value)
	o.names, o.values = append(o.names, name), append(o.values, sub)
}

// MarshalJSON implements json.Marshaler.
func (o *object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range o.names {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(o.values[i])
		if err != nil {
			return nil, err
		}
		b.WriteString(`"` + name + `":`) // a name of the tables: nothing in it is escaped
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
