package kafkatest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// wired gives a client that goes over a wire and tries nothing twice, and a way to set
// the fault of its next request of a key.
func wired(t *testing.T, c *Cluster) (*kgo.Client, *Wire, func(kmsg.Key, Fault)) {
	var mu sync.Mutex
	faults := map[kmsg.Key]Fault{}
	w := NewWire(t, c, func(call *Call) Fault {
		mu.Lock()
		defer mu.Unlock()
		f := faults[kmsg.Key(call.Req.Key())]
		delete(faults, kmsg.Key(call.Req.Key()))
		return f
	})
	cl := c.Client(t, kgo.Dialer(w.Dial("one")), kgo.MaxVersions(kversion.V3_0_0()), kgo.RequestRetries(0), kgo.RequestTimeoutOverhead(time.Second), kgo.RetryTimeout(time.Second))
	if err := cl.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	return cl, w, func(k kmsg.Key, f Fault) {
		mu.Lock()
		defer mu.Unlock()
		faults[k] = f
	}
}

// commit commits an offset for a group without members, past all that a client adds.
func commit(ctx context.Context, cl *kgo.Client, offset int64) (int16, error) {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = "g", -1
	topic, p := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
	topic.Topic, p.Offset = "t", offset
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	coordinator := cl.Broker(0) // past the client's own retries
	resp, err := coordinator.Request(ctx, req)
	if err != nil {
		return 0, err
	}
	return resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode, nil
}

func TestWireSpoilsOneRequest(t *testing.T) {
	code := kerr.NotCoordinator.Code
	for _, tc := range []struct {
		name  string
		fault Fault
		code  int16
		fails bool  // the client gets no answer
		at    int64 // committed in the end, 1 before
	}{
		{"nothing", Fault{}, 0, false, 2},
		{"not carried out", Fault{Answer: Refusal(commitRequest(), code)}, code, false, 1},
		{"carried out and denied", Fault{Edit: func(r kmsg.Response) { SetCode(r, code, nil) }}, code, false, 2},
		{"another partition's", Fault{Edit: func(r kmsg.Response) {
			SetCode(r, code, func(_ string, p int32) bool { return p == 1 })
		}}, 0, false, 2},
		{"cut before", Fault{Break: BreakRequest}, 0, true, 1},
		{"cut behind", Fault{Break: BreakAnswer}, 0, true, 2},
		{"cut in the middle", Fault{Break: BreakMidway}, 0, true, 2},
		{"swallowed", Fault{Swallow: true}, 0, true, 1},
		{"late", Fault{DelayAnswer: 100 * time.Millisecond}, 0, false, 2},
		{"held until the client has left", Fault{DelayRequest: time.Minute}, 0, true, 2},
		{"held, and dropped when the client has left", Fault{DelayRequest: time.Minute, Unless: (*Call).Left}, 0, true, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := StartFake(t, Virtual())
				c.CreateTopic(t, "t", 2)
				cl, w, set := wired(t, c)
				if code, err := commit(t.Context(), cl, 1); code != 0 || err != nil {
					t.Fatal(code, err)
				}
				set(kmsg.OffsetCommit, tc.fault)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				code, err := commit(ctx, cl, 2)
				if (err != nil) != tc.fails || code != tc.code {
					t.Errorf("code %d, %v", code, err)
				}
				time.Sleep(2 * time.Minute)
				if at := c.Committed(t, "g")["t"][0]; at != tc.at {
					t.Errorf("committed at %d, want %d", at, tc.at)
				}
				w.Close()
			})
		})
	}
}

func commitRequest() kmsg.Request {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version = 7
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic = "t"
	topic.Partitions = append(topic.Partitions, kmsg.NewOffsetCommitRequestTopicPartition())
	req.Topics = append(req.Topics, topic)
	return req
}

func TestWireKillsAClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := StartFake(t, Virtual())
		cl, w, _ := wired(t, c)
		w.Break("one", "")
		if err := cl.Ping(t.Context()); err != nil {
			t.Errorf("after a break: %v", err)
		}
		w.Kill("one")
		if err := cl.Ping(t.Context()); err == nil {
			t.Error("a client that was killed reaches the broker")
		}
	})
}

func TestHistoryGivesWhatWasKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := func(id byte, leader int32) *kmsg.MetadataResponse {
			r, topic, p := kmsg.NewPtrMetadataResponse(), kmsg.NewMetadataResponseTopic(), kmsg.NewMetadataResponseTopicPartition()
			topic.Topic, topic.TopicID, p.Leader = kmsg.StringPtr("t"), [16]byte{id}, leader
			topic.Partitions = append(topic.Partitions, p)
			r.Topics = append(r.Topics, topic)
			return r
		}
		var h History
		h.See(answer(1, 1))
		time.Sleep(10 * time.Second)
		h.See(answer(1, 2))
		time.Sleep(10 * time.Second)
		h.See(answer(2, 3))
		for ago, want := range map[time.Duration]struct {
			id     byte
			leader int32
		}{time.Hour: {9, 9}, 15 * time.Second: {1, 1}, 5 * time.Second: {1, 2}} {
			r := answer(9, 9)
			changed := h.Age(r, ago)
			if got := r.Topics[0]; got.TopicID[0] != want.id || got.Partitions[0].Leader != want.leader || changed != (want.id != 9) {
				t.Errorf("%v ago: %v, changed %v", ago, got, changed)
			}
		}
	})
}

// Every answer that a plan may give has a form, for each version that we speak.
func TestRefusalsCanBeRead(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets, kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.FindCoordinator,
		kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.InitProducerID} {
		req := kmsg.RequestForKey(int16(key))
		for version := range req.MaxVersion() + 1 {
			req.SetVersion(version)
			b := appendResponse(7, Refusal(req, 16))
			resp, err := readResponse(req, b)
			if err != nil {
				t.Errorf("%s version %d: %v", key.Name(), version, err)
				continue
			}
			if again := appendResponse(7, resp); !slices.Equal(again, b) {
				t.Errorf("%s version %d is not the same when read", key.Name(), version)
			}
		}
	}
}
