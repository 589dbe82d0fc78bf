package scrape

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/stages/scrape/robotstxt"
	"github.com/penstockio/penstock/stages/scrape/webpage"
)

// A Stage fetches the page of each record and puts what it selects into a field. It belongs into a
// waiting step, and is a pipeline.Admitter: what holds its calls back is said by calls.Settings,
// where a host has one call at a time unless the file says otherwise.
//
// Of a host, robots.txt comes first: a page that it forbids is not asked for. It is kept for a day
// at most. Until it is there its pages wait; a host that does not answer for it, or says that it is
// in trouble, gets no call for a page, and the record another attempt. A redirect is a call of its
// own: to a host that may be called, as the robots.txt there allows it, and when that host's turn
// has come. More than five of them reject the record.
//
// A record whose value is no object, or in which something else stands in the way of a field that is
// to be set, is rejected without a call, a tombstone passes without one.
type Stage struct {
	settings Settings
	wants    []webpage.Want
	product  string // of the User-Agent
	egress   *client.Egress
	base     string // scheme and host where the file says them, for Ping; "": nowhere
	fixed    http.Header
	http     bool // HTTP's own rules say how long a page is kept, else, or where they say nothing:
	ttl      time.Duration
	negative time.Duration

	into, urlInto, statusInto jsontext.Path

	client *client.HTTP
	calls  *calls.Calls[answer]
	robots *robots
	emit   *event.Emitter
}

// New makes the stage. It connects with the first call.
func New(s Settings, env calls.Env) (*Stage, error) { return open(s, env, client.HTTPOptions{}) }

// open is New with options of the client that the settings do not have.
func open(s Settings, env calls.Env, o client.HTTPOptions) (*Stage, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if env.Settings.MaxPerHost == 0 {
		env.Settings.MaxPerHost = 1
	}
	st := &Stage{settings: s, product: robotstxt.Product(s.Agent), robots: newRobots()}
	if c := env.Settings.Cache; c != nil {
		st.http, st.ttl, st.negative = c.HTTP, c.TTL, c.NegativeTTL
		if st.negative == 0 {
			st.negative = c.TTL
		}
	}
	if err := st.places(); err != nil {
		return nil, err
	}
	var err error
	if st.calls, err = calls.New[answer](env); err != nil {
		return nil, err
	}
	if err := st.connect(env.Workers, o); err != nil {
		st.calls.Close()
		return nil, err
	}
	return st, nil
}

// places finds out what is taken out of pages, and where it goes.
func (s *Stage) places() (err error) {
	if s.wants, err = s.settings.wants(); err != nil {
		return err
	}
	if s.egress, err = s.settings.egress(); err != nil {
		return err
	}
	if base, ok := s.settings.static(); ok {
		s.base = base.String()
	}
	if s.into, err = s.settings.Into.Place(); err != nil {
		return err
	}
	if s.settings.URLInto != "" {
		if s.urlInto, err = s.settings.URLInto.Place(); err != nil {
			return err
		}
	}
	if s.settings.StatusInto != "" {
		s.statusInto, err = s.settings.StatusInto.Place()
	}
	return err
}

func (s *Stage) connect(workers int, o client.HTTPOptions) (err error) {
	set := &s.settings
	s.fixed = http.Header{"Accept": {"text/html, application/xhtml+xml, */*;q=0.1"}}
	o.Slots, o.MaxBytes, o.Gzip, o.Stay = workers, int64(set.MaxBytes), true, true
	o.Egress, o.Agent, o.Header, o.Conceal = s.egress, set.Agent, s.fixed, set.URL.Hide
	if o.TLSFiles, err = set.TLS.Open(s.warnFiles); err != nil {
		return err
	}
	if o.Proxy, err = client.ParseProxy(set.Proxy.Reveal()); err != nil {
		return err
	}
	s.client, err = client.NewHTTP(o)
	return err
}

// Attach implements pipeline.Attacher.
func (s *Stage) Attach(e *event.Emitter) {
	s.emit = e
	s.calls.Attach(e)
}

// warnFiles tells that a file of tls has become unusable, from any goroutine.
func (s *Stage) warnFiles(err error) {
	s.emit.Log().Warn().Err(err).Msg("a file is not used as it is now")
}

// Process implements pipeline.Stage, for those who have no engine: it waits for what holds the calls
// back.
func (s *Stage) Process(ctx context.Context, rec *pipeline.Record) error {
	return calls.Process(ctx, s, rec)
}

// Admit implements pipeline.Admitter.
func (s *Stage) Admit(rec *pipeline.Record, attempt int) (pipeline.Call, error) {
	if rec.Tombstone() {
		return calls.None(nil), nil
	}
	text, err := s.settings.URL.URL(rec)
	if err != nil {
		return nil, err
	}
	if err := s.takes(rec); err != nil {
		return nil, err
	}
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		return nil, refuse("its URL is not valid")
	}
	v := visit{stage: s, attempt: attempt}
	if err := v.goTo(u); err != nil {
		return nil, err
	}
	return v.call(), nil
}

// refuse is the error of a request that cannot be made.
func refuse(why string) error {
	return pipeline.Reject(client.TypeRequest, client.NewError(client.TypeRequest, "making the request: "+why, nil))
}

// takes rejects a value that can take no answer, before anybody is asked. It is not left to what asks,
// whose error is that of all records that wait for the same page.
func (s *Stage) takes(rec *pipeline.Record) error {
	if max(len(s.into), len(s.urlInto), len(s.statusInto)) > 1 { // something may stand in the way of one
		return s.put(rec.Clone(), nil, "", 0)
	}
	return rec.CheckObject()
}

// put sets the fields of a record. text is JSON; nil: null. status 0 is none.
func (s *Stage) put(rec *pipeline.Record, text []byte, page string, status int) error {
	if err := rec.SetRawAt(s.into, text); err != nil {
		return err
	}
	if s.urlInto != nil {
		if err := rec.SetRawAt(s.urlInto, jsontext.AppendString(nil, page)); err != nil {
			return err
		}
	}
	if s.statusInto == nil {
		return nil
	}
	if status == 0 {
		return rec.SetRawAt(s.statusInto, nil)
	}
	return rec.SetRawAt(s.statusInto, strconv.AppendInt(nil, int64(status), 10))
}

// Account implements pipeline.Accounter: pages and rules that are kept are charged.
func (s *Stage) Account(add func(bytes int64)) {
	s.calls.Account(add)
	s.robots.account(add)
}

// Report implements pipeline.Reporter.
func (s *Stage) Report() pipeline.Report { return s.calls.Report() }

// Ping implements pipeline.Pinger: it connects to the host and asks for nothing. Where the record
// chooses the host, there is none to connect to.
func (s *Stage) Ping(ctx context.Context) error {
	if s.base == "" {
		return nil
	}
	return s.client.Ping(ctx, s.base)
}

// Close closes the idle connections and lets go of what is kept.
func (s *Stage) Close() error {
	s.calls.Close()
	s.robots.close()
	s.client.Close()
	return nil
}
