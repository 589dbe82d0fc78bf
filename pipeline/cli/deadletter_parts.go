package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/penstockio/penstock/pipeline"
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

// outages writes the log's lines about brokers that give no letters.
type outages struct{ events *event.Emitter }

// Failed implements lettertopic.Watcher.
func (o outages) Failed(broker string, err error) {
	kind, ok := event.TypeOf(err)
	if !ok {
		kind = "unknown"
	}
	o.events.Emit(event.SourceDisconnected{Broker: broker, ErrorType: kind, ErrorMessage: err.Error()}, "")
}

// Answered implements lettertopic.Watcher.
func (o outages) Answered(broker string, down time.Duration) {
	o.events.Emit(event.SourceConnected{Broker: broker, DownMs: down.Milliseconds()}, "")
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
