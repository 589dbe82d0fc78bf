package kafkasource

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
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
	if testing.Short() { // one of each row of the table, as rows differ
		seen := map[string]bool{}
		codes = slices.DeleteFunc(codes, func(code kafka.Error) bool {
			row := ""
			for on := kafka.OnProduce; on <= kafka.OnMetadata; on++ {
				row += fmt.Sprint(code.Ruling(on))
			}
			twice := seen[row]
			seen[row] = true
			return twice
		})
	}
	return codes
}

// A codeRun is a pipeline whose source hears a code once, as the answer to one kind of
// request.
type codeRun struct {
	*testRun
	code         kafka.Error
	fault        *kfake.FaultHandle
	offsets      *kfake.FaultHandle // counts what is asked of the topic's offsets
	topic, group string
}

// hear runs a pipeline for every code at once, each with a topic and a group of its
// own, in virtual time.
func hear(t *testing.T, k *kafkatest.Cluster, o Options, fault func(topic, group string) kfake.Fault, change ...func(*Settings)) []*codeRun {
	t.Helper()
	var runs []*codeRun
	var topics []string
	var recs []*kgo.Record
	for _, code := range codesOfKafka() {
		r := &codeRun{code: code, topic: k.Name(t), group: k.Group(t)}
		runs, topics = append(runs, r), append(topics, r.topic)
		for n := range 3 {
			recs = append(recs, &kgo.Record{Topic: r.topic, Value: fmt.Append(nil, n)})
		}
	}
	if _, err := k.Admin(t).CreateTopics(t.Context(), 1, 1, nil, topics...); err != nil {
		t.Fatal(err)
	}
	w := k.Client(t)
	if err := w.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	for _, r := range runs {
		f := fault(r.topic, r.group)
		f.Err = &kerr.Error{Message: "X", Code: r.code.Code()}
		r.fault = k.Fake().Fault(f)
		r.offsets = k.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: r.topic, Observe: true, Count: -1})
		s := groupSettings(k, r.group, r.topic)
		for _, f := range change {
			f(&s)
		}
		r.testRun = startRunWith(t, s, o)
	}
	return runs
}

// settle waits until the pipelines have ended that are to stop, and until the others have
// heard the code and all their records; then it ends those, all at once: while one after
// another ends, all that wait would poll on.
func settle(runs []*codeRun, stops func(*codeRun) bool) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for _, r := range runs {
		for ended := false; !ended && (stops(r) || len(r.sink.Records()) < 3 || r.fault.Hits() == 0); {
			select {
			case <-tick.C:
			case err := <-r.done:
				r.done <- err
				ended = true
			case <-late:
				r.t.Errorf("%v: heard %d times, and %d records came", r.code, r.fault.Hits(), len(r.sink.Records()))
				ended = true
			}
		}
	}
	for _, r := range runs {
		r.cancel()
	}
}

// ends wants the pipeline to end, with an error that says where and why.
func (r *codeRun) ends(place string) {
	r.t.Helper()
	if err := r.end(); !errors.Is(err, r.code) || !strings.Contains(err.Error(), place) || !strings.Contains(err.Error(), fmt.Sprintf("code %d", r.code.Code())) {
		r.t.Errorf("%v: the pipeline ends with %v, and should name %s", r.code, err, place)
	}
}

// goesOn wants all records, each once, and all of them committed.
func (r *codeRun) goesOn(k *kafkatest.Cluster) {
	r.t.Helper()
	if err := r.end(); err != nil {
		r.t.Errorf("%v: the pipeline ends with %v", r.code, err)
		return
	}
	check(r.t, 3, true, r.sink)
	if at := k.Committed(r.t, r.group)[r.topic][0]; at != 3 {
		r.t.Errorf("%v: %d is committed, not 3", r.code, at)
	}
}

