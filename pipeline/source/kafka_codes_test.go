package source

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// codesOfKafka is every code that has a name, and one that no broker has today.
func codesOfKafka() []kafka.Error {
	codes := []kafka.Error{9999}
	for code := kafka.Error(-1); code < 400; code++ {
		if code != 0 && !strings.HasPrefix(code.Name(), "ERROR_") {
			codes = append(codes, code)
		}
	}
	return codes
}

// A codeRun is a pipeline whose source hears a code once, as the answer to one kind of
// request.
type codeRun struct {
	*kafkaRun
	code         kafka.Error
	fault        *kfake.FaultHandle
	offsets      *kfake.FaultHandle // counts what is asked of the topic's offsets
	topic, group string
}

// hear runs a pipeline for every code at once, each with a topic and a group of its
// own, in virtual time.
func hear(t *testing.T, k *kafkatest.Cluster, o KafkaOptions, fault func(topic, group string) kfake.Fault) []*codeRun {
	t.Helper()
	var runs []*codeRun
	for _, code := range codesOfKafka() {
		r := &codeRun{code: code, topic: k.Topic(t, 1), group: k.Group(t)}
		fill(t, k, r.topic, 1, 0, 3)
		f := fault(r.topic, r.group)
		f.Err = &kerr.Error{Message: "X", Code: code.Code()}
		r.fault = k.Fake().Fault(f)
		r.offsets = k.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: r.topic, Observe: true, Count: -1})
		s := settings(k, r.group, r.topic)
		r.kafkaRun = startRunWith(t, s, o)
		runs = append(runs, r)
	}
	return runs
}

// ends wants the pipeline to end, with an error that says where and why.
func (r *codeRun) ends(place string) {
	r.t.Helper()
	if err := r.end(); !errors.Is(err, r.code) || !strings.Contains(err.Error(), place) || !strings.Contains(err.Error(), fmt.Sprintf("%d", r.code.Code())) {
		r.t.Errorf("%v: the pipeline ends with %v, which names no %s", r.code, err, place)
	}
}

// goesOn wants all records, each once, and says false when the pipeline has ended.
func (r *codeRun) goesOn() bool {
	r.t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for len(r.sink.Records()) < 3 {
		select {
		case <-tick.C:
		case err := <-r.done:
			r.done <- err
			r.t.Errorf("%v: the pipeline ends with %v", r.code, err)
			return false
		case <-late:
			r.t.Errorf("%v: only %d records came", r.code, len(r.sink.Records()))
			return false
		}
	}
	r.stop()
	check(r.t, 3, true, r.sink)
	return true
}

// Every code, as the answer to a fetch, has the effect that the table says.
func TestKafkaDoesWithEveryCodeOfAFetchWhatTheTableSays(t *testing.T) {
	virtually(t, func(t *testing.T, k *kafkatest.Cluster, o KafkaOptions) {
		for _, r := range hear(t, k, o, func(topic, _ string) kfake.Fault {
			return kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Partitions: []int32{0}}
		}) {
			switch ruling := r.code.Ruling(kafka.OnFetch); ruling.Does {
			case kafka.Stop:
				r.ends(r.topic + "/0")
			case kafka.Range, kafka.Retry, kafka.Lookup:
				if !r.goesOn() {
					continue
				}
				// The start of the group is asked for once; both ends when the offset is not there.
				if asked, want := r.offsets.Hits(), map[bool]int{false: 1, true: 3}[ruling.Does == kafka.Range]; asked != want {
					t.Errorf("%v: offsets are asked for %d times, not %d", r.code, asked, want)
				}
			default:
				t.Errorf("%v: the source knows nothing of this ruling: %+v", r.code, ruling)
			}
			if r.fault.Hits() != 1 {
				t.Errorf("%v: heard %d times", r.code, r.fault.Hits())
			}
		}
	})
}
