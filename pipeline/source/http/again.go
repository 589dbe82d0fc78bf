package http

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"net/http"
	"sync"
	"time"
)

// This file answers requests whose Idempotency-Key is known: another of the key is under way, or was answered.
//
// Nothing of such a request is taken, so neither a rate nor a lack of room nor a stop keeps it from the answer, which says what became of the
// records. Its body is only compared: it is read and not kept. One that is compressed needs room to be decompressed.

// newSum begins the hash of a body, by which two requests of a key are compared.
func newSum(form string) hash.Hash {
	h := sha256.New()
	_, _ = h.Write([]byte(form + "\n")) // never fails
	return h
}

func sumOf(h hash.Hash) [sha256.Size]byte { return [sha256.Size]byte(h.Sum(nil)) }

// acceptKnown answers a request whose key is known by e.
func (s *Source) acceptKnown(w http.ResponseWriter, r *http.Request, form string, e *entry) (t result, replayed bool, no *refusal) {
	coding, no := codingOf(r)
	if no != nil {
		return t, false, no
	}
	switch stopping := s.stopping.Err() != nil; {
	case coding == "" && (stopping || e.answered()):
	case stopping:
		return t, false, e.mayBeTaken(stops())
	default: // it may have to take the place of the one before, or needs room to be compared
		return s.acceptNew(w, r, form, e.key)
	}
	sum, no := s.compare(w, r, form)
	if no != nil {
		return t, false, no
	}
	if sum != e.hash {
		return t, false, reused()
	}
	if no = s.join(e); no == nil {
		t, no = s.remembered(e)
	}
	return t, true, no
}

// compare reads a body, without a byte of it kept.
func (s *Source) compare(w http.ResponseWriter, r *http.Request, form string) (sum [sha256.Size]byte, no *refusal) {
	most := int64(s.settings.MaxBody)
	if r.ContentLength > most {
		return sum, s.tooLarge()
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(s.settings.BodyTime)) // it fails where the connection is gone
	h := newSum(form)
	if _, err := io.CopyBuffer(h, struct{ io.Reader }{http.MaxBytesReader(w, r.Body, most)}, make([]byte, overhead)); err != nil {
		return sum, s.unread(err)
	}
	_ = rc.SetReadDeadline(time.Time{})
	return sumOf(h), nil
}

// join waits for the end of an earlier request of the same key. It waits through a stop: all that are under way have their end then.
func (s *Source) join(e *entry) *refusal {
	defer s.figures.wait()()
	within := time.NewTimer(s.settings.AnswerWithin)
	defer within.Stop()
	select {
	case <-e.ended:
		return nil
	case <-within.C:
		return &refusal{
			status: http.StatusServiceUnavailable, reason: "no_outcome", retry: time.Second, stored: "maybe",
			detail: fmt.Sprintf("an earlier request of this Idempotency-Key has no outcome after %v (answer_within): ask again with the same key", s.settings.AnswerWithin),
		}
	}
}

// remembered gives what is answered for a key that has its end, and stores it if it is not stored yet.
func (s *Source) remembered(e *entry) (result, *refusal) {
	switch {
	case e.forgotten && e.refusal != nil:
		return result{}, e.refusal
	case e.forgotten: // nothing of the one before was taken, and nothing is any more
		return result{}, stops()
	}
	if err := s.memory.store(e); err != nil {
		s.saysNotStored(err)
		return result{}, &refusal{
			status: http.StatusServiceUnavailable, reason: "key_file", retry: time.Second, stored: "maybe",
			detail: "the records are taken, and the Idempotency-Key could not be stored: after a restart of the pipeline they come twice if the request is sent again",
		}
	}
	return e.result, nil
}

// saysNotStored logs that a key is not stored, which each request that is refused so long would say again.
func (s *Source) saysNotStored(err error) {
	more, ok := s.notStored.turn(time.Now())
	if !ok {
		return
	}
	s.emit.Log().Error().Err(err).Int64("suppressed", more).
		Msg("an Idempotency-Key cannot be stored: its request is answered 503; sent again, it is stored then")
}

// A seldom lets one of many equal messages pass in its time.
type seldom struct {
	mu   sync.Mutex
	next time.Time
	left int64
}

const seldomTime = 10 * time.Second

// turn says whether a message may pass, and how many did not since the last one.
func (l *seldom) turn(now time.Time) (left int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.next) {
		l.left++
		return 0, false
	}
	left, l.left, l.next = l.left, 0, now.Add(seldomTime)
	return left, true
}

// answered says whether there is an answer to give.
func (e *entry) answered() bool {
	select {
	case <-e.ended:
		return !e.forgotten
	default:
		return false
	}
}

// mayBeTaken says in a refusal that an earlier request of the key is under way or was answered. Without one it is as it was.
func (e *entry) mayBeTaken(no *refusal) *refusal {
	if e == nil {
		return no
	}
	other := *no
	other.stored = "maybe"
	other.detail = "an earlier request of this Idempotency-Key is under way or was answered, and this one could not be compared with it: send it again with the same key (" + no.detail + ")"
	return &other
}

// unseen says what is known of a request that is refused before its key is looked up.
func (s *Source) unseen(r *http.Request, no *refusal) *refusal {
	if s.memory == nil || r.Header.Get("Idempotency-Key") == "" {
		return no
	}
	other := *no
	other.stored = "maybe"
	other.detail += "; an earlier request of its Idempotency-Key was not looked for"
	return &other
}

func reused() *refusal {
	return &refusal{
		status: http.StatusUnprocessableEntity, reason: "key_reused",
		detail: "the Idempotency-Key was used for another body: a new request needs a new key",
	}
}
