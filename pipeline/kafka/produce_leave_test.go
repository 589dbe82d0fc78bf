package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// lane gives messages of a lane of their own.
func lane(m *modelBroker, lane int32, from, n int) []Message {
	msgs := numbered(m.topic, 0, from, n)
	for i := range msgs {
		msgs[i].Origin.Partition, msgs[i].Time = lane, int64(1+from+i) // the same when they come again
	}
	return msgs
}

// always meets every batch with the same fate.
func (m *modelBroker) always(f fate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.meet = func(*modelPartition, *modelBatch) fate { return f }
}

func (m *modelBroker) set(noID, noLeader Error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.noID, m.noLeader = noID, noLeader
}

// wantLog fails unless the log has these, in this order.
func wantLog(t *testing.T, m *modelBroker, want ...string) {
	t.Helper()
	if got := m.values(0); !slices.Equal(got, want) {
		t.Errorf("in the log: %v, want %v", got, want)
	}
}

// A caller leaves wherever its batch may stand. Another lane writes, then the first
// again: every record is there once, and nobody waits longer than he must.
func TestCallersLeaveWhereverTheirBatchStands(t *testing.T) {
	well := fate{append: true}
	for name, at := range map[string]struct {
		begin func(m *modelBroker, p *Producer) // before it is sent
		mend  func(m *modelBroker)              // after its caller has left
		kept  bool                              // it stays, as an orphan
		sent  bool                              // the log has it once it is settled
	}{
		"waiting for an id": {
			begin: func(m *modelBroker, p *Producer) {
				p.mu.Lock()
				for o := range p.all() {
					p.takeNewID(o)
				}
				p.mu.Unlock()
				m.set(CoordinatorNotAvailable, 0)
			},
			mend: func(m *modelBroker) { m.set(0, 0) },
		},
		"its leader looked up": {
			begin: func(m *modelBroker, p *Producer) {
				p.mu.Lock()
				for o := range p.all() {
					p.leaderInDoubt(o)
				}
				p.mu.Unlock()
				m.set(0, LeaderNotAvailable)
			},
			mend: func(m *modelBroker) { m.set(0, 0) },
		},
		"on its way, stored": {
			begin: func(m *modelBroker, _ *Producer) { m.inTurn(fate{append: true, hang: true}) },
			kept:  true, sent: true,
		},
		"on its way, not stored": {
			begin: func(m *modelBroker, _ *Producer) { m.inTurn(fate{hang: true}) },
			kept:  true, sent: true,
		},
		"waiting for its next try, not stored": {
			begin: func(m *modelBroker, _ *Producer) { m.always(fate{code: NotEnoughReplicas}) },
			mend:  func(m *modelBroker) { m.always(well) },
		},
		"waiting for its next try, in doubt": {
			begin: func(m *modelBroker, _ *Producer) { m.always(fate{append: true, code: NotEnoughReplicasAfter}) },
			mend:  func(m *modelBroker) { m.always(well) },
			kept:  true, sent: true,
		},
		"its leader looked up, in doubt": {
			begin: func(m *modelBroker, _ *Producer) {
				m.inTurn(fate{append: true, code: NotLeaderOrFollower})
				m.set(0, LeaderNotAvailable)
			},
			mend: func(m *modelBroker) { m.set(0, 0) },
			kept: true, sent: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, m *modelBroker, p *Producer) {
				at.begin(m, p)
				if err := p.Produce(within(t, time.Second), lane(m, 1, 1, 1)); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("producing for a second: %v", err)
				}
				p.mu.Lock()
				kept := len(p.outputs[m.topic][0].queue)
				p.mu.Unlock()
				if (kept == 1) != at.kept {
					t.Errorf("%d batches stay", kept)
				}
				if at.mend != nil {
					at.mend(m)
				}
				if err := p.Produce(within(t, time.Minute), lane(m, 2, 2, 1)); err != nil {
					t.Fatal(err)
				}
				if err := p.Produce(within(t, time.Minute), lane(m, 1, 1, 1)); err != nil {
					t.Fatal(err)
				}
				if at.sent {
					wantLog(t, m, "000000", "000001", "000002")
				} else {
					wantLog(t, m, "000000", "000002", "000001")
				}
			})
		})
	}
}