// Every code, as the answer to any request of the source, has the effect that the table
// says: it goes on by itself, all records come once and are committed; or it ends, and
// says where and why.
func TestKafkaDoesWithEveryCodeWhatTheTableSays(t *testing.T) {
	ofTopic := func(keys ...kmsg.Key) func(string, string) kfake.Fault {
		return func(topic, _ string) kfake.Fault { return kfake.Fault{Keys: keys, Topic: topic} }
	}
	ofGroup := func(keys ...kmsg.Key) func(string, string) kfake.Fault {
		return func(_, group string) kfake.Fault { return kfake.Fault{Keys: keys, Group: group} }
	}
	for name, tc := range map[string]struct {
		on    kafka.Request
		fault func(topic, group string) kfake.Fault
		place func(r *codeRun) string
	}{
		"Fetch":                  {kafka.OnFetch, ofTopic(kmsg.Fetch), (*codeRun).partition},
		"Fetch, as a whole":      {kafka.OnFetch, wholeFetch, (*codeRun).broker},
		"ListOffsets":            {kafka.OnMetadata, ofTopic(kmsg.ListOffsets), (*codeRun).partition},
		"Metadata":               {kafka.OnMetadata, ownMetadata, (*codeRun).ofTopic},
		"OffsetFetch":            {kafka.OnOffsets, ofGroup(kmsg.OffsetFetch), (*codeRun).ofGroup},
		"OffsetFetch, a topic":   {kafka.OnOffsets, ofTopic(kmsg.OffsetFetch), (*codeRun).partition},
		"OffsetCommit":           {kafka.OnCommit, ofTopic(kmsg.OffsetCommit), (*codeRun).partition},
		"FindCoordinator":        {kafka.OnMetadata, ofGroup(kmsg.FindCoordinator), (*codeRun).ofGroup},
		"FindCoordinator, later": {kafka.OnGroup, nil, (*codeRun).ofGroup},
		"JoinGroup":              {kafka.OnGroup, ofGroup(kmsg.JoinGroup), (*codeRun).ofGroup},
		"SyncGroup":              {kafka.OnGroup, ofGroup(kmsg.SyncGroup), (*codeRun).ofGroup},
		"Heartbeat":              {kafka.OnGroup, ofGroup(kmsg.Heartbeat), (*codeRun).ofGroup},
	} {
		t.Run(name, func(t *testing.T) {
			virtually(t, func(t *testing.T, k *kafkatest.Cluster, o Options) {
				fault := tc.fault
				if fault == nil {
					fault = func(topic, group string) kfake.Fault { return secondCoordinator(k, group) }
				}
				runs := hear(t, k, o, fault)
				// A member that has no id yet is told by GROUP_ID_NOT_FOUND that its group is of another kind.
				unnamed := name == "JoinGroup" || name == "FindCoordinator, later"
				stops := func(r *codeRun) bool {
					return r.code.Ruling(tc.on).Does == kafka.Stop || unnamed && r.code == kafka.GroupIDNotFound
				}
				settle(runs, stops)
				for _, r := range runs {
					if stops(r) {
						r.ends(tc.place(r))
					} else {
						r.goesOn(k)
					}
					if r.fault.Hits() != 1 {
						t.Errorf("%v: heard %d times", r.code, r.fault.Hits())
					}
					// The start of the group is asked for once, both ends when the offset is not there.
					if asked := r.offsets.Hits(); name == "Fetch" && (r.code.Ruling(tc.on).Does == kafka.Range) != (asked == 3) {
						t.Errorf("%v: offsets are asked for %d times", r.code, asked)
					}
				}
			})
		})
	}
}

// The first offsets of a group that starts at a time are a commit of their own: every
// code that takes the member's place, or passes, is answered by trying again.
func TestKafkaStoresItsStartAfterEveryCodeThatTheTableLetsPass(t *testing.T) {
	virtually(t, func(t *testing.T, k *kafkatest.Cluster, o Options) {
		runs := hear(t, k, o, func(topic, _ string) kfake.Fault {
			return kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: topic}
		}, func(s *Settings) { s.Start = "1999-01-01T00:00:00Z" })
		stops := func(r *codeRun) bool {
			return r.code.Ruling(kafka.OnCommit).Does == kafka.Report && !r.code.Temporary()
		}
		settle(runs, stops)
		for _, r := range runs {
			if stops(r) {
				r.ends(r.partition())
			} else {
				r.goesOn(k)
			}
		}
	})
}

// A new leader is asked where the epoch ended that was read last, before anything is
// fetched from it.
func TestKafkaDoesWithEveryCodeOfANewLeaderWhatTheTableSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := virtualCluster(t, 2)
		o := Options{Pipeline: "test", Drain: 5 * time.Second, Dial: k.Dial}
		runs := hear(t, k, o, func(topic, _ string) kfake.Fault {
			return kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetForLeaderEpoch}, Topic: topic}
		})
		for _, r := range runs {
			r.has(3)
		}
		for _, r := range runs {
			if err := k.Fake().MoveTopicPartition(r.topic, 0, 1-k.Fake().LeaderFor(r.topic, 0)); err != nil {
				t.Fatal(err)
			}
		}
		stops := func(r *codeRun) bool { return r.code.Ruling(kafka.OnMetadata).Does == kafka.Stop }
		settle(runs, stops)
		for _, r := range runs {
			if stops(r) {
				r.ends(r.partition())
			} else {
				r.goesOn(k)
			}
		}
	})
}

