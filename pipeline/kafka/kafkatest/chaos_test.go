package kafkatest_test

import (
	"flag"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
)

var (
	seedFlag   = flag.Uint64("chaos.seed", 0, "the seed of the one run to make")
	seedsFlag  = flag.Int("chaos.seeds", 50, "how many seeds to run; also PENSTOCK_CHAOS_SEEDS")
	firstFlag  = flag.Uint64("chaos.first", 1, "the first of them")
	familyFlag = flag.String("chaos.family", "", "the family of plans; by default each seed has its own")
)

// TestDeliveryUnderFaults runs members of a group, from Kafka to Kafka, through seeded
// faults of brokers, network and group in virtual time. Whatever happens: no record is
// lost, first deliveries are in order, no more is delivered again than ends of
// assignments account for, commits do not go back nor past what is stored, no gap is
// told that there is not, no pipeline stops by itself, and once the faults are over all
// is finished before long.
func TestDeliveryUnderFaults(t *testing.T) {
	seeds, first := *seedsFlag, *firstFlag
	if testing.Short() {
		seeds = min(seeds, 15) // each family is among them
	}
	if s := os.Getenv("PENSTOCK_CHAOS_SEEDS"); s != "" {
		seeds, _ = strconv.Atoi(s)
	}
	if *seedFlag != 0 {
		seeds, first = 1, *seedFlag
	}
	for seed := first; seed < first+uint64(seeds); seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, plan: newPlan(seed, *familyFlag)}
				defer func() {
					if t.Failed() {
						t.Logf("%v%s", w.plan, w.tale())
						t.Logf("run it again with: go test ./pipeline/kafka/kafkatest -run TestDeliveryUnderFaults -chaos.seed %d -chaos.family %s", w.seed, w.family)
					}
				}()
				w.run()
			})
		})
	}
}
