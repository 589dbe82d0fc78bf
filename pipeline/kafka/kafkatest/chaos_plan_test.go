package kafkatest_test

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// Topics of every run. The input that is made anew is spare; it is there only in plans
// that do so.
const (
	input  = "in"
	spare  = "spare"
	output = "out"
	letter = "dead"
	group  = "chaos"
)

// A plan is all that a seed decides: the shape of the run, what is done to the cluster
// and the members, and which faults are on the wire when.
type plan struct {
	seed     uint64
	family   string
	brokers  int
	parts    map[string]int32 // by topic
	length   time.Duration    // after which the faults are over
	session  time.Duration
	beat     time.Duration
	drain    time.Duration // of a revoked partition
	timeout  time.Duration // of a write
	commit   time.Duration // between commits
	budget   int           // records in flight
	order    engine.Order
	slow     time.Duration // of the step that waits; 0: there is none
	together bool          // several brokers may lag at a time
	byKey    bool          // the output's partition is that of the key
	acts     []act         // in order of time
	episodes []episode
}

// An act is done once, at its time.
type act struct {
	at    time.Duration
	what  string // feed, start, stop, kill, move, shuffle, rehash, break, widen, remake
	who   int    // the member, or a number to choose by
	topic string
}

// An episode is a fault that befalls a share of certain calls for a while.
type episode struct {
	from, to time.Duration
	what     string // refuse, doubt, cut, tear, early, hold, late, swallow, age
	key      kmsg.Key
	code     int16
	share    float64       // of the calls, or of their partitions
	client   string        // "": all
	topic    string        // "": all
	only     int32         // the partition; -1: all
	broker   int           // whose answers; -1: all
	pause    time.Duration // up to which hold and late last
}

func (e episode) String() string {
	s := fmt.Sprintf("%7v to %7v: %s %s", e.from, e.to, e.what, e.key.Name())
	if e.code != 0 {
		s += fmt.Sprintf(" code %d", e.code)
	}
	s += fmt.Sprintf(" share %.2f", e.share)
	if e.client != "" {
		s += " of " + e.client
	}
	if e.topic != "" {
		s += " topic " + e.topic
	}
	if e.only >= 0 {
		s += fmt.Sprintf("/%d", e.only)
	}
	if e.broker >= 0 {
		s += fmt.Sprintf(" of broker %d", e.broker)
	}
	if e.pause > 0 {
		s += fmt.Sprintf(" up to %v", e.pause)
	}
	return s
}

func (p *plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, family %s: %d brokers, partitions %v, %v; session %v, drain %v, write %v, commit every %v, %d in flight, order %d, slow %v, by key %v, lag together %v\n",
		p.seed, p.family, p.brokers, p.parts, p.length, p.session, p.drain, p.timeout, p.commit, p.budget, p.order, p.slow, p.byKey, p.together)
	for _, a := range p.acts {
		if a.what != "feed" {
			fmt.Fprintf(&b, "  %7v: %s %d %s\n", a.at, a.what, a.who, a.topic)
		}
	}
	for _, e := range p.episodes {
		fmt.Fprintf(&b, "  %v\n", e)
	}
	return b.String()
}

// goal is the topic that a plan named "topics" writes the records of an input partition
// to: records name it.
func goal(partition int32) string { return fmt.Sprint("to-", partition) }

// families are the kinds of plan: all faults together, or those of one neighbourhood
// close together, where they meet more often.
var families = []string{"mix", "produce", "evict", "remake", "commits", "topics"}

// Codes that a broker may give for each request that it has not carried out, and that
// the member may not take as a reason to stop.
var refusals = map[kmsg.Key][]int16{
	kmsg.Produce:         {3, 5, 6, 7, 9, 13, 19, 56, 74, 75, 89},
	kmsg.Fetch:           {1, 3, 5, 6, 9, 13, 56, 74, 75, 78, 100, 103},
	kmsg.ListOffsets:     {3, 5, 6, 7, 13, 56, 74, 75, 78},
	kmsg.OffsetCommit:    {7, 14, 15, 16, 22, 27},
	kmsg.OffsetFetch:     {14, 15, 16, 88},
	kmsg.FindCoordinator: {14, 15},
	kmsg.JoinGroup:       {14, 15, 16, 27},
	kmsg.SyncGroup:       {14, 15, 16, 27},
	kmsg.Heartbeat:       {14, 15, 16, 27},
	kmsg.InitProducerID:  {14, 15, 16, 51},
	kmsg.Metadata:        {3, 5},
}

// Codes that may come for what has been carried out.
var doubts = map[kmsg.Key][]int16{
	kmsg.Produce:      {-1, 3, 5, 6, 7, 9, 13, 20, 56, 74, 75},
	kmsg.OffsetCommit: {7, 14, 15, 16},
	kmsg.Heartbeat:    {15, 16},
	kmsg.SyncGroup:    {15, 16, 27},
}

