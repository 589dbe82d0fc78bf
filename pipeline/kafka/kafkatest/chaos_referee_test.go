package kafkatest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A lane is one partition of an input; of a topic that was made anew, each of those
// that had the name is another.
type lane struct {
	topic string
	age   int // how often the topic has been made anew
	p     int32
}

func (l lane) String() string { return fmt.Sprintf("%s.%d/%d", l.topic, l.age, l.p) }

// A referee knows what was fed, looks at what the group has committed, past the wire,
// and judges what is in the output at the end.
type referee struct {
	w   *world
	bad bool // a check failed that does not make the others useless

	mu      sync.Mutex
	age     map[string]int
	remade  map[string]time.Duration // when, the last time
	named   map[lane]int             // names given away
	in      map[lane][]string        // by offset
	keys    map[string]string        // of the records, by name
	highest map[lane]int64           // commit
	last    map[lane]int64           // commit
	marks   []mark
	doubted map[lateCommit]bool
	told    map[string][]told        // by member and partition
	outs    []string                 // topics that are written to
	deleted map[string]time.Duration // those of them that were deleted, and when
	fedAt   map[string]time.Duration // by name
}

// A mark is a commit, with how much was stored when it was seen.
type mark struct {
	at     time.Duration
	lane   lane
	offset int64
	stored map[string][]int64 // ends of the partitions of the outputs
}

type lateCommit struct {
	topic  string
	p      int32
	offset int64
}

// settling is how long after a topic was made anew commits of the old one may still
// come: they go by name, and until a member has noticed, it takes the new topic for the
// old one. Nor does one that starts from such a commit know that it is none: what is
// in front of it in a partition that changes hands meanwhile is not asked for.
const settling = 20 * time.Second

// gone is how long before a topic is deleted a record must be fed at least to have been
// written to it by then; what was is gone with it.
const gone = 5 * time.Second

func newReferee(w *world) *referee {
	outs := slices.DeleteFunc(slices.Sorted(maps.Keys(w.parts)), func(topic string) bool { return topic == input || topic == spare })
	return &referee{
		outs: outs, deleted: map[string]time.Duration{}, fedAt: map[string]time.Duration{},
		w: w, age: map[string]int{}, remade: map[string]time.Duration{}, named: map[lane]int{}, in: map[lane][]string{}, keys: map[string]string{},
		highest: map[lane]int64{}, last: map[lane]int64{}, doubted: map[lateCommit]bool{}, told: map[string][]told{},
	}
}

func (r *referee) lane(topic string, p int32) lane { return lane{topic, r.age[topic], p} }

// name gives the value of the next record of a partition.
func (r *referee) name(topic string, p int32) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lane(topic, p)
	n := r.named[l]
	r.named[l]++
	return fmt.Sprintf("%v/%d", l, n)
}

func (r *referee) fed(recs []*kgo.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range recs {
		l := r.lane(rec.Topic, rec.Partition)
		if rec.Offset != int64(len(r.in[l])) {
			r.w.t.Fatalf("feeding %v: offset %d, not %d", l, rec.Offset, len(r.in[l]))
		}
		r.in[l] = append(r.in[l], string(rec.Value))
		r.keys[string(rec.Value)] = string(rec.Key)
		r.fedAt[string(rec.Value)] = r.w.now()
	}
}

// remake runs f, which makes a topic anew.
func (r *referee) remake(topic string, f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	r.age[topic]++
	r.remade[topic] = r.w.now()
}

// delete runs f, which deletes a topic that is written to.
func (r *referee) delete(topic string, f func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := f(); err != nil {
		r.w.t.Error(err)
	}
	r.deleted[topic] = r.w.now()
}

// vague says whether what was written for a lane may be gone with its topic.
func (r *referee) vague(l lane) bool {
	_, ok := r.deleted[goal(l.p)]
	return ok
}

// mayReject says whether a lane's records may be rejected: the topic that they name is
// not there, or was not for a time, or it is denied to a member that has not written to
// it before.
func (r *referee) mayReject(l lane) bool {
	denied := len(r.w.members) > 1 && slices.ContainsFunc(r.w.episodes, func(e episode) bool {
		return e.code == 29 && e.topic == goal(l.p)
	})
	return r.w.family == "topics" && (r.w.parts[goal(l.p)] == 0 || r.vague(l) || denied)
}

// late is asked before a commit that was held is delivered. The broker takes one that
// its sender has given up for lost like any other of the same generation, which no
// client can prevent; it is remembered, so that it is not taken for the member's fault.
func (r *referee) late(c *kafkatest.Call) bool {
	if !c.Gone() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range c.Req.(*kmsg.OffsetCommitRequest).Topics {
		for _, p := range t.Partitions {
			r.doubted[lateCommit{t.Topic, p.Partition, p.Offset}] = true
		}
	}
	return false
}

