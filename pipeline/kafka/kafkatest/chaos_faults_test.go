package kafkatest_test

import (
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
	if f.Hold > 0 && key == kmsg.OffsetCommit {
		f.Unless = w.ref.late
	}
	return f
}

func (w *world) befall(c *kafkatest.Call, i int, e episode, f *kafkatest.Fault, edit *[]func(kmsg.Response)) {
	match := func(topic string, partition int32) bool {
		return (e.topic == "" || e.topic == topic) && (e.only < 0 || e.only == partition) && w.roll(i, c, topic, partition) < e.share
	}
	whole := w.roll(i, c) < e.share
	switch e.what {
	case "refuse":
		if e.topic != "" || e.key == kmsg.Metadata { // of some partitions: the true answer, changed
			*edit = append(*edit, func(r kmsg.Response) { kafkatest.SetCode(r, e.code, match) })
			if e.key != kmsg.Metadata && e.key != kmsg.OffsetFetch && whole {
				f.Answer = kafkatest.Refusal(c.Req, e.code)
			}
		} else if whole {
			f.Answer = kafkatest.Refusal(c.Req, e.code)
		}
	case "doubt":
		*edit = append(*edit, func(r kmsg.Response) { doubt(r, e.code, match, whole) })
	case "cut":
		if whole {
			f.Cut = kafkatest.CutAnswer
		}
	case "tear":
		if whole {
			f.Cut = kafkatest.CutMidway
		}
	case "early":
		if whole {
			f.Cut = kafkatest.CutRequest
		}
	case "hold":
		if whole {
			f.Hold = time.Duration(w.roll(i, c, "hold") * float64(e.pause))
		}
	case "late":
		if whole {
			f.Delay = time.Duration(w.roll(i, c, "late") * float64(e.pause))
		}
	case "swallow":
		f.Swallow = f.Swallow || whole
	case "age":
		if whole {
			*edit = append(*edit, func(r kmsg.Response) { w.history.Age(r.(*kmsg.MetadataResponse), time.Since(w.began)-e.from) })
		}
	}
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
