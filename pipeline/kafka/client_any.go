package kafka

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"time"
)

const (
	// hedge is how long the brokers asked so far may be silent until the next one is
	// asked too.
	hedge = 500 * time.Millisecond
	// anyPatience is how long one of several brokers may think.
	anyPatience = requestTimeout / 2
)

// sendAny asks the brokers, one more whenever all asked so far have failed or been
// silent for half a second, and takes the first answer. Those that gave no answer last
// time come last, and every second one is one of those that the configuration names:
// with s of them, one that is up is asked after s seconds at the latest, however many
// others died without closing their connections. x must be a request that does no harm when
// two brokers carry it out.
//
// Reason for its size: asking, hedging and clearing up share their counts of what is under way, and
// are one goroutine, so that these need no lock.
func (c *Client) sendAny(ctx context.Context, x *exchange) error {
	nodes := c.candidates()
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		x   *exchange
		n   *node
		err error
	}
	results := make(chan result, len(nodes))
	asked, returned := 0, 0
	silent := map[*node]time.Time{}
	ask := func() {
		copied := *x
		if copied.patience == 0 {
			copied.patience = anyPatience
		}
		n := nodes[asked]
		asked++
		silent[n] = time.Now()
		go func() {
			err := n.send(ctx, &copied, false)
			if isBroken(err) && ctx.Err() == nil {
				err = n.send(ctx, &copied, false) // an idle connection had died unnoticed
			}
			results <- result{&copied, n, err}
		}()
	}
	defer func() {
		cancel()
		for ; returned < asked; returned++ {
			<-results // they end with ctx
		}
		for n, since := range silent {
			if time.Since(since) >= hedge {
				n.failed.Store(true) // another was quicker
			}
		}
	}()
	var errs []error
	ask()
	timer := time.NewTimer(hedge)
	defer timer.Stop()
	for {
		select {
		case r := <-results:
			returned++
			delete(silent, r.n)
			if r.err == nil {
				x.answer, x.version, x.flexible, x.from = r.x.answer, r.x.version, r.x.flexible, r.n
				return nil
			}
			errs = append(errs, r.err)
			if returned == len(nodes) || ctx.Err() != nil {
				return c.closedError(joinErrors(errs))
			}
			if returned < asked || asked == len(nodes) {
				continue
			}
		case <-timer.C:
		}
		if asked < len(nodes) {
			ask()
		}
		timer.Reset(hedge)
	}
}

// candidates are the brokers in the order in which they are asked: those that the
// cluster lists and those of the configuration by turns.
func (c *Client) candidates() []*node {
	c.mu.Lock()
	defer c.mu.Unlock()
	var listed []*node
	for _, n := range c.nodes {
		listed = append(listed, n)
	}
	rand.Shuffle(len(listed), func(i, j int) { listed[i], listed[j] = listed[j], listed[i] })
	seeds := slices.Clone(c.seeds)
	failedLast := func(a, b *node) int {
		switch one, other := a.failed.Load(), b.failed.Load(); {
		case one == other:
			return 0
		case other:
			return -1
		}
		return 1
	}
	slices.SortStableFunc(listed, failedLast)
	slices.SortStableFunc(seeds, failedLast)
	var out []*node
	seen := map[string]bool{}
	for i := range max(len(listed), len(seeds)) {
		for _, list := range [][]*node{listed, seeds} {
			if i < len(list) && !seen[list[i].address] {
				seen[list[i].address] = true
				out = append(out, list[i])
			}
		}
	}
	return out
}

// eachDelay is how long an address of a name may be silent until the next is tried.
const eachDelay = 250 * time.Millisecond

// dialEach gives a DialFunc that looks the host's name up each time, and tries its
// addresses in their order, one more whenever all tried so far have failed or been
// silent for a quarter of a second: addresses of a name at which no broker is any more do not
// keep it from the one at which there is.
//
// Reason for its size: trying, hedging and clearing up share their counts of what is under way, and
// are one goroutine, so that these need no lock.
func dialEach(dial DialFunc, lookup func(ctx context.Context, host string) ([]string, error)) DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil || net.ParseIP(host) != nil {
			return dial(ctx, network, address)
		}
		hosts, err := lookup(ctx, host)
		if err != nil {
			return nil, err
		}
		if len(hosts) == 0 {
			return nil, &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		type result struct {
			conn net.Conn
			err  error
		}
		results := make(chan result, len(hosts))
		tried, returned := 0, 0
		try := func() {
			to := net.JoinHostPort(hosts[tried], port)
			tried++
			go func() {
				conn, err := dial(ctx, network, to)
				results <- result{conn, err}
			}()
		}
		defer func() { // the others end with ctx, and are not waited for
			go func(left int) {
				for range left {
					if r := <-results; r.conn != nil {
						_ = r.conn.Close()
					}
				}
			}(tried - returned)
		}()
		try()
		timer := time.NewTimer(eachDelay)
		defer timer.Stop()
		for {
			select {
			case r := <-results:
				returned++
				if r.err == nil {
					return r.conn, nil
				}
				err = r.err
				if returned == len(hosts) {
					return nil, err
				}
				if returned < tried || tried == len(hosts) {
					continue
				}
			case <-timer.C:
			}
			if tried < len(hosts) {
				try()
			}
			timer.Reset(eachDelay)
		}
	}
}
