package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// plan is the leader's work: the assignment of each member, and what it is based on.
func (m *member) plan(j *joined) (map[string][]byte, map[string]topicState, error) {
	var names []string
	for _, g := range j.members {
		names = append(names, g.topics...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	base, err := m.topicStates(names, j.members)
	if err != nil {
		return nil, nil, err
	}
	counts := make(map[string]int32, len(base))
	for name, s := range base {
		counts[name] = s.partitions
	}
	out := map[string][]byte{}
	for id, tps := range assign(j.members, counts) {
		out[id] = encodeAssignment(tps)
	}
	return out, base, nil
}

// topicStates asks how many partitions the topics have. What one member is told is not
// taken from the others: a topic that it is denied, or that a broker does not know yet
// or any more, has the partitions that it had, or that its owners claim, until it is
// known again or has been unknown for several looks (see unknownForLong).
func (m *member) topicStates(names []string, members []groupMember) (map[string]topicState, error) {
	ctx, cancel := context.WithTimeout(m.ctx, min(m.config.Rebalance, m.config.Session)/2)
	defer cancel()
	for {
		err := m.client.Refresh(ctx, names...)
		if err == nil {
			break
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return nil, err
		}
	}
	states := m.look(ctx, names)
	for _, g := range members {
		for _, tp := range g.owned {
			s, ok := states[tp.Topic]
			if ok && s.doubt != nil && !m.unknownForLong(tp.Topic) {
				s.partitions = max(s.partitions, tp.Partition+1)
				states[tp.Topic] = s
			}
		}
	}
	m.mu.Lock()
	before := m.topics
	m.mu.Unlock()
	for name, s := range states {
		if s.doubt == nil || m.unknownForLong(name) {
			continue
		}
		if was := before[name]; was.partitions > s.partitions {
			s.partitions = was.partitions
		}
		s.id = before[name].id
		states[name] = s
		if s.partitions > 0 && m.config.Report != nil {
			m.config.Report(fmt.Errorf("sharing out topic %s: %w; its partitions stay with their members", name, s.doubt))
		}
	}
	return states, nil
}

// unknownLooks is how many looks in a row must find a topic unknown until its partitions
// are taken from their members. Brokers differ for a moment after every change.
const unknownLooks = 3

// unknownForLong says whether a topic has been unknown for long enough to count as deleted.
func (m *member) unknownForLong(topic string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.absent[topic] >= unknownLooks
}

// isNews says whether what a member is told now of the topics is news to what an
// assignment is based on. It counts the looks at which a topic was unknown.
func (m *member) isNews(base, now map[string]topicState) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	news := false
	for name, was := range base {
		is := now[name]
		switch {
		case errors.Is(is.doubt, UnknownTopicOrPartition):
			m.absent[name]++
			news = news || was.partitions > 0 && m.absent[name] >= unknownLooks
		case is.doubt != nil: // nothing is known
		default:
			m.absent[name] = 0
			news = news || is.partitions != was.partitions || was.id != (TopicID{}) && is.id != was.id
		}
	}
	return news
}

// assign shares partitions out, cooperatively and sticky: whoever has a partition
// keeps it unless the balance forbids; one that is to move is given to nobody while
// its owner still has it, and to its new owner in the round that follows its release.
func assign(members []groupMember, counts map[string]int32) map[string][]TopicPartition {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b groupMember) int {
		return cmp.Or(cmp.Compare(a.instance, b.instance), cmp.Compare(a.id, b.id))
	})
	b := balance{members: members, has: make([][]TopicPartition, len(members)), claims: map[TopicPartition][]int{}}
	b.claim(counts)
	b.share(counts)
	b.level()
	out := map[string][]TopicPartition{}
	for i, g := range members {
		tps := slices.DeleteFunc(b.has[i], func(tp TopicPartition) bool { return b.withheld(tp, i) })
		slices.SortFunc(tps, comparePartitions)
		out[g.id] = tps
	}
	return out
}

type balance struct {
	members []groupMember
	has     [][]TopicPartition       // by member: what it is to have
	claims  map[TopicPartition][]int // members that say they own it
}

func (b *balance) wants(i int, topic string) bool { return slices.Contains(b.members[i].topics, topic) }

// claim starts from what the members own.
func (b *balance) claim(counts map[string]int32) {
	for i, g := range b.members {
		for _, tp := range g.owned {
			if tp.Partition >= 0 && tp.Partition < counts[tp.Topic] {
				b.claims[tp] = append(b.claims[tp], i)
			}
		}
	}
	for tp := range b.claims {
		if i := b.owner(tp); i >= 0 && b.wants(i, tp.Topic) {
			b.has[i] = append(b.has[i], tp)
		}
	}
	for i := range b.has {
		slices.SortFunc(b.has[i], comparePartitions)
	}
}

// owner is the member with the newest claim; -1 when nobody has one, or two are
// equally new.
func (b *balance) owner(tp TopicPartition) int {
	owner, newest, twice := -1, int32(0), false
	for _, i := range b.claims[tp] {
		switch generation := b.members[i].generation; {
		case owner < 0 || generation > newest:
			owner, newest, twice = i, generation, false
		case generation == newest:
			twice = true
		}
	}
	if twice {
		return -1
	}
	return owner
}

// share gives each partition without an owner to the member with the least.
func (b *balance) share(counts map[string]int32) {
	taken := map[TopicPartition]bool{}
	for _, tps := range b.has {
		for _, tp := range tps {
			taken[tp] = true
		}
	}
	topics := make([]string, 0, len(counts))
	for name := range counts {
		topics = append(topics, name)
	}
	slices.Sort(topics)
	for _, name := range topics {
		for p := range counts[name] {
			tp := TopicPartition{name, p}
			if taken[tp] {
				continue
			}
			if i := b.least(name); i >= 0 {
				b.has[i] = append(b.has[i], tp)
			}
		}
	}
}

// least is the member with the fewest partitions among those that want the topic.
func (b *balance) least(topic string) int {
	least := -1
	for i := range b.members {
		if b.wants(i, topic) && (least < 0 || len(b.has[i]) < len(b.has[least])) {
			least = i
		}
	}
	return least
}

// level moves partitions from the members with the most until no move helps.
func (b *balance) level() {
	order := make([]int, len(b.members))
	for i := range order {
		order[i] = i
	}
	for moved := true; moved; {
		moved = false
		slices.SortStableFunc(order, func(x, y int) int { return len(b.has[y]) - len(b.has[x]) })
		for _, from := range order {
			for k := len(b.has[from]) - 1; k >= 0; k-- {
				tp := b.has[from][k]
				to := b.least(tp.Topic)
				if to < 0 || len(b.has[to])+1 >= len(b.has[from]) {
					continue
				}
				b.has[from] = slices.Delete(b.has[from], k, k+1)
				b.has[to] = append(b.has[to], tp)
				moved = true
			}
		}
	}
}

// withheld says whether tp, planned for member i, must wait because another member
// still has it.
func (b *balance) withheld(tp TopicPartition, i int) bool {
	if b.owner(tp) == i {
		return false
	}
	return slices.ContainsFunc(b.claims[tp], func(c int) bool { return c != i })
}