func TestEndedContextSendsNothing(t *testing.T) {
	play(t, func(t *testing.T, m *modelBroker, p *Producer) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		before, _, _ := m.counts()
		var failed *ProduceError
		if err := p.Produce(ctx, lane(m, 1, 1, 2)); !errors.Is(err, context.Canceled) || !errors.As(err, &failed) || len(failed.Failed) != 2 {
			t.Fatalf("producing with an ended context: %v", err)
		}
		time.Sleep(time.Second)
		if after, _, _ := m.counts(); after != before {
			t.Errorf("%d requests", after-before)
		}
	})
}

func TestAdoptedOrphanIsLeftAgain(t *testing.T) {
	play(t, func(t *testing.T, m *modelBroker, p *Producer) {
		m.always(fate{append: true, code: NotEnoughReplicasAfter})
		for range 5 {
			if err := p.Produce(within(t, time.Second), lane(m, 1, 1, 3)); !errors.Is(err, NotEnoughReplicasAfter) {
				t.Fatalf("producing for a second: %v", err)
			}
		}
		m.always(fate{append: true})
		if err := p.Produce(within(t, time.Minute), lane(m, 1, 1, 3)); err != nil {
			t.Fatal(err)
		}
		wantLog(t, m, "000000", "000001", "000002", "000003")
	})
}

func TestPartOfARefusedBatchIsLeftOnItsWay(t *testing.T) {
	play(t, func(t *testing.T, m *modelBroker, p *Producer) {
		m.inTurn(fate{code: InvalidTimestamp}, fate{append: true, hang: true})
		msgs := lane(m, 1, 1, 4)
		if err := p.Produce(within(t, time.Second), msgs); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("producing for a second: %v", err)
		}
		if err := p.Produce(within(t, time.Minute), lane(m, 2, 5, 1)); err != nil {
			t.Fatal(err)
		}
		if err := p.Produce(within(t, time.Minute), msgs); err != nil {
			t.Fatal(err)
		}
		wantLog(t, m, "000000", "000001", "000002", "000005", "000003", "000004")
	})
}

// A batch that is refused after a request that may have stored it: what is behind it
// must not have its sequence.
func TestRefusalInDoubtLeavesItsSequence(t *testing.T) {
	play(t, func(t *testing.T, m *modelBroker, p *Producer) {
		m.inTurn(fate{append: true, code: NotLeaderOrFollower}, fate{code: InvalidTimestamp})
		var refused *RefusedError
		if err := p.Produce(within(t, time.Minute), lane(m, 1, 1, 1)); !errors.As(err, &refused) {
			t.Fatalf("producing: %v", err)
		}
		if err := p.Produce(within(t, time.Minute), lane(m, 2, 2, 1)); err != nil {
			t.Fatal(err)
		}
		wantLog(t, m, "000000", "000001", "000002")
	})
}

// A batch that may be stored is not given up on an answer that only says that it
// cannot be written now.
func TestDenialInDoubtIsTriedOn(t *testing.T) {
	play(t, func(t *testing.T, m *modelBroker, p *Producer) {
		denied := fate{code: TopicAuthorizationFailed}
		m.inTurn(fate{append: true, silent: true}, denied, denied, denied)
		if err := p.Produce(within(t, time.Minute), lane(m, 1, 1, 1)); err != nil {
			t.Fatal(err)
		}
		wantLog(t, m, "000000", "000001")
	})
}

// What adopt has found stored is not told as failed when the rest cannot be encoded.
func TestStoredOrphanIsNotToldAgainWhenEncodingFails(t *testing.T) {
	play(t, func(t *testing.T, m *modelBroker, p *Producer) {
		m.inTurn(fate{append: true, hang: true})
		if err := p.Produce(within(t, time.Second), lane(m, 1, 1, 2)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("producing for a second: %v", err)
		}
		time.Sleep(time.Minute)
		p.config.Codec = 77
		var failed *ProduceError
		if err := p.Produce(within(t, time.Minute), lane(m, 1, 1, 3)); !errors.As(err, &failed) || len(failed.Failed) != 1 || failed.Failed[0].Index != 2 {
			t.Fatalf("producing with an unknown codec: %v", err)
		}
		p.config.Codec = recordbatch.CodecNone
		if err := p.Produce(within(t, time.Minute), lane(m, 1, 3, 1)); err != nil {
			t.Fatal(err)
		}
		wantLog(t, m, "000000", "000001", "000002", "000003")
	})
}

