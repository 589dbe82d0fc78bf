package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A modelBroker is a cluster that keeps, per partition, the state of each producer as
// Kafka does (ProducerStateManager: the last five batches, the epoch), and that does
// and says what a test wants of it: it may or may not have appended before any answer,
// or before none. It is on a network of its own, for tests in virtual time.
type modelBroker struct {
	mu            sync.Mutex
	topic         string
	parts         []*modelPartition
	nextID        int64
	produce       int // requests
	transactional int // of them, with a transactional id
	asked         int // for metadata
	// meet says what becomes of a batch that has come to its leader; nil: all is well.
	meet func(p *modelPartition, b *modelBatch) fate
	// noID and noLeader are what the cluster says instead of giving an id, or a leader.
	noID, noLeader Error
	conns          []net.Conn
	down           chan struct{} // closed at the end
	serve          sync.WaitGroup
}

// A fate is what becomes of one batch that a leader gets.
type fate struct {
	code    Error         // of the answer
	append  bool          // before the answer, unless it is a repeat or out of order
	silent  bool          // no answer, and the connection ends
	hang    bool          // no answer, and the connection stays
	absent  bool          // the answer leaves the partition out
	garbage bool          // the answer ends in the middle
	late    time.Duration // appended that long after a silent answer
	wait    time.Duration // until the answer
	undone  bool          // what was appended is cut off again: another replica leads, without it
	move    bool          // another broker leads afterwards
	stale   int           // answers that still name the one before
}

type modelPartition struct {
	index  int32
	leader int32
	epoch  int32
	log    []*modelBatch
	state  map[int64]*modelProducer
	late   int // requests that will be appended later
	stale  int // metadata answers that name the leader before this one
}

type modelProducer struct {
	epoch int16
	last  []*modelBatch // five at most
}

type modelBatch struct {
	id             int64
	epoch          int16
	first, n, seen int32 // seen: how often it came
	values         []string
}

func (b *modelBatch) last() int32 { return int32((int64(b.first) + int64(b.n) - 1) & 0x7fffffff) }

const modelNodes = 3

func startModel(t kafkatest.T, partitions int) *modelBroker {
	m := &modelBroker{topic: "out", nextID: 1000, down: make(chan struct{})}
	for i := range int32(partitions) {
		m.parts = append(m.parts, &modelPartition{index: i, leader: i % modelNodes, state: map[int64]*modelProducer{}})
	}
	t.Cleanup(func() {
		close(m.down)
		m.mu.Lock()
		for _, c := range m.conns {
			_ = c.Close()
		}
		m.mu.Unlock()
		m.serve.Wait()
	})
	return m
}

func (m *modelBroker) client(t kafkatest.T) *Client {
	client, err := NewClient(Config{Brokers: []string{"model:1"}, Dial: m.dial})
	if err != nil {
		t.Fatalf("making a client: %v", err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Fatalf("%v", err)
		}
	})
	return client
}

func (m *modelBroker) dial(_ context.Context, _, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	node, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conns = append(m.conns, near, far)
	m.serve.Go(func() {
		defer far.Close()
		for m.answerNext(far, int32(node-1)) == nil {
		}
	})
	return near, nil
}

var errCut = errors.New("the model cuts the connection")

// answerNext answers one request.
func (m *modelBroker) answerNext(c net.Conn, node int32) error {
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return err
	}
	in := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, in); err != nil {
		return err
	}
	r := kbin.Reader{Src: in}
	req := kmsg.RequestForKey(r.Int16())
	req.SetVersion(r.Int16())
	correlation := r.Int32()
	r.NullableString() // client id
	if req.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	if err := req.ReadFrom(r.Src); err != nil {
		return err
	}
	resp, cut, wait, err := m.answer(req, node)
	if err != nil {
		return err
	}
	select {
	case <-time.After(wait):
	case <-m.down:
		return errCut
	}
	if resp == nil { // it hangs
		<-m.down
		return errCut
	}
	out := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(correlation))
	if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
		out = append(out, 0)
	}
	out = resp.AppendTo(out)
	out = out[:len(out)-cut]
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	_, err = c.Write(out)
	return err
}

