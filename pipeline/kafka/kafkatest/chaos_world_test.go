package kafkatest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A world is one run of a plan.
type world struct {
	*plan
	t       *testing.T
	cluster *kafkatest.Cluster
	wire    *kafkatest.Wire
	addrs   []string // of the brokers
	history kafkatest.History
	ref     *referee
	began   time.Time
	client  *kgo.Client // of what is fed
	members map[int]*chaosMember
	stops   sync.WaitGroup
	fed     int // records, for their keys
}

const (
	finishing = 4 * time.Minute // in which all must be finished after the faults
	look      = 100 * time.Millisecond
	rebalance = 20 * time.Second
	resting   = 45 * time.Second // in which requests that were lost are given up, and the group comes to rest
)

func (w *world) run() {
	w.began = time.Now()
	w.cluster = kafkatest.StartFake(w.t, kafkatest.Virtual(), kafkatest.Brokers(w.brokers))
	w.addrs = w.cluster.Addrs()
	w.ref = newReferee(w)
	for topic, n := range w.parts {
		if err := w.cluster.Fake().CreateTopic(topic, n, nil); err != nil {
			w.t.Fatal(err)
		}
	}
	w.wire = kafkatest.NewWire(w.t, w.cluster, w.fault)
	w.dial()
	w.members = map[int]*chaosMember{}
	w.t.Cleanup(func() { // whatever has failed
		for _, m := range w.members {
			m.abort()
			m.exit()
		}
		w.client.Close()
	})
	for _, a := range w.acts {
		time.Sleep(time.Until(w.began.Add(a.at)))
		w.do(a)
		if w.t.Failed() {
			break
		}
	}
	time.Sleep(time.Until(w.began.Add(w.length)))
	w.finish()
	w.stops.Wait()
	if !w.t.Failed() {
		time.Sleep(resting)
	}
	for _, m := range w.members {
		if !m.ending {
			m.ending = true
			m.cancel()
			m.exit()
			if m.err != nil {
				w.t.Errorf("%s, stopped after the faults: %v", m.name, m.err)
			}
		}
	}
	w.ref.sample()
	w.wire.Close()
	if !w.t.Failed() || w.ref.bad {
		w.ref.check()
	}
}

func (w *world) now() time.Duration { return time.Since(w.began).Round(time.Microsecond) }

func (w *world) dial() {
	var err error
	w.client, err = kgo.NewClient(kgo.SeedBrokers(w.addrs...), kgo.Dialer(w.cluster.Dial),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(10*time.Millisecond), kgo.ProducerLinger(0))
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) do(a act) {
	f := w.cluster.Fake()
	switch a.what {
	case "feed":
		w.feed(a.who)
	case "start":
		w.start(a.who)
	case "stop":
		m := w.members[a.who]
		m.ending = true
		w.stops.Go(func() { m.cancel(); m.exit() })
	case "kill":
		m := w.members[a.who]
		m.ending = true
		w.wire.Kill(m.name)
		w.stops.Go(func() { m.abort(); m.exit() })
	case "move":
		_ = f.MoveTopicPartition(a.topic, int32(a.who)%w.parts[a.topic], int32(a.who)%int32(w.brokers))
	case "shuffle":
		f.ShufflePartitionLeaders()
	case "rehash":
		f.RehashCoordinators()
	case "break":
		w.wire.Break("", w.addrs[a.who%w.brokers])
	case "widen":
		w.cluster.AddPartitions(w.t, a.topic, int(w.parts[a.topic])+2)
		w.parts[a.topic] += 2
		w.client.Close()
		w.dial()
	case "delete":
		w.ref.delete(a.topic, func() error { return f.DeleteTopic(a.topic) })
	case "create":
		if err := f.CreateTopic(a.topic, w.parts[a.topic], nil); err != nil {
			w.t.Error(err)
		}
	case "remake":
		w.client.Close()
		w.ref.remake(a.topic, func() {
			if err := errors.Join(f.DeleteTopic(a.topic), f.CreateTopic(a.topic, w.parts[a.topic], nil)); err != nil {
				w.t.Error(err)
			}
		})
		w.dial()
	default:
		w.t.Fatalf("%s is no act", a.what)
	}
}

// feed writes records to the inputs, past the wire.
func (w *world) feed(n int) {
	var recs []*kgo.Record
	for range n {
		topic := input
		if w.parts[spare] > 0 && w.fed%3 == 0 {
			topic = spare
		}
		p := int32(w.fed) % w.parts[topic]
		rec := &kgo.Record{Topic: topic, Partition: p, Value: []byte(w.ref.name(topic, p))}
		if w.fed%5 > 0 {
			rec.Key = fmt.Append(nil, "k", w.fed%7)
		}
		recs = append(recs, rec)
		w.fed++
	}
	if err := w.client.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
		w.t.Fatalf("feeding: %v", err)
	}
	w.ref.fed(recs)
}

// ended says which member has ended by itself.
func (w *world) ended() *chaosMember {
	for _, m := range w.members {
		select {
		case <-m.done:
			if !m.ending {
				return m
			}
		default:
		}
	}
	return nil
}

// finish waits until all that was fed is committed.
func (w *world) finish() {
	for began := time.Now(); ; time.Sleep(look) {
		w.ref.sample()
		left := w.ref.left()
		if left == "" {
			return
		}
		m := w.ended()
		if m != nil {
			w.t.Errorf("at %v: %s has ended: %v", w.now(), m.name, m.err)
		} else if time.Since(began) > finishing {
			w.t.Errorf("%v after the faults it is not finished: %s", finishing, left)
		} else {
			continue
		}
		w.dump()
		for _, m := range w.members {
			m.ending = true
			m.abort()
		}
		return
	}
}