// sample looks at the group's commits.
func (r *referee) sample() {
	r.mu.Lock()
	defer r.mu.Unlock()
	info := r.w.cluster.Fake().GroupInfo(group)
	if info == nil {
		return
	}
	var stored map[string][]int64
	for topic, ps := range info.Commits {
		for p, c := range ps {
			l := r.lane(topic, p)
			last, ok := r.last[l]
			if ok && last == c.Offset {
				continue
			}
			if stored == nil {
				stored = map[string][]int64{}
				for _, out := range r.outs {
					for _, p := range r.w.cluster.Fake().PartitionInfos(out) {
						stored[out] = append(stored[out], p.HighWatermark)
					}
				}
			}
			r.last[l] = c.Offset
			if made, ok := r.remade[topic]; ok && r.w.now() < made+settling {
				continue
			}
			r.highest[l] = max(r.highest[l], c.Offset)
			r.marks = append(r.marks, mark{r.w.now(), l, c.Offset, stored})
			if ok && c.Offset < last {
				if r.doubted[lateCommit{topic, p, c.Offset}] {
					continue
				}
				r.bad = true
				r.w.t.Errorf("at %v: the commit of %v went back from %d to %d", r.w.now(), l, last, c.Offset)
			}
		}
	}
}

// left says what is not finished; "" when all is.
func (r *referee) left() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var left []string
	for l, recs := range r.in {
		if l.age != r.age[l.topic] {
			continue
		}
		at := r.highest[l]
		if r.age[l.topic] > 0 {
			at = r.last[l]
		}
		if made, ok := r.remade[l.topic]; ok && r.w.now() < made+settling {
			left = append(left, fmt.Sprintf("%v was made %v ago", l, r.w.now()-made))
		} else if at < int64(len(recs)) {
			left = append(left, fmt.Sprintf("%v committed at %d of %d", l, at, len(recs)))
		}
	}
	slices.Sort(left)
	return strings.Join(left, ", ")
}

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
		if r.vague(l) {
			continue
		}
		on := path{lane: l, out: rec.Partition}
		if r.w.order == pipeline.OrderKey {
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
		if l.age != r.age[l.topic] || r.moved(l, stories) {
			continue
		}
		lost := 0
		for _, name := range all {
			if r.vague(l) && r.fedAt[name] < r.deleted[goal(l.p)]+gone {
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
	r.checkMarks(first, stories)
	r.checkTimes(times, stories)
}

// moved says whether a partition changed hands when nobody might have noticed yet that
// its topic is another.
func (r *referee) moved(l lane, stories map[string]*story) bool {
	s := stories[fmt.Sprintf("%s/%d", l.topic, l.p)]
	made, ok := r.remade[l.topic]
	return ok && s != nil && slices.ContainsFunc(s.starts, func(t told) bool {
		return t.offset > 0 && t.at >= made && t.at < made+settling
	})
}

// checkMarks wants everything in front of a commit to have been stored by then.
func (r *referee) checkMarks(first map[string]*kgo.Record, stories map[string]*story) {
	for _, m := range r.marks {
		all := r.in[m.lane]
		if r.moved(m.lane, stories) || r.vague(m.lane) {
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
	gaps   int
}

// checkTimes wants each assignment to have delivered a record once at most, and none
// in front of where it started: no assignment, no delivery. After a gap everything
// may come again; a topic that was made anew is one gap, unless brokers that have not
// heard of it outvote the others.
func (r *referee) checkTimes(times map[string]int, stories map[string]*story) {
	t := r.w.t
	for _, tp := range slices.Sorted(maps.Keys(stories)) {
		topic, _, _ := strings.Cut(tp, "/")
		if s := stories[tp]; s.gaps > r.age[topic] && !(r.w.together && r.age[topic] > 0) {
			t.Errorf("%s: %d gaps were told, and the topic was made anew %d times", tp, s.gaps, r.age[topic])
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
	at     time.Duration
	offset int64
}

// tells notes what a member is told of the group's offsets.
func (r *referee) tells(c *kafkatest.Call, resp kmsg.Response) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range resp.(*kmsg.OffsetFetchResponse).Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode == 0 {
				to := fmt.Sprintf("%s %s/%d", c.Client, t.Topic, p.Partition)
				r.told[to] = append(r.told[to], told{time.Since(r.w.began), max(p.Offset, 0)})
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
				for _, t := range r.told[m.name+" "+tp] {
					if t.at <= times[i] {
						start.offset = t.offset
					}
				}
				of(tp).starts = append(of(tp).starts, start)
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
