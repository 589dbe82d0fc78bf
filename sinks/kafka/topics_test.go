package kafkasink

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// naming makes records that name the given topics.
func naming(from int64, topics ...string) (recs []*pipeline.Record) {
	for i, topic := range topics {
		recs = append(recs, record(from+int64(i), topic, `{"to":"`+topic+`"}`))
	}
	return recs
}

// asked notes the topics of each metadata request that names any.
func asked(c *kafkatest.Cluster) func() [][]string {
	var mu sync.Mutex
	var all [][]string
	c.Fake().ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.Fake().KeepControl()
		var names []string
		for _, t := range r.(*kmsg.MetadataRequest).Topics {
			names = append(names, *t.Topic)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(names) > 0 {
			all = append(all, names)
		}
		return nil, nil, false
	})
	return func() [][]string {
		mu.Lock()
		defer mu.Unlock()
		taken := all
		all = nil
		return taken
	}
}

// bubble runs f in virtual time with a cluster and a sink to the topics that records
// name.
func bubble(t *testing.T, topic string, f func(t *testing.T, c *kafkatest.Cluster, k *Sink)) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.StartFake(t, kafkatest.Virtual())
		k := newSink(t, topicSettings(t, c, topic))
		config := kafka.Config{Brokers: c.Addrs(), Dial: c.Dial}
		client, err := kafka.NewClient(config)
		if err != nil {
			t.Fatal(err)
		}
		old, used := k.client, k.producer
		k.client, k.producer = client, kafka.NewProducer(client, kafka.ProducerConfig{FailMissing: true}) // as New does
		used.Close()
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		f(t, c, k)
	})
}

