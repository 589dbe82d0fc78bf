package http

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/penstockio/penstock/pipeline/server"
)

// serve answers one request.
func (s *Source) serve(w http.ResponseWriter, r *http.Request) {
	done, ok := s.work.begin()
	if !ok {
		s.refuse(w, s.unseen(r, stops()))
		return
	}
	defer done()
	leave, ok := server.Enter(r, false)
	if !ok {
		s.refuse(w, s.unseen(r, &refusal{
			status: http.StatusServiceUnavailable, reason: "connections", retry: time.Second, close: true, stored: "no",
			detail: "too many requests are being answered (max_connections): send it again later",
		}))
		return
	}
	defer leave()
	s.allowPages(w, r)
	if no := s.check(r); no != nil {
		s.refuse(w, no)
		return
	}
	if r.Method == http.MethodOptions {
		s.preflight(w)
		return
	}
	t, replayed, no := s.accept(w, r)
	if no != nil {
		s.refuse(w, no)
		return
	}
	if replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	s.answer(w, t.status(), "application/json", t.body())
}

// check refuses what is not for this source, without a look at the body.
func (s *Source) check(r *http.Request) *refusal {
	preflight := r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
	no := s.server.Check(r)
	if no != nil && preflight && no.Status == http.StatusUnauthorized { // a browser shows no token before it knows that it may
		no = nil
	}
	switch {
	case no != nil:
		reason := map[int]string{http.StatusMisdirectedRequest: "host", http.StatusForbidden: "origin", http.StatusUnauthorized: "token"}[no.Status]
		// Without close the server reads the body first, which may never come, and a stranger holds a place so long.
		return &refusal{status: no.Status, reason: reason, header: no.Header, detail: no.Text, close: r.ContentLength != 0}
	case r.URL.Path != s.settings.Path:
		return &refusal{status: http.StatusNotFound, reason: "path", detail: "records are posted to " + s.settings.Path}
	case preflight:
		return nil
	case r.Method != http.MethodPost:
		return &refusal{
			status: http.StatusMethodNotAllowed, reason: "method", header: http.Header{"Allow": {"POST, OPTIONS"}},
			detail: "records are sent with POST",
		}
	}
	return nil
}

// accept reads a request, takes it, and waits for what is to be answered.
func (s *Source) accept(w http.ResponseWriter, r *http.Request) (t result, replayed bool, no *refusal) {
	key, err := "", error(nil)
	if s.memory != nil {
		if key, err = keyOf(r); err != nil {
			return t, false, &refusal{status: http.StatusBadRequest, reason: "idempotency_key", detail: err.Error()}
		}
	}
	form, no := s.form(r)
	if no != nil {
		return t, false, no
	}
	if key != "" {
		if e := s.memory.find(key); e != nil {
			return s.acceptKnown(w, r, form, e)
		}
	}
	if s.stopping.Err() != nil {
		return t, false, stops()
	}
	if no := s.tooFast(); no != nil {
		return t, false, no
	}
	return s.acceptNew(w, r, form, key)
}

// acceptNew reads a request and takes it, where no other of its key turns out to be before it.
func (s *Source) acceptNew(w http.ResponseWriter, r *http.Request, form, key string) (t result, replayed bool, no *refusal) {
	p, body, no := s.receive(w, r, form)
	if no != nil {
		if key != "" && no.stored == "no" {
			no = s.memory.find(key).mayBeTaken(no)
		}
		return t, false, no
	}
	if key == "" {
		t, no = s.pass(p, nil, s.hand(r, p))
		return t, false, no
	}
	hash := newSum(form)
	_, _ = hash.Write(body) // never fails
	sum := sumOf(hash)
	for {
		e, first := s.memory.begin(key, sum)
		if first {
			t, no = s.pass(p, e, s.hand(r, p))
			return t, false, no
		}
		if e.hash != sum {
			p.charge.Release()
			return t, false, reused()
		}
		if no = s.join(e); no == nil && e.forgotten && e.refusal == nil {
			continue // the one before came to nothing, and this one takes its place
		}
		p.charge.Release()
		if no == nil {
			t, no = s.remembered(e)
		}
		return t, true, no
	}
}

// receive reads the body and finds its records. The charge is that of the post.
func (s *Source) receive(w http.ResponseWriter, r *http.Request, form string) (*post, []byte, *refusal) {
	l := s.lines[server.Connection(r)%int64(len(s.lines))]
	lane, err := s.lane(s.stopping, l)
	if err != nil {
		return nil, nil, laneLost()
	}
	body, charge, no := s.read(w, r, l, lane)
	if no != nil {
		return nil, nil, no
	}
	whole := false
	defer func() {
		if !whole { // also when what reads it panics
			charge.Release()
		}
	}()
	p := &post{line: l, lane: lane, charge: charge, topic: s.settings.Topic, time: time.Now().UnixMilli(), taken: make(chan struct{}), done: make(chan struct{})}
	var kept int64
	p.headers, kept = s.keptHeaders(r)
	charge.Add(kept)
	if p.values, no = s.parse(form, body); no == nil {
		charge.Add(int64(len(p.values)) * perRecord)
		no = s.describe(p)
	}
	if no != nil {
		return nil, nil, no
	}
	whole = true
	return p, body, nil
}

