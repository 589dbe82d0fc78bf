package lettertopic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/source/letters"
)

func topicLog(t *testing.T, c *kafkatest.Cluster, topic, group string) *Topic {
	t.Helper()
	client, err := kafka.NewClient(kafka.Config{Brokers: c.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	log := New(client, topic, group)
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return log
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// rest gives what is still to come, as "partition@offset:value" words.
func rest(ctx context.Context, t *testing.T, log *Topic) (words []string) {
	t.Helper()
	for {
		rec, at, err := log.Next(ctx)
		if err == io.EOF {
			return words
		}
		if err != nil {
			t.Fatal(err)
		}
		if at != rec.Position {
			t.Fatalf("%v stands at %v", rec.Position, at)
		}
		words = append(words, fmt.Sprintf("%d@%d:%s", at.Partition, at.Offset, rec.Value()))
	}
}

// TestTopicReadsToItsEnd reads partitions in the order of their records' times, with what was there
// when it was opened and no more, over many fetches.
func TestTopicReadsToItsEnd(t *testing.T) {
	c := kafkatest.Start(t)
	topic, ctx := c.Topic(t, 3), within(t)
	base := time.Now().Add(-time.Hour).Truncate(time.Second)
	rec := func(partition int32, ms int, value string) *kgo.Record {
		return &kgo.Record{Partition: partition, Timestamp: base.Add(time.Duration(ms) * time.Millisecond), Value: []byte(value),
			Headers: []kgo.RecordHeader{{Key: "h", Value: []byte(value)}}}
	}
	c.Produce(t, topic, rec(0, 1, "a"), rec(0, 4, "d"), rec(1, 2, "b"), rec(1, 3, "c"), rec(1, 5, "e"))
	log := topicLog(t, c, topic, c.Group(t))
	if err := log.Open(ctx, letters.Progress{}); err != nil {
		t.Fatal(err)
	}
	if n := log.Left(); n != 5 {
		t.Errorf("%d are left", n)
	}
	c.Produce(t, topic, rec(2, 0, "late"))
	for left := int64(4); left > 0; left-- { // all were fetched by the first call
		if _, at, err := log.Next(ctx); err != nil || log.Left() != left {
			t.Fatalf("behind %v (%v) %d are left, not %d", at, err, log.Left(), left)
		}
	}
	if got := strings.Join(rest(ctx, t, log), " "); got != "1@2:e" {
		t.Errorf("came at last %s", got)
	}
	if err := log.Open(ctx, letters.Progress{}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(rest(ctx, t, log), " "); got != "0@0:a 1@0:b 1@1:c 0@1:d 1@2:e" {
		t.Errorf("came %s", got)
	}

	long := strings.Repeat("x", 300<<10)
	var many []*kgo.Record
	for i := range 12 {
		many = append(many, rec(2, 10+i, long))
	}
	c.Produce(t, topic, many...)
	again := topicLog(t, c, topic, c.Group(t))
	done := letters.Progress{}
	done.Of(0).Add(0, 1)
	done.Of(1).Add(0, 3)
	if err := again.Open(ctx, done); err != nil {
		t.Fatal(err)
	}
	if got := rest(ctx, t, again); len(got) != 14 || got[0] != "2@0:late" || got[1] != "0@1:d" || got[13] != "2@12:"+long {
		t.Errorf("%d came", len(got))
	}
	if n := again.Left(); n != 0 {
		t.Errorf("at the end %d are left", n)
	}
}

// TestTopicRemembers stores what was replayed, scattered, and finds it again; not so of a topic that
// was made anew, or when another has stored something meanwhile.
func TestTopicRemembers(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic, group, ctx := c.Topic(t, 2), c.Group(t), within(t)
	for i := range 40 {
		c.Produce(t, topic, &kgo.Record{Partition: int32(i % 2), Value: fmt.Append(nil, i)})
	}
	log, other := topicLog(t, c, topic, group), topicLog(t, c, topic, group)
	for _, l := range []*Topic{log, other} {
		if done, err := l.Load(ctx); err != nil || done.Has(pipeline.Position{}) {
			t.Fatalf("at first %v, %v", done, err)
		}
	}
	want := letters.Progress{}
	want.Of(0).Add(0, 4)
	want.Of(0).Add(6, 8)
	want.Of(1).Add(19, 20)
	if err := log.Save(ctx, want); err != nil {
		t.Fatal(err)
	}
	if got := c.Committed(t, group)[topic]; got[0] != 4 || got[1] != 0 {
		t.Errorf("the group's offsets are %v", got)
	}
	got, err := topicLog(t, c, topic, group).Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for p, d := range want {
		if strings.Join(got.Of(p).Lines(), " ") != strings.Join(d.Lines(), " ") {
			t.Errorf("of partition %d came %v, not %v", p, got.Of(p).Lines(), d.Lines())
		}
	}
	want.Of(1).Add(3, 5)
	if err := log.Save(ctx, want); err != nil {
		t.Fatal(err)
	}
	if err := other.Save(ctx, want); !errors.Is(err, letters.ErrTaken) {
		t.Errorf("the other stores beside it: %v", err)
	}

	member, err := kafka.NewGroup(log.client, kafka.GroupConfig{Group: group, Topics: []string{topic}})
	if err != nil {
		t.Fatal(err)
	}
	<-member.Events()
	want.Of(1).Add(5, 6)
	if err := log.Save(ctx, want); !errors.Is(err, letters.ErrTaken) || !errors.Is(err, kafka.ErrGroupInUse) {
		t.Errorf("beside a member of the group: %v", err)
	}
	if err := member.Leave(ctx, false); err != nil {
		t.Fatal(err)
	}

	c.Recreate(t, topic, 2)
	if got, err := topicLog(t, c, topic, group).Load(ctx); err != nil || got.Has(pipeline.Position{}) {
		t.Errorf("of a topic that was made anew: %v, %v", got, err)
	}
}

// TestTopicMadeAnewWhileItIsRead: nothing of the new one counts as replayed.
func TestTopicMadeAnewWhileItIsRead(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic, group, ctx := c.Topic(t, 1), c.Group(t), within(t)
	log := topicLog(t, c, topic, group)
	done, err := log.Load(ctx)
	if err == nil {
		err = log.Save(ctx, done)
	}
	if err != nil {
		t.Fatal(err)
	}
	done.Of(0).Add(0, 3)
	was := log.id
	c.Recreate(t, topic, 1)
	for now := was; now == was; { // the client believes a new id when it has heard it again
		if err := log.client.Refresh(ctx, topic); err != nil {
			t.Fatal(err)
		}
		if now, err = log.client.TopicID(ctx, topic); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Save(ctx, done); !errors.Is(err, letters.ErrBegunAnew) {
		t.Errorf("storing it: %v", err)
	}
	if got, err := topicLog(t, c, topic, group).Load(ctx); err != nil || got.Has(pipeline.Position{}) {
		t.Errorf("of the new topic are done %v, %v", got.Of(0).Lines(), err)
	}
}

// TestTopicHoldsSoMuch refuses what no group's offset holds, and stores what Fits lets pass.
func TestTopicHoldsSoMuch(t *testing.T) {
	c := kafkatest.Start(t)
	topic, ctx := c.Topic(t, 1), within(t)
	log := topicLog(t, c, topic, c.Group(t))
	if _, err := log.Load(ctx); err != nil {
		t.Fatal(err)
	}
	fits := letters.Progress{}
	var scattered *letters.ScatteredError
	n := int64(0)
	for ; n < 5000; n++ {
		next := letters.Progress{0: fits.Of(0).Clone()}
		next.Of(0).Add(2*n+1, 2*n+2)
		if err := log.Fits(0, next.Of(0)); errors.As(err, &scattered) {
			break
		}
		fits = next
	}
	if scattered == nil || n < 1000 || n > 2000 {
		t.Errorf("%d single letters fit", n)
	}
	if n := testing.AllocsPerRun(10, func() { _ = log.Fits(0, fits.Of(0)) }); n > 0 {
		t.Errorf("to be asked with each letter, it takes %v allocations", n)
	}
	if err := log.Save(ctx, fits); err != nil {
		t.Fatalf("%d letters fit, and are not stored: %v", n, err)
	}
}

// TestTopicSaysWhatIsWrong asks for a topic that is not there.
func TestTopicSaysWhatIsWrong(t *testing.T) {
	c := kafkatest.Start(t)
	log := topicLog(t, c, c.Name(t), c.Group(t))
	var env *pipeline.EnvironmentError
	if err := log.Ping(within(t)); !errors.As(err, &env) || !strings.Contains(err.Error(), "the topic does not exist") {
		t.Errorf("it says %v", err)
	}
}
