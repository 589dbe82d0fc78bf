package kafkasource

import (
	"errors"
	"time"

	"github.com/penstockio/penstock/pipeline/kafka"
)

// route takes p over and passes it to the fetch loop of its leader, or has the leader looked up
// first. It does not wait.
func (k *Source) route(p *partition) {
	broker, _, _, ok := k.client.Known(p.tp)
	if !ok {
		p.moveTo(seeking)
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
	p.moveTo(reading)
	l.parts = append(l.parts, p)
	if l.interrupt != nil {
		l.interrupt()
	}
	l.lookAgain()
}

// findLeader takes p over, and asks for its leader until there is one.
func (k *Source) findLeader(p *partition) {
	p.moveTo(seeking)
	began := time.Now()
	for pause := firstBackoff; ; pause = min(2*pause, maxBackoff) {
		_, _, err := k.client.Leader(k.ctx, p.tp)
		if p.isGivenUp() || k.ctx.Err() != nil {
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
		if time.Since(began) > reportAfter {
			k.reportNoLeader(err)
		}
		if !k.wait(p, pause) {
			return
		}
	}
}

// reportNoLeader reports, once for all partitions and not often, why leaders are not found:
// nobody is polled meanwhile who could tell.
func (k *Source) reportNoLeader(err error) {
	k.mu.Lock()
	due := time.Since(k.noLeaderReported) > reportAgain
	if due {
		k.noLeaderReported = time.Now()
	}
	k.mu.Unlock()
	if due {
		k.events.Log().Warn().Err(err).Msg("looking for the leaders of partitions goes on")
	}
}