// An orphan is sent on for as long as nobody says what became of it, and nothing else
// is stored meanwhile.
func TestOrphanIsSentOnUntilItsOutcomeIsKnown(t *testing.T) {
	for name, f := range map[string]fate{
		"stored, answered that replicas are few": {append: true, code: NotEnoughReplicasAfter},
		"stored, answered late":                  {append: true, code: RequestTimedOut},
		"stored, no answer":                      {append: true, hang: true},
		"stored, denied since":                   {append: true, code: TopicAuthorizationFailed},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, m *modelBroker, p *Producer) {
				m.inTurn(fate{append: true, silent: true})
				if f.code != TopicAuthorizationFailed {
					m.always(f)
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
				defer cancel()
				if err := p.Produce(ctx, lane(m, 1, 1, 1)); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("producing for a moment: %v", err)
				}
				m.always(f)
				other := make(chan error)
				go func() { other <- p.Produce(within(t, time.Hour), lane(m, 2, 2, 1)) }()
				time.Sleep(20 * time.Minute)
				wantLog(t, m, "000000", "000001")
				m.always(fate{append: true})
				if err := <-other; err != nil {
					t.Fatal(err)
				}
				if err := p.Produce(within(t, time.Minute), lane(m, 1, 1, 1)); err != nil {
					t.Fatal(err)
				}
				wantLog(t, m, "000000", "000001", "000002")
			})
		})
	}
}

// Answers that may be an orphan's own fault, or that its topic is gone, do not hold
// others back for ever.
func TestOrphanThatMayBeItsOwnTroubleIsDroppedInTheEnd(t *testing.T) {
	for name, f := range map[string]fate{
		"the broker fails":              {code: UnknownServerError},
		"an answer that nobody knows":   {code: unheardOf},
		"the connection ends each time": {silent: true},
		"the topic is gone":             {code: UnknownTopicOrPartition},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, m *modelBroker, p *Producer) {
				m.mu.Lock()
				m.meet = func(_ *modelPartition, b *modelBatch) fate {
					if b.values[0] == "000001" {
						return f
					}
					return fate{append: true}
				}
				m.mu.Unlock()
				if err := p.Produce(within(t, time.Second), lane(m, 1, 1, 1)); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("producing for a second: %v", err)
				}
				begin := time.Now()
				if err := p.Produce(within(t, time.Hour), lane(m, 2, 2, 1)); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(begin); d < orphanPatience || d > orphanPatience+lastBackoff+time.Second {
					t.Errorf("the other lane waited for %v", d)
				}
				before, _, _ := m.counts()
				time.Sleep(time.Hour)
				if after, _, _ := m.counts(); after != before {
					t.Errorf("%d requests for nobody", after-before)
				}
				wantLog(t, m, "000000", "000002")
			})
		})
	}
}

// An orphan that turns out not to be stored is nobody's any more.
func TestOrphanThatIsNotStoredIsDropped(t *testing.T) {
	for _, code := range []Error{NotEnoughReplicas, TopicAuthorizationFailed, MessageTooLarge, OutOfOrderSequence, CorruptMessage} {
		t.Run(code.Name(), func(t *testing.T) {
			play(t, func(t *testing.T, m *modelBroker, p *Producer) {
				release := make(chan struct{})
				m.mu.Lock()
				m.meet = func(*modelPartition, *modelBatch) fate {
					m.mu.Unlock()
					<-release
					m.mu.Lock()
					m.meet = nil
					return fate{code: code}
				}
				m.mu.Unlock()
				if err := p.Produce(within(t, time.Second), lane(m, 1, 1, 1)); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("producing for a second: %v", err)
				}
				close(release)
				if err := p.Produce(within(t, time.Minute), lane(m, 2, 2, 1)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				wantLog(t, m, "000000", "000002")
				if err := p.Produce(within(t, time.Minute), lane(m, 1, 1, 1)); err != nil {
					t.Fatal(err)
				}
				wantLog(t, m, "000000", "000002", "000001")
			})
		})
	}
}

