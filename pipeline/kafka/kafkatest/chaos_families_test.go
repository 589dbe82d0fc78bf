package kafkatest_test

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// produce: answers that leave it open whether a batch is stored, leaders that cannot
// be found, writes that time out meanwhile.
func (d *drawer) produce() {
	if d.r.IntN(2) == 0 {
		d.start(d.upTo(2 * time.Second))
	}
	d.parts[output] = min(d.parts[output], 2)
	d.byKey = true
	d.timeout = d.between(200*time.Millisecond, time.Second)
	for range 3 + d.r.IntN(4) {
		e := d.add(episode{what: "doubt", key: kmsg.Produce, code: d.pick(doubts[kmsg.Produce]), share: 0.5, only: -1, broker: -1}, 2*time.Second)
		d.add(episode{from: e.from, what: "refuse", key: kmsg.Metadata, code: 5, share: 1, topic: output, only: -1, broker: -1}, 4*time.Second)
	}
	for range d.r.IntN(3) {
		d.addFault(kmsg.Produce, 3*time.Second)
	}
	d.shift(d.r.IntN(4))
}

// evict: offsets that cannot be had, and members thrown out meanwhile.
func (d *drawer) evict() {
	d.parts[input] = int32(2 + d.r.IntN(3))
	if d.r.IntN(2) == 0 {
		d.start(d.upTo(3 * time.Second))
	}
	if d.r.IntN(2) == 0 {
		d.churn(3*time.Second, 8*time.Second)
	}
	if d.r.IntN(3) > 0 { // of a partition that comes to members that read others
		e := episode{from: d.between(time.Second, 3*time.Second), what: "refuse", key: kmsg.OffsetFetch, code: 88, share: 1,
			topic: input, only: d.parts[input] + d.r.Int32N(2), broker: -1}
		e.to = min(e.from+d.between(10*time.Second, 20*time.Second), d.length)
		d.episodes = append(d.episodes, e)
		d.act(e.from, "widen", 0, input)
		for range 1 + d.r.IntN(3) {
			d.throw(d.member(), e.from+d.between(3*time.Second, 12*time.Second))
		}
	} else {
		for range 1 + d.r.IntN(2) {
			e := d.add(episode{what: "refuse", key: kmsg.OffsetFetch, code: 88, share: 1, topic: input, only: d.r.Int32N(d.parts[input]), broker: -1}, 15*time.Second)
			at := e.from + d.upTo(2*time.Second)
			d.throw(d.member(), at)
			d.throw(d.member(), at+d.between(2*time.Second, 8*time.Second))
		}
	}
	d.addFault(kmsg.Heartbeat, 3*time.Second)
	d.shift(d.r.IntN(2))
}

// throw has a member thrown out of its group.
func (d *drawer) throw(client string, at time.Duration) {
	if d.r.IntN(4) == 0 { // nothing of it comes through for longer than a session
		e := episode{from: at, to: min(at+d.session+d.upTo(3*time.Second), d.length), client: client, what: "swallow", share: 1, only: -1, broker: -1}
		for _, e.key = range keys {
			d.episodes = append(d.episodes, e)
		}
		return
	}
	e := episode{from: at, to: min(at+d.between(200*time.Millisecond, 2*time.Second), d.length), client: client, what: "refuse", code: []int16{25, 22}[d.r.IntN(2)], share: 1, only: -1, broker: -1}
	for _, e.key = range []kmsg.Key{kmsg.Heartbeat, kmsg.OffsetCommit, kmsg.JoinGroup} {
		d.episodes = append(d.episodes, e)
	}
}

// remake: a topic is deleted and made again, and brokers learn of it late.
func (d *drawer) remake() {
	d.brokers = 2 + d.r.IntN(2)
	d.parts[spare] = int32(1 + d.r.IntN(3))
	at := d.between(3*time.Second, d.length/2)
	d.act(at, "remake", 0, spare)
	if d.r.IntN(2) == 0 {
		d.start(d.upTo(d.length / 2))
	}
	d.lag(at)
	d.lag(at)
	for range d.r.IntN(3) {
		d.lag(d.some())
	}
	d.shift(2 + d.r.IntN(5))
	if d.r.IntN(2) == 0 {
		d.addFault(kmsg.Fetch, 2*time.Second)
	}
}

