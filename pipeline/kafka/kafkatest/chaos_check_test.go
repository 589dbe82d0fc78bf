package kafkatest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// parse gives the lane and number of a record.
func parse(value string) (l lane, n int, err error) {
	name, rest, _ := strings.Cut(value, ".")
	l.topic = name
	_, err = fmt.Sscanf(rest, "%d/%d/%d", &l.age, &l.p, &n)
	return l, n, err
}

// A path is what order holds along: a lane's records in one partition of the output,
// of one key where the plan orders by keys.
type path struct {
	lane lane
	out  int32
	key  string
}

// check judges the output.
func (r *referee) check() {
	t := r.w.t
	var recs []*kgo.Record
	for _, topic := range r.outs {
		if topic != letter && r.w.cluster.Fake().TopicInfo(topic) != nil {
			recs = append(recs, r.w.cluster.Consume(t, topic)...)
		}
	}
	first := map[string]*kgo.Record{} // delivery
	times := map[string]int{}
	newest := map[path]int{}
	for _, rec := range recs {
		name := string(rec.Value)
		l, n, err := parse(name)
		if err != nil || r.in[l] == nil {
			t.Fatalf("a record that was never fed: %q", name)
		}
		if times[name]++; times[name] > 1 {
			continue
		}
		first[name] = rec
		if r.vague(l) || l.age > 0 { // one that is noticed late is read from the middle first
			continue
		}
		on := path{lane: l, out: rec.Partition}
		if r.w.order == engine.OrderKey {
			on.key = r.keys[name]
		}
		if last, ok := newest[on]; ok && n < last {
			t.Errorf("misordered: %s came after %d", name, last)
		}
		newest[on] = n
	}
	for _, rec := range r.w.cluster.Consume(t, letter) {
		name := string(rec.Value)
		l, _, err := parse(name)
		if err != nil || !r.mayReject(l) {
			t.Errorf("%q was rejected: %v", rec.Value, rec.Headers)
		}
		if first[name] == nil {
			first[name] = rec
		}
	}
	stories := map[string]*story{} // by topic/partition
	for _, m := range r.w.members {
		r.tell(m, stories)
	}
	for l, all := range r.in {
		if l.age != r.age[l.topic] {
			continue
		}
		lost := 0
		for _, name := range all {
			if r.vague(l) && r.fedAt[name] < r.deleted[goal(l.p)]+deleteMargin {
				continue
			}
			if first[name] == nil {
				if lost++; lost <= 3 {
					t.Errorf("%s is lost; the group's commit is %d", name, r.last[l])
				}
			}
		}
		if lost > 3 {
			t.Errorf("%d records of %v are lost", lost, l)
		}
	}
	r.checkMarks(first)
	r.checkTimes(times, stories)
}

// checkMarks wants everything in front of a commit to have been stored by then.
func (r *referee) checkMarks(first map[string]*kgo.Record) {
	for _, m := range r.marks {
		all := r.in[m.lane]
		if r.vague(m.lane) {
			continue
		}
		if m.offset > int64(len(all)) {
			r.w.t.Errorf("at %v %v was committed at %d, behind its end %d", m.at, m.lane, m.offset, len(all))
			continue
		}
		for _, name := range all[:m.offset] {
			if rec := first[name]; rec == nil || rec.Offset >= m.stored[rec.Topic][rec.Partition] {
				r.w.t.Errorf("at %v %v was committed at %d, and %s was not stored", m.at, m.lane, m.offset, name)
				break
			}
		}
	}
}

// A story is what happened to one partition, by the members' events.
type story struct {
	starts []told // of each assignment: when, and the committed offset that its member was told
	ends   []time.Duration
	gaps   int
}

