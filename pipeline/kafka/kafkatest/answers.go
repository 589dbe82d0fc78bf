package kafkatest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A Match says which partitions of a request or an answer are meant; nil: all.
type Match func(topic string, partition int32) bool

func (m Match) fits(topic string, partition int32) bool { return m == nil || m(topic, partition) }

// SetCode puts an error code into an answer: for the partitions that match where the
// answer has partitions, else for the whole. A partition that is refused so carries
// nothing else: no records, no offset.
//
// Reason for its size: it is a table, with a case for each kind of answer.
func SetCode(resp kmsg.Response, code int16, match Match) {
	switch r := resp.(type) {
	case *kmsg.ProduceResponse:
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				if p := &r.Topics[i].Partitions[j]; match.fits(r.Topics[i].Topic, p.Partition) {
					p.ErrorCode, p.BaseOffset, p.LogAppendTime, p.LogStartOffset = code, -1, -1, -1
				}
			}
		}
	case *kmsg.FetchResponse:
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				if p := &r.Topics[i].Partitions[j]; match.fits(r.Topics[i].Topic, p.Partition) {
					p.ErrorCode, p.HighWatermark, p.LastStableOffset, p.LogStartOffset = code, -1, -1, -1
					p.RecordBatches, p.AbortedTransactions = nil, nil
				}
			}
		}
	case *kmsg.ListOffsetsResponse:
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				if p := &r.Topics[i].Partitions[j]; match.fits(r.Topics[i].Topic, p.Partition) {
					p.ErrorCode, p.Timestamp, p.Offset, p.LeaderEpoch = code, -1, -1, -1
				}
			}
		}
	case *kmsg.OffsetCommitResponse:
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				if p := &r.Topics[i].Partitions[j]; match.fits(r.Topics[i].Topic, p.Partition) {
					p.ErrorCode = code
				}
			}
		}
	case *kmsg.OffsetFetchResponse:
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				if p := &r.Topics[i].Partitions[j]; match.fits(r.Topics[i].Topic, p.Partition) {
					p.ErrorCode, p.Offset, p.LeaderEpoch = code, -1, -1
				}
			}
		}
	case *kmsg.MetadataResponse:
		setMetadataCode(r, code, match)
	case *kmsg.FindCoordinatorResponse:
		r.ErrorCode, r.NodeID, r.Host, r.Port = code, -1, "", -1
		for i := range r.Coordinators {
			c := &r.Coordinators[i]
			c.ErrorCode, c.NodeID, c.Host, c.Port = code, -1, "", -1
		}
	case *kmsg.JoinGroupResponse:
		*r = kmsg.JoinGroupResponse{Version: r.Version, ErrorCode: code, Generation: -1}
	case *kmsg.SyncGroupResponse:
		*r = kmsg.SyncGroupResponse{Version: r.Version, ErrorCode: code}
	case *kmsg.HeartbeatResponse:
		r.ErrorCode = code
	case *kmsg.LeaveGroupResponse:
		r.ErrorCode = code
	case *kmsg.InitProducerIDResponse:
		r.ErrorCode, r.ProducerID, r.ProducerEpoch = code, -1, -1
	default:
		panic(fmt.Sprintf("setting a code in a %T: it is not known how", resp))
	}
}

// setMetadataCode sets the code of topics, when a partition of them matches, and of
// those partitions: one with a code has no leader, and a topic that is not there or is
// denied has no partitions and no id.
func setMetadataCode(r *kmsg.MetadataResponse, code int16, match Match) {
	const unknown, invalid, denied = 3, 17, 29
	for i := range r.Topics {
		t := &r.Topics[i]
		if t.Topic == nil {
			continue
		}
		hit := match.fits(*t.Topic, -1)
		for j := range t.Partitions {
			if p := &t.Partitions[j]; hit || match.fits(*t.Topic, p.Partition) {
				p.ErrorCode, p.Leader = code, -1
			}
		}
		if hit && (code == unknown || code == invalid || code == denied) {
			t.ErrorCode, t.Partitions, t.TopicID = code, nil, [16]byte{}
		}
	}
}

