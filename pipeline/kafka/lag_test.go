package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// An offset that the log does not have is no sign that all has been read.
func TestLagTellsOffsetsThatTheLogDoesNotHave(t *testing.T) {
	k := kafkatest.Start(t)
	c := client(t, k.Addrs())
	another := Lineage{Topic: TopicID{1, 2, 3}, Epoch: -1}.text()
	for name, tc := range map[string]struct {
		start, at int64 // of a log up to 7
		text      string
		lag       int64
		gap       string
	}{
		"nothing is committed":           {3, -1, "", 4, ""},
		"at the start":                   {3, 3, "", 4, ""},
		"at the end":                     {3, 7, "", 0, ""},
		"at the end, all deleted":        {7, 7, "", 0, ""},
		"deleted":                        {3, 1, "", 4, GapDeleted},
		"all deleted":                    {7, 1, "", 0, GapDeleted},
		"beyond the end":                 {3, 8, "", 4, GapBeyond},
		"of another topic":               {3, 5, another, 4, GapRecreated},
		"of another topic, beyond":       {3, 500, another, 4, GapRecreated},
		"of another topic, at the start": {3, 3, another, 4, GapRecreated},
		"somebody else's text":           {3, 5, "host-7", 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			topic, group := k.Topic(t, 2), k.Group(t)
			for range 7 {
				k.Produce(t, topic, &kgo.Record{Partition: 0, Value: []byte("x")})
			}
			cut, commit := kadm.Offsets{}, kadm.Offsets{}
			cut.AddOffset(topic, 0, tc.start, -1)
			if _, err := k.Admin(t).DeleteRecords(deadline(t), cut); err != nil {
				t.Fatal(err)
			}
			if tc.at >= 0 {
				commit.Add(kadm.Offset{Topic: topic, Partition: 0, At: tc.at, LeaderEpoch: -1, Metadata: tc.text})
			}
			commit.AddOffset(topic, 1, 0, -1)
			if err := k.Admin(t).CommitAllOffsets(deadline(t), group, commit); err != nil {
				t.Fatal(err)
			}
			lag, err := c.Lag(deadline(t), group, []string{topic}, true)
			if err != nil || len(lag) != 2 {
				t.Fatal(lag, err)
			}
			if want := (PartitionLag{TopicPartition{topic, 0}, tc.at, tc.start, 7, tc.lag, 0, tc.gap}); lag[0] != want {
				t.Errorf("%+v, not %+v", lag[0], want)
			}
		})
	}
}
