package kafka

import (
	"errors"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// TestPositionsOfNoMember stores offsets with a text beside them, reads them back, and is refused
// while the group has a member.
func TestPositionsOfNoMember(t *testing.T) {
	cl := kafkatest.Start(t)
	topic, group := cl.Topic(t, 3), cl.Group(t)
	c := client(t, cl.Addrs())
	ctx := deadline(t)
	tp := func(p int32) TopicPartition { return TopicPartition{topic, p} }
	all := []TopicPartition{tp(0), tp(1), tp(2)}

	got, err := c.StoredPositions(ctx, group, all)
	if err != nil || len(got) != 3 || got[tp(1)] != (StoredPosition{Offset: -1}) {
		t.Fatalf("of a group that is not there: %v, %v", got, err)
	}
	long := strings.Repeat("x", 4000)
	want := map[TopicPartition]StoredPosition{tp(0): {Offset: 0, Text: "done=AQE"}, tp(2): {Offset: 7, Text: long}}
	if err := c.StorePositions(ctx, group, want); err != nil {
		t.Fatal(err)
	}
	got, err = c.StoredPositions(ctx, group, all)
	if err != nil || got[tp(0)] != want[tp(0)] || got[tp(2)] != want[tp(2)] || got[tp(1)].Offset != -1 {
		t.Fatalf("stored %v, and got %v, %v", want, got, err)
	}
	if err := c.StorePositions(ctx, group, map[TopicPartition]StoredPosition{tp(0): {Offset: 0}}); err != nil { // back to none
		t.Fatal(err)
	}
	if got, err = c.StoredPositions(ctx, group, all); err != nil || got[tp(0)].Text != "" {
		t.Fatalf("without a text: %v, %v", got, err)
	}

	g, err := NewGroup(c, GroupConfig{Group: group, Topics: []string{topic}})
	if err != nil {
		t.Fatal(err)
	}
	<-g.Events()
	if err := c.StorePositions(ctx, group, want); !errors.Is(err, ErrGroupInUse) {
		t.Errorf("beside a member: %v", err)
	}
	if err := g.Leave(ctx, false); err != nil {
		t.Fatal(err)
	}
	if err := c.StorePositions(ctx, group, want); err != nil {
		t.Errorf("when the member has left: %v", err)
	}
}
