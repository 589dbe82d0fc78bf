package kafkatest_test

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// fault is what the plan has in store for a call.
func (w *world) fault(c *kafkatest.Call) (f kafkatest.Fault) {
	key := kmsg.Key(c.Req.Key())
	var see []func(*kafkatest.Call, kmsg.Response)
	var edit []func(kmsg.Response)
	switch key {
	case kmsg.OffsetCommit:
		see = append(see, func(*kafkatest.Call, kmsg.Response) { w.ref.sample() })
	case kmsg.OffsetFetch:
		see = append(see, w.ref.tells)
	case kmsg.Metadata:
		see = append(see, func(_ *kafkatest.Call, r kmsg.Response) { w.history.See(r.(*kmsg.MetadataResponse)) })
	}
	at := time.Since(w.began)
	for i, e := range w.episodes {
		if e.key != key || at < e.from || at >= e.to || e.client != "" && e.client != c.Client ||
			e.broker >= 0 && w.addrs[e.broker] != c.Broker {
			continue
		}
		w.befall(c, i, e, &f, &edit)
	}
	if len(see) > 0 {
		f.Seen = func(c *kafkatest.Call, r kmsg.Response) {
			for _, s := range see {
				s(c, r)
			}
		}
	}
	if len(edit) > 0 {
		f.Edit = func(r kmsg.Response) {
			for _, e := range edit {
				e(r)
			}
		}
	}
	if f.DelayRequest > 0 && key == kmsg.OffsetCommit {
		f.Unless = w.ref.late
	}
	return f
}

func (w *world) befall(c *kafkatest.Call, i int, e episode, f *kafkatest.Fault, edit *[]func(kmsg.Response)) {
	match := func(topic string, partition int32) bool {
		return (e.topic == "" || e.topic == topic) && (e.only < 0 || e.only == partition) && w.chance(i, c, topic, partition) < e.share
	}
	whole := w.chance(i, c) < e.share
	switch e.what {
	case "refuse":
		switch e.key {
		case kmsg.Metadata, kmsg.Fetch, kmsg.ListOffsets, kmsg.OffsetFetch: // changes nothing at the broker: the true answer, of some partitions
			*edit = append(*edit, func(r kmsg.Response) { kafkatest.SetCode(r, e.code, match) })
		default:
			if whole && (e.topic == "" || writesOnly(c.Req, e.topic)) {
				f.Answer = kafkatest.Refusal(c.Req, e.code)
			}
		}
	case "doubt":
		*edit = append(*edit, func(r kmsg.Response) { doubt(r, e.code, match, whole) })
	case "cut":
		if whole {
			f.Break = kafkatest.BreakAnswer
		}
	case "tear":
		if whole {
			f.Break = kafkatest.BreakMidway
		}
	case "early":
		if whole {
			f.Break = kafkatest.BreakRequest
		}
	case "hold":
		if whole {
			f.DelayRequest = time.Duration(w.chance(i, c, "hold") * float64(e.pause))
		}
	case "late":
		if whole {
			f.DelayAnswer = time.Duration(w.chance(i, c, "late") * float64(e.pause))
		}
	case "swallow":
		f.Swallow = f.Swallow || whole
	case "age":
		if whole {
			*edit = append(*edit, func(r kmsg.Response) { w.history.Age(r.(*kmsg.MetadataResponse), time.Since(w.began)-e.from) })
		}
	}
}

// writesOnly says whether a request to produce is for one topic alone: no part of a
// request can be refused without the others.
func writesOnly(req kmsg.Request, topic string) bool {
	p, ok := req.(*kmsg.ProduceRequest)
	return ok && !slices.ContainsFunc(p.Topics, func(t kmsg.ProduceRequestTopic) bool { return t.Topic != topic })
}

// doubt sets a code where the broker has done what was asked.
func doubt(resp kmsg.Response, code int16, match kafkatest.Match, whole bool) {
	type place struct {
		topic     string
		partition int32
	}
	done := map[place]bool{}
	switch r := resp.(type) {
	case *kmsg.ProduceResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				done[place{t.Topic, p.Partition}] = p.ErrorCode == 0
			}
		}
	case *kmsg.OffsetCommitResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				done[place{t.Topic, p.Partition}] = p.ErrorCode == 0
			}
		}
	case *kmsg.HeartbeatResponse:
		if whole && r.ErrorCode == 0 {
			kafkatest.SetCode(r, code, nil)
		}
		return
	case *kmsg.SyncGroupResponse:
		if whole && r.ErrorCode == 0 {
			kafkatest.SetCode(r, code, nil)
		}
		return
	}
	kafkatest.SetCode(resp, code, func(topic string, partition int32) bool {
		return done[place{topic, partition}] && match(topic, partition)
	})
}