var keys = func() (out []kmsg.Key) {
	for k := range refusals {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}()

// A drawer draws a plan.
type drawer struct {
	*plan
	r       *rand.Rand
	members int // that have been started
	running []act
}

func newPlan(seed uint64, family string) *plan {
	r := rand.New(rand.NewPCG(seed, 1))
	if family == "" {
		family = families[0]
		if seed%2 == 0 {
			family = families[1+int(seed/2)%(len(families)-1)]
		}
	}
	d := &drawer{r: r, plan: &plan{
		seed: seed, family: family, brokers: 1 + r.IntN(3), length: time.Duration(15+r.IntN(25)) * time.Second,
		parts:   map[string]int32{input: int32(1 + r.IntN(4)), output: int32(1 + r.IntN(4)), letter: 1},
		session: []time.Duration{3, 6, 10}[r.IntN(3)] * time.Second, beat: 500 * time.Millisecond,
		order: []engine.Order{engine.OrderPartition, engine.OrderKey}[r.IntN(2)],
		byKey: r.IntN(2) == 0,
	}}
	d.drain, d.timeout = d.between(500*time.Millisecond, 4*time.Second), d.between(300*time.Millisecond, 4*time.Second)
	d.commit = d.between(50*time.Millisecond, time.Second)
	if r.IntN(2) == 0 {
		d.slow = d.upTo(40 * time.Millisecond)
	}
	d.together = r.IntN(4) == 0
	if r.IntN(3) == 0 {
		d.budget = 20 + r.IntN(200)
	}
	if !d.byKey {
		d.parts[output] = 6 // as many as the input may get
	}
	for at := time.Duration(0); at < d.length; at += d.between(50*time.Millisecond, 900*time.Millisecond) {
		d.act(at, "feed", 1+r.IntN(25), "")
	}
	d.start(0)
	switch family {
	case "produce":
		d.produce()
	case "evict":
		d.evict()
	case "remake":
		d.remake()
	case "commits":
		d.commits()
	case "topics":
		d.topics()
	default:
		d.mix()
	}
	slices.SortStableFunc(d.acts, func(a, b act) int { return int(a.at - b.at) })
	return d.plan
}

func (d *drawer) between(from, to time.Duration) time.Duration {
	return (from + time.Duration(d.r.Int64N(int64(to-from)+1))).Round(time.Millisecond)
}

func (d *drawer) upTo(to time.Duration) time.Duration { return d.between(time.Millisecond, to) }

// some is a time while the faults last, early enough to have a consequence.
func (d *drawer) some() time.Duration { return d.between(2*time.Second, d.length*3/4) }

func (d *drawer) act(at time.Duration, what string, who int, topic string) {
	d.acts = append(d.acts, act{at, what, who, topic})
}

func (d *drawer) start(at time.Duration) int {
	d.members++
	d.running = append(d.running, act{at: at, who: d.members})
	d.act(at, "start", d.members, "")
	return d.members
}

// leave ends a member, but not the last one.
func (d *drawer) leave(at time.Duration, what string) {
	if len(d.running) < 2 {
		return
	}
	i := d.r.IntN(len(d.running))
	if d.running[i].at > at {
		return
	}
	d.act(at, what, d.running[i].who, "")
	d.running = slices.Delete(d.running, i, i+1)
}

// churn starts and ends members, a pace apart.
func (d *drawer) churn(from time.Duration, pace time.Duration) {
	for at := from + d.upTo(pace); at < d.length; at += d.between(pace/3, pace) {
		switch {
		case len(d.running) < 2 || len(d.running) < 3 && d.r.IntN(3) == 0:
			d.start(at)
		case d.r.IntN(4) == 0 && d.family != "commits":
			d.leave(at, "kill")
		default:
			d.leave(at, "stop")
		}
	}
}

// add adds an episode of up to so long, somewhere.
func (d *drawer) add(e episode, most time.Duration) episode {
	if e.from == 0 {
		e.from = d.some()
	}
	e.to = min(e.from+d.between(100*time.Millisecond, most), d.length)
	d.episodes = append(d.episodes, e)
	return e
}

func (d *drawer) pick(codes []int16) int16 { return codes[d.r.IntN(len(codes))] }

func (d *drawer) member() string { return fmt.Sprint("m", 1+d.r.IntN(d.members)) }

// addFault adds an episode of a fault for calls of any kind.
func (d *drawer) addFault(key kmsg.Key, most time.Duration) {
	e := episode{key: key, only: -1, broker: -1, share: []float64{0.05, 0.3, 1}[d.r.IntN(3)]}
	if d.r.IntN(3) == 0 {
		e.client = d.member()
	}
	kinds := []string{"refuse", "refuse", "cut", "tear", "early", "hold", "late", "swallow"}
	if doubts[key] != nil {
		kinds = append(kinds, "doubt", "doubt", "doubt")
	}
	if key == kmsg.Metadata && d.brokers > 1 && d.r.IntN(3) == 0 {
		d.lag(d.some())
		return
	}
	e.what = kinds[d.r.IntN(len(kinds))]
	switch e.what {
	case "refuse":
		e.code = d.pick(refusals[key])
	case "doubt":
		e.code = d.pick(doubts[key])
	case "hold", "late":
		e.pause = []time.Duration{200 * time.Millisecond, 2 * time.Second, 8 * time.Second}[d.r.IntN(3)]
	}
	if key == kmsg.JoinGroup || key == kmsg.SyncGroup { // a lost one costs a rebalance timeout
		most = min(most, 2*time.Second)
		e.share = min(e.share, 0.3)
	}
	d.add(e, most)
}

// shift moves leaders and coordinators.
func (d *drawer) shift(n int) {
	for range n {
		at := d.some()
		switch d.r.IntN(5) {
		case 0:
			d.act(at, "shuffle", 0, "")
		case 1:
			d.act(at, "rehash", 0, "")
		case 2:
			d.act(at, "break", d.r.IntN(100), "")
		default:
			topics := slices.Sorted(maps.Keys(d.parts))
			d.act(at, "move", d.r.IntN(100), topics[d.r.IntN(len(topics))])
		}
	}
}

// chance is a number in [0, 1) that a seed gives to one call, or one partition of it, in
// one episode, whatever else goes on at the time.
func (p *plan) chance(episode int, c *kafkatest.Call, more ...any) float64 {
	h := fnv.New64a()
	fmt.Fprint(h, p.seed, "/", episode, "/", c.Client, "/", c.Req.Key(), "/", c.N, "/", more)
	return rand.New(rand.NewPCG(h.Sum64(), p.seed)).Float64()
}
