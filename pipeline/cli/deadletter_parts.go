package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/source/letters"
	kafkasink "github.com/penstockio/penstock/sinks/kafka"
)

// This file has what stands in a replay's pipeline in place of components of the file.

// standIn gives what stands in for the source of the file: sinks without brokers of their own go to
// the cluster that the file reads from.
func (r *redrive) standIn(source *letters.Source) pipeline.Source {
	if r.source == nil {
		return source
	}
	return sameCluster{source, r.source}
}

type sameCluster struct {
	*letters.Source
	file kafkasink.Source
}

// KafkaConfig implements kafkasink.Source.
func (s sameCluster) KafkaConfig() kafka.Config { return s.file.KafkaConfig() }

// notADaemon keeps the log of a replay apart from that of the daemon: both may be shipped to one
// place. Its pipeline has a name of its own there; and what dashboards and alerts take for the life
// and the figures of a daemon is left out, for replay.progress and replay.finished count the letters.
func notADaemon(o *event.Options) {
	o.Rename = replayName
	o.Skip = func(name string) bool {
		return strings.HasPrefix(name, "process.") || strings.HasSuffix(name, ".stats")
	}
}

// replayName is the name by which replays of a pipeline's dead letters are known.
func replayName(pipeline string) string { return pipeline + ".dead-letter" }

// warn says who gets records again that has had them: with --to start not only what rejected them does.
func (r *redrive) warn(w io.Writer) {
	all, ofSinks := r.chooser.sending(r.file.Sinks)
	if r.toTopics && all > 0 {
		fmt.Fprintln(w, "every other reader of the topic gets them again; --to step goes on in this pipeline alone")
	}
	if r.flags.to == "start" && ofSinks > 0 && len(r.file.Sinks) > 1 {
		fmt.Fprintf(w, "%d of them were rejected by a sink: the other sinks get them again; --to step goes on at that sink alone\n", ofSinks)
	}
}

// sending gives how many letters are replayed, and how many of them sinks rejected.
func (c *letterChooser) sending(sinks []config.Sink) (all, ofSinks int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, n := range c.chosen {
		all += n
		step, _, _ := strings.Cut(name, " (")
		if slices.ContainsFunc(sinks, func(s config.Sink) bool { return s.Name == step }) {
			ofSinks += n
		}
	}
	return all, ofSinks
}

// again puts the header on a record that says how often it was replayed: the engine has taken it
// off, as from every record that it reads. The other headers are those that the record came with.
func again(of targetOf) pipeline.Stage {
	return pipeline.StageFunc(func(_ context.Context, rec *pipeline.Record) error {
		t, ok := of(rec.Position)
		if !ok {
			return pipeline.Fatal(fmt.Errorf("replaying %v: nothing is known of its letter", rec.Position))
		}
		rec.SetHeaders(append(slices.Clone(rec.Headers()), t.letter.Again()))
		return nil
	})
}

// returning is the sink that writes records back to their topics. One that its topic does not take
// any more is refused, and its letter stays: it must not hold up those behind it.
type returning struct {
	*kafkasink.Sink
	source  *letters.Source
	chooser *letterChooser
	of      targetOf
}

// Write implements pipeline.Sink.
func (s *returning) Write(ctx context.Context, recs []*pipeline.Record) error {
	err := s.Sink.Write(ctx, recs)
	var failed *pipeline.WriteError
	if !errors.As(err, &failed) {
		return err
	}
	var left []pipeline.Failure
	for _, f := range failed.Failed {
		reason, permanent := pipeline.IsPermanent(f.Err)
		if !permanent {
			left = append(left, f)
			continue
		}
		pos := recs[f.Index].Position
		if t, ok := s.of(pos); ok {
			s.chooser.turnedDown(t.letter, reason)
		}
		s.source.Keep(pos)
	}
	if len(left) == 0 {
		return nil
	}
	return &pipeline.WriteError{Failed: left}
}