// A Write of many records that name topics which are not there costs the requests and
// pauses of one, delivers the others, and leaves no name behind.
func TestUnknownTopicsAreAskedForTogether(t *testing.T) {
	bubble(t, "{to}", func(t *testing.T, c *kafkatest.Cluster, k *Sink) {
		good := c.Topic(t, 1)
		names := []string{good}
		for n := range 500 {
			names = append(names, fmt.Sprint("id-of-a-record-", n))
		}
		names = append(names, good)
		take := asked(c)
		began := time.Now()
		got := reasonsOf(t, k.Write(t.Context(), naming(0, names...)))
		if len(got) != 500 || got[1] != reasonNoTopic || got[500] != reasonNoTopic {
			t.Errorf("%d failed: %q, %q", len(got), got[1], got[500])
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		if n := len(take()); n > topicTries {
			t.Errorf("%d requests for topics, want at most %d", n, topicTries)
		}
		if got := c.Consume(t, good); len(got) != 2 {
			t.Errorf("%d stored, want 2", len(got))
		}
		// Asked again before long, they are known to be missing.
		take()
		if got := reasonsOf(t, k.Write(t.Context(), naming(600, names[1:]...))); len(got) != 500 {
			t.Errorf("%d failed, want 500", len(got))
		}
		if n := len(take()); n != 0 {
			t.Errorf("%d requests for topics that are known to be missing", n)
		}
		// Later requests name what is in use.
		time.Sleep(2 * topicsRefresh)
		if err := k.Write(t.Context(), naming(1200, good)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, names := range take() {
			if !slices.Equal(names, []string{good}) {
				t.Errorf("asked for %d topics, first %v", len(names), names[:min(3, len(names))])
			}
		}
	})
}

// Writes with less time than the tries take come to the end of them together.
func TestUnknownTopicInShortWrites(t *testing.T) {
	bubble(t, "{to}", func(t *testing.T, c *kafkatest.Cluster, k *Sink) {
		for n := range topicTries {
			ctx, cancel := context.WithTimeout(t.Context(), firstPause/2)
			got := reasonsOf(t, k.Write(ctx, naming(0, "nowhere")))
			cancel()
			if rejected := got[0] == reasonNoTopic; rejected != (n == topicTries-1) {
				t.Errorf("write %d: failed %v", n, got)
			}
		}
	})
}

// More names than are remembered cost no more tries, and none is lost sight of.
func TestMoreUnknownTopicsThanAreRemembered(t *testing.T) {
	bubble(t, "{to}", func(t *testing.T, c *kafkatest.Cluster, k *Sink) {
		var names []string
		for n := range 2*maxTopics + 1 {
			names = append(names, fmt.Sprint("id-of-a-record-", n))
		}
		take := asked(c)
		if got := reasonsOf(t, k.Write(t.Context(), naming(0, names...))); len(got) != len(names) || got[0] != reasonNoTopic {
			t.Errorf("%d failed, the first %q", len(got), got[0])
		}
		if n := len(take()); n != topicTries {
			t.Errorf("%d requests, want %d", n, topicTries)
		}
		if len(k.missing) > maxTopics || len(k.tries) > maxTopics {
			t.Errorf("%d and %d names are remembered", len(k.missing), len(k.tries))
		}
	})
}

// A topic that is made while it is asked for is found.
func TestATopicThatWasJustMadeIsWaitedFor(t *testing.T) {
	bubble(t, "{to}", func(t *testing.T, c *kafkatest.Cluster, k *Sink) {
		made := make(chan struct{})
		go func() {
			defer close(made)
			time.Sleep(300 * time.Millisecond)
			c.CreateTopic(t, "new", 1)
		}()
		if err := k.Write(t.Context(), naming(0, "new")); err != nil {
			t.Error(err)
		}
		<-made
	})
}

// A topic that is deleted is unlearned: what names it is rejected then, and other
// records of the lane go on. Made anew it is found again.
func TestADeletedTopicIsUnlearned(t *testing.T) {
	c := kafkatest.Start(t)
	deleted, stays := c.Topic(t, 1), c.Topic(t, 1)
	k := newSink(t, topicSettings(t, c, "{to}"))
	if err := k.Write(t.Context(), naming(0, deleted, stays)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Admin(t).DeleteTopics(t.Context(), deleted); err != nil {
		t.Fatal(err)
	}
	settled := false
	for range 20 { // as the engine does: the same again, until nothing is transient
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		got := reasonsOf(t, k.Write(ctx, naming(2, deleted, stays)))
		cancel()
		if settled = len(got) == 1 && got[0] == reasonNoTopic; settled {
			break
		}
		if reason, failed := got[1]; failed {
			t.Fatalf("the record of the topic that stays failed: %q", reason)
		}
	}
	if !settled {
		t.Fatal("the record that names a deleted topic is not rejected")
	}
	if got := c.Consume(t, stays); len(got) < 2 {
		t.Errorf("%d stored where the topic stays", len(got))
	}
	k.mu.Lock()
	delete(k.missing, deleted)
	k.mu.Unlock()
	c.CreateTopic(t, deleted, 1)
	if err := k.Write(t.Context(), naming(4, deleted)); err != nil {
		t.Error(err)
	}
	if got := c.Consume(t, deleted); len(got) != 1 {
		t.Errorf("%d stored in the topic that was made anew, want 1", len(got))
	}
}

// A topic that records name and that the user may not see is rejected, since that is
// what a secured cluster says of every unknown name, too. One that may be seen and not
// written to is rejected after some tries, unless it was written to: then it is an
// outage of rights, and holds.
func TestDeniedTopics(t *testing.T) {
	bubble(t, "{to}", func(t *testing.T, c *kafkatest.Cluster, k *Sink) {
		hidden, never, once := "hidden", c.Topic(t, 1), c.Topic(t, 1)
		c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: hidden, Err: kerr.TopicAuthorizationFailed, Count: -1})
		if got := reasonsOf(t, k.Write(t.Context(), naming(0, hidden, once))); len(got) != 1 || got[0] != reasonTopicDenied {
			t.Errorf("hidden: failed %v", got)
		}
		for _, topic := range []string{never, once} {
			c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.TopicAuthorizationFailed, Count: -1})
		}
		for try := 1; try <= 3*topicTries; try++ {
			got := reasonsOf(t, k.Write(t.Context(), naming(2, never, once)))
			want := map[int]string{0: "", 1: ""}
			if try >= topicTries {
				want[0] = reasonTopicDenied
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("try %d: failed %v, want %v", try, got, want)
			}
		}
	})
}

