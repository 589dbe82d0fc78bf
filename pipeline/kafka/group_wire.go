package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

func comparePartitions(a, b TopicPartition) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	return int(a.Partition) - int(b.Partition)
}

// ask sends a request to the group's coordinator. A coordinator that does not answer
// is looked for anew next time.
func (m *member) ask(ctx context.Context, patience time.Duration, x *exchange) (*reader, error) {
	sent := time.Now()
	r, err := m.exchange(ctx, patience, x)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err == nil:
		m.silent = time.Time{}
	case m.silent.IsZero() && ctx.Err() == nil: // else it is the caller who has given up
		m.silent = sent
	}
	return r, err
}

// exchange is ask, of which nothing is noted.
func (m *member) exchange(ctx context.Context, patience time.Duration, x *exchange) (*reader, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	node, err := m.client.Coordinator(ctx, m.config.Group)
	if err != nil {
		return nil, err
	}
	x.broker, x.clientID, x.patience = node, m.client.config.ClientID, patience
	if err := m.client.do(ctx, x); err != nil {
		m.client.DropCoordinator(m.config.Group)
		return nil, fmt.Errorf("asking the coordinator of group %s: %w", m.config.Group, err)
	}
	return &reader{b: x.answer}, nil
}

// code gives an error for a code of the coordinator, and forgets the coordinator when
// it says that it is none.
func (m *member) code(doing string, r *reader, code int16) error {
	err := codeError(code)
	if err == nil && r.err != nil {
		return fmt.Errorf("%s group %s: %w", doing, m.config.Group, r.err)
	}
	if err == nil {
		return nil
	}
	if Error(code).coordinatorMoved() {
		m.client.DropCoordinator(m.config.Group)
	}
	return fmt.Errorf("%s group %s: %w", doing, m.config.Group, err)
}

// requestPatience is for requests that the coordinator answers at once.
func (m *member) requestPatience() time.Duration {
	return max(min(m.config.Session/2, 5*time.Second), time.Second)
}

// A joined is the answer to JoinGroup.
type joined struct {
	generation       int32
	protocol         string
	leader, memberID string
	members          []groupMember // of the leader alone
}

// A groupMember is what the leader knows of a member.
type groupMember struct {
	id, instance string
	subscription
}

// sendJoin is JoinGroup version 5. It waits for the other members.
func (m *member) sendJoin(id string, s subscription) (*joined, error) {
	x := &exchange{key: protocol.JoinGroup, body: func(w *writer) {
		w.string(m.config.Group)
		w.int32(int32(m.config.Session / time.Millisecond))
		w.int32(int32(m.config.Rebalance / time.Millisecond))
		w.string(id)
		w.nullable(m.config.Instance)
		w.string("consumer")
		w.array(1)
		w.string(groupProtocol)
		w.bytes(s.encode())
	}}
	r, err := m.ask(m.ctx, m.config.Rebalance+10*time.Second, x)
	if err != nil {
		return nil, err
	}
	r.int32() // throttle
	code := r.int16()
	j := &joined{generation: r.int32(), protocol: r.string(), leader: r.string(), memberID: r.string()}
	for n := r.array(); n > 0 && r.err == nil; n-- {
		g := groupMember{id: r.string(), instance: r.string()}
		// A subscription that cannot be read is one to nothing.
		g.subscription, _ = decodeSubscription(r.bytes())
		j.members = append(j.members, g)
	}
	return j, m.code("joining", r, code)
}

// sendSync is SyncGroup version 3. plan is the leader's.
func (m *member) sendSync(j *joined, plan map[string][]byte) ([]TopicPartition, error) {
	x := &exchange{key: protocol.SyncGroup, body: func(w *writer) {
		w.string(m.config.Group)
		w.int32(j.generation)
		w.string(j.memberID)
		w.nullable(m.config.Instance)
		w.array(len(plan))
		for id, b := range plan {
			w.string(id)
			w.bytes(b)
		}
	}}
	r, err := m.ask(m.ctx, m.config.Rebalance+10*time.Second, x)
	if err != nil {
		return nil, err
	}
	r.int32() // throttle
	code := r.int16()
	b := r.bytes()
	if err := m.code("joining", r, code); err != nil {
		return nil, err
	}
	return decodeAssignment(b)
}

