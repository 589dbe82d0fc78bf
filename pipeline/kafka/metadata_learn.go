package kafka

import (
	"slices"
	"time"
)

// Answers about the cluster come from brokers that may lag behind: each has a copy of its own.
// So nothing that is known is changed for one answer that may only be late.
//
//   - Within a topic id, leader epochs only rise: a partition with a lower one is left
//     as it is known, and partitions never become fewer.
//   - That a topic is missing, denied, or another one of the same name is a doubt, of which
//     several others are asked at once. It is believed when two say so and none says
//     otherwise. While they disagree about an id, it is believed when the majority has said so
//     for agreeFor: those that lag have caught up by then. Where the cluster lists one broker, it
//     is believed when it says so again confirmApart later; where it lists several and
//     all others stay silent, when one has said so for agreeFor.
//   - A former id, one that was replaced or outvoted, does not come back unless every broker of
//     the cluster says so for agreeFor, or nothing else has been heard for formerFor: then it was
//     brokers that lag which had replaced the right one.
//
// Brokers before Kafka 2.8 tell no ids. A topic whose epochs or partitions have become
// fewer is then taken for another one, by the same rule.
//
// While there is a doubt, nobody may read on by name: the log may be the other one. See
// Client.Identity.
const (
	confirmApart = time.Second
	agreeFor     = 10 * time.Second
	formerFor    = 5 * time.Minute
	maxFormer    = 16 // ids kept for each topic
	silentRounds = 3  // in which no other broker answers, until one alone is believed
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
	heard    *topicMeta // the last answer that made it
	since    time.Time
	denied   time.Time // when a broker last said what is known
	saidBy   []int32   // the brokers that say so
	deniedBy []int32   // those that have said what is known since
	silent   int       // rounds of questions in a row in which no second broker answered
}

// learn takes in what a broker says of a topic. by is its node id, -1 when that is not
// known, and several whether the cluster has more than one. It gives what is known
// from now on, and whether others are to be asked, and decide called then.
func (t *topicMeta) learn(now time.Time, heard *topicMeta, by int32, several bool) (*topicMeta, bool) {
	if t == nil {
		return heard, false
	}
	if t.err != nil && !(heard.err == nil && slices.Contains(t.formerIDs, heard.id)) { // an error is all that was known
		return t.replace(heard), false
	}
	c, against := t.against(heard)
	if !against {
		t.agree(now, by, several)
		t.merge(heard)
		return t, t.doubt != nil
	}
	if t.doubt == nil || t.doubt.claim != c {
		t.doubt = &doubt{claim: c, since: now}
	}
	d := t.doubt
	d.heard = heard
	if by >= 0 && !slices.Contains(d.saidBy, by) {
		d.saidBy = append(d.saidBy, by)
	}
	d.deniedBy = slices.DeleteFunc(d.deniedBy, func(id int32) bool { return id == by })
	if c.anew {
		t.merge(heard)
	}
	return t, true
}

// decide ends a doubt when what was heard is enough. It is called after a round of questions, which
// so many of the listed brokers answered, and not before: who is asked first must not matter.
func (t *topicMeta) decide(now time.Time, answered, listed int) *topicMeta {
	d := t.doubt
	if d == nil {
		return t
	}
	if d.silent++; answered > 1 {
		d.silent = 0
	}
	age, by, not := now.Sub(d.since), len(d.saidBy), len(d.deniedBy)
	other := d.id != (TopicID{})
	former := other && slices.Contains(t.formerIDs, d.id)
	var believed bool
	switch {
	case former:
		age = min(age, now.Sub(d.denied))
		believed = by >= listed && age >= agreeFor || not == 0 && (by > 1 || listed <= 1) && age >= formerFor
	case listed <= 1:
		believed = age >= confirmApart
	default:
		believed = by > 1 && (not == 0 || by > not && age >= agreeFor) ||
			by == 1 && not == 0 && d.silent >= silentRounds && age >= agreeFor
	}
	switch {
	case believed:
		return t.replace(d.heard)
	case by == 0 && not > 0, not > 1 && (!other || former):
		t.doubt = nil
	case not > 1 && not > by && age >= agreeFor:
		t.noteFormer(d.id)
		t.doubt = nil
	}
	return t
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

// agree takes a broker off those that doubt what is known.
func (t *topicMeta) agree(now time.Time, by int32, several bool) {
	d := t.doubt
	if d == nil {
		return
	}
	d.denied = now
	d.saidBy = slices.DeleteFunc(d.saidBy, func(id int32) bool { return id == by })
	if by >= 0 && !slices.Contains(d.deniedBy, by) {
		d.deniedBy = append(d.deniedBy, by)
	}
	if !several {
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
	heard.formerIDs, heard.doubt = t.formerIDs, nil
	if heard.err != nil && heard.id == (TopicID{}) {
		heard.id = t.id
	}
	if t.id != heard.id && t.id != (TopicID{}) {
		heard.noteFormer(t.id)
	}
	return heard
}

// noteFormer notes an id that was replaced or outvoted; see the head of the file.
func (t *topicMeta) noteFormer(id TopicID) {
	t.formerIDs = append(t.formerIDs[max(0, len(t.formerIDs)-maxFormer+1):len(t.formerIDs):len(t.formerIDs)], id)
}
