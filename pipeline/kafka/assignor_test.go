package kafka

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// The model plays rounds of a group: members come, go silently, give partitions back,
// and topics grow. No partition may ever have two owners, and a group left alone must
// settle, level, with all partitions served.
func TestAssignmentSettlesAndNeverOverlaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topics := []string{"a", "b", "c"}
		counts := map[string]int32{}
		for _, name := range topics {
			counts[name] = rapid.Int32Range(0, 9).Draw(t, name)
		}
		g := &groupModel{t: t, counts: counts, members: map[string]*modelMember{}}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				wants := topics
				if rapid.Bool().Draw(t, "one topic") {
					wants = topics[:1+rapid.IntRange(0, 1).Draw(t, "topics")]
				}
				g.join(wants)
			case 1:
				g.leave(rapid.IntRange(0, 9).Draw(t, "who"))
			case 2:
				counts[rapid.SampledFrom(topics).Draw(t, "topic")] += rapid.Int32Range(0, 3).Draw(t, "more")
			case 3:
				g.release(rapid.IntRange(0, 3).Draw(t, "how many"))
			}
			g.round()
		}
		g.settle()
	})
}

type modelMember struct {
	wants     []string
	owned     map[TopicPartition]bool // true: being given back
	generated int32
}

type groupModel struct {
	t          *rapid.T
	counts     map[string]int32
	members    map[string]*modelMember
	names      []string
	next       int
	generation int32
}

func (g *groupModel) join(wants []string) {
	g.next++
	name := fmt.Sprintf("m%02d", g.next)
	g.members[name] = &modelMember{wants: wants, owned: map[TopicPartition]bool{}, generated: -1}
	g.names = append(g.names, name)
}

func (g *groupModel) leave(i int) {
	if i < len(g.names) {
		delete(g.members, g.names[i])
		g.names = append(g.names[:i:i], g.names[i+1:]...)
	}
}

// release gives back up to n revoked partitions, and says how many.
func (g *groupModel) release(n int) (released int) {
	for _, name := range g.names {
		m := g.members[name]
		for _, tp := range sortedPartitions(m.owned) {
			if m.owned[tp] && released < n {
				delete(m.owned, tp)
				released++
			}
		}
	}
	return released
}

// round is one rebalance.
func (g *groupModel) round() (moved bool) {
	var all []groupMember
	for _, name := range g.names {
		m := g.members[name]
		all = append(all, groupMember{id: name, subscription: subscription{topics: m.wants, owned: sortedPartitions(m.owned), generation: m.generated}})
	}
	g.generation++
	plan := assign(all, g.counts)
	for _, name := range g.names {
		m := g.members[name]
		m.generated = g.generation
		got := map[TopicPartition]bool{}
		for _, tp := range plan[name] {
			got[tp] = true
			if _, ok := m.owned[tp]; !ok {
				m.owned[tp], moved = false, true
			}
		}
		for tp, leaving := range m.owned {
			if !got[tp] && !leaving {
				m.owned[tp], moved = true, true
			}
		}
	}
	owner := map[TopicPartition]string{}
	for _, name := range g.names {
		for tp := range g.members[name].owned {
			if owner[tp] != "" {
				g.t.Fatalf("%v belongs to %s and %s", tp, owner[tp], name)
			}
			owner[tp] = name
		}
	}
	return moved
}

func (g *groupModel) settle() {
	for i := 0; ; i++ {
		moved := g.round()
		if g.release(1000) == 0 && !moved {
			break
		}
		if i > 5 {
			g.t.Fatalf("the group does not settle")
		}
	}
	owner := map[TopicPartition]string{}
	least, most := 1<<30, 0
	whole := true
	for _, name := range g.names {
		m := g.members[name]
		for tp := range m.owned {
			owner[tp] = name
		}
		whole = whole && len(m.wants) == 3
		least, most = min(least, len(m.owned)), max(most, len(m.owned))
	}
	for topic, n := range g.counts {
		wanted := false
		for _, name := range g.names {
			for _, w := range g.members[name].wants {
				wanted = wanted || w == topic
			}
		}
		for p := range n {
			if tp := (TopicPartition{topic, p}); wanted && owner[tp] == "" {
				g.t.Fatalf("nobody has %v", tp)
			}
		}
	}
	if whole && len(g.names) > 0 && most-least > 1 {
		g.t.Fatalf("one member has %d partitions, another %d", most, least)
	}
}

func TestStaleClaimDoesNotTakeAPartitionBack(t *testing.T) {
	tp := TopicPartition{"t", 0}
	got := assign([]groupMember{
		{id: "stale", subscription: subscription{topics: []string{"t"}, owned: []TopicPartition{tp}, generation: 3}},
		{id: "owner", subscription: subscription{topics: []string{"t"}, owned: []TopicPartition{tp}, generation: 7}},
	}, map[string]int32{"t": 1})
	if len(got["owner"]) != 1 || len(got["stale"]) != 0 {
		t.Errorf("assigned %v", got)
	}
}

func TestSubscriptionOfAnyVersionIsRead(t *testing.T) {
	s := subscription{topics: []string{"a", "b"}, owned: []TopicPartition{{"a", 0}, {"a", 2}, {"b", 1}}, generation: 9}
	got, err := decodeSubscription(s.encode())
	if err != nil || fmt.Sprint(got) != fmt.Sprint(s) {
		t.Errorf("read %v, %v", got, err)
	}
	w := &writer{b: s.encode()}
	w.b[1] = 3 // generation and rack follow
	w.int32(12)
	w.string("rack")
	if got, err := decodeSubscription(w.b); err != nil || got.generation != 12 || len(got.owned) != 3 {
		t.Errorf("version 3: read %v, %v", got, err)
	}
	for n := range s.encode() {
		if _, err := decodeSubscription(s.encode()[:n]); err == nil {
			t.Errorf("the first %d bytes were read as a whole", n)
		}
	}
}
