package kafka

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// TestCallersShareARequest: what several callers have ready before a request is on its way
// is one request, also when the first of them came to an idle broker.
func TestCallersShareARequest(t *testing.T) {
	const callers = 4
	c := kafkatest.StartFake(t, kafkatest.Fake(kfake.NumBrokers(1), kfake.SeedTopics(callers, "t")))
	p := testProducer(t, c, ProducerConfig{})
	for part := range int32(callers) { // leaders and the producer's id are known then
		if err := p.Produce(soon(t), numbered("t", part, 0, 1)); err != nil {
			t.Fatal(err)
		}
	}
	var requests atomic.Int32
	c.Fake().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.Fake().KeepControl()
		requests.Add(1)
		return nil, nil, false
	})
	calls := make([]*call, callers)
	for part := range calls {
		calls[part] = p.newCall(numbered("t", int32(part), 1, 1))
		if err := p.prepare(calls[part]); err != nil {
			t.Fatal(err)
		}
	}
	p.mu.Lock()
	for _, call := range calls {
		p.enqueue(call)
	}
	p.mu.Unlock()
	for part, call := range calls {
		<-call.done
		if err := call.result(); err != nil {
			t.Error(err)
		}
		if got, want := fmt.Sprint(values(t, c, "t", int32(part))), "[000000 000001]"; got != want {
			t.Errorf("partition %d holds %s, want %s", part, got, want)
		}
		p.endCall(call)
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests, want one for all", n)
	}
}