// sendHeartbeat is Heartbeat version 3.
func (m *member) sendHeartbeat(id string, generation int32) error {
	x := &exchange{key: protocol.Heartbeat, body: func(w *writer) {
		w.string(m.config.Group)
		w.int32(generation)
		w.string(id)
		w.nullable(m.config.Instance)
	}}
	r, err := m.ask(m.ctx, m.requestPatience(), x)
	if err != nil {
		return err
	}
	r.int32() // throttle
	return m.code("sending a heartbeat to", r, r.int16())
}

// leave is LeaveGroup version 3.
func (m *member) leave(ctx context.Context, id string) error {
	x := &exchange{key: protocol.LeaveGroup, body: func(w *writer) {
		w.string(m.config.Group)
		w.array(1)
		w.string(id)
		w.nullable(m.config.Instance)
	}}
	r, err := m.ask(ctx, m.requestPatience(), x)
	if err != nil {
		return err
	}
	r.int32() // throttle
	code := r.int16()
	for n := r.array(); n > 0 && r.err == nil; n-- {
		r.string()
		r.string()
		if c := r.int16(); code == 0 {
			code = c
		}
	}
	return m.code("leaving", r, code)
}

// A subscription is what a member tells the leader: version 1 of Kafka's consumer
// protocol. The generation, of which the claims are, travels in the user data, as
// Java's cooperative sticky assignor has it.
type subscription struct {
	topics     []string
	owned      []TopicPartition
	generation int32
}

func (s subscription) encode() []byte {
	w := &writer{}
	w.int16(1)
	w.array(len(s.topics))
	for _, t := range s.topics {
		w.string(t)
	}
	user := &writer{}
	user.int32(s.generation)
	w.bytes(user.b)
	w.partitions(s.owned)
	return w.b
}

// partitions writes partitions by topic. They are sorted.
func (w *writer) partitions(tps []TopicPartition) {
	topics := 0
	for i, tp := range tps {
		if i == 0 || tps[i-1].Topic != tp.Topic {
			topics++
		}
	}
	w.array(topics)
	for len(tps) > 0 {
		n := slices.IndexFunc(tps, func(tp TopicPartition) bool { return tp.Topic != tps[0].Topic })
		if n < 0 {
			n = len(tps)
		}
		w.string(tps[0].Topic)
		w.array(n)
		for _, tp := range tps[:n] {
			w.int32(tp.Partition)
		}
		tps = tps[n:]
	}
}

func (r *reader) partitions() []TopicPartition {
	var out []TopicPartition
	for n := r.array(); n > 0 && r.err == nil; n-- {
		topic := r.string()
		for p := r.array(); p > 0 && r.err == nil; p-- {
			out = append(out, TopicPartition{topic, r.int32()})
		}
	}
	return out
}

var errMalformed = errors.New("a member's data is malformed")

// decodeSubscription reads versions 0 and up; what it does not know of is skipped.
func decodeSubscription(b []byte) (subscription, error) {
	r := &reader{b: b}
	s := subscription{generation: -1}
	version := r.int16()
	for n := r.array(); n > 0 && r.err == nil; n-- {
		s.topics = append(s.topics, r.string())
	}
	user := r.bytes()
	if version >= 1 {
		s.owned = r.partitions()
	}
	if version >= 2 {
		s.generation = r.int32()
	} else if len(user) == 4 {
		s.generation = (&reader{b: user}).int32()
	}
	if r.err != nil || version < 0 {
		return subscription{generation: -1}, errMalformed
	}
	return s, nil
}

func encodeAssignment(tps []TopicPartition) []byte {
	w := &writer{}
	w.int16(0)
	w.partitions(tps)
	w.int32(-1) // no user data
	return w.b
}

// decodeAssignment reads what the leader has given this member; nothing at all is an
// assignment of nothing.
func decodeAssignment(b []byte) ([]TopicPartition, error) {
	if len(b) == 0 {
		return nil, nil
	}
	r := &reader{b: b}
	r.int16()
	tps := r.partitions()
	if r.err != nil {
		return nil, fmt.Errorf("reading the assignment: %w", errMalformed)
	}
	slices.SortFunc(tps, comparePartitions)
	return tps, nil
}
