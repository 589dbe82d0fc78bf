package top

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// maxLine is the longest line that is read. Those of penstock are below 64 KiB; a shipper may add to them.
const maxLine = 1 << 20

// A Log reads the lines of a log into a Store. Its methods belong to one goroutine.
type Log struct {
	store *Store
	count LogCount
	heard map[string]*heard // by the id of the instance: of the input that is read
}

// A LogCount says what a log had.
type LogCount struct {
	Lines  int64 // all that were read
	Events int64 // that are of penstock
	Long   int64 // that were too long to be read
}

// NewLog makes one that fills a store.
func NewLog(s *Store) *Log { return &Log{store: s} }

// Count gives what has been read.
func (l *Log) Count() LogCount { return l.count }

// ReadFrom reads lines until the end of r, or until ctx ends, which it notices between two lines. A last line without an end is read too.
// r is an input of its own: what comes first in it was written first, whatever the clock says. The error is one of r, or of ctx.
func (l *Log) ReadFrom(ctx context.Context, r io.Reader) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	l.heard = nil
	for ctx.Err() == nil {
		line, long, err := readLine(lines)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading a log: %w", err)
		case long:
			l.count.Lines++
			l.count.Long++
		default:
			l.Line(line)
		}
	}
	return context.Cause(ctx)
}

