//go:build real

package kafkasink

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/penstockio/penstock/pipeline/kafka/connect"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
	"github.com/penstockio/penstock/pipeline/settings"
)

// On a real, secured broker: topics that a user may not see or not write to are
// rejected, a name that is not there looks the same, and rights that are taken away
// from a topic that was written to hold the record until they are given back. Records
// of other topics go on.
func TestRealDeniedTopics(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cluster, err := kafkatest.StartReal(ctx, t.TempDir(), kafkatest.RealOptions{
		Properties: map[string]string{"allow.everyone.if.no.acl.found": "false"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Stop)
	c := kafkatest.At(t, cluster.Addrs()...)
	hidden, seen, open, once := c.Topic(t, 1), c.Topic(t, 1), c.Topic(t, 1), c.Topic(t, 1)
	admin := c.Admin(t)
	grant := func(topic string, operations ...kadm.ACLOperation) *kadm.ACLBuilder {
		t.Helper()
		b := kadm.NewACLs().Topics(topic).ResourcePatternType(kadm.ACLPatternLiteral).
			Operations(operations...).Allow("User:" + kafkatest.User).AllowHosts("*")
		results, err := admin.CreateACLs(ctx, b)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		return b
	}
	grant(seen, kadm.OpDescribe)
	grant(open, kadm.OpDescribe, kadm.OpWrite)
	lent := grant(once, kadm.OpDescribe, kadm.OpWrite)

	s := topicSettings(t, c, "{to}")
	s.Brokers = cluster.ScramAddrs()
	s.TLS = &connect.TLS{CA: settings.Path(cluster.Certs().CA)}
	s.SASL = &connect.SASL{Mechanism: "scram-sha-512", Username: kafkatest.User, Password: kafkatest.Password}
	k := newSink(t, s)
	// until writes the same records again, as the engine does, until what fails is want.
	until := func(want map[int]string, topics ...string) {
		t.Helper()
		var got map[int]string
		for ctx.Err() == nil {
			if got = reasonsOf(t, k.Write(ctx, naming(0, topics...))); fmt.Sprint(got) == fmt.Sprint(want) {
				return
			}
		}
		t.Fatalf("failed %v, want %v", got, want)
	}
	until(map[int]string{}, open, once)
	until(map[int]string{0: reasonTopicDenied, 1: reasonTopicDenied, 2: reasonTopicDenied}, hidden, "not-there", seen, open)
	if _, err := admin.DeleteACLs(ctx, lent); err != nil {
		t.Fatal(err)
	}
	until(map[int]string{0: ""}, once, open)
	for range 2 * topicTries {
		if got := reasonsOf(t, k.Write(ctx, naming(0, once, open))); got[0] != "" || len(got) != 1 {
			t.Fatalf("without rights to a topic that was written to: failed %v", got)
		}
	}
	grant(once, kadm.OpDescribe, kadm.OpWrite)
	until(map[int]string{}, once, open)
}
