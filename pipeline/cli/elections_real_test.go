//go:build real && chaos

package cli

import (
	"context"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// On three brokers, leaders move by preferred election while followers are frozen, so
// that batches which wait for their replicas are answered by a leader that has stepped
// down (they are stored, and the answer says that the leader has moved); brokers that
// lead are frozen too, past their session. Two members, ten minutes (one with -short):
// nothing is lost, first deliveries are in order, duplicates are counted.
func TestLeadersMoveUnderFrozenFollowers(t *testing.T) {
	long := 10 * time.Minute
	if testing.Short() {
		long = time.Minute
	}
	const partitions = 4
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	k := cluster(t, kafkatest.RealOptions{Nodes: 3})
	a := adminOf(t, k.Addrs())
	topics(t, a, partitions, 3, "in", "out")
	f := newFeed(t, k.Addrs(), "in", partitions, 200)
	r := newReferee(t, k.Addrs(), "out")
	// Writes time out while brokers stand still, so that callers leave batches behind
	// whose outcome is not known.
	text := strings.Replace(copyPipeline("elections", k.Addrs(), ""), "- kafka: {topic: out}", "- kafka: {topic: out}\n    timeout: 2s", 1)
	one, two := start(t, "one", text), start(t, "two", text)
	f.begin(2000)
	one.await("process.ready", time.Minute, nil)
	two.await("process.ready", time.Minute, nil)
	pass(t, 5*time.Second)

	done := map[string]int{}
	for end := time.Now().Add(long); time.Now().Before(end) && t.Context().Err() == nil; {
		frozen := int32(1 + dice.IntN(3))
		others := [2]int32{frozen%3 + 1, (frozen+1)%3 + 1}
		switch dice.IntN(8) {
		default: // a follower stands still and leaders move between the two others
			order := [][]int32{{others[0], others[1], frozen}, {others[1], others[0], frozen}}
			prefer(t, a, order[0])
			_ = elect(t, a, partitions)
			prefer(t, a, order[1])
			k.Freeze(int(frozen))
			pass(t, time.Duration(200+dice.IntN(1500))*time.Millisecond)
			if err := elect(t, a, partitions); err != nil {
				done["election refused"]++ // the controller is the one that stands still
			}
			pass(t, time.Duration(500+dice.IntN(3000))*time.Millisecond)
			done["follower frozen"]++
		case 0: // a leader stands still, for longer than its session now and then
			prefer(t, a, []int32{frozen, others[0], others[1]})
			_ = elect(t, a, partitions)
			k.Freeze(int(frozen))
			pass(t, time.Duration(1000+dice.IntN(9000))*time.Millisecond)
			done["leader frozen"]++
		}
		k.Thaw(int(frozen))
		pass(t, time.Duration(500+dice.IntN(3000))*time.Millisecond)
		r.until(f.total(), 2*time.Minute) // whatever happened, it goes on
	}
	f.end()
	r.until(f.total(), 3*time.Minute)
	for _, d := range []*subject{one, two} {
		if exit, _ := d.stop(syscall.SIGTERM, 30*time.Second); exit != 0 {
			t.Errorf("%s: exit code %d, want 0\n%s", d.name, exit, d.tail(10))
		}
	}
	r.toEnd(a, "out")
	t.Logf("%v: %d records in, lost %d, delivered twice %d, out of order %d",
		done, f.total(), f.total()-int64(len(r.seen)), r.twice(), r.misordered)
	if r.misordered != 0 {
		t.Errorf("%d out of order", r.misordered)
	}
}

// prefer orders the replicas of every partition of both topics: the first is the
// preferred leader. While the controller is away it is tried again for a while.
func prefer(t *testing.T, a *kadm.Client, replicas []int32) {
	t.Helper()
	req := kadm.AlterPartitionAssignmentsReq{}
	for _, topic := range []string{"in", "out"} {
		for p := range int32(4) {
			req.Assign(topic, p, replicas)
		}
	}
	var err error
	for range 30 {
		var answer kadm.AlterPartitionAssignmentsResponses
		if answer, err = a.AlterPartitionAssignments(t.Context(), req); err == nil {
			if err = answer.Error(); err == nil {
				return
			}
		}
		pass(t, time.Second)
	}
	t.Fatalf("ordering replicas %v: %v", replicas, err)
}

// elect moves the leaders to the preferred replicas, for which the controller must be
// awake. A partition whose leader is the preferred one already is no error here.
func elect(t *testing.T, a *kadm.Client, partitions int32) error {
	set := kadm.TopicsSet{}
	for p := range partitions {
		set.Add("in", p)
		set.Add("out", p)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := a.ElectLeaders(ctx, kadm.ElectPreferredReplica, set)
	return err
}