// checkTimes wants each assignment to have delivered a record once at most, and none
// in front of where it started: no assignment, no delivery. After a gap everything
// may come again. A topic that was made anew is one gap for whoever reads it, and one
// more for each assignment that starts from an offset that was still the earlier
// topic's: that the gap was told before is nowhere stored.
func (r *referee) checkTimes(times map[string]int, stories map[string]*story) {
	t := r.w.t
	for _, tp := range slices.Sorted(maps.Keys(stories)) {
		topic, _, _ := strings.Cut(tp, "/")
		s, late := stories[tp], 0
		for _, start := range s.starts {
			if start.earlier {
				late++
			}
		}
		if s.gaps > r.age[topic]+late {
			t.Errorf("%s: %d gaps were told; the topic was made anew %d times, and %d assignments started from an offset of before", tp, s.gaps, r.age[topic], late)
		}
	}
	for l, all := range r.in {
		s := stories[fmt.Sprintf("%s/%d", l.topic, l.p)]
		if s == nil {
			s = &story{}
		}
		wrong := 0
		for offset, name := range all {
			may := s.gaps
			for _, start := range s.starts {
				if start.offset <= int64(offset) || r.age[l.topic] > 0 {
					may++
				}
			}
			if n := times[name]; n > may {
				if wrong++; wrong == 1 {
					t.Errorf("%s was delivered %d times, not at most %d: its partition was assigned at %v, with %d gaps", name, n, may, s.starts, s.gaps)
				}
			}
		}
		if wrong > 1 {
			t.Errorf("%d records of %v were delivered too often", wrong, l)
		}
	}
}

// A told offset is what a member heard from a broker when it asked where to start.
type told struct {
	at      time.Duration
	offset  int64
	earlier bool // it was stored of a topic that had the name before
}

// tells notes what a member is told of the group's offsets.
func (r *referee) tells(c *kafkatest.Call, resp kmsg.Response) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range resp.(*kmsg.OffsetFetchResponse).Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode == 0 {
				to := fmt.Sprintf("%s %s/%d", c.Client, t.Topic, p.Partition)
				r.told[to] = append(r.told[to], told{time.Since(r.w.began), max(p.Offset, 0), p.Metadata != nil && r.earlier(t.Topic, *p.Metadata)})
			}
		}
	}
}

func (r *referee) tell(m *chaosMember, stories map[string]*story) {
	of := func(tp string) *story {
		if stories[tp] == nil {
			stories[tp] = &story{}
		}
		return stories[tp]
	}
	lines, times := m.log.lines()
	for i, line := range lines {
		var e struct {
			Event     string `json:"event_name"`
			List      string `json:"partition_list"`
			Topic     string `json:"topic"`
			Partition int    `json:"partition"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			r.w.t.Errorf("%s: %v", line, err)
			continue
		}
		switch e.Event {
		case "source.assigned":
			for _, tp := range partitions(e.List) {
				start := told{at: times[i]}
				for _, t := range r.told[m.name+" "+tp] { // it asks when it has told of the assignment
					if t.at >= times[i] {
						start.offset, start.earlier = t.offset, t.earlier
						break
					}
				}
				of(tp).starts = append(of(tp).starts, start)
			}
		case "source.revoked":
			for _, tp := range partitions(e.List) {
				of(tp).ends = append(of(tp).ends, times[i])
			}
		case "source.gap":
			of(fmt.Sprintf("%s/%d", e.Topic, e.Partition)).gaps++
		}
	}
}

// partitions reads a list like orders:0-3,7 flights:1.
func partitions(list string) (out []string) {
	for _, topic := range strings.Fields(list) {
		name, ranges, _ := strings.Cut(topic, ":")
		for _, s := range strings.Split(ranges, ",") {
			a, b, ok := strings.Cut(s, "-")
			if !ok {
				b = a
			}
			from, _ := strconv.Atoi(a)
			to, _ := strconv.Atoi(b)
			for p := from; p <= to; p++ {
				out = append(out, fmt.Sprintf("%s/%d", name, p))
			}
		}
	}
	return out
}
