package kafka

import (
	"io"
	"sync"
	"time"
)

// An exchange has as long as it needs while it makes progress, so that a slow link is slow and does
// not break it:
//
//   - until a connection is there and ready: startTimeout;
//   - while bytes of the request or of the answer move: stallTimeout since the last
//     byte, and on the whole leastRate after the first stallTimeout, so that a trickle of
//     bytes ends too. While the request is written, the exchange's patience takes the place
//     of stallTimeout if it is longer: a broker that holds a client to its quota does not
//     read for a while;
//   - from the request's last byte to the answer's first: the exchange's patience, and
//     as long again as it took to write the request, part of which is still on its way.
const (
	startTimeout = 10 * time.Second
	stallTimeout = 10 * time.Second
	leastRate    = 1 << 10 // bytes a second
	// What is written at once: progress is seen between two of them. It grows while the
	// link takes them quickly, and shrinks again.
	leastPiece, mostPiece = 8 << 10, 512 << 10
	// firstPiece bounds what a request begins with on a link that took it quickly the last
	// time. To begin with the least each time costs a request of some hundred KiB three
	// more calls of the kernel (BenchmarkProduce).
	firstPiece            = 128 << 10
	quickPiece, slowPiece = 20 * time.Millisecond, time.Second
)

// A progress watches one exchange and calls late once when it makes too little progress.
type progress struct {
	patience time.Duration
	late     func()

	mu                  sync.Mutex
	timer               *time.Timer
	ended               bool
	start               time.Time
	begun, sent, answer time.Time // the first byte written, the last, and the first read
	last                time.Time // a byte moved
	moved               int       // bytes of the request, and then of the answer
}

func watchProgress(patience time.Duration, late func()) *progress {
	if patience <= 0 {
		patience = requestTimeout
	}
	p := &progress{patience: patience, late: late, start: time.Now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(startTimeout, p.check)
	return p
}

// deadline is when the exchange is late if nothing else happens.
func (p *progress) deadline() time.Time {
	moving := func(since time.Time, most time.Duration) time.Time {
		stall := p.last.Add(most)
		slow := since.Add(most + time.Duration(p.moved)*time.Second/leastRate)
		if slow.Before(stall) {
			return slow
		}
		return stall
	}
	switch {
	case p.begun.IsZero():
		return p.start.Add(startTimeout)
	case p.sent.IsZero():
		return moving(p.begun, max(stallTimeout, p.patience))
	case p.answer.IsZero():
		return p.sent.Add(p.patience + p.sent.Sub(p.begun))
	}
	return moving(p.answer, stallTimeout)
}

func (p *progress) check() {
	p.mu.Lock()
	left := time.Until(p.deadline())
	if p.ended || left > 0 {
		if !p.ended {
			p.timer.Reset(left)
		}
		p.mu.Unlock()
		return
	}
	p.ended = true
	p.mu.Unlock()
	p.late()
}

// stop ends the watch. late may still be running.
func (p *progress) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.timer.Stop()
}

// enter notes the begin of a phase, whose deadline may come before the one that the
// timer waits for.
func (p *progress) enter(phase *time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if phase.IsZero() {
		*phase = time.Now()
		p.last, p.moved = *phase, 0
		if !p.ended {
			p.timer.Reset(time.Until(p.deadline()))
		}
	}
}

func (p *progress) move(n int) {
	if n <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moved += n
	p.last = time.Now()
}

// A metered connection tells its progress.
type metered struct {
	rw    io.ReadWriter
	p     *progress
	piece int
}

func (m *metered) Write(b []byte) (n int, err error) {
	m.p.enter(&m.p.begun)
	for len(b) > 0 {
		piece, begin := b[:min(len(b), m.piece)], time.Now()
		k, err := m.rw.Write(piece)
		m.p.move(k)
		n += k
		if err != nil {
			return n, err
		}
		b = b[len(piece):]
		switch took := time.Since(begin); {
		case took < quickPiece:
			m.piece = min(2*m.piece, mostPiece)
		case took > slowPiece:
			m.piece = max(m.piece/4, leastPiece)
		}
	}
	return n, nil
}

func (m *metered) Read(b []byte) (int, error) {
	m.p.enter(&m.p.sent)
	n, err := m.rw.Read(b)
	if n > 0 {
		m.p.enter(&m.p.answer)
		m.p.move(n)
	}
	return n, err
}