func (m *modelBroker) answer(req kmsg.Request, node int32) (resp kmsg.Response, cut int, wait time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	resp = req.ResponseKind()
	switch resp := resp.(type) {
	case *kmsg.ApiVersionsResponse:
		for key, most := range map[kmsg.Key]int16{kmsg.Produce: 8, kmsg.Metadata: 7, kmsg.ApiVersions: 2, kmsg.InitProducerID: 1} {
			k := kmsg.NewApiVersionsResponseApiKey()
			k.ApiKey, k.MaxVersion = int16(key), most
			resp.ApiKeys = append(resp.ApiKeys, k)
		}
	case *kmsg.MetadataResponse:
		if len(req.(*kmsg.MetadataRequest).Topics) > 0 { // else it is kafka-go's own
			m.asked++
		}
		m.metadata(resp)
	case *kmsg.InitProducerIDResponse:
		if resp.ErrorCode = int16(m.noID); m.noID == 0 {
			m.nextID++
			resp.ProducerID, resp.ProducerEpoch = m.nextID, 0
		}
	case *kmsg.ProduceResponse:
		m.produce++
		if req.(*kmsg.ProduceRequest).TransactionID != nil {
			m.transactional++
		}
		return m.produced(req.(*kmsg.ProduceRequest), resp, node)
	default:
		return nil, 0, 0, fmt.Errorf("request %d", req.Key())
	}
	return resp, 0, 0, nil
}

func (m *modelBroker) metadata(resp *kmsg.MetadataResponse) {
	for i := range int32(modelNodes) {
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port = i, "model", i+1
		resp.Brokers = append(resp.Brokers, b)
	}
	t := kmsg.NewMetadataResponseTopic()
	t.Topic = kmsg.StringPtr(m.topic)
	for _, p := range m.parts {
		mp := kmsg.NewMetadataResponseTopicPartition()
		mp.Partition, mp.Leader, mp.LeaderEpoch = p.index, p.leader, p.epoch
		if p.stale > 0 {
			p.stale--
			mp.Leader, mp.LeaderEpoch = (p.leader+modelNodes-1)%modelNodes, p.epoch-1
		}
		if mp.ErrorCode = int16(m.noLeader); m.noLeader != 0 {
			mp.Leader = -1
		}
		t.Partitions = append(t.Partitions, mp)
	}
	resp.Topics = append(resp.Topics, t)
}

func (m *modelBroker) produced(req *kmsg.ProduceRequest, resp *kmsg.ProduceResponse, node int32) (kmsg.Response, int, time.Duration, error) {
	rt := kmsg.NewProduceResponseTopic()
	rt.Topic = m.topic
	var silent, hang bool
	cut, wait := 0, time.Duration(0)
	for _, in := range req.Topics[0].Partitions {
		p := m.parts[in.Partition]
		b, err := modelBatchOf(in.Records)
		if err != nil {
			return nil, 0, 0, err
		}
		rp := kmsg.NewProduceResponseTopicPartition()
		rp.Partition = in.Partition
		f := fate{append: true}
		if p.leader != node {
			f = fate{code: NotLeaderOrFollower}
		} else if m.meet != nil {
			f = m.meet(p, b)
		}
		code := m.suffer(p, b, f)
		wait = max(wait, f.wait)
		silent, hang = silent || f.silent || f.late > 0, hang || f.hang
		if f.garbage {
			cut = 12 // the throttle time, and what stands before it
		}
		rp.ErrorCode = int16(code)
		if !f.absent {
			rt.Partitions = append(rt.Partitions, rp)
		}
	}
	resp.Topics = append(resp.Topics, rt)
	switch {
	case hang:
		return nil, 0, 0, nil
	case silent:
		return nil, 0, 0, errCut
	}
	return resp, cut, wait, nil
}

