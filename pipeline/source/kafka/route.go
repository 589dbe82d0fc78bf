package kafkasource

import (
	"errors"
	"time"

	"github.com/penstockio/penstock/pipeline/kafka"
)

// route hands a partition to the loop of its leader, and finds out who that is. It
// does not wait.
func (k *Source) route(p *partition) {
	broker, _, _, ok := k.client.Known(p.tp)
	if !ok {
		p.to(seeking)
		k.start(func() { k.findLeader(p) })
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	l := k.loops[broker]
	if l == nil {
		l = &fetchLoop{k: k, broker: broker, wake: make(chan struct{}, 1)}
		l.dec.Committed = k.s.Isolation == "read_committed"
		k.loops[broker] = l
		k.tasks.Go(l.run)
	}
	p.to(reading)
	l.parts = append(l.parts, p)
	if l.interrupt != nil {
		l.interrupt()
	}
	l.poke()
}

// findLeader asks for the leader until there is one. The caller gives p away.
func (k *Source) findLeader(p *partition) {
	p.to(seeking)
	began := time.Now()
	for pause := firstBackoff; ; pause = min(2*pause, maxBackoff) {
		_, _, err := k.client.Leader(k.ctx, p.tp)
		if p.isGone() || k.ctx.Err() != nil {
			return
		}
		if err == nil {
			k.route(p)
			return
		}
		var code kafka.Error
		if errors.As(err, &code) && !code.Temporary() {
			k.fail(k.readError(p, err))
			return
		}
		if time.Since(began) > settleSilence {
			k.tellLost(err)
		}
		if !k.wait(p, pause) {
			return
		}
	}
}

// tellLost reports, once for all partitions and not often, why leaders are not found:
// nobody is polled meanwhile who could tell.
func (k *Source) tellLost(err error) {
	k.mu.Lock()
	tell := time.Since(k.toldLost) > settleAgain
	if tell {
		k.toldLost = time.Now()
	}
	k.mu.Unlock()
	if tell {
		k.events.Log().Warn().Err(err).Msg("looking for the leaders of partitions goes on")
	}
}
