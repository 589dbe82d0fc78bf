package httpstage

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
)

// An answer is what a call has brought, for one record or several.
type answer struct {
	text    []byte // JSON text; nil: null
	status  int
	headers []byte      // an object with those of keep_headers; nil: nobody wants them
	miss    error       // a status of miss_status
	judged  http.Header // what HTTP's rules of keeping go by; nil: they are not asked
	from    string      // along with judged: the address, behind redirects, from which it came
}

// question makes what is asked for a record, without keeping anything of it.
func (h *Stage) question(rec *pipeline.Record) (calls.Question[answer], error) {
	var q calls.Question[answer]
	to, err := h.place(rec)
	if err != nil {
		return q, err
	}
	header, err := h.header(rec)
	if err != nil {
		return q, err
	}
	if err := h.takes(rec); err != nil {
		return q, err
	}
	var body []byte
	if h.keyed {
		if body, err = h.body(rec); err != nil {
			return q, err
		}
		q.Key = h.key(to.url, header, body)
		if len(body) > longestKept {
			body = nil
		}
	}
	q.Host, q.Ask, q.Use = to.host, h.asks(to, header, body), h.used
	return q, nil
}

// longestKept is how long a body may be that is kept from the key to the call, which then sends what the key
// says, also where it has the time or a random number in it. A longer one is made again.
const longestKept = 1 << 10

// asks gives what makes the call for a record, when it is let in. body nil: it is made then.
func (h *Stage) asks(to place, header http.Header, body []byte) func(context.Context, *pipeline.Record, *answer) (calls.Reply[answer], error) {
	return func(ctx context.Context, rec *pipeline.Record, known *answer) (reply calls.Reply[answer], err error) {
		r := client.Request{
			Method: h.settings.Method, URL: to.url, Address: to.address, Header: header,
			Body: body, Discard: h.into == nil, Reads: h.settings.OKStatus,
		}
		if body == nil {
			// Only now: all that a window holds may wait, and their bodies would be in nobody's budget.
			if r.Body, err = h.body(rec); err != nil {
				return reply, calls.Unasked(err)
			}
		}
		return h.ask(ctx, r, known)
	}
}

// takes rejects a value that can take no answer, before anybody is asked. It is not left to Ask,
// whose error is that of all records that wait for the same answer.
func (h *Stage) takes(rec *pipeline.Record) error {
	switch {
	case h.into == nil && h.statusInto == nil && h.headersInto == nil:
		return nil
	case h.deep:
		return h.put(rec.Clone(), &answer{})
	}
	return rec.CheckObject()
}

// header gives the headers that a record has a part in; nil: none.
func (h *Stage) header(rec *pipeline.Record) (http.Header, error) {
	if len(h.headers) == 0 && h.scope == "" {
		return nil, nil
	}
	out := make(http.Header, len(h.headers)+1)
	for _, part := range h.headers {
		v, err := part.text.Text(rec)
		if err != nil {
			return nil, err
		}
		out[part.name] = []string{v}
	}
	if h.scope != "" {
		key, _ := client.IdempotencyKey(h.scope, rec)
		out[idempotencyKey] = []string{key}
	}
	return out, nil
}

const idempotencyKey = "Idempotency-Key"

// longestURL is how long a URL may be that is a key as it is.
const longestURL = 1 << 10

// key makes what tells a request from others of the step: all that differs between them.
func (h *Stage) key(url string, header http.Header, body []byte) string {
	if len(h.headers) == 0 && !h.sends && len(url) <= longestURL {
		return url
	}
	parts := append(make([]string, 0, 2+len(h.headers)), url, string(body))
	for _, part := range h.headers {
		parts = append(parts, header[part.name][0])
	}
	return calls.Key(parts...)
}

// ask makes the call. known is an answer that was kept and is out of date, or nil.
func (h *Stage) ask(ctx context.Context, r client.Request, known *answer) (calls.Reply[answer], error) {
	var none calls.Reply[answer]
	var sent time.Time
	if h.keeps.byHTTP {
		sent, r.Trail = time.Now(), new(client.Trail)
		if known != nil {
			r.Trail.Known, r.Trail.KnownFrom = known.judged, known.from
		}
	}
	a, err := h.client.Do(ctx, r)
	if err != nil {
		return none, err
	}
	if r.Trail != nil && r.Trail.NotModified {
		renewed := *known
		renewed.judged = client.Renew(known.judged, a.Header)
		return h.reply(renewed, r, sent), nil
	}
	got := answer{status: a.Status, headers: h.kept(a.Header)}
	if h.keeps.byHTTP {
		got.judged, got.from = client.Deciding(a.Header), r.Trail.From
	}
	switch h.verdict(a.Status) {
	case misses:
		got.miss = pipeline.Reject(client.ReasonNoMatch, client.StatusError(calling(r), a, nil))
	case answers:
		if h.into == nil {
			break
		}
		if got.text, err = h.text(r, a); err != nil {
			return none, err
		}
	case retries:
		return none, client.StatusError(calling(r), a, h.settings.RetryStatus)
	default:
		if a.Status < 300 {
			return none, pipeline.Reject(client.TypeBadAnswer, client.NewError(client.TypeBadAnswer,
				calling(r)+": answered status "+strconv.Itoa(a.Status)+", which ok_status does not hold", nil))
		}
		return none, client.StatusError(calling(r), a, nil)
	}
	return h.reply(got, r, sent), nil
}

// calling says what was being done, for errors.
func calling(r client.Request) string { return "calling " + r.Method + " " + r.Address }

// Sizes of what stands around the texts of an answer that is kept.
const (
	answerSize = 160
	missSize   = 512
)

// reply says how long an answer holds.
func (h *Stage) reply(a answer, r client.Request, sent time.Time) calls.Reply[answer] {
	p := calls.Reply[answer]{Answer: a, Negative: a.miss != nil, Bytes: answerSize + cap(a.text) + cap(a.headers)}
	if a.miss != nil {
		p.Bytes += missSize
	}
	if a.judged == nil {
		return p
	}
	p.Bytes += client.HeaderBytes(a.judged) + len(a.from)
	otherwise := h.keeps.ttl
	if p.Negative {
		otherwise = h.keeps.negative
	}
	header := h.fixed
	if len(r.Header) > 0 {
		header = header.Clone()
		for name, lines := range r.Header {
			header[name] = lines
		}
	}
	f := client.Exchange{Method: r.Method, Request: header, Status: a.status, Answer: a.judged, Sent: sent, Received: time.Now(), Redirects: r.Trail.Redirects}.Freshness(otherwise)
	p.TTL, p.Stale, p.Validates = f.TTL, f.Stale, f.Validates
	return p
}

// use puts an answer into a record.
func (h *Stage) use(rec *pipeline.Record, a answer) error {
	if a.miss != nil {
		switch h.settings.OnMiss {
		case client.MissFilter:
			return pipeline.Filtered
		case client.MissReject:
			return a.miss
		}
	}
	return h.put(rec, &a)
}

// put sets the fields that take an answer.
func (h *Stage) put(rec *pipeline.Record, a *answer) error {
	if h.into != nil {
		if err := rec.SetRawAt(h.into, a.text); err != nil {
			return err
		}
	}
	if h.statusInto != nil {
		if err := rec.SetRawAt(h.statusInto, strconv.AppendInt(nil, int64(a.status), 10)); err != nil {
			return err
		}
	}
	if h.headersInto != nil {
		return rec.SetRawAt(h.headersInto, a.headers)
	}
	return nil
}
