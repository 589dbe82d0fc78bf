package kafkasource

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A wire is a member's connections: each request takes some time, and a test can cut
// them.
type wire struct {
	k    *kafkatest.Cluster
	most time.Duration // of a request on its way

	mu      sync.Mutex
	severed bool
	conns   []net.Conn
}

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := w.k.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.severed {
		conn.Close()
		return nil, errors.New("cut")
	}
	w.conns = append(w.conns, conn)
	return &slowly{conn, w.most}, nil
}

type slowly struct {
	net.Conn
	most time.Duration
}

func (c *slowly) Write(b []byte) (int, error) {
	time.Sleep(rand.N(c.most))
	return c.Conn.Write(b)
}

func (w *wire) sever() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.severed = true
	for _, c := range w.conns {
		c.Close()
	}
}

// Members of a new group begin at the end, at any moment, and some are cut off at any
// moment; a partition is added. Every record behind the first offset that the group
// ever stored for its partition comes, and all of a partition that was added since.
func TestKafkaStartIsSettledOnce(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) { startIsSettledOnce(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func startIsSettledOnce(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 6))
	k := kafkatest.StartFake(t, kafkatest.Virtual())
	partitions := int32(3)
	topic, group := k.Topic(t, partitions), k.Group(t)
	fill(t, k, topic, int(partitions), 100_000, 30)
	s := latest(k, group, topic)
	// A member that is cut off while it joins holds the others up for the rebalance.
	s.Session, s.Heartbeat, s.Rebalance = time.Second, 100*time.Millisecond, time.Second

	first := map[int32]int64{} // where the group begins: stored offsets, as they were seen first
	look := func() {
		if info := k.Fake().GroupInfo(group); info != nil {
			for p, c := range info.Commits[topic] {
				if _, ok := first[p]; !ok {
					first[p] = c.Offset
				}
			}
		}
	}
	most := time.Duration(1+rnd.IntN(100)) * time.Millisecond
	every := time.Duration(50+rnd.IntN(1000)) * time.Millisecond
	var runs []*testRun
	var wires []*wire
	begin := func() {
		w := &wire{k: k, most: most}
		wires = append(wires, w)
		runs = append(runs, startRunDial(t, w.dial, s, func(o *engine.Options) { o.CommitEvery = every }))
	}
	type written struct {
		partition int32
		offset    int64
	}
	var records []written
	client := func() *kgo.Client { // it knows the partitions that there are
		return k.Client(t, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	}
	writer := client()
	write := func(p int32) {
		rec, err := writer.ProduceSync(t.Context(), &kgo.Record{Partition: p, Value: fmt.Append(nil, len(records))}).First()
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, written{p, rec.Offset})
	}
	at := func() int { return rnd.IntN(3000) }
	soon := func() int { return rnd.IntN(100) }
	begins, added := []int{soon(), soon(), at()}, at()
	cuts := []int{100 + rnd.IntN(1000), at()}
	for ms := range 3000 {
		for _, b := range begins {
			if b == ms {
				begin()
			}
		}
		if n := len(runs); n > 0 && (cuts[0] == ms || cuts[1] == ms) && n > 1 {
			wires[rnd.IntN(n-1)].sever() // never the last one
		}
		if added == ms {
			if look(); len(first) > 0 {
				first[partitions] = 0 // it is younger than the group's start
			}
			k.AddPartitions(t, topic, int(partitions)+1)
			partitions++
			writer = client()
			write(partitions - 1)
		}
		if rnd.IntN(5) == 0 {
			write(rnd.Int32N(partitions))
		}
		time.Sleep(time.Millisecond)
		look()
	}
	begin() // somebody who is there at the end
	last := runs[len(runs)-1]
	everyone := func() map[[2]int64]bool {
		seen := map[[2]int64]bool{}
		for _, r := range runs {
			for _, rec := range r.sink.Records() {
				seen[[2]int64{int64(rec.Partition), rec.Offset}] = true
			}
		}
		return seen
	}
	var missing []written
	last.until("all is read", func() bool {
		look()
		seen := everyone()
		missing = missing[:0]
		for _, w := range records {
			if at, stored := first[w.partition]; (!stored || w.offset >= at) && !seen[[2]int64{int64(w.partition), w.offset}] {
				missing = append(missing, w)
			}
		}
		return len(missing) == 0 && len(first) >= 3 || last.late(t, missing)
	})
	for p, at := range first {
		if p < 3 && at < 10 {
			t.Errorf("partition %d begins at %d, although 10 records were there before the group", p, at)
		}
	}
	for _, w := range wires {
		w.sever()
	}
	for _, r := range runs {
		r.cancel()
		_ = r.end()
		_ = r.k.Close(t.Context()) // a pipeline that abandons what is in flight does not
	}
}

// late says that it has taken too long, and what is missing.
func (r *testRun) late(t *testing.T, missing any) bool {
	if time.Since(r.began) < patience-5*time.Second {
		return false
	}
	t.Errorf("still missing: %v", missing)
	return true
}
