package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/segmentio/kafka-go/protocol"

	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// askID gets a producer id in the background and sends what waits for it.
func (p *Producer) askID() {
	if p.asking || p.closed {
		return
	}
	p.asking = true
	p.work.Go(func() {
		wait := firstBackoff
		for {
			id, err := p.initProducerID()
			p.mu.Lock()
			if err == nil || p.closed {
				p.id, p.asking = id, false
				for _, br := range p.brokers {
					p.wake(br)
				}
				p.sendWoken()
				p.mu.Unlock()
				return
			}
			waiting := false
			for _, br := range p.brokers {
				for _, b := range br.ready {
					b.last = err
					waiting = true
				}
			}
			if !waiting {
				p.asking = false
				p.mu.Unlock()
				return
			}
			p.mu.Unlock()
			if !sleep(p.ctx, wait) {
				continue // closed: the next round ends
			}
			limit := lastBackoff
			var code Error
			if errors.As(err, &code) && (code.coordinatorMoved() || code == ConcurrentTransactions) {
				limit = 50 * time.Millisecond
			}
			wait = min(2*wait, limit)
		}
	})
}

// initProducerID is InitProducerID version 1, without a transactional id.
func (p *Producer) initProducerID() (recordbatch.ProducerID, error) {
	x := &exchange{
		key: protocol.InitProducerId, broker: -1, clientID: p.client.config.ClientID,
		body: func(w *writer) {
			w.nullable("")
			w.int32(math.MaxInt32) // transaction timeout, of no meaning here
		},
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.config.Timeout)
	defer cancel()
	if err := p.client.do(ctx, x); err != nil {
		return recordbatch.NoProducer, fmt.Errorf("asking for a producer id: %w", err)
	}
	r := &reader{b: x.answer}
	r.int32() // throttle
	code := codeError(r.int16())
	id := recordbatch.ProducerID{ID: r.int64(), Epoch: r.int16()}
	if code == nil {
		code = r.err
	}
	if code == nil && id.ID < 0 {
		code = recordbatch.ErrNoProducer
	}
	if code != nil {
		return recordbatch.NoProducer, fmt.Errorf("asking for a producer id: %w", code)
	}
	return id, nil
}
