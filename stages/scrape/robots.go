package scrape

import (
	"container/list"
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/stages/scrape/robotstxt"
)

// How long the rules of a host hold. RFC 9309 has a day as the most.
const (
	holdMost  = 24 * time.Hour
	holdLeast = 5 * time.Minute // whatever the server says: a host is not asked for it with each page
	holdStale = 5 * time.Minute // of rules that are out of date, while the host cannot be asked
)

// askRobots gives what asks for the robots.txt of an origin, at an address that may be at another.
//
// A host without one, which is any status from 400 to 499 but 429, allows everything. One that is in
// trouble allows nothing: the error is transient, so that no page is asked for and the record waits;
// rules that are known, if out of date, hold on meanwhile.
func (s *Stage) askRobots(origin string, at *url.URL) func(context.Context, *pipeline.Record, *answer) (calls.Reply[answer], error) {
	reply := func(a answer) calls.Reply[answer] { return calls.Reply[answer]{Answer: a, TTL: -1} }
	return func(ctx context.Context, _ *pipeline.Record, _ *answer) (calls.Reply[answer], error) {
		if rules, fresh := s.robots.get(origin); fresh { // another record has asked meanwhile
			return reply(answer{rules: rules}), nil
		}
		a, err := s.fetchRobots(ctx, at)
		if err == nil {
			return reply(a), nil
		}
		old, _ := s.robots.get(origin)
		switch {
		case old == nil || errors.Is(ctx.Err(), context.Canceled):
		case ctx.Err() == nil:
			return reply(answer{rules: old, hold: holdStale}), nil
		default: // the next attempt has the time for the page
			s.robots.put(origin, old, holdStale)
		}
		return calls.Reply[answer]{}, err
	}
}

func (s *Stage) fetchRobots(ctx context.Context, at *url.URL) (answer, error) {
	address := at.Scheme + "://" + at.Host + "/robots.txt"
	sent := time.Now()
	r := client.Request{Method: http.MethodGet, URL: at.String(), Address: address, First: robotstxt.MaxBytes + 1}
	a, err := s.client.Do(ctx, r)
	what := "calling GET " + address
	switch {
	case err != nil:
		// An answer that cannot be read says nothing of what is allowed.
		if reason, ok := pipeline.IsPermanent(err); ok && reason != client.TypeEgress {
			err = client.NewError(client.TypeBadAnswer, what+": its answer cannot be read, so that nothing is allowed", nil)
		}
		return answer{}, err
	case a.Status == http.StatusTooManyRequests || a.Status >= 500:
		return answer{}, client.StatusError(what, a, client.Statuses{{From: a.Status, To: a.Status}})
	}
	got := answer{status: a.Status, hold: holdMost}
	if client.IsRedirect(a.Status) {
		if got.to = location(at, a.Header); got.to != nil {
			return got, nil
		}
	}
	if a.Status < 200 || a.Status > 299 {
		got.rules = new(robotstxt.Rules)
		return got, nil
	}
	got.rules = robotstxt.Parse(a.Body, s.product)
	f := client.Exchange{Method: r.Method, Request: s.fixed, Status: a.Status, Answer: a.Header, Sent: sent, Received: time.Now()}.Freshness(holdMost)
	got.hold = min(max(f.TTL, holdLeast), holdMost)
	return got, nil
}

// learn keeps rules, and keeps the host's calls as far apart as they say. hold 0: they are kept
// already.
func (s *Stage) learn(origin, host string, rules *robotstxt.Rules, hold time.Duration) {
	if hold > 0 {
		s.robots.put(origin, rules, hold)
	}
	s.calls.Delay(host, origin, min(rules.Delay(), s.settings.MaxCrawlDelay))
}

// Bounds of what is kept of all hosts.
const (
	maxOrigins = 10_000
	maxRules   = 16 << 20 // bytes
)

// robots are the rules of hosts, by origin. Those that were used longest ago go first.
type robots struct {
	mu     sync.Mutex
	known  map[string]*list.Element // of *ruling
	used   *list.List               // the last used in front
	bytes  int64
	charge func(int64)
}

type ruling struct {
	origin string
	rules  *robotstxt.Rules
	until  time.Time
	bytes  int64
}

func newRobots() *robots {
	return &robots{known: map[string]*list.Element{}, used: list.New(), charge: func(int64) {}}
}

// account has what is kept charged, from the beginning.
func (r *robots) account(add func(int64)) { r.charge = add }

// get gives the rules of an origin, nil when there are none, and whether they still hold.
func (r *robots) get(origin string) (rules *robotstxt.Rules, fresh bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.known[origin]
	if e == nil {
		return nil, false
	}
	r.used.MoveToFront(e)
	k := e.Value.(*ruling)
	return k.rules, time.Now().Before(k.until)
}

// put keeps rules for a while.
func (r *robots) put(origin string, rules *robotstxt.Rules, hold time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.known[origin]; e != nil {
		r.drop(e)
	}
	k := &ruling{origin, rules, time.Now().Add(hold), int64(rules.Bytes() + 2*len(origin) + 256)}
	r.known[origin] = r.used.PushFront(k)
	r.add(k.bytes)
	for r.used.Len() > 1 && (r.used.Len() > maxOrigins || r.bytes > maxRules) {
		r.drop(r.used.Back())
	}
}

func (r *robots) drop(e *list.Element) {
	k := r.used.Remove(e).(*ruling)
	delete(r.known, k.origin)
	r.add(-k.bytes)
}

func (r *robots) add(bytes int64) {
	r.bytes += bytes
	r.charge(bytes)
}

// close gives back what is charged.
func (r *robots) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.used.Len() > 0 {
		r.drop(r.used.Back())
	}
}
