package kafkasource

import (
	"context"
	"io"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// termGroup is a group that knows whether terms go on.
type termGroup struct {
	kafka.Group
	owns bool
}

func (g *termGroup) Owns(kafka.TopicPartition, int) bool { return g.owns }
func (g *termGroup) StoredLineage(kafka.TopicPartition, int64) kafka.Lineage {
	return kafka.Lineage{Epoch: -1}
}

// A keeper is a pipeline's source that gives the engine away until it is told to end.
type keeper struct {
	engine chan pipeline.Feed
	end    chan struct{}
}

func (s *keeper) Open(_ context.Context, e pipeline.Feed) error { s.engine <- e; return nil }
func (s *keeper) Read(ctx context.Context) (*pipeline.Batch, error) {
	select {
	case <-s.end:
		return nil, io.EOF
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
func (s *keeper) Commit(context.Context, []pipeline.Mark) error { return nil }
func (s *keeper) Close(context.Context) error                   { return nil }

// nowhere is a sink that takes everything.
type nowhere struct{}

func (nowhere) Write(context.Context, []*pipeline.Record) error { return nil }
func (nowhere) Close(context.Context) error                     { return nil }

// A partition whose term is over is not opened, also before the event of its end has
// come; and one whose term ends while it is opened has a lane that ends at once. Under
// a dead term it would be read, refused its commits, and read again without end.
func TestKafkaOpensNothingUnderATermThatIsOver(t *testing.T) {
	src := &keeper{engine: make(chan pipeline.Feed, 1), end: make(chan struct{})}
	p, err := engine.New(engine.Options{Name: "terms", Source: src, Sinks: []engine.Output{{Name: "out", Sink: nowhere{}}}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(t.Context()) }()
	k, err := New(Settings{Brokers: []string{"127.0.0.1:1"}, Topics: []string{"in"}, Group: "g"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	group := &termGroup{}
	k.engine, k.group = <-src.engine, group
	for _, holds := range []bool{true, false} {
		group.owns = holds
		part := k.newPartition(kafka.TopicPartition{Topic: "in", Partition: 0}, 1)
		if got := k.stillOurs(part); got != holds {
			t.Errorf("the term goes on %v: to be read %v", holds, got)
		}
		if err := k.open(part, 5); err != nil {
			t.Fatal(err)
		}
		ended := false
		select {
		case <-part.currentLane().Ended():
			ended = true
		default:
		}
		if ended == holds {
			t.Errorf("the term goes on %v: the lane has ended %v", holds, ended)
		}
	}
	k.group = nil // Close has nothing to leave
	if err := k.Close(t.Context()); err != nil {
		t.Error(err)
	}
	close(src.end)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A topic in which this run has seen offsets and that has none any more was made again:
// what is in it has come since, and `start: latest` skips none of it.
func TestKafkaStartOfATopicThatWasMadeAgain(t *testing.T) {
	c := kafkatest.Start(t)
	topic := c.Topic(t, 1)
	fill(t, c, topic, 1, 0, 5)
	s := groupSettings(c, c.Group(t), topic)
	s.Start = "latest"
	k, err := New(s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = k.Close(context.Background()) }()
	if _, err := k.connect(); err != nil {
		t.Fatal(err)
	}
	tp := kafka.TopicPartition{Topic: topic, Partition: 0}
	for again, want := range map[bool]int64{false: 5, true: 0} {
		at, err := k.startOffsets(t.Context(), []kafka.TopicPartition{tp}, again)
		if err != nil || at[tp] != want {
			t.Errorf("made again %v: starts at %v, %v, want %d", again, at, err, want)
		}
	}
}