// lag has a broker hear late of what changes at a time: until then its answers are what
// it knew shortly before. The others go on: several lag at a time only in a plan that
// says so. A broker does not forget again what it has heard.
func (d *drawer) lag(at time.Duration) {
	e := episode{from: at - d.upTo(time.Second), what: "age", key: kmsg.Metadata, share: 1, only: -1, broker: d.r.IntN(d.brokers)}
	e.to = min(e.from+d.upTo(8*time.Second), d.length)
	for _, o := range d.episodes {
		if o.what == "age" && o.from < e.to && e.from < o.to && (!d.together || o.broker == e.broker) {
			return
		}
	}
	d.episodes = append(d.episodes, e)
	// Nor does it serve a topic that it has not heard of.
	for _, a := range d.acts {
		if a.what == "remake" && a.at >= e.from && a.at < e.to {
			for _, key := range []kmsg.Key{kmsg.Fetch, kmsg.ListOffsets} {
				d.episodes = append(d.episodes, episode{from: a.at, to: e.to, what: "refuse", key: key, code: []int16{3, 6}[d.r.IntN(2)],
					share: 1, topic: a.topic, only: -1, broker: e.broker})
			}
		}
	}
}

// commits: commits that hang while members come and go.
func (d *drawer) commits() {
	d.parts[input] = int32(2 + d.r.IntN(3))
	d.drain = d.between(300*time.Millisecond, 1500*time.Millisecond)
	d.session = 10 * time.Second
	d.churn(2*time.Second, 4*time.Second)
	for at := 2 * time.Second; at < d.length; at += d.between(500*time.Millisecond, 4*time.Second) {
		e := episode{from: at, key: kmsg.OffsetCommit, share: []float64{0.3, 1}[d.r.IntN(2)], only: -1, broker: -1}
		switch d.r.IntN(4) {
		case 0:
			e.what, e.pause = "hold", 6*time.Second
		case 1:
			e.what, e.pause = "late", 6*time.Second
		default:
			e.what = "swallow"
		}
		d.add(e, time.Second)
	}
	d.shift(d.r.IntN(3))
}

// topics: records name topics, of which one goes away, for good or for a while, one may
// not be written to for a while, and one never was there.
func (d *drawer) topics() {
	d.timeout = d.between(1500*time.Millisecond, 4*time.Second) // a look-up that finds nothing takes some tries
	d.parts[input] = int32(2 + d.r.IntN(3))
	delete(d.parts, output)
	for p := range d.parts[input] - 1 { // the last one is missing
		d.parts[goal(p)] = int32(1 + d.r.IntN(2))
	}
	if d.r.IntN(2) == 0 {
		d.parts[goal(d.parts[input]-1)] = 1
	}
	at := d.some()
	d.act(at, "delete", 0, goal(0))
	if d.r.IntN(2) == 0 {
		d.act(at+d.between(time.Second, 10*time.Second), "create", 0, goal(0))
	}
	if d.r.IntN(2) == 0 { // the code comes for topics that are not there, too
		e := episode{from: d.some(), what: "refuse", key: kmsg.Produce, code: 29, share: 1, topic: goal(1), only: -1, broker: -1}
		e.to = min(e.from+d.upTo(4*time.Second), d.length)
		d.episodes = append(d.episodes, e)
		e.key = kmsg.Metadata
		d.episodes = append(d.episodes, e)
	}
	if d.r.IntN(2) == 0 {
		d.start(d.upTo(d.length / 2))
	}
	d.addFault(kmsg.Produce, 2*time.Second)
	d.addFault(kmsg.Fetch, 2*time.Second)
	d.shift(d.r.IntN(3))
}

func (d *drawer) mix() {
	for range d.r.IntN(3) {
		d.start(d.upTo(d.length / 2))
	}
	if d.r.IntN(2) == 0 {
		d.churn(2*time.Second, d.between(3*time.Second, 12*time.Second))
	}
	if d.r.IntN(3) == 0 {
		d.parts[spare] = int32(1 + d.r.IntN(3))
		at := d.some()
		d.act(at, "remake", 0, spare)
		if d.brokers > 1 {
			d.lag(at)
		}
	}
	if d.r.IntN(3) == 0 {
		d.act(d.some(), "widen", 0, input)
	}
	for range 3 + d.r.IntN(10) {
		d.addFault(keys[d.r.IntN(len(keys))], 5*time.Second)
	}
	for range d.r.IntN(3) {
		d.throw(d.member(), d.some())
	}
	if d.r.IntN(4) == 0 { // a broker that hangs
		e := episode{from: d.some(), what: "swallow", share: 1, only: -1, broker: d.r.IntN(d.brokers)}
		e.to = min(e.from+d.upTo(12*time.Second), d.length)
		for _, e.key = range keys {
			d.episodes = append(d.episodes, e)
		}
	}
	if d.r.IntN(3) == 0 {
		d.add(episode{what: "refuse", key: kmsg.Produce, code: 29, share: 1, topic: output, only: -1, broker: -1}, 3*time.Second)
		d.add(episode{what: "refuse", key: kmsg.Metadata, code: 29, share: 1, topic: output, only: -1, broker: -1}, 3*time.Second)
	}
	d.shift(d.r.IntN(8))
}