// Callers that leave, many of them, keep one batch for an output.
func TestOrphansOfAnOutputAreOneAtMost(t *testing.T) {
	play(t, func(t *testing.T, m *modelBroker, p *Producer) {
		m.always(fate{append: true, code: NotEnoughReplicasAfter})
		for i := range 200 {
			if err := p.Produce(within(t, 100*time.Millisecond), lane(m, int32(i), 1+i, 1)); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("producing for a moment: %v", err)
			}
		}
		p.mu.Lock()
		o := p.outputs[m.topic][0]
		queued, orphans := len(o.queue), len(o.orphans)
		p.mu.Unlock()
		if queued != 1 || orphans != 1 {
			t.Errorf("%d batches and %d orphans are kept", queued, orphans)
		}
		m.always(fate{append: true})
		for i := range 200 {
			if err := p.Produce(within(t, time.Minute), lane(m, int32(i), 1+i, 1)); err != nil {
				t.Fatal(err)
			}
		}
		var want []string
		for i := range 201 {
			want = append(want, fmt.Sprintf("%06d", i))
		}
		wantLog(t, m, want...)
	})
}

// A broker of an earlier leader's time says that the batch is out of order, because it
// lacks what its successor has. The batch is not taken for lost.
func TestOutOfOrderFromAnEarlierLeaderProvesNothing(t *testing.T) {
	play(t, func(t *testing.T, m *modelBroker, p *Producer) {
		m.mu.Lock()
		q := m.parts[0]
		q.epoch = 7
		m.meet = func(q *modelPartition, _ *modelBatch) fate {
			switch q.epoch {
			case 7: // moves on, and does not have what comes now
				q.epoch, q.leader = 8, 1
				return fate{code: NotLeaderOrFollower}
			case 8: // has it; its answer is lost, and the cluster's metadata goes back
				q.epoch, q.leader = 6, 0
				return fate{append: true, silent: true}
			}
			q.epoch, q.leader = 8, 1
			m.meet = nil
			return fate{code: OutOfOrderSequence}
		}
		m.mu.Unlock()
		if err := p.Produce(within(t, time.Minute), lane(m, 1, 1, 1)); err != nil {
			t.Fatal(err)
		}
		wantLog(t, m, "000000", "000001")
	})
}

// A topic that was created again counts its leaders anew: its answers are believed in
// the end.
func TestOutOfOrderIsBelievedInTheEnd(t *testing.T) {
	play(t, func(t *testing.T, m *modelBroker, p *Producer) {
		m.mu.Lock()
		q, n := m.parts[0], 0
		q.epoch = 7
		m.meet = func(q *modelPartition, b *modelBatch) fate {
			if n++; n == 1 {
				q.epoch = 0
				return fate{code: NotLeaderOrFollower}
			}
			q.lose(b.id)
			return fate{append: true}
		}
		m.mu.Unlock()
		// The first request goes out under epoch 7 only if the producer has heard of it.
		p.mu.Lock()
		p.leaderInDoubt(p.outputs[m.topic][0])
		p.mu.Unlock()
		if err := p.Produce(within(t, time.Minute), lane(m, 1, 1, 1)); err != nil {
			t.Fatal(err)
		}
		if n < maxStale {
			t.Errorf("believed after %d requests", n)
		}
		wantLog(t, m, "000000", "000001")
	})
}

// No batch is part of a transaction, so that no orphan can land in a later one: the
// model refuses attributes, and the request names no transactional id.
func TestNoBatchIsPartOfATransaction(t *testing.T) {
	play(t, func(t *testing.T, m *modelBroker, p *Producer) {
		m.inTurn(fate{append: true, silent: true}, fate{code: InvalidTxnState})
		if err := p.Produce(within(t, time.Minute), lane(m, 1, 1, 1)); err != nil {
			t.Fatal(err)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.transactional != 0 {
			t.Errorf("%d requests of a transaction", m.transactional)
		}
	})
}
