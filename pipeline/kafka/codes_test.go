package kafka

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

var updateCodes = flag.Bool("update", false, "rewrite docs/internals/codes.md")

const codesPage = "../../docs/internals/codes.md"

func TestCodesPageIsTheTable(t *testing.T) {
	page := codesText()
	if *updateCodes {
		if err := os.WriteFile(codesPage, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(codesPage)
	if err != nil || !bytes.Equal(old, page) {
		t.Errorf("%s is not what the table of codes says (%v): run go test ./pipeline/kafka -run CodesPage -update", codesPage, err)
	}
}

// codesText writes the table as a page: a row for each code, then the reasons.
func codesText() []byte {
	var b bytes.Buffer
	b.WriteString(`# Error codes of Kafka

What each code means to Penstock as the answer to each kind of request. This page is written from the
table in pipeline/kafka/codes.go, which is what the code does; tests play every code to the producer
and to the source.
The last row stands for every code that no Kafka of today has.

| Word | What follows |
|---|---|
| done | as good as no error |
| again | sent again after a pause |
| look up | leader or coordinator are asked for anew, and it is sent again: at once the first time |
| new id | sent again under another producer id |
| refuses | the record will never be taken: it is rejected, with the reason given |
| told | the caller is told, holds what it has and tries again |
| join | the member joins its group again |
| range | the offsets that there are are asked for, and on_gap decides |
| stops | the pipeline ends: somebody must change something |

In the first column, *may be stored* says that the batch may be in the log behind this answer: it keeps
its sequence, and its output partition closed to others, until an answer settles that. *is not stored*
says that the answer proves the contrary. *own* says that the batch itself may be the cause: when nobody
waits for it any more and nothing else has been heard for two minutes, the tries end. The column metadata
stands for Metadata, ListOffsets, OffsetForLeaderEpoch and all other requests. FindCoordinator counts as
the request for whose sake the coordinator is looked for, and as one of the others in the check at the
start. After any code InitProducerId is sent again, as long as a batch waits for its answer.

| Code | Name | Produce | Fetch | OffsetCommit | OffsetFetch | Group | Metadata |
|---|---|---|---|---|---|---|---|
`)
	words := map[Action]string{Done: "done", Retry: "again", Lookup: "look up", NewID: "new id", Refuse: "refuses",
		Report: "told", Rejoin: "join", Range: "range", Stop: "stops"}
	names := [requests]string{"produce", "fetch", "commit", "offsets", "group", "metadata"}
	var reasons bytes.Buffer
	for _, code := range append([]Error{0}, everyCode()...) {
		number, name := fmt.Sprint(code.Code()), code.Name()
		switch code {
		case 0:
			name = "NONE"
		case unheardOf:
			number, name = "any", "any other"
		}
		fmt.Fprintf(&b, "| %s | %s |", number, name)
		given := codeRows[code].columns()
		for on := range requests {
			r := code.Ruling(on)
			cell := words[r.Does]
			for _, note := range []struct {
				is   bool
				text string
			}{{r.Reason != "", ": `" + r.Reason + "`"}, {r.Doubt, ", *may be stored*"}, {r.Absent, ", *is not stored*"}, {r.Own, ", *own*"}} {
				if note.is {
					cell += note.text
				}
			}
			fmt.Fprintf(&b, " %s |", cell)
			if given[on].Why != "" {
				fmt.Fprintf(&reasons, "| %s | %s | %s |\n", number, names[on], r.Why)
			}
		}
		b.WriteByte('\n')
	}
	b.WriteString("\n## Why\n\nWhere nothing is said: what passes by itself is tried again, what does not is told or stops, and an answer\n" +
		"to a produce request that no broker is known to give says nothing of the batch.\n\n| Code | Request | Why |\n|---|---|---|\n")
	b.Write(reasons.Bytes())
	return b.Bytes()
}

func TestEveryCodeHasARulingForEveryRequest(t *testing.T) {
	for code := int16(-2); code < 400; code++ {
		if known := kerr.TypedErrorForCode(code); known != nil && known.Code == code && strings.HasPrefix(Error(code).Name(), "ERROR_") {
			t.Errorf("code %d, %s, is not in the table", code, known.Message)
		}
		for on := range requests {
			r := Error(code).Ruling(on)
			if r.Does == 0 || r.Why == "" && code != 0 {
				t.Errorf("code %d has no ruling for request %d: %+v", code, on, r)
			}
			if (r.Does == Refuse) != (r.Reason != "") || (r.Does == Refuse || r.Does == NewID || r.Doubt || r.Absent) && on != OnProduce {
				t.Errorf("code %d, request %d: %+v", code, on, r)
			}
		}
	}
}

// What clients of Kafka take for passing passes here, where it can be heard at all.
func TestWhatIsRetriablePasses(t *testing.T) {
	elsewhere := map[Error]string{
		CorruptMessage: "of a fetch: the log is damaged",
		80:             "of ElectLeaders", 83: "of ElectLeaders", 84: "of ElectLeaders",
		122: "of share groups", 123: "of share groups", 133: "of share groups",
	}
	for _, code := range everyCode() {
		known := kerr.TypedErrorForCode(code.Code())
		if known == nil || !known.Retriable || elsewhere[code] != "" {
			continue
		}
		if !code.Ruling(OnFetch).Passes() {
			t.Errorf("%v ends the reading of a partition", code)
		}
		if fetches := code == fetchSessionNotFound || code == invalidFetchSessionEpoch || code == fetchSessionTopicID; !fetches && !code.Temporary() {
			t.Errorf("%v does not pass", code)
		}
	}
}

// play runs f with a producer on a model cluster, in virtual time.
func play(t *testing.T, f func(t *testing.T, m *modelBroker, p *Producer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := startModel(t, 1)
		p := NewProducer(m.client(t), ProducerConfig{})
		defer p.Close()
		if err := p.Produce(within(t, time.Minute), numbered(m.topic, 0, 0, 1)); err != nil {
			t.Fatal(err)
		}
		f(t, m, p)
	})
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// inTurn gives fates one after another; then all is well.
func (m *modelBroker) inTurn(fates ...fate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.meet = func(*modelPartition, *modelBatch) fate {
		if len(fates) == 0 {
			return fate{append: true}
		}
		f := fates[0]
		fates = fates[1:]
		return f
	}
}

// Every code, as the answer to a batch that is not in the log, has the effect that the
// table says.
func TestProducerDoesWithEveryCodeWhatTheTableSays(t *testing.T) {
	for _, code := range everyCode() {
		r := code.Ruling(OnProduce)
		if r.Does == Done {
			continue // of a batch that is not in the log it would be a lie
		}
		t.Run(code.Name(), func(t *testing.T) {
			play(t, func(t *testing.T, m *modelBroker, p *Producer) {
				m.inTurn(fate{code: code})
				produce, asked, ids := m.counts()
				err := p.Produce(within(t, time.Minute), numbered(m.topic, 0, 1, 1))
				produce2, asked2, ids2 := m.counts()
				produce, asked, ids = produce2-produce, asked2-asked, ids2-ids
				want := map[Action]string{
					Retry: "2 0 0 ok", Lookup: "2 1 0 ok", NewID: "2 0 1 ok",
					Refuse: "1 0 0 refused: " + r.Reason, Report: "1 0 0 told",
				}[r.Does]
				var refused *RefusedError
				said := "ok"
				switch {
				case errors.As(err, &refused):
					said = "refused: " + refused.Reason
				case errors.Is(err, code):
					said = "told"
				case err != nil:
					said = err.Error()
				}
				if got := fmt.Sprintf("%d %d %d %s", produce, asked, ids, said); got != want {
					t.Errorf("requests, look-ups, new ids, outcome: %s; want %s", got, want)
				}
			})
		})
	}
}

// A lane's batch is stored and answered with any code, or not at all, and the lane's
// write times out; another lane writes, then the first again. All that is acknowledged
// is in the log once.
func TestStoredWhateverTheAnswerAndLeftIsNotLost(t *testing.T) {
	cases := map[string]fate{
		"silence":        {append: true, silent: true},
		"hanging":        {append: true, hang: true},
		"left out":       {append: true, absent: true},
		"garbage":        {append: true, garbage: true},
		"late":           {late: 40 * time.Second},
		"not after all":  {append: true, undone: true, code: NotLeaderOrFollower},
		"leader steps":   {append: true, move: true, code: NotLeaderOrFollower},
		"leader is gone": {append: true, move: true, silent: true},
	}
	for _, code := range everyCode() {
		if code.Ruling(OnProduce).Doubt {
			cases[code.Name()] = fate{append: true, code: code}
			cases[code.Name()+", not stored"] = fate{code: code}
		}
	}
	for name, f := range cases {
		for _, n := range []int{1, 2} {
			t.Run(fmt.Sprint(name, ", then ", n), func(t *testing.T) {
				play(t, func(t *testing.T, m *modelBroker, p *Producer) {
					few := fate{code: NotEnoughReplicas} // which leaves open what became of the first
					m.inTurn(f, few, few, few, few, few, few, few)
					first, second := numbered(m.topic, 0, 1, 1), numbered(m.topic, 0, 2, n)
					if err := p.Produce(within(t, time.Second), first); !errors.Is(err, context.DeadlineExceeded) {
						t.Fatalf("producing for a second: %v", err)
					}
					for i := range second {
						second[i].Origin.Partition = 77
					}
					if err := p.Produce(within(t, time.Minute), second); err != nil {
						t.Fatal(err)
					}
					if err := p.Produce(within(t, time.Minute), first); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Minute) // of the bubble: what is late comes
					got := map[string]int{}
					for _, v := range m.values(0) {
						got[v]++
					}
					for i := range 2 + n {
						if got[fmt.Sprintf("%06d", i)] != 1 || len(got) != 2+n {
							t.Fatalf("acknowledged: 000000 to %06d; in the log: %v", 1+n, m.values(0))
						}
					}
				})
			})
		}
	}
}

// Every code, as the answer to a member's first JoinGroup, ends the member or does not. One says something else there than to a
// member that has an id: a join without an id makes a group that is not there, so the group is of another kind.
func TestMembersJoinAfterEveryCodeAsTheTableSays(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 1)
	members := map[Error]*follower{}
	for _, code := range everyCode() {
		config := quick(c, t, topic)
		config.Group += "." + fmt.Sprint(code.Code())
		c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: config.Group, Err: &kerr.Error{Message: "X", Code: code.Code()}})
		members[code] = follow(t, c, config, false)
	}
	for code, f := range members {
		f.until("the member of "+code.Name()+" is in or out", func() bool { return f.err != nil || len(f.serving) == 1 })
		f.mu.Lock()
		if stops := code.Ruling(OnGroup).Does == Stop || code == GroupIDNotFound; stops != (f.err != nil) {
			t.Errorf("%v: the member ends with %v", code, f.err)
		}
		f.mu.Unlock()
	}
}

