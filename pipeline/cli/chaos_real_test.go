//go:build real && chaos

package cli

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A clean stop under load loses nothing and repeats nothing; kill -9 loses nothing and
// repeats at most what came since the last commit.
func TestStopsUnderLoad(t *testing.T) {
	const rate = 8000
	k := cluster(t, kafkatest.RealOptions{Throughput: true})
	a := adminOf(t, k.Addrs())
	topics(t, a, 4, 1, "in", "out")
	f := newFeed(t, k.Addrs(), "in", 4, 200)
	r := newReferee(t, k.Addrs(), "out")
	text := copyPipeline("stops", k.Addrs(), "")

	f.begin(rate)
	for round := range 3 {
		d := start(t, fmt.Sprintf("clean-%d", round), text)
		d.await("process.ready", time.Minute, nil)
		pass(t, 8*time.Second)
		exit, took := d.stop(syscall.SIGTERM, 30*time.Second)
		if exit != 0 {
			t.Errorf("round %d: exit code %d after SIGTERM, want 0\n%s", round, exit, d.tail(10))
		}
		t.Logf("round %d: SIGTERM under %d records/s: exit %d after %v", round, rate, exit, took.Round(time.Millisecond))
	}
	d := start(t, "last", text)
	f.end()
	r.until(f.total(), time.Minute)
	if exit, _ := d.stop(syscall.SIGTERM, 30*time.Second); exit != 0 {
		t.Errorf("exit code %d, want 0", exit)
	}
	r.toEnd(a, "out")
	t.Logf("clean stops: %d records in, lost %d, delivered twice %d, out of order %d", f.total(), f.total()-int64(len(r.seen)), r.twice(), r.misordered)
	if r.twice() != 0 || r.misordered != 0 {
		t.Errorf("after clean stops: delivered twice %d, out of order %d, want none", r.twice(), r.misordered)
	}

	f.begin(rate)
	for round := range 3 {
		before := r.twice()
		d := start(t, fmt.Sprintf("killed-%d", round), text)
		d.await("process.ready", time.Minute, nil)
		// A killed member's partitions come back when its session has ended.
		d.await("pipeline.stats", 30*time.Second, func(l line) bool { n, _ := l["records_out_total"].(float64); return n > 0 })
		pass(t, 5*time.Second)
		d.stop(syscall.SIGKILL, 10*time.Second)
		r.toEnd(a, "out")
		bound := r.beyond(committed(t, a, "stops", "in"))
		t.Logf("round %d: kill -9: %d deliveries at or behind the committed offsets; of the round before, %d came twice", round, bound, r.twice()-before)
		if round == 2 {
			d := start(t, "after-kill", text)
			f.end()
			r.until(f.total(), 2*time.Minute)
			d.stop(syscall.SIGTERM, 30*time.Second)
			r.toEnd(a, "out")
		} else {
			d := start(t, fmt.Sprintf("again-%d", round), text)
			d.await("pipeline.stats", time.Minute, func(l line) bool { n, _ := l["records_out_total"].(float64); return n > 3*rate })
			d.stop(syscall.SIGTERM, 30*time.Second)
			r.toEnd(a, "out")
		}
		if twice := r.twice() - before; twice > bound {
			t.Errorf("round %d: %d delivered twice, more than the %d that came since the last commit", round, twice, bound)
		} else {
			t.Logf("round %d: delivered twice %d of at most %d", round, twice, bound)
		}
	}
	t.Logf("in all: %d records in, lost %d, delivered twice %d, out of order %d", f.total(), f.total()-int64(len(r.seen)), r.twice(), r.misordered)
	if r.misordered != 0 {
		t.Errorf("%d out of order", r.misordered)
	}
}

// Members come and go while records flow: nothing is lost, order per partition holds.
func TestMembersComeAndGo(t *testing.T) {
	k := cluster(t, kafkatest.RealOptions{Throughput: true})
	a := adminOf(t, k.Addrs())
	topics(t, a, 4, 1, "in", "out")
	f := newFeed(t, k.Addrs(), "in", 4, 200)
	r := newReferee(t, k.Addrs(), "out")
	text := copyPipeline("members", k.Addrs(), "")
	f.begin(5000)
	one, two := start(t, "one", text), start(t, "two", text)
	one.await("process.ready", time.Minute, nil)
	two.await("process.ready", time.Minute, nil)
	pass(t, 8*time.Second)
	three := start(t, "three", text)
	pass(t, 8*time.Second)
	for _, d := range []*subject{one, two} {
		if exit, _ := d.stop(syscall.SIGTERM, 30*time.Second); exit != 0 {
			t.Errorf("%s: exit code %d", d.name, exit)
		}
		pass(t, 4*time.Second)
	}
	f.end()
	r.until(f.total(), time.Minute)
	three.stop(syscall.SIGTERM, 30*time.Second)
	r.toEnd(a, "out")
	t.Logf("2, 3, 1 daemons: %d records in, lost %d, delivered twice %d, out of order %d", f.total(), f.total()-int64(len(r.seen)), r.twice(), r.misordered)
	if r.misordered != 0 {
		t.Errorf("%d out of order", r.misordered)
	}
}

// Six members on four partitions come to rest: no rebalance in the second minute.
func TestSixMembersSettle(t *testing.T) {
	k := cluster(t, kafkatest.RealOptions{})
	a := adminOf(t, k.Addrs())
	topics(t, a, 4, 1, "in", "out")
	f := newFeed(t, k.Addrs(), "in", 4, 200)
	f.begin(1000)
	text := copyPipeline("six", k.Addrs(), "")
	var all []*subject
	for i := range 6 {
		all = append(all, start(t, fmt.Sprintf("member-%d", i), text))
	}
	pass(t, time.Minute)
	marks := make([]int, len(all))
	for i, d := range all {
		_, marks[i] = d.count("", 0)
	}
	generation := func() string { return groupState(t, a, "six") }
	before := generation()
	pass(t, time.Minute)
	moves := 0
	for i, d := range all {
		n, _ := d.count("source.assigned", marks[i])
		m, _ := d.count("source.revoked", marks[i])
		moves += n + m
	}
	t.Logf("second minute: %d assignments or revocations; group %s, then %s", moves, before, generation())
	if moves != 0 || before != generation() {
		t.Errorf("the group did not come to rest: %d moves, %s, then %s", moves, before, generation())
	}
	f.end()
}