// Kafka's own topics take no records of others: a fixed one does not pass the check,
// and a record that names one is rejected.
func TestInternalTopics(t *testing.T) {
	c := kafkatest.Start(t)
	own := "__consumer_offsets"
	if c.Real() {
		topic, group := c.Topic(t, 1), c.Group(t) // a commit makes it
		var o kadm.Offsets
		o.AddOffset(topic, 0, 0, -1)
		if _, err := c.Admin(t).CommitOffsets(t.Context(), group, o); err != nil {
			t.Fatal(err)
		}
	} else {
		own = c.Topic(t, 1, "kfake.is_internal=true")
	}
	err := newSink(t, topicSettings(t, c, own)).Ping(t.Context())
	if err == nil || err.Error() != "writing to topic "+own+": it is one of Kafka's own, which takes no records of others; choose another" {
		t.Errorf("a fixed one: %v", err)
	}
	if got := reasonsOf(t, newSink(t, topicSettings(t, c, "{to}")).Write(t.Context(), naming(0, own))); got[0] != reasonTopicName {
		t.Errorf("a named one: failed %v", got)
	}
}

// Topics that no record has named for long make room for others.
func TestIdleTopicsMakeRoom(t *testing.T) {
	bubble(t, "{to}", func(t *testing.T, c *kafkatest.Cluster, k *Sink) {
		first, late := c.Topic(t, 1), c.Topic(t, 1)
		if err := k.Write(t.Context(), naming(0, first)); err != nil {
			t.Fatal(err)
		}
		for i := range maxTopics - 1 {
			k.learn(fmt.Sprint("t", i), 1)
		}
		if got := reasonsOf(t, k.Write(t.Context(), naming(1, late))); got[0] != reasonTooManyTopics {
			t.Errorf("failed %v, want %s", got, reasonTooManyTopics)
		}
		time.Sleep(topicIdle)
		for n := range int64(3) { // the first again too, whose sequence begins anew
			if err := k.Write(t.Context(), naming(2+2*n, late, first)); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(c.Consume(t, first)); n != 4 {
			t.Errorf("%d stored in the first topic, want 4", n)
		}
		if len(k.topics) != 2 {
			t.Errorf("%d topics are known, want 2", len(k.topics))
		}
	})
}

// On whatever broker: a Write with the sink's own time limit comes to the end of many
// names that are not there. One after another they would take minutes.
func TestManyUnknownTopicsInOneWrite(t *testing.T) {
	c := kafkatest.Start(t)
	good := c.Topic(t, 1)
	k := newSink(t, topicSettings(t, c, "{to}"))
	names := []string{good}
	for n := range 300 {
		names = append(names, fmt.Sprintf("%s-%d", good, n))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got := reasonsOf(t, k.Write(ctx, naming(0, names...)))
	if len(got) != 300 || got[1] != reasonNoTopic || got[300] != reasonNoTopic {
		t.Errorf("%d failed: %q, %q", len(got), got[1], got[300])
	}
	if n := len(c.Consume(t, good)); n != 1 {
		t.Errorf("%d stored, want 1", n)
	}
}

// A topic that goes away is given up as soon as the cluster agrees that it is not
// there, and does not hold its lane for the time of a write.
func TestADeletedTopicHoldsNoWriteToItsEnd(t *testing.T) {
	bubble(t, "{to}", func(t *testing.T, c *kafkatest.Cluster, k *Sink) {
		deleted, stays := c.Topic(t, 1), c.Topic(t, 1)
		if err := k.Write(t.Context(), naming(0, deleted, stays)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Admin(t).DeleteTopics(t.Context(), deleted); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		got := map[int]string{0: ""}
		for got[0] == "" {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			got = reasonsOf(t, k.Write(ctx, naming(2, deleted, stays)))
			cancel()
		}
		if took := time.Since(began); len(got) != 1 || got[0] != reasonNoTopic || took > 5*time.Second {
			t.Errorf("failed %v after %v", got, took)
		}
	})
}
