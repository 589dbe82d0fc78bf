package kafkatest_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka"
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
	ids     map[string][]kafka.TopicID // those that it has had
	named   map[lane]int               // names given away
	in      map[lane][]string          // by offset
	keys    map[string]string          // of the records, by name
	highest map[lane]int64             // commit
	last    map[lane]int64             // commit
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

// deleteMargin is how long before a topic is deleted a record must be fed to have been written to
// it by then for certain, and so to be deleted with it.
const deleteMargin = 5 * time.Second

func newReferee(w *world) *referee {
	outs := slices.DeleteFunc(slices.Sorted(maps.Keys(w.parts)), func(topic string) bool { return topic == input || topic == spare })
	return &referee{
		outs: outs, deleted: map[string]time.Duration{}, fedAt: map[string]time.Duration{},
		w: w, age: map[string]int{}, ids: map[string][]kafka.TopicID{}, named: map[lane]int{}, in: map[lane][]string{}, keys: map[string]string{},
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
	r.note(topic)
	f()
	r.age[topic]++
}

// note takes note of the id that a topic has.
func (r *referee) note(topic string) {
	if info := r.w.cluster.Fake().TopicInfo(topic); info != nil && !slices.Contains(r.ids[topic], info.TopicID) {
		r.ids[topic] = append(r.ids[topic], info.TopicID)
	}
}

// earlier says whether an offset was stored of a topic that had the name before: it goes
// by name, and says in its text which one it is.
func (r *referee) earlier(topic, text string) bool {
	r.note(topic)
	ids := r.ids[topic]
	return len(ids) > 1 && slices.ContainsFunc(ids[:len(ids)-1], func(id kafka.TopicID) bool {
		return strings.HasPrefix(text, "topic_id="+id.String())
	})
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
	if !c.Left() {
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
			if r.earlier(topic, c.Metadata) { // which says nothing of this one
				continue
			}
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
		if at < int64(len(recs)) {
			left = append(left, fmt.Sprintf("%v committed at %d of %d", l, at, len(recs)))
		}
	}
	slices.Sort(left)
	return strings.Join(left, ", ")
}