// Every code, as the answer to a commit, is told or tried again.
func TestCommitsAfterEveryCodeAreAsTheTableSays(t *testing.T) {
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 1)
	config := quick(c, t, topic)
	f := follow(t, c, config, false)
	f.untilServing(1)
	tp := TopicPartition{topic, 0}
	for i, code := range everyCode() {
		fault := c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: config.Group, Err: &kerr.Error{Message: "X", Code: code.Code()}})
		err := f.Commit(soon(t), map[TopicPartition]Mark{tp: {Offset: int64(i + 1), Term: f.termOf(tp)}})
		if told := code.Ruling(OnCommit).Does == Report; told != errors.Is(err, code) || !told && err != nil || fault.Hits() != 1 {
			t.Errorf("%v: a commit ends with %v after %d answers", code, err, fault.Hits())
		}
	}
}

// After every code a producer id is asked for again, as long as a batch waits for it.
func TestProducerIDsAreAskedForAgainAfterEveryCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := kafkatest.StartFake(t, kafkatest.Virtual())
		topic := c.Topic(t, 1)
		client := testClient(t, c, func(config *Config) { config.Dial = c.Dial })
		for i, code := range everyCode() {
			fault := c.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: &kerr.Error{Message: "X", Code: code.Code()}})
			p := NewProducer(client, ProducerConfig{})
			if err := p.Produce(within(t, time.Minute), numbered(topic, 0, i, 1)); err != nil || fault.Hits() != 1 {
				t.Errorf("%v: heard %d times, producing ends with %v", code, fault.Hits(), err)
			}
			p.Close()
		}
	})
}
