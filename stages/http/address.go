package httpstage

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
)

// checkAddress checks where the calls go.
func (s *Settings) checkAddress(p *settings.Problems) {
	text := s.URL.String()
	p.Check("url", s.URL.CheckRaw())
	if s.Redirects != "same_host" && s.Redirects != "any_host" {
		p.Add("redirects", "%q is none: write same_host or any_host", s.Redirects)
	}
	if chosen, whole := s.URL.GivesHost(); chosen {
		err := checkChosen(text)
		if whole {
			err = nil
		}
		p.Check("url", err)
		if len(s.Hosts) == 0 && err == nil {
			p.Add("url", "the host comes from the record: say which ones may be called, as in hosts: [api.example, '*.example.org']")
		}
		return
	}
	if _, err := client.StaticHost(text); err != nil {
		p.Check("url", err)
		return
	}
	if s.Redirects != "any_host" {
		for field, given := range map[string]bool{"hosts": len(s.Hosts) > 0, "allow": len(s.Hosts) == 0 && len(s.Allow) > 0} {
			if given {
				p.Add(field, "the host stands in url, and the calls go there alone: leave it out")
			}
		}
		return
	}
	e, err := s.egress()
	if p.Check("url", err); err != nil {
		return
	}
	if u, err := url.Parse(text); err == nil && !e.Hosts.Match(&url.URL{Scheme: u.Scheme, Host: u.Host}) {
		p.Add("hosts", "the host of url, %s, is none of them: add it", u.Host)
	}
}

// checkChosen checks what the file says of an address of whose host a part is of the record.
func checkChosen(text string) error {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return errors.New("the address must begin with http:// or https://, or with a part that gives it as a whole")
	}
	depth := 0
	for _, c := range rest {
		switch {
		case c == '{':
			depth++
		case c == '}':
			depth--
		case depth > 0: // of an expression
		case c == '@':
			return errors.New("the address holds a user name or password: put it under auth")
		case c == '/' || c == '?' || c == '#':
			return nil
		}
	}
	return nil
}

// egress gives where calls may go. nil: the host stands in the file, and no redirect leads to another.
// What the file itself names is open.
func (s *Settings) egress() (*client.Egress, error) {
	e := &client.Egress{Hosts: s.Hosts, Allow: s.Allow}
	if chosen, _ := s.URL.GivesHost(); chosen {
		return e, nil
	}
	if s.Redirects != "any_host" {
		return nil, nil
	}
	base, err := client.StaticHost(s.URL.String())
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	var own client.Allow
	var named, public client.HostPattern
	if err := errors.Join(own.UnmarshalText([]byte(u.Hostname())), named.UnmarshalText([]byte(u.Host)), public.UnmarshalText([]byte("*"))); err != nil {
		return nil, err
	}
	e.Allow = append(slices.Clone(e.Allow), own)
	if len(e.Hosts) == 0 {
		e.Hosts = client.Hosts{named, public}
	}
	return e, nil
}

// A target is what the file says of where the calls go.
type target struct {
	egress       *client.Egress
	chosen       bool   // the record chooses the host
	schemeChosen bool   // and the scheme
	base         string // scheme and host where the file says it, for Ping
	host         string // likewise, for calls
	address      string // likewise, for messages
}

// find finds out what the template of an address says.
func (t *target) find(to expr.Template) (err error) {
	if t.chosen, t.schemeChosen = to.GivesHost(); t.chosen {
		return nil
	}
	if t.base, err = client.StaticHost(to.String()); err != nil {
		return err
	}
	t.address, t.host = client.Address(t.base, to.String(), to.Written()), client.Host(t.base)
	return nil
}

// A place is where a call goes.
type place struct {
	url     string
	host    string // as calls.Question wants it
	address string // for messages
}

// place gives where the call for a record goes. Errors are permanent: of the template, of an
// address that is none, of one that may not be called.
func (h *Stage) place(rec *pipeline.Record) (place, error) {
	text, err := h.settings.URL.URL(rec)
	if err != nil {
		return place{}, err
	}
	if i := strings.IndexByte(text, '#'); i >= 0 {
		text = text[:i]
	}
	if !h.to.chosen {
		return place{url: text, host: h.to.host, address: h.to.address}, nil
	}
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		return place{}, refuse("its URL is not valid")
	}
	if err := h.to.egress.Check(u); err != nil {
		return place{}, err
	}
	if u.Scheme == "http" && h.to.schemeChosen && h.settings.secrets() {
		return place{}, refuse("its URL is one of http, where others can read the log-in that goes with it: write the scheme into url if that is meant")
	}
	u.RawQuery = client.PlainQuery(u.RawQuery)
	return place{url: u.String(), host: u.Host, address: u.Scheme + "://" + u.Host}, nil
}

// refuse is the error of a request that cannot be made.
func refuse(why string) error {
	return pipeline.Reject(client.TypeRequest, client.NewError(client.TypeRequest, "making the request: "+why, nil))
}
