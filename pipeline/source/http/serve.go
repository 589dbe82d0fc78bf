package http

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"time"

	"github.com/penstockio/penstock/pipeline/server"
)

// serve answers one request.
func (s *Source) serve(w http.ResponseWriter, r *http.Request) {
	done, ok := s.work.begin()
	if !ok {
		s.refuse(w, stops())
		return
	}
	defer done()
	leave, ok := server.Enter(r, false)
	if !ok {
		s.refuse(w, &refusal{
			status: http.StatusServiceUnavailable, reason: "connections", retry: time.Second, close: true, stored: "no",
			detail: "too many requests are being answered (max_connections): send it again later",
		})
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
	case s.stopping.Err() != nil:
		return stops()
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
	if no := s.tooFast(); no != nil {
		return t, false, no
	}
	p, body, no := s.receive(w, r, form)
	if no != nil {
		return t, false, no
	}
	if key == "" {
		t, no = s.pass(r, p, nil)
		return t, false, no
	}
	sum := sha256.New()
	_, _ = sum.Write([]byte(form + "\n")) // never fails
	_, _ = sum.Write(body)
	for {
		e, first := s.memory.begin(key, [sha256.Size]byte(sum.Sum(nil)))
		switch {
		case !first && !bytes.Equal(e.hash[:], sum.Sum(nil)):
			p.charge.Release()
			return t, false, &refusal{
				status: http.StatusUnprocessableEntity, reason: "key_reused",
				detail: "the Idempotency-Key was used for another body: a new request needs a new key",
			}
		case first:
			t, no = s.pass(r, p, e)
			return t, false, no
		}
		again, no := s.join(r, e)
		if again { // the one before came to nothing, and this one takes its place
			continue
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
	p.headers = s.keptHeaders(r)
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

// pass hands a post over, and waits for its outcome. e is where that is remembered; nil: nowhere.
func (s *Source) pass(r *http.Request, p *post, e *entry) (result, *refusal) {
	no := s.hand(r, p)
	if no != nil {
		s.memory.forget(e)
		return result{}, no
	}
	if s.settings.Answer == Accepted && len(p.values) > 0 {
		select {
		case <-p.taken:
			return s.remember(e, result{At: p.time, Accepted: true, Records: len(p.values)})
		case <-s.closed:
		case <-p.done: // its lane has ended meanwhile, or the records were very quick
			select {
			case <-p.taken:
				return s.remember(e, result{At: p.time, Accepted: true, Records: len(p.values)})
			default:
			}
		}
		return s.settled(p, e)
	}
	defer s.figures.wait()()
	within := time.NewTimer(s.settings.AnswerWithin)
	defer within.Stop()
	select {
	case <-p.done:
		return s.settled(p, e)
	case <-s.closed:
		return s.settled(p, e)
	case <-r.Context().Done():
		no = gone("maybe")
	case <-within.C:
		no = p.unknown("no_outcome", fmt.Sprintf("the records have no outcome after %v (answer_within), and are under way", s.settings.AnswerWithin))
	}
	if e != nil { // who asks again with the key is answered by what becomes of them
		if done, ok := s.work.begin(); ok {
			go func() {
				defer done()
				select {
				case <-p.done:
				case <-s.closed:
				}
				_, _ = s.settled(p, e)
			}()
		} else { // the source is closed, so that what is known now is all
			_, _ = s.settled(p, e)
		}
	}
	return result{}, no
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
				return gone("no")
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
	s.memory.forget(e)
	return result{}, p.unknown("given_up", "the pipeline has ended before all records had their outcome")
}

// remember keeps what is answered for a key, on disk before it is.
func (s *Source) remember(e *entry, t result) (result, *refusal) {
	if e == nil {
		return t, nil
	}
	s.memory.end(e, t)
	return s.remembered(e)
}

// remembered gives what is answered for a key, which is stored if it is not yet.
func (s *Source) remembered(e *entry) (result, *refusal) {
	if err := s.memory.store(e); err != nil {
		s.emit.Log().Error().Err(err).Msg("an Idempotency-Key cannot be stored: its request is answered 503; sent again, it is stored then")
		return result{}, &refusal{
			status: http.StatusServiceUnavailable, reason: "key_file", retry: time.Second, stored: "maybe",
			detail: "the records are taken, and the Idempotency-Key could not be stored: after a restart of the pipeline they come twice if the request is sent again",
		}
	}
	return e.result, nil
}

// join waits for the answer of an earlier request of the same key. again: it came to nothing.
func (s *Source) join(r *http.Request, e *entry) (again bool, no *refusal) {
	defer s.figures.wait()()
	within := time.NewTimer(s.settings.AnswerWithin)
	defer within.Stop()
	select {
	case <-e.ended:
		return e.forgotten, nil
	case <-s.closed:
		return false, &refusal{
			status: http.StatusServiceUnavailable, reason: "given_up", retry: 2 * time.Second, close: true, stored: "maybe",
			detail: "an earlier request of this Idempotency-Key has no outcome, and the pipeline ends",
		}
	case <-r.Context().Done():
		return false, gone("maybe")
	case <-within.C:
		return false, &refusal{
			status: http.StatusServiceUnavailable, reason: "no_outcome", retry: time.Second, stored: "maybe",
			detail: fmt.Sprintf("an earlier request of this Idempotency-Key has no outcome after %v (answer_within): ask again with the same key", s.settings.AnswerWithin),
		}
	}
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
