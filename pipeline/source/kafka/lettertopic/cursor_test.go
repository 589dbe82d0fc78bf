package lettertopic

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/source/letters"
)

type told struct {
	failed   []string
	answered int
}

func (o *told) Failed(_ string, err error)     { o.failed = append(o.failed, err.Error()) }
func (o *told) Answered(string, time.Duration) { o.answered++ }

// TestTopicTellsOfOutages has a leader refuse some fetches: that is told once, and that it is over.
func TestTopicTellsOfOutages(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic, ctx := c.Topic(t, 1), within(t)
	c.Produce(t, topic, &kgo.Record{Value: []byte("a")})
	var refused atomic.Int32
	c.Fake().ControlKey(int16(kmsg.Fetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.Fake().KeepControl()
		req := kreq.(*kmsg.FetchRequest)
		if len(req.Topics) != 1 || refused.Add(1) > 3 {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		p := kmsg.NewFetchResponseTopicPartition()
		p.ErrorCode = int16(kafka.NotLeaderOrFollower)
		answer := kmsg.NewFetchResponseTopic()
		answer.Topic, answer.TopicID = req.Topics[0].Topic, req.Topics[0].TopicID
		answer.Partitions = append(answer.Partitions, p)
		resp.Topics = append(resp.Topics, answer)
		return resp, nil, true
	})
	log := topicLog(t, c, topic, c.Group(t))
	told := new(told)
	log.Watch(told)
	if err := log.Open(ctx, letters.Progress{}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(rest(ctx, t, log), " "); got != "0@0:a" {
		t.Errorf("came %s", got)
	}
	if told.answered != 1 || len(told.failed) != 1 || !strings.Contains(told.failed[0], topic+"/0") {
		t.Errorf("told of %q, and %d times that it is over", told.failed, told.answered)
	}
}

// TestTopicThatLostItsEnd reads up to an end that the log does not have any more, as after the loss of a leader that alone had it.
func TestTopicThatLostItsEnd(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic, ctx := c.Topic(t, 1), within(t)
	c.Produce(t, topic, &kgo.Record{Value: []byte("a")})
	log := topicLog(t, c, topic, c.Group(t))
	if err := log.Open(ctx, letters.Progress{}); err != nil {
		t.Fatal(err)
	}
	log.parts[0].end, log.parts[0].patience = 3, time.Millisecond
	if _, _, err := log.Next(ctx); err != nil {
		t.Fatal(err)
	}
	if _, at, err := log.Next(ctx); err == nil || !strings.Contains(err.Error(), topic+"/0: the log ends at offset 1") {
		t.Errorf("at %v: %v", at, err)
	}
}

// TestTopicKeepsToQuotas has a broker say that it answers nothing for a minute. Nobody is told of an outage.
func TestTopicKeepsToQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.StartFake(t, kafkatest.Virtual())
		topic, ctx := c.Topic(t, 2), t.Context()
		c.Produce(t, topic, &kgo.Record{Partition: 0, Value: []byte("a")}, &kgo.Record{Partition: 1, Value: []byte("b")})
		var until time.Time
		early := 0
		c.Fake().ControlKey(int16(kmsg.Fetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
			c.Fake().KeepControl()
			if time.Now().Before(until) {
				early++
			}
			if !until.IsZero() {
				return nil, nil, false
			}
			until = time.Now().Add(time.Minute)
			resp := kreq.ResponseKind().(*kmsg.FetchResponse)
			resp.ThrottleMillis = 60_000
			return resp, nil, true
		})
		client, err := kafka.NewClient(kafka.Config{Brokers: c.Addrs(), Dial: c.Dial})
		if err != nil {
			t.Fatal(err)
		}
		log, told := New(client, topic, c.Group(t)), new(told)
		defer log.Close()
		log.Watch(told)
		if err := log.Open(ctx, letters.Progress{}); err != nil {
			t.Fatal(err)
		}
		if got := len(rest(ctx, t, log)); got != 2 || until.IsZero() || early > 0 || len(told.failed) > 0 {
			t.Errorf("%d came, %d fetches too early, told of %q", got, early, told.failed)
		}
	})
}
