package kafka

import (
	"slices"
	"time"
)

// Answers about the cluster come from brokers that may lag behind: each has a copy of
// its own. What is known is given up for nothing that one late answer may say.
//
//   - Within a topic id, leader epochs only rise: a partition with a lower one is left
//     as it is known, and partitions never become fewer.
//   - That a topic is gone, denied, or another one of the same name is believed when
//     two answers say so: of two brokers, or, where the cluster has one, confirmApart
//     from each other with none in between that says otherwise.
//   - An id that was left does not come back, unless nothing else has been heard for
//     leftFor: two late brokers may have talked us out of the right one.
//
// Brokers before Kafka 2.8 tell no ids. A topic whose epochs or partitions have become
// fewer is then taken for another one, by the same rule.
const (
	confirmApart = time.Second
	leftFor      = 5 * time.Minute
	maxLeft      = 16 // ids kept for each topic
)

// A claim is what an answer says against what is known of a topic.
type claim struct {
	err  error
	id   TopicID
	anew bool // without ids: fewer partitions, or lower epochs
}

// A doubt is a claim that is not believed yet.
type doubt struct {
	claim
	since time.Time
	by    []int32 // the brokers that say so
	not   []int32 // those that have said what is known since
}

// learn takes in what a broker says of a topic. by is its node id, -1 when that is not
// known, and several whether the cluster has more than one. It gives what is known
// from now on, and whether another answer is needed.
func (t *topicMeta) learn(now time.Time, heard *topicMeta, by int32, several bool) (*topicMeta, bool) {
	if t == nil {
		return heard, false
	}
	if t.err != nil && !(heard.err == nil && slices.Contains(t.left, heard.id)) { // nothing is lost with it
		return t.replace(heard), false
	}
	c, against := t.against(heard)
	if !against {
		t.agree(by, several)
		t.merge(heard)
		return t, t.doubt != nil
	}
	if t.doubt == nil || t.doubt.claim != c {
		t.doubt = &doubt{claim: c, since: now}
	}
	d := t.doubt
	if by >= 0 && !slices.Contains(d.by, by) {
		d.by = append(d.by, by)
	}
	d.not = slices.DeleteFunc(d.not, func(id int32) bool { return id == by })
	age := now.Sub(d.since)
	left := c.id != (TopicID{}) && slices.Contains(t.left, c.id)
	if (several && len(d.by) > 1 || !several && age >= confirmApart) && (!left || age >= leftFor) {
		return t.replace(heard), false
	}
	if c.anew {
		t.merge(heard)
	}
	return t, true
}

// against says in what an answer contradicts what is known.
func (t *topicMeta) against(heard *topicMeta) (claim, bool) {
	switch {
	case t.err != nil:
		return claim{id: heard.id}, true
	case heard.err != nil:
		return claim{err: heard.err}, true
	case heard.id != (TopicID{}) && t.id != (TopicID{}):
		return claim{id: heard.id}, heard.id != t.id
	case heard.id != t.id: // one broker tells ids and another does not, while they are upgraded
		return claim{}, false
	case len(heard.partitions) < len(t.partitions):
		return claim{anew: true}, true
	}
	for i := range t.partitions {
		if p := &heard.partitions[i]; p.epoch >= 0 && p.epoch < t.partitions[i].newest {
			return claim{anew: true}, true
		}
	}
	return claim{}, false
}

// agree takes a broker off those that doubt what is known. A doubt ends when nobody
// has it any more, and when two are against one.
func (t *topicMeta) agree(by int32, several bool) {
	d := t.doubt
	if d == nil {
		return
	}
	d.by = slices.DeleteFunc(d.by, func(id int32) bool { return id == by })
	if by >= 0 && !slices.Contains(d.not, by) {
		d.not = append(d.not, by)
	}
	if !several || len(d.by) == 0 || len(d.not) > 1 {
		t.doubt = nil
	}
}

// merge takes over what is not older than what is known of each partition.
func (t *topicMeta) merge(heard *topicMeta) {
	if t.id == (TopicID{}) {
		t.id = heard.id
	}
	for i := range heard.partitions {
		p := heard.partitions[i]
		if i >= len(t.partitions) {
			t.partitions = append(t.partitions, p)
			continue
		}
		if newest := t.partitions[i].newest; p.epoch < 0 || p.epoch >= newest {
			p.newest = max(newest, p.epoch)
			t.partitions[i] = p
		}
	}
}

// replace puts what was heard in the place of what was known.
func (t *topicMeta) replace(heard *topicMeta) *topicMeta {
	heard.left = t.left
	if heard.err != nil && heard.id == (TopicID{}) {
		heard.id = t.id
	}
	if t.id != heard.id && t.id != (TopicID{}) {
		heard.left = append(heard.left[max(0, len(heard.left)-maxLeft+1):len(heard.left):len(heard.left)], t.id)
	}
	return heard
}
