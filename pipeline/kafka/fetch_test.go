package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// deliveredOf gives the records of a set, asked for at an offset, as "offset:value" words.
func deliveredOf(set []byte, from int64) (string, recordbatch.DecodeResult, error) {
	var open recordbatch.Decompressor
	defer open.Close()
	var words []string
	var bad error
	res, err := new(recordbatch.Decoder).Decode(set, from, nil, func(b *recordbatch.Batch) bool {
		bad = open.Open(b)
		var r recordbatch.Record
		for bad == nil && b.Next(&r) {
			words = append(words, fmt.Sprintf("%d:%s", r.Offset, r.Value))
		}
		bad = errors.Join(bad, b.Err())
		return bad == nil
	})
	return strings.Join(words, " "), res, errors.Join(err, bad)
}

// readTo fetches a partition from an offset up to its end, as "offset:value" words.
func readTo(t *testing.T, c *Client, tp TopicPartition, from int64, committed bool, visit func(*recordbatch.Batch, *recordbatch.Record)) (next int64) {
	t.Helper()
	ctx := deadline(t)
	d := &recordbatch.Decoder{Committed: committed}
	open := &recordbatch.Decompressor{}
	defer open.Close()
	var answer FetchAnswer
	for {
		leader, epoch, err := c.Leader(ctx, tp)
		if err != nil {
			t.Fatal(err)
		}
		req := &FetchRequest{Broker: leader, MaxWait: 300 * time.Millisecond, MinBytes: 1, MaxBytes: 1 << 20, Committed: committed,
			Partitions: []FetchPartition{{TopicPartition: tp, Offset: from, LeaderEpoch: epoch, MaxBytes: 1 << 20}}}
		if err := c.Fetch(ctx, req, nil, &answer); err != nil {
			t.Fatal(err)
		}
		p := answer.Partitions[0]
		if p.Err != nil {
			t.Fatal(p.Err)
		}
		res, err := d.Decode(p.Set, from, p.Aborted, func(b *recordbatch.Batch) bool {
			if err := open.Open(b); err != nil {
				t.Fatal(err)
			}
			var r recordbatch.Record
			for b.Next(&r) {
				visit(b, &r)
			}
			if b.Err() != nil {
				t.Fatal(b.Err())
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		from = res.Next
		if end := p.LastStable; from >= end || !committed && from >= p.HighWatermark {
			return from
		}
	}
}

func TestFetchReadsWhatFranzWrote(t *testing.T) {
	k := kafkatest.Start(t)
	c := client(t, k.Addrs())
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		t.Run(name, func(t *testing.T) {
			topic := k.Topic(t, 1)
			w := k.Client(t, kgo.ProducerBatchCompression(codec), kgo.DefaultProduceTopic(topic))
			var want []*kgo.Record
			for i := range 500 {
				r := &kgo.Record{Key: []byte(fmt.Sprint(i)), Value: []byte(strings.Repeat("value ", i%40)), Timestamp: time.UnixMilli(time.Now().UnixMilli() - int64(i))}
				if i%7 == 0 {
					r.Key = nil
				}
				if i%11 == 0 {
					r.Value = nil
				}
				if i%3 == 0 {
					r.Headers = []kgo.RecordHeader{{Key: "a", Value: nil}, {Key: "", Value: []byte{}}, {Key: "a", Value: []byte("x")}}
				}
				want = append(want, r)
			}
			if err := w.ProduceSync(deadline(t), want...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			i := 0
			next := readTo(t, c, TopicPartition{topic, 0}, 0, true, func(b *recordbatch.Batch, r *recordbatch.Record) {
				m := &Message{Key: r.Key, Value: r.Value, Time: r.Time}
				b.EachHeader(r, func(name, value []byte) {
					m.Headers = append(m.Headers, recordbatch.Header{Name: string(name), Value: value})
				})
				if r.Offset != int64(i) {
					t.Fatalf("offset %d in place of %d", r.Offset, i)
				}
				if w := *want[i]; w.Value == nil || len(w.Value) > 0 { // franz-go gives an empty value as it came
					sameMessage(t, m, &w)
				}
				i++
			})
			if i != 500 || next != 500 {
				t.Fatalf("%d records, next %d", i, next)
			}
		})
	}
}

func TestFetchLeavesOutAbortedTransactions(t *testing.T) {
	k := kafkatest.Start(t)
	c := client(t, k.Addrs())
	topic := k.Topic(t, 1)
	w := k.Client(t, kgo.TransactionalID(k.Name(t)), kgo.DefaultProduceTopic(topic))
	ctx := deadline(t)
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := w.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for j := range 3 {
			if err := w.ProduceSync(ctx, &kgo.Record{Value: fmt.Appendf(nil, "%d%d", i, j)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.EndTransaction(ctx, end); err != nil {
			t.Fatal(err)
		}
	}
	collect := func(committed bool) string {
		var words []string
		readTo(t, c, TopicPartition{topic, 0}, 0, committed, func(_ *recordbatch.Batch, r *recordbatch.Record) { words = append(words, string(r.Value)) })
		return strings.Join(words, " ")
	}
	// The broker says that a transaction has ended before its end stands in the partition.
	committed := collect(true)
	for ; committed == "00 01 02" && ctx.Err() == nil; committed = collect(true) {
		time.Sleep(10 * time.Millisecond)
	}
	if committed != "00 01 02 20 21 22" {
		t.Errorf("committed: %s", committed)
	}
	if w := collect(false); w != "00 01 02 10 11 12 20 21 22" {
		t.Errorf("uncommitted: %s", w)
	}
}

func TestFetchAnswersEachPartitionOnItsOwn(t *testing.T) {
	k := kafkatest.Start(t)
	c := client(t, k.Addrs())
	one, two := k.Topic(t, 3), k.Topic(t, 1)
	for p := range int32(3) {
		k.Produce(t, one, &kgo.Record{Partition: p, Value: []byte{'a' + byte(p)}})
	}
	ctx := deadline(t)
	tps := []FetchPartition{
		{TopicPartition: TopicPartition{one, 2}}, {TopicPartition: TopicPartition{two, 0}, Offset: 77},
		{TopicPartition: TopicPartition{one, 0}}, {TopicPartition: TopicPartition{one, 1}, Offset: 1},
	}
	req := &FetchRequest{MaxWait: time.Second, MinBytes: 1, MaxBytes: 1 << 20}
	for _, p := range tps {
		leader, epoch, err := c.Leader(ctx, p.TopicPartition)
		if err != nil {
			t.Fatal(err)
		}
		if req.Broker = leader; len(k.Addrs()) > 1 && p.TopicPartition.Topic == two {
			continue
		}
		p.LeaderEpoch, p.MaxBytes = epoch, 1<<20
		req.Partitions = append(req.Partitions, p)
	}
	var answer FetchAnswer
	given := map[int]int{}
	err := c.Fetch(ctx, req, func(i, n int) []byte { given[i] += n; return make([]byte, n) }, &answer)
	if err != nil {
		t.Fatal(err)
	}
	seen := ""
	for _, p := range answer.Partitions {
		q := req.Partitions[p.Index]
		w, res, err := deliveredOf(p.Set, q.Offset)
		if len(p.Set) != given[p.Index] || err != nil {
			t.Fatal(given, err)
		}
		seen += fmt.Sprintf("%s%d %s next %d %v; ", map[string]string{one: "one", two: "two"}[q.Topic], q.Partition, w, res.Next, p.Err)
	}
	for _, want := range []string{"one2 0:c next 1 <nil>", "one0 0:a next 1 <nil>", "one1  next 1 <nil>", "two0  next 77 " + OffsetOutOfRange.Error()} {
		if !strings.Contains(seen, want) {
			t.Errorf("%q is not in %q", want, seen)
		}
	}
}

func TestFetchSendsTheLeaderEpoch(t *testing.T) {
	k := kafkatest.Start(t)
	c := client(t, k.Addrs())
	tp := TopicPartition{k.Topic(t, 1), 0}
	leader, epoch, err := c.Leader(deadline(t), tp)
	if err != nil {
		t.Fatal(err)
	}
	var answer FetchAnswer
	err = c.Fetch(deadline(t), &FetchRequest{Broker: leader, MaxWait: time.Second, MaxBytes: 1 << 20,
		Partitions: []FetchPartition{{TopicPartition: tp, LeaderEpoch: epoch + 1, MaxBytes: 1 << 20}}}, nil, &answer)
	if err != nil || len(answer.Partitions) != 1 || answer.Partitions[0].Err != UnknownLeaderEpoch {
		t.Fatal(err, answer)
	}
}

// A cancelled request is over when Fetch returns: its buffers are free again.
func TestCancelEndsTheExchange(t *testing.T) {
	k := kafkatest.Start(t)
	c := client(t, k.Addrs())
	tp := TopicPartition{k.Topic(t, 1), 0}
	leader, epoch, err := c.Leader(deadline(t), tp)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(deadline(t))
	open := c.conns.count()
	go func() {
		for c.conns.count() == open {
			runtime.Gosched()
		}
		cancel()
	}()
	var answer FetchAnswer
	err = c.Fetch(ctx, &FetchRequest{Broker: leader, MaxWait: 20 * time.Second, MinBytes: 1, MaxBytes: 1 << 20,
		Partitions: []FetchPartition{{TopicPartition: tp, LeaderEpoch: epoch, MaxBytes: 1 << 20}}}, nil, &answer)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if deadline, _ := ctx.Deadline(); time.Until(deadline) < 15*time.Second {
		t.Fatal("waited for the broker")
	}
}

func (s *connSet) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

func TestThrottleIsTold(t *testing.T) {
	k := kafkatest.StartFake(t)
	c := client(t, k.Addrs())
	topic := k.Topic(t, 1)
	k.Fake().ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r := req.ResponseKind().(*kmsg.FetchResponse)
		r.ThrottleMillis = 2000
		return r, nil, true
	})
	var answer FetchAnswer
	err := c.Fetch(deadline(t), &FetchRequest{Broker: 0, MaxWait: time.Second, MaxBytes: 1 << 20,
		Partitions: []FetchPartition{{TopicPartition: TopicPartition{topic, 0}, MaxBytes: 1 << 20}}}, nil, &answer)
	if err != nil || answer.Throttle != 2*time.Second || len(answer.Partitions) != 0 {
		t.Fatal(err, answer)
	}
}

// fetchAnswer encodes what a broker might answer to a fetch of x/0.
func fetchAnswer(set []byte) []byte {
	w := &writer{}
	w.int32(0)
	w.int16(0)
	w.int32(0)
	w.array(1)
	w.string("x")
	w.array(1)
	w.int32(0)
	w.int16(0)
	w.int64(10)
	w.int64(9)
	w.int64(1)
	w.array(1)
	w.int64(5)
	w.int64(6)
	w.int32(-1)
	w.bytes(set)
	return w.b
}

func parse(b []byte, size int) (FetchAnswer, int, error) {
	req := &FetchRequest{Partitions: []FetchPartition{{TopicPartition: TopicPartition{"x", 0}}}}
	var answer FetchAnswer
	asked := 0
	p := &fetchParser{r: strings.NewReader(string(b)), left: size, req: req, answer: &answer,
		alloc: func(_, n int) []byte { asked += n; return make([]byte, n) }}
	return answer, asked, p.parse()
}

func FuzzFetchAnswer(f *testing.F) {
	f.Add(fetchAnswer([]byte("records")))
	f.Add(fetchAnswer(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, asked, _ := parse(b, len(b)); asked > len(b) {
			t.Fatalf("%d bytes allocated for an answer of %d", asked, len(b))
		}
	})
}

func TestHostileAnswers(t *testing.T) {
	whole := fetchAnswer([]byte("records"))
	if _, _, err := parse(whole, len(whole)); err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		if _, _, err := parse(whole[:i], len(whole)); err == nil {
			t.Fatalf("cut off at %d", i)
		}
		if _, _, err := parse(whole, i); err == nil {
			t.Fatalf("length %d", i)
		}
	}
	if _, asked, err := parse(whole, maxFetch+1); err != errFetchSize || asked > 0 {
		t.Fatal(err)
	}
	lie := append([]byte{}, whole...)
	binary.BigEndian.PutUint32(lie[len(lie)-11:], 1<<30) // the record set's length
	if _, asked, err := parse(lie, len(lie)); err == nil || asked > 0 {
		t.Fatal(err, asked)
	}
	// An exchange checks the length before it reads or allocates.
	x := &exchange{body: func(*writer) {}}
	if err := x.roundTrip(&liar{size: 0x7fffffff}); err == nil || errors.Is(err, io.EOF) || x.answer != nil {
		t.Fatal(err)
	}
}

// A liar answers every request with a length that it does not keep.
type liar struct {
	size   uint32
	answer []byte
}

func (l *liar) Write(b []byte) (int, error) {
	l.answer = binary.BigEndian.AppendUint32(nil, l.size)
	l.answer = append(l.answer, b[8:12]...)
	return len(b), nil
}

func (l *liar) Read(b []byte) (int, error) {
	n := copy(b, l.answer)
	l.answer = l.answer[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