// suffer does what f says, and gives the code of the answer.
func (m *modelBroker) suffer(p *modelPartition, b *modelBatch, f fate) Error {
	code := f.code
	if f.append {
		kept := len(p.log)
		if own := p.take(b); own != 0 {
			code = own // what the log says of it comes before what happens to it there
		} else if f.undone && len(p.log) > kept {
			p.log = p.log[:kept]
			s := p.state[b.id]
			s.last = s.last[:len(s.last)-1]
			f.move = true
		}
	}
	if f.late > 0 {
		p.late++
		m.serve.Go(func() {
			select {
			case <-time.After(f.late):
			case <-m.down:
				return
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			p.late--
			p.take(b)
		})
	}
	if f.move {
		p.leader, p.epoch, p.stale = (p.leader+1)%modelNodes, p.epoch+1, f.stale
	}
	return code
}

// take is UnifiedLog.append with ProducerAppendInfo's checks, in their order: a repeat
// of one of the last five, the epoch, the order; whoever is not known may begin with
// any sequence.
func (p *modelPartition) take(b *modelBatch) Error {
	s := p.state[b.id]
	if s != nil && s.epoch == b.epoch {
		for _, q := range s.last {
			if q.first == b.first && q.last() == b.last() {
				q.seen++
				return 0
			}
		}
	}
	switch {
	case s == nil || len(s.last) == 0 && s.epoch == b.epoch:
		s = &modelProducer{epoch: b.epoch}
		p.state[b.id] = s
	case b.epoch < s.epoch:
		return InvalidProducerEpoch
	case b.epoch > s.epoch:
		if b.first != 0 {
			return OutOfOrderSequence
		}
		s.epoch, s.last = b.epoch, nil
	case b.first != int32((int64(s.last[len(s.last)-1].last())+1)&0x7fffffff):
		return OutOfOrderSequence
	}
	s.last = append(s.last, b)
	s.last = s.last[max(0, len(s.last)-5):]
	p.log = append(p.log, b)
	return 0
}

// lose makes the leader's record of a producer be that of another past, so that it
// calls all that comes from it out of order.
func (p *modelPartition) lose(id int64) {
	if s := p.state[id]; s != nil {
		s.last = []*modelBatch{{id: id, epoch: s.epoch, first: 1 << 30, n: 1}}
	}
}

// has says whether the log has the batch.
func (p *modelPartition) has(b *modelBatch) bool {
	return slices.ContainsFunc(p.log, func(q *modelBatch) bool {
		return q.id == b.id && q.epoch == b.epoch && q.first == b.first
	})
}

// values are those in a partition, in order.
func (m *modelBroker) values(partition int32) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	for _, b := range m.parts[partition].log {
		all = append(all, b.values...)
	}
	return all
}

func (m *modelBroker) counts() (produce, asked, ids int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.produce, m.asked, int(m.nextID)
}

func modelBatchOf(raw []byte) (*modelBatch, error) {
	var b kmsg.RecordBatch
	if err := b.ReadFrom(raw); err != nil {
		return nil, err
	}
	if b.Attributes != 0 {
		return nil, fmt.Errorf("a batch with attributes %d: compressed or of a transaction", b.Attributes)
	}
	out := &modelBatch{id: b.ProducerID, epoch: b.ProducerEpoch, first: b.FirstSequence, n: b.NumRecords, seen: 1}
	in := kbin.Reader{Src: b.Records}
	for range b.NumRecords {
		var r kmsg.Record
		body := in.Span(int(in.Varint()))
		if err := r.ReadFrom(append(kbin.AppendVarint(nil, int32(len(body))), body...)); err != nil {
			return nil, err
		}
		out.values = append(out.values, string(r.Value))
	}
	return out, nil
}

// unheardOf is a code that no broker has today.
const unheardOf Error = 9999

// everyCode is every code that Kafka has, and one that it has not.
func everyCode() []Error { return append(slices.Sorted(maps.Keys(errorTexts)), unheardOf) }
