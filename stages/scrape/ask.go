package scrape

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/stages/scrape/robotstxt"
	"github.com/penstockio/penstock/stages/scrape/webpage"
)

// An answer is what a call has brought, for one record or several.
type answer struct {
	kind   kind
	status int
	text   []byte      // of a page: the object of what was selected
	err    error       // of what is absent or no page: what rejects the record
	to     *url.URL    // of a redirect; never changed
	judged http.Header // what HTTP's rules of keeping go by; nil: they are not asked

	rules *robotstxt.Rules // of a robots.txt
	hold  time.Duration    // how long they hold
}

// A kind says what an answer is.
type kind uint8

const (
	pages kind = iota
	misses
	others
	redirects
)

// location gives where an answer of a redirect leads, nil when it says that in no way that can be
// followed.
func location(from *url.URL, h http.Header) *url.URL {
	text := h.Get("Location")
	if text == "" {
		return nil
	}
	to, err := from.Parse(text)
	if err != nil || to.Scheme != "http" && to.Scheme != "https" || to.Host == "" {
		return nil
	}
	to.User, to.Fragment, to.RawFragment = nil, "", ""
	return to
}

// askPage gives what asks for a page.
func (s *Stage) askPage(at, origin string, page *url.URL) func(context.Context, *pipeline.Record, *answer) (calls.Reply[answer], error) {
	return func(ctx context.Context, _ *pipeline.Record, known *answer) (calls.Reply[answer], error) {
		var none calls.Reply[answer]
		r := client.Request{Method: http.MethodGet, URL: at, Address: origin, Skip: notPage}
		asks := known != nil && known.judged != nil
		if asks {
			r.Header = http.Header{}
			client.Condition(r.Header, known.judged)
		}
		sent := time.Now()
		a, err := s.client.Do(ctx, r)
		if err != nil {
			return none, err
		}
		if asks && a.Status == http.StatusNotModified {
			renewed := *known
			renewed.judged = client.Renew(known.judged, a.Header)
			return s.reply(renewed, r, sent), nil
		}
		got := answer{status: a.Status}
		if s.http {
			got.judged = client.Deciding(a.Header)
		}
		what := "calling GET " + origin
		switch set := &s.settings; {
		case set.MissStatus.Has(a.Status):
			got.kind, got.err = misses, pipeline.Reject(client.ReasonNoMatch, client.StatusError(what, a, nil))
		case set.RetryStatus.Has(a.Status):
			return none, client.StatusError(what, a, set.RetryStatus)
		case client.IsRedirect(a.Status):
			if got.kind, got.to = redirects, location(page, a.Header); got.to == nil {
				return none, redirectError(origin, a.Status, "it does not say where the page is")
			}
		case a.Status < 200 || a.Status > 299:
			return none, client.StatusError(what, a, nil)
		default:
			if err := s.take(ctx, &got, what, a, page); err != nil {
				return none, err
			}
		}
		return s.reply(got, r, sent), nil
	}
}

func notPage(h http.Header) bool { return webpage.IsOther(h.Get("Content-Type")) }

// take takes what is selected out of the page in an answer.
func (s *Stage) take(ctx context.Context, got *answer, what string, a *client.Answer, page *url.URL) error {
	p, err := webpage.Parse(ctx, a.Body, a.Header.Get("Content-Type"), page)
	if err == nil {
		got.text, err = p.Extract(ctx, s.wants, webpage.Limits{Bytes: int(s.settings.MaxBytes), Items: s.settings.MaxItems})
	}
	switch {
	case err == nil:
	case errors.Is(err, webpage.ErrType):
		got.kind = others
		got.err = pipeline.Reject(client.TypeBadAnswer, client.NewError(client.TypeBadAnswer, what+": "+err.Error(), nil))
	case errors.Is(err, webpage.ErrTooLarge):
		return pipeline.Reject(client.TypeTooLarge, client.NewError(client.TypeTooLarge, what+": "+err.Error(), nil))
	case errors.Is(err, context.DeadlineExceeded):
		return client.NewError(client.TypeTimeout, what+": the time of the attempt was over before the page was taken apart", err)
	default:
		return client.NewError(client.TypeCanceled, what+": given up while the page was taken apart", err)
	}
	return nil
}

// Sizes of what stands around the texts of an answer that is kept.
const (
	answerSize = 256
	errorSize  = 512
)

// reply says how long a page holds.
func (s *Stage) reply(a answer, r client.Request, sent time.Time) calls.Reply[answer] {
	p := calls.Reply[answer]{Answer: a, Negative: a.kind == misses, Bytes: answerSize + cap(a.text)}
	if a.err != nil {
		p.Bytes += errorSize
	}
	if a.to != nil {
		p.Bytes += answerSize + len(a.to.Path) + len(a.to.RawQuery)
	}
	if a.judged == nil {
		return p
	}
	p.Bytes += client.HeaderBytes(a.judged)
	otherwise := s.ttl
	if p.Negative {
		otherwise = s.negative
	}
	header := s.fixed.Clone()
	for name, lines := range r.Header {
		header[name] = lines
	}
	f := client.Exchange{Method: r.Method, Request: header, Status: a.status, Answer: a.judged, Sent: sent, Received: time.Now()}.Freshness(otherwise)
	p.TTL, p.Stale, p.Validates = f.TTL, f.Stale, f.Validates
	return p
}