// readLine gives the next line, or says that it is too long and left out. io.EOF: there is none.
func readLine(r *bufio.Reader) (line []byte, long bool, err error) {
	read := 0
	for {
		part, err := r.ReadSlice('\n')
		read += len(part)
		if read <= maxLine {
			line = append(line, part...)
		}
		switch {
		case err == nil, err == io.EOF && read > 0:
			return line, read > maxLine, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
	}
}

// Line reads one line. What is none of penstock's is counted and left out.
func (l *Log) Line(raw []byte) {
	l.count.Lines++
	line, e := findLine(bytes.TrimSpace(raw))
	if e == nil {
		return
	}
	l.count.Events++
	l.store.change(func() {
		if in := l.hears(line, e); in != nil {
			l.store.line(in, line, e)
		}
	})
}

// line takes in a line of the log, which is of a run.
func (s *Store) line(in *instance, line []byte, e *envelope) {
	if in.Seen.Before(e.Timestamp) {
		in.Seen = e.Timestamp
	}
	if strings.HasSuffix(e.Event, ".stats") {
		s.statsLine(in, line, e)
		return
	}
	s.processLine(in, line, e)
	if e.Pipeline != "" {
		if p := s.pipelineOf(in, e.Pipeline); p != nil {
			s.pipelineLine(p, line, e)
		}
	}
	text := e.Message
	if read, err := event.ReadLine(line); err == nil {
		text = read.Text()
	}
	s.event(Event{e.Timestamp, e.Level, e.Event, e.Instance, e.Pipeline, text})
}

// statsLine takes in figures.
func (s *Store) statsLine(in *instance, line []byte, e *envelope) {
	p := s.pipelineOf(in, e.Pipeline)
	if p == nil {
		return
	}
	switch e.Event {
	case "pipeline.stats":
		if f, ok := decode[event.PipelineStats](line); ok {
			in.every(f.IntervalMs)
			s.putStats(p, statsOf(&f, e))
			s.forgetOld(in)
		}
	case "step.stats":
		if f, ok := decode[event.StepStats](line); ok {
			s.putStep(p, e.Timestamp, stepOf(&f))
		}
	case "sink.stats":
		if f, ok := decode[event.SinkStats](line); ok {
			s.putStep(p, e.Timestamp, sinkOf(&f))
		}
	case "source.partition.stats":
		if f, ok := decode[event.SourcePartitionStats](line); ok {
			s.putPartition(p, e.Timestamp, partitionOf(&f, in.ID))
		}
	case "error.stats":
		if f, ok := decode[event.ErrorStats](line); ok {
			v := &ErrorCount{Step: f.Step, Type: f.ErrorType, Total: f.CountTotal, Rate: float64(f.Count), Sample: f.SampleMessage,
				Topic: f.SampleTopic, Partition: f.SamplePartition, Offset: f.SampleOffset}
			if _, now := p.stats.last(e.Timestamp); now != nil {
				v.Rate = perSecond(f.Count, float64(now.IntervalMs)/1000)
			}
			s.putError(p, e.Timestamp, v)
		}
	}
}

// processLine takes in what an event says of its process.
func (s *Store) processLine(in *instance, line []byte, e *envelope) {
	state := func(name string) {
		in.state.put(e.Timestamp, &name)
		s.values++
	}
	switch e.Event {
	case "process.started":
		if f, ok := decode[event.ProcessStarted](line); ok {
			in.Started, in.Version, in.ConfigHash = e.Timestamp, f.ServiceVersion, f.ConfigHash
			state("starting")
		}
	case "process.ready":
		state("running")
	case "process.unready":
		state("not ready")
	case "process.stopping":
		state("stopping")
	case "process.stopped":
		f, ok := decode[event.ProcessStopped](line)
		if !ok {
			return
		}
		in.endedAt, in.Reason, in.ExitCode, in.UptimeMs = e.Timestamp, f.Reason, f.ExitCode, f.UptimeMs
		in.Totals = &Counts{In: f.RecordsInTotal, Out: f.RecordsOutTotal, Created: f.CreatedTotal, Filtered: f.FilteredTotal,
			Rejected: f.RejectedTotal, Abandoned: f.Abandoned}
		if in.Started.IsZero() {
			in.Started = e.Timestamp.Add(-time.Duration(f.UptimeMs) * time.Millisecond)
		}
		if len(in.pipelines) == 1 && in.pipelines[0].ended == nil { // of a process with one, its totals are those of the pipeline
			in.pipelines[0].end(e.Timestamp, in.Totals, f.UptimeMs, Latency{f.E2EP50Ms, f.E2EP95Ms, f.E2EP99Ms, f.E2EMaxMs}, f.Reason, f.ErrorMessage)
		}
		state("stopped")
		s.frame(e.Timestamp)
	case "config.applied":
		if f, ok := decode[event.ConfigApplied](line); ok {
			in.ConfigHash = f.ConfigHash
		}
	}
}

// end notes the totals that a pipeline ended with.
func (p *pipeline) end(at time.Time, c *Counts, uptimeMs int64, e2e Latency, reason, text string) {
	state := "stopped"
	if reason == "failed" || reason == "environment" {
		state = "failed"
	}
	p.endedAt = at
	p.ended = &Pipeline{Name: p.name, State: state, Error: text, At: at, IntervalMs: uptimeMs, Counts: *c, E2E: e2e}
}

// pipelineLine takes in what an event says of its pipeline.
func (s *Store) pipelineLine(p *pipeline, line []byte, e *envelope) {
	switch e.Event {
	case "pipeline.stopped":
		if f, ok := decode[event.PipelineStopped](line); ok {
			c := &Counts{In: f.RecordsInTotal, Out: f.RecordsOutTotal, Created: f.CreatedTotal, Filtered: f.FilteredTotal,
				Rejected: f.RejectedTotal, Abandoned: f.Abandoned}
			p.end(e.Timestamp, c, f.UptimeMs, Latency{f.E2EP50Ms, f.E2EP95Ms, f.E2EP99Ms, f.E2EMaxMs}, f.Reason, f.ErrorMessage)
		}
	case "pipeline.paused":
		s.note(p, "pause", e.Timestamp, "paused: "+e.Message)
	case "pipeline.resumed":
		s.note(p, "pause", e.Timestamp, "")
	case "step.stalled", "sink.stalled", "step.recovered", "sink.recovered":
		s.stalledLine(p, line, e)
	case "source.disconnected":
		if f, ok := decode[event.SourceDisconnected](line); ok {
			s.note(p, "source", e.Timestamp, "the source is not connected: "+f.Broker+": "+f.ErrorMessage)
		}
	case "source.connected":
		s.note(p, "source", e.Timestamp, "")
	case "source.revoked":
		if f, ok := decode[event.SourceRevoked](line); ok {
			s.revoke(p, f.PartitionList, e.Timestamp)
		}
	}
}

func (s *Store) stalledLine(p *pipeline, line []byte, e *envelope) {
	var f struct {
		Step         string `json:"step"`
		Sink         string `json:"sink"`
		Topic        string `json:"topic"`
		Partition    int64  `json:"partition"`
		Offset       int64  `json:"offset"`
		StalledMs    int64  `json:"stalled_ms"`
		Target       string `json:"target"`
		Cause        string `json:"cause"`
		ErrorMessage string `json:"error_message"`
	}
	if json.Unmarshal(line, &f) != nil {
		return
	}
	what, about := f.Step, "step "+f.Step
	if f.Sink != "" {
		what, about = f.Sink, "sink "+f.Sink
	}
	if strings.HasSuffix(e.Event, ".recovered") {
		s.note(p, about, e.Timestamp, "")
		return
	}
	text := what + " makes no progress"
	if f.Topic != "" {
		text += fmt.Sprintf(" with %s/%d@%d", f.Topic, f.Partition, f.Offset)
	}
	for _, more := range []string{f.Cause, f.Target, f.ErrorMessage} {
		if more != "" {
			text += ", " + more
		}
	}
	s.note(p, about, e.Timestamp, text)
}

// revoke notes that partitions are read by the pipeline no more: "orders:0-3,7 other:1".
func (s *Store) revoke(p *pipeline, list string, at time.Time) {
	gone := partitionsIn(list)
	for key, t := range p.partitions {
		for _, g := range gone {
			if g.topic == key.topic && key.partition >= g.from && key.partition <= g.to {
				t.put(at, nil)
				s.values++
				break
			}
		}
	}
}

// partitionRange is some partitions of a topic.
type partitionRange struct {
	topic    string
	from, to int64
}

// partitionsIn reads a list of partitions. What it cannot read it leaves out.
func partitionsIn(list string) (all []partitionRange) {
	topic := ""
	for part := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ' ' || r == ',' || r == ';' }) {
		if at := strings.LastIndexByte(part, ':'); at >= 0 {
			topic, part = part[:at], part[at+1:]
		}
		first, last, several := strings.Cut(part, "-")
		from, err := strconv.ParseInt(first, 10, 64)
		to := from
		if several && err == nil {
			to, err = strconv.ParseInt(last, 10, 64)
		}
		if err == nil && topic != "" {
			all = append(all, partitionRange{topic, from, to})
		}
	}
	return all
}