// Refusal is a broker's answer to a request that it has not carried out, with the code
// for everything in it. Metadata has none: change a true answer with SetCode.
//
// Reason for its size: it is a table, with a case for each kind of request, whose types have
// nothing in common.
func Refusal(req kmsg.Request, code int16) kmsg.Response {
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	switch q := req.(type) {
	case *kmsg.ProduceRequest:
		r := resp.(*kmsg.ProduceResponse)
		for _, t := range q.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition = p.Partition
				rt.Partitions = append(rt.Partitions, rp)
			}
			r.Topics = append(r.Topics, rt)
		}
	case *kmsg.FetchRequest:
		r := resp.(*kmsg.FetchResponse)
		for _, t := range q.Topics {
			rt := kmsg.NewFetchResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewFetchResponseTopicPartition()
				rp.Partition = p.Partition
				rt.Partitions = append(rt.Partitions, rp)
			}
			r.Topics = append(r.Topics, rt)
		}
	case *kmsg.ListOffsetsRequest:
		r := resp.(*kmsg.ListOffsetsResponse)
		for _, t := range q.Topics {
			rt := kmsg.NewListOffsetsResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewListOffsetsResponseTopicPartition()
				rp.Partition = p.Partition
				rt.Partitions = append(rt.Partitions, rp)
			}
			r.Topics = append(r.Topics, rt)
		}
	case *kmsg.OffsetCommitRequest:
		r := resp.(*kmsg.OffsetCommitResponse)
		for _, t := range q.Topics {
			rt := kmsg.NewOffsetCommitResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetCommitResponseTopicPartition()
				rp.Partition = p.Partition
				rt.Partitions = append(rt.Partitions, rp)
			}
			r.Topics = append(r.Topics, rt)
		}
	case *kmsg.OffsetFetchRequest:
		r := resp.(*kmsg.OffsetFetchResponse)
		for _, t := range q.Topics {
			rt := kmsg.NewOffsetFetchResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetFetchResponseTopicPartition()
				rp.Partition = p
				rt.Partitions = append(rt.Partitions, rp)
			}
			r.Topics = append(r.Topics, rt)
		}
	}
	SetCode(resp, code, nil)
	return resp
}

// A History remembers what brokers have said of topics, so that a later answer can be
// given as one that has not heard of the changes since.
type History struct {
	mu     sync.Mutex
	topics map[string][]pastTopic
}

type pastTopic struct {
	at    time.Time
	topic kmsg.MetadataResponseTopic
}

// See takes note of an answer to Metadata.
func (h *History) See(r *kmsg.MetadataResponse) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.topics == nil {
		h.topics = map[string][]pastTopic{}
	}
	for _, t := range r.Topics {
		if t.Topic == nil {
			continue
		}
		t.Partitions = slices.Clone(t.Partitions)
		h.topics[*t.Topic] = append(h.topics[*t.Topic], pastTopic{time.Now(), t})
	}
}

// Age puts into an answer what was said of its topics longer than ago, the latest of
// it; a topic of which nothing older is known stays as it is. It says whether anything
// is another than before.
func (h *History) Age(r *kmsg.MetadataResponse, ago time.Duration) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range r.Topics {
		t := &r.Topics[i]
		if t.Topic == nil {
			continue
		}
		past := h.topics[*t.Topic]
		for j := len(past) - 1; j >= 0; j-- {
			if time.Since(past[j].at) > ago {
				changed = changed || past[j].topic.TopicID != t.TopicID || len(past[j].topic.Partitions) != len(t.Partitions)
				t.ErrorCode, t.TopicID = past[j].topic.ErrorCode, past[j].topic.TopicID
				t.Partitions = slices.Clone(past[j].topic.Partitions)
				break
			}
		}
	}
	return changed
}