// pass waits for the outcome of a post that was handed over. e is where that is remembered; nil: nowhere. no: it was not taken.
//
// It does not end when the caller leaves: who has closed one side of the connection alone looks the same to the server, and reads the answer.
func (s *Source) pass(p *post, e *entry, no *refusal) (result, *refusal) {
	if no != nil {
		s.memory.forget(e, nil)
		return result{}, no
	}
	if s.settings.Answer == Accepted && len(p.values) > 0 {
		return s.passAccepted(p, e)
	}
	defer s.figures.wait()()
	within := time.NewTimer(s.settings.AnswerWithin)
	defer within.Stop()
	select {
	case <-p.done:
	case <-s.closed:
	case <-within.C:
		if e != nil { // who asks again with the key is answered by what becomes of them
			s.atEnd(p, func() { _, _ = s.settled(p, e) })
		}
		return result{}, p.unknown("no_outcome", fmt.Sprintf("the records have no outcome after %v (answer_within), and are under way", s.settings.AnswerWithin))
	}
	return s.settled(p, e)
}

// passAccepted waits until the pipeline has the records. When it gives some of them up later, the key is forgotten: who sends them again
// under it then has them taken.
func (s *Source) passAccepted(p *post, e *entry) (result, *refusal) {
	select {
	case <-p.taken:
	case <-s.closed:
	case <-p.done: // its lane has ended meanwhile, or the records were very quick
	}
	select {
	case <-p.taken:
	default:
		return s.settled(p, e)
	}
	t, no := s.remember(e, result{At: p.time, Accepted: true, Records: len(p.values)})
	if e != nil {
		s.atEnd(p, func() {
			if p.complete() {
				return
			}
			if err := s.memory.undo(e); err != nil {
				s.saysNotStored(err)
			}
		})
	}
	return t, no
}

// atEnd does something when the pipeline is done with a post, or the source is closed.
func (s *Source) atEnd(p *post, do func()) {
	done, ok := s.work.begin()
	if !ok { // it is closed, so that what is known now is all
		do()
		return
	}
	go func() {
		defer done()
		select {
		case <-p.done:
		case <-s.closed:
		}
		do()
	}()
}

// hand hands a post over to the pipeline, or gives back its bytes.
func (s *Source) hand(r *http.Request, p *post) *refusal {
	if len(p.values) == 0 {
		p.charge.Release()
		p.settle()
		return nil
	}
	if no := s.tooMuch(len(p.values)); no != nil {
		p.charge.Release()
		return no
	}
	ctx, cancel := context.WithTimeout(r.Context(), max(s.settings.Wait, time.Millisecond))
	defer cancel()
	no := func() *refusal {
		select {
		case s.queue <- p:
			return nil
		default:
		}
		select {
		case s.queue <- p:
			return nil
		case <-s.stopping.Done():
			return stops()
		case <-ctx.Done():
			if r.Context().Err() != nil {
				return gone()
			}
			return s.noRoom()
		}
	}()
	if no != nil {
		p.charge.Release()
		s.giveBack(len(p.values))
		return no
	}
	return nil
}

// settled gives what is answered of a post that the pipeline is done with, or has not finished when the source is closed.
func (s *Source) settled(p *post, e *entry) (result, *refusal) {
	if p.complete() {
		return s.remember(e, p.result())
	}
	no := p.unknown("given_up", "the pipeline has ended before all records had their outcome")
	s.memory.forget(e, no)
	return result{}, no
}

// remember keeps what is answered for a key, on disk before it is.
func (s *Source) remember(e *entry, t result) (result, *refusal) {
	if e == nil {
		return t, nil
	}
	s.memory.end(e, t)
	return s.remembered(e)
}

// unknown says what is known of a post that was taken and has no outcome.
func (p *post) unknown(reason, detail string) *refusal {
	no := &refusal{status: http.StatusServiceUnavailable, reason: reason, retry: 2 * time.Second, stored: "maybe"}
	what := "; some may be stored, now or later"
	if reason == "given_up" && !p.sent.Load() {
		no.stored, what = "no", "; none was given to a sink: send the request again"
	}
	no.detail = fmt.Sprintf("%s: %d of %d have one%s", detail, p.ended.Load(), len(p.values), what)
	return no
}
