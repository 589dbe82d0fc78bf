//go:build real

package kafkatest

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A cluster of one and one of three start, take a record and survive the loss of a
// node.
func TestRealClusters(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		ctx, cancel := context.WithTimeout(context.Background(), startupTimeout)
		defer cancel()
		r, err := StartReal(ctx, t.TempDir(), RealOptions{Nodes: nodes})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Stop()
		client, err := kgo.NewClient(kgo.SeedBrokers(r.Addrs()...))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := kadm.NewClient(client).CreateTopics(ctx, 4, int16(nodes), nil, "t"); err != nil {
			t.Fatal(err)
		}
		if nodes == 3 {
			r.Kill(2)
		}
		begin := time.Now()
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d nodes: produced after %v", nodes, time.Since(begin))
	}
}