// A member leaves after every code that passes, and when the group does not know it; it
// does not insist on what does not pass.
func TestKafkaLeavesAfterEveryCodeAsTheTableSays(t *testing.T) {
	virtually(t, func(t *testing.T, k *kafkatest.Cluster, o Options) {
		asked := map[*codeRun]*kfake.FaultHandle{}
		runs := hear(t, k, o, func(_, group string) kfake.Fault { return kfake.Fault{Keys: []kmsg.Key{kmsg.LeaveGroup}, Group: group} })
		for _, r := range runs {
			asked[r] = k.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.LeaveGroup}, Group: r.group, Observe: true, Count: -1})
			r.has(3)
		}
		for _, r := range runs {
			r.cancel()
		}
		for _, r := range runs {
			err, again := r.end(), 1
			does := r.code.Ruling(kafka.OnGroup).Does
			if does == kafka.Stop || r.code == kafka.UnknownMemberID {
				again = 0
			}
			if (err != nil) != (does == kafka.Stop) || err != nil && !strings.Contains(err.Error(), r.group) || r.fault.Hits() != 1 || asked[r].Hits() != again {
				t.Errorf("%v: leaving ends with %v, asked %d times more", r.code, err, asked[r].Hits())
			}
		}
	})
}

// wholeFetch is a code that is no partition's.
func wholeFetch(topic, _ string) kfake.Fault {
	return kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, TopLevel: true, When: func(req kmsg.Request) bool {
		topics := req.(*kmsg.FetchRequest).Topics
		return len(topics) == 1 && topics[0].Topic == topic
	}}
}

// ownMetadata leaves out the client that has produced to all topics.
func ownMetadata(topic, _ string) kfake.Fault {
	return kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: topic, When: func(req kmsg.Request) bool {
		return len(req.(*kmsg.MetadataRequest).Topics) == 1
	}}
}

// secondCoordinator is for the member's own question: the first is asked before it joins,
// and its answer is good until the coordinator says otherwise.
func secondCoordinator(k *kafkatest.Cluster, group string) kfake.Fault {
	k.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: group, Err: kerr.NotCoordinator})
	asked := 0
	return kfake.Fault{Keys: []kmsg.Key{kmsg.FindCoordinator}, Group: group, When: func(kmsg.Request) bool {
		asked++
		return asked == 2
	}}
}

func (r *codeRun) partition() string { return r.topic + "/0" }
func (r *codeRun) broker() string    { return r.k.s.Brokers[0] }
func (r *codeRun) ofTopic() string   { return r.topic }
func (r *codeRun) ofGroup() string   { return r.group }

// A broker that goes on to say that something went wrong is asked again, and it is told.
func TestKafkaTellsOfAFetchThatFailsAgainAndAgain(t *testing.T) {
	virtually(t, func(t *testing.T, k *kafkatest.Cluster, o Options) {
		topic, group := k.Topic(t, 1), k.Group(t)
		fill(t, k, topic, 1, 0, 3)
		fault := k.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic, Partitions: []int32{0}, Count: -1})
		r := startRunWith(t, groupSettings(k, group, topic), o)
		time.Sleep(time.Minute) // of the bubble
		if n := fault.Hits(); n < 60 || n > 80 {
			t.Errorf("asked %d times in a minute", n)
		}
		if n := r.log.count("reading a partition is tried again"); n != 3 {
			t.Errorf("told %d times in a minute", n)
		}
		fault.Remove()
		r.has(3)
		r.stop()
		check(t, 3, true, r.sink)
	})
}

// A coordinator that wants a member id, whatever it is sent, is not asked without a pause.
func TestKafkaJoinsWithoutHasteWhereItsMemberIDIsNotTaken(t *testing.T) {
	virtually(t, func(t *testing.T, k *kafkatest.Cluster, o Options) {
		topic, group := k.Topic(t, 1), k.Group(t)
		fill(t, k, topic, 1, 0, 3)
		fault := k.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: group, Err: kerr.MemberIDRequired, Count: 1000})
		r := startRunWith(t, groupSettings(k, group, topic), o)
		time.Sleep(time.Minute) // of the bubble
		if n := fault.Hits(); n < 60 || n > 200 {
			t.Errorf("asked %d times in a minute", n)
		}
		fault.Remove()
		r.has(3)
		r.stop()
	})
}
