package scrape

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/stages/scrape/robotstxt"
	"github.com/penstockio/penstock/stages/scrape/webpage"
)

// maxRedirects is how many redirects lead from one address to a page, or to a robots.txt, at most.
const maxRedirects = 5

// A visit is the way to the page of one record: to the robots.txt of a host, to the page, and where
// redirects lead, to the next host. Its methods do not change it, but for goTo.
type visit struct {
	stage   *Stage
	attempt int
	page    *url.URL // where the visit is
	origin  string   // scheme and host of page
	hops    int      // redirects that have led there
}

// goTo moves the visit to another page. The error is that of an address that may not be called. u
// becomes the one form of the address, which is judged and asked for: without dot segments, by which a
// page would stand under another path than the one that robots.txt is asked about.
func (v *visit) goTo(u *url.URL) error {
	u.Fragment, u.RawFragment = "", ""
	u.RawQuery = client.PlainQuery(u.RawQuery)
	if plain := withoutDots(u.EscapedPath()); plain != u.EscapedPath() {
		path, err := url.PathUnescape(plain)
		if err != nil {
			return refuse("its URL is not valid")
		}
		u.Path, u.RawPath = path, plain
	}
	if err := v.stage.egress.Check(u); err != nil {
		return err
	}
	v.page, v.origin = u, u.Scheme+"://"+u.Host
	return nil
}

// call gives the call that is due: for the robots.txt where it is not known, else for the page.
func (v visit) call() pipeline.Call {
	if v.stage.settings.Robots == "ignore" {
		return v.pageCall()
	}
	rules, fresh := v.stage.robots.get(v.origin)
	switch {
	case !fresh:
		at := &url.URL{Scheme: v.page.Scheme, Host: v.page.Host, Path: "/robots.txt"}
		return v.stage.calls.Admit(v.robotsQuestion(at, 0), v.attempt)
	case !v.allowed(rules):
		return calls.None(v.forbidden)
	}
	return v.pageCall()
}

func (v visit) pageCall() pipeline.Call { return v.stage.calls.Admit(v.pageQuestion(), v.attempt) }

// withoutDots resolves the segments . and .. of a path, also when they are percent-encoded: RFC 3986,
// sections 5.2.4 and 6.2.2.
func withoutDots(path string) string {
	if !strings.Contains(path, ".") && !strings.Contains(path, "%2") {
		return path
	}
	all := strings.Split(path, "/")
	kept := all[:1] // what stands before the first slash: nothing
	for i, s := range all[1:] {
		last := i == len(all)-2
		switch strings.ReplaceAll(strings.ReplaceAll(s, "%2e", "."), "%2E", ".") {
		case "..":
			kept = kept[:max(len(kept)-1, 1)]
		case ".":
		default:
			kept = append(kept, s)
			continue
		}
		if last {
			kept = append(kept, "")
		}
	}
	return strings.Join(kept, "/")
}

// allowed says whether rules allow the page. A page is what path and query say. Empty segments belong
// to a path, and most servers leave them out: both have to be allowed.
func (v visit) allowed(r *robotstxt.Rules) bool {
	if !r.Allowed(v.page.RequestURI()) {
		return false
	}
	path, short := v.page.EscapedPath(), ""
	for short = path; strings.Contains(short, "//"); {
		short = strings.ReplaceAll(short, "//", "/")
	}
	if short == path {
		return true
	}
	if v.page.RawQuery != "" || v.page.ForceQuery {
		short += "?" + v.page.RawQuery
	}
	return r.Allowed(short)
}

// forbidden is what becomes of a record whose page robots.txt forbids.
func (v visit) forbidden(rec *pipeline.Record) error {
	switch v.stage.settings.OnForbidden {
	case client.MissFilter:
		return pipeline.Filtered
	case client.MissNull:
		return v.stage.put(rec, nil, webpage.PageAddress(v.page), 0)
	}
	return pipeline.Reject(ReasonRobots, fmt.Errorf("fetching from %s: its robots.txt forbids the page to %s", v.origin, v.stage.product))
}

// robotsQuestion asks for the robots.txt that stands at an address, to which hops redirects led.
func (v visit) robotsQuestion(at *url.URL, hops int) calls.Question[answer] {
	return calls.Question[answer]{
		Host: at.Host,
		Key:  "robots " + v.origin + " " + at.String(),
		Ask:  v.stage.askRobots(v.origin, at),
		Use: func(rec *pipeline.Record, a answer) error {
			if a.to != nil && hops < maxRedirects {
				// The file of a host may stand at another, which is asked in its turn.
				if at.Scheme == "https" && a.to.Scheme == "http" {
					return redirectError(v.origin+"/robots.txt", a.status, "a redirect leads from https to http")
				}
				to := *a.to
				if err := v.stage.egress.Check(&to); err != nil {
					return err
				}
				return pipeline.Next(v.stage.calls.Admit(v.robotsQuestion(&to, hops+1), v.attempt))
			}
			rules := a.rules
			if rules == nil { // it cannot be found behind so many redirects: there is none
				rules = new(robotstxt.Rules)
			}
			v.stage.learn(v.origin, v.page.Host, rules, a.hold)
			if !v.allowed(rules) {
				return v.forbidden(rec)
			}
			return pipeline.Next(v.pageCall())
		},
	}
}

// pageQuestion asks for the page.
func (v visit) pageQuestion() calls.Question[answer] {
	at := v.page.String()
	return calls.Question[answer]{
		Host: v.page.Host,
		Key:  "page " + at,
		Ask:  v.stage.askPage(at, v.origin, v.page),
		Use:  v.use,
	}
}

// use puts an answer into a record, or goes where it leads.
func (v visit) use(rec *pipeline.Record, a answer) error {
	set := &v.stage.settings
	what := client.OnMiss("")
	switch a.kind {
	case redirects:
		return v.follow(a)
	case misses:
		what = set.OnMiss
	case others:
		what = set.OnOther
	}
	switch what {
	case client.MissFilter:
		return pipeline.Filtered
	case client.MissReject:
		return a.err
	}
	return v.stage.put(rec, a.text, webpage.PageAddress(v.page), a.status)
}

// follow goes where a redirect leads.
func (v visit) follow(a answer) error {
	if v.hops++; v.hops > maxRedirects {
		return redirectError(v.origin, a.status, fmt.Sprintf("stopped after %d redirects", maxRedirects))
	}
	if v.page.Scheme == "https" && a.to.Scheme == "http" {
		return redirectError(v.origin, a.status, "a redirect leads from https to http")
	}
	to := *a.to
	if err := v.goTo(&to); err != nil {
		return err
	}
	return pipeline.Next(v.call())
}

func redirectError(origin string, status int, why string) error {
	return pipeline.Reject(client.TypeRedirect, client.NewError(client.TypeRedirect, fmt.Sprintf("calling GET %s: answered status %d: %s", origin, status, why), nil))
}
