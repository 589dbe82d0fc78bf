// SPDX-License-Identifier: Apache-2.0

// Package scrape fetches a web page for each record, as its robots.txt allows, and puts what CSS
// selectors find in it into a field.
package scrape

import (
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/stages/scrape/robotstxt"
	"github.com/penstockio/penstock/stages/scrape/webpage"
)

// Settings are the settings of the scrape stage.
type Settings struct {
	URL           expr.Template          `yaml:"url" required:"true" raw:"true" doc:"address of the page; what a part gives is percent-encoded, but for one with which the address begins, which gives it as a whole: '{link}'"`
	Hosts         client.Hosts           `yaml:"hosts" commas:"true" doc:"hosts that may be called, by the address and by redirects: example.org, '*.example.org', example.org:8080, '*'. Default: the host that stands in url"`
	Allow         []client.Allow         `yaml:"allow" commas:"true" doc:"networks and names that may be called although they are not of the public internet: 10.0.0.0/8, internal.example. Loopback, private, link-local and the like are refused otherwise, whatever name leads there, but for a host that stands in url"`
	Agent         string                 `yaml:"agent" required:"true" doc:"User-Agent of the requests, which names its owner: acme-docs/1.0 (+https://acme.example/bot; bots@acme.example). The letters that it begins with are the name for which robots.txt is read"`
	Select        settings.Fields[Field] `yaml:"select" required:"true" min:"1" max:"1000" doc:"what to take out of the page, by name: a CSS selector, which gives the text of the first element, or a mapping"`
	Into          settings.FieldPath     `yaml:"into" required:"true" doc:"field that takes an object of what was selected"`
	URLInto       settings.FieldPath     `yaml:"url_into" doc:"field that takes the address of the page, behind all redirects"`
	StatusInto    settings.FieldPath     `yaml:"status_into" doc:"field that takes the status of the answer, a number; null when robots.txt forbids the page"`
	Robots        string                 `yaml:"robots" enum:"obey|ignore" doc:"obey: robots.txt decides which pages are fetched and how far apart; ignore: it is not asked for, which is for hosts of one's own"`
	OnForbidden   client.OnMiss          `yaml:"on_forbidden" enum:"reject|filter|null" doc:"what a page that robots.txt forbids does to the record: reject, filter, or null in place of the object"`
	OnMiss        client.OnMiss          `yaml:"on_miss" enum:"reject|filter|null" doc:"what a status of miss_status does to the record: reject, filter, or null in place of the object"`
	OnOther       client.OnMiss          `yaml:"on_other" enum:"reject|filter|null" doc:"what an answer that is no page does to the record, like a picture or a PDF: reject, filter, or null in place of the object"`
	MissStatus    client.Statuses        `yaml:"miss_status" doc:"statuses that say there is no such page"`
	RetryStatus   client.Statuses        `yaml:"retry_status" doc:"statuses that another attempt may cure; Retry-After is honoured up to five minutes"`
	MaxCrawlDelay time.Duration          `yaml:"max_crawl_delay" min:"0s" max:"24h" doc:"longest time between two pages of a host that its Crawl-delay may ask for; one that asks for more gets this. 0: Crawl-delay is not looked at"`
	MaxBytes      settings.Size          `yaml:"max_bytes" min:"1KiB" max:"64MiB" doc:"largest page, decoded, and largest object taken out of one; a larger one rejects the record. A page takes a multiple of its size while it is taken apart, 60 MB at most"`
	MaxItems      int                    `yaml:"max_items" min:"1" max:"1000000" doc:"most entries of a list; a page with more rejects the record"`
	TLS           client.TLS             `yaml:"tls" doc:"how servers are checked, and who this side is"`
	Proxy         settings.Secret        `yaml:"proxy" doc:"address of a proxy, which never shows because it may hold a password; variables of the environment are ignored"`
}

// A Field is one value to take out of a page.
type Field struct {
	CSS      webpage.Selector            `yaml:"css" short:"true" doc:"selector of the element"`
	Attr     string                      `yaml:"attr" doc:"attribute to take, in place of the text"`
	As       string                      `yaml:"as" enum:"text|html" doc:"text: as a person would read it, white space made one blank; html: the HTML within the element. Default: text"`
	Absolute bool                        `yaml:"absolute" doc:"the attribute is an address: make it absolute, without what follows #, and leave out what is no http or https address"`
	All      bool                        `yaml:"all" doc:"a list of all such elements, in place of the first"`
	Select   settings.Fields[InnerField] `yaml:"select" min:"1" max:"1000" doc:"take an object out of the element, in place of the text; its selectors look within the element, and one without css is about the element itself"`
}

// An InnerField is one value to take out of an element.
type InnerField struct {
	CSS      webpage.Selector `yaml:"css" short:"true" doc:"selector within the element; default: the element itself"`
	Attr     string           `yaml:"attr" doc:"attribute to take, in place of the text"`
	As       string           `yaml:"as" enum:"text|html" doc:"text or html; default: text"`
	Absolute bool             `yaml:"absolute" doc:"the attribute is an address: make it absolute"`
	All      bool             `yaml:"all" doc:"a list of all such elements, in place of the first"`
}

// ReasonRobots is the reason of a record that was rejected because robots.txt forbids its page.
const ReasonRobots = "robots" // robots.txt forbids the page, and on_forbidden is reject

// Defaults gives the settings of a scrape stage before a file is read.
func Defaults() Settings {
	return Settings{
		Robots: "obey", OnForbidden: client.MissReject, OnMiss: client.MissReject, OnOther: client.MissReject,
		MissStatus: client.Statuses{{From: 404, To: 404}, {From: 410, To: 410}}, RetryStatus: slices.Clone(client.TransientStatuses),
		MaxCrawlDelay: time.Minute, MaxBytes: 2 << 20, MaxItems: 50_000,
	}
}

// Validate checks what can be known without calling. It joins several errors.
func (s *Settings) Validate() error {
	p := new(settings.Problems)
	s.checkAddress(p)
	p.Check("agent", checkAgent(s.Agent))
	_, err := s.wants()
	p.Join(err)
	s.checkPlaces(p)
	if s.Robots != "obey" && s.Robots != "ignore" {
		p.Add("robots", "%q is none: write obey or ignore", s.Robots)
	}
	p.Check("on_forbidden", s.OnForbidden.Validate())
	p.Check("on_miss", s.OnMiss.Validate())
	p.Check("on_other", s.OnOther.Validate())
	if status, both := s.MissStatus.Common(s.RetryStatus); both {
		p.Add("miss_status", "%d is in retry_status too: leave it out of one of the two", status)
	}
	if s.MaxCrawlDelay < 0 || s.MaxBytes <= 0 || s.MaxItems <= 0 {
		p.Add("max_bytes", "limits must be above 0")
	}
	p.Check("tls", s.TLS.Validate())
	_, err = client.ParseProxy(s.Proxy.Reveal())
	p.Check("proxy", err)
	return p.Err()
}

// checkPlaces checks the fields that take what was found.
func (s *Settings) checkPlaces(p *settings.Problems) {
	names := []string{"into", "url_into", "status_into"}
	var places []jsontext.Path
	for i, field := range []settings.FieldPath{s.Into, s.URLInto, s.StatusInto} {
		if field == "" && i > 0 {
			places = append(places, nil)
			continue
		}
		place, err := field.Place()
		p.Check(names[i], err)
		for j, other := range places {
			if n := min(len(place), len(other)); n > 0 && slices.Equal(place[:n], other[:n]) {
				p.Add(names[i], "it leads to the field of %s, or into it: name another", names[j])
				break
			}
		}
		places = append(places, place)
	}
}

// checkAddress checks where the calls go.
func (s *Settings) checkAddress(p *settings.Problems) {
	p.Check("url", s.URL.CheckRaw())
	text := s.URL.String()
	chosen, whole := s.URL.GivesHost()
	switch {
	case whole:
	case chosen && !strings.HasPrefix(text, "http://") && !strings.HasPrefix(text, "https://"):
		p.Add("url", "the address must begin with http:// or https://, or with a part that gives it as a whole")
		return
	case !chosen:
		_, err := client.StaticHost(text)
		p.Check("url", err)
		if err != nil {
			return
		}
	}
	if chosen && len(s.Hosts) == 0 {
		p.Add("url", "the host comes from the record: say which ones may be called, as in hosts: ['*.example.org']")
	}
	for field, what := range map[string]string{"url": "sent what ${file:…} holds", "tls.cert": "shown who this side is"} {
		if given := field == "url" && s.URL.HoldsFile() || field == "tls.cert" && s.TLS.Cert != ""; given && chosen && s.Hosts.Any() {
			p.Add(field, "with hosts: ['*'] a record chooses who is called, and would be %s: name the hosts", what)
		}
	}
	if base, own := s.static(); own && len(s.Hosts) > 0 && !s.Hosts.Match(base) {
		p.Add("hosts", "the host of url, %s, is none of them: add it", base.Host)
	}
}

// CutName says whether the name in agent goes on behind the part for which robots.txt is read, as that
// of b2bot/1.0 does, and gives that part.
func (s *Settings) CutName() (product string, cut bool) {
	product = robotstxt.Product(s.Agent)
	rest := s.Agent[len(product):]
	return product, rest != "" && !strings.ContainsAny(rest[:1], "/ \t(;,")
}

// static gives scheme and host of url, when they stand in the file.
func (s *Settings) static() (base *url.URL, ok bool) {
	if chosen, _ := s.URL.GivesHost(); chosen {
		return nil, false
	}
	host, err := client.StaticHost(s.URL.String())
	if err != nil {
		return nil, false
	}
	base, err = url.Parse(host)
	return base, err == nil
}

// egress gives where calls may go. What the file itself names is open.
func (s *Settings) egress() (*client.Egress, error) {
	e := &client.Egress{Hosts: s.Hosts, Allow: s.Allow}
	base, ok := s.static()
	if !ok {
		return e, nil
	}
	var own client.Allow
	if err := own.UnmarshalText([]byte(base.Hostname())); err != nil {
		return nil, err
	}
	e.Allow = append(slices.Clone(e.Allow), own)
	if len(e.Hosts) == 0 {
		var host client.HostPattern
		if err := host.UnmarshalText([]byte(base.Host)); err != nil {
			return nil, err
		}
		e.Hosts = client.Hosts{host}
	}
	return e, nil
}

// owner is an address of the web or of mail, by which the owner of a host finds the owner of what
// asks it.
var owner = regexp.MustCompile(`https?://[^\s/()<>;,]+\.[^\s()<>;,]+|[^\s@()<>;,]+@[^\s@()<>;,]+\.[^\s@()<>;,]+`)

func checkAgent(agent string) error {
	const like = "acme-docs/1.0 (+https://acme.example/bot; bots@acme.example)"
	switch {
	case strings.TrimSpace(agent) == "":
		return errors.New("say who asks, and where their owner is found: " + like)
	case robotstxt.Product(agent) == "":
		return errors.New("it must begin with a name of letters, hyphens and underscores, for which robots.txt is read: " + like)
	case !owner.MatchString(agent):
		return errors.New("it must hold an address by which the owner is found, of the web or of mail: " + like)
	}
	return client.CheckHeader("User-Agent", agent)
}

// wants gives what to take out of a page. The error joins those of several fields.
func (s *Settings) wants() ([]webpage.Want, error) {
	p := new(settings.Problems)
	if len(s.Select) == 0 {
		p.Add("select", "say what to take out of the page, as in select: {title: title}")
	}
	wants := make([]webpage.Want, 0, len(s.Select))
	for _, f := range s.Select {
		at := "select." + string(f.Name)
		w := f.Value.inner().want(p, at, f.Name)
		if f.Value.CSS.IsZero() {
			p.Add(at, "name the element: css: 'a[href]'")
		}
		for _, in := range f.Value.Select {
			w.Inner = append(w.Inner, in.Value.want(p, at+".select."+string(in.Name), in.Name))
		}
		if len(w.Inner) > 0 && (w.Attr != "" || f.Value.As != "") {
			p.Add(at, "select takes the place of the text and of an attribute: leave out attr and as")
		}
		wants = append(wants, w)
	}
	return wants, p.Err()
}

func (f *Field) inner() *InnerField {
	return &InnerField{CSS: f.CSS, Attr: f.Attr, As: f.As, Absolute: f.Absolute, All: f.All}
}

func (f *InnerField) want(p *settings.Problems, at string, name settings.FieldPath) webpage.Want {
	path, err := name.Path()
	switch {
	case err != nil:
		p.Check(at, err)
	case len(path) != 1 || path[0].Kind != 0:
		p.Add(at, "%q is no name alone: a member within another is made by select", name)
	case f.As != "" && f.As != "text" && f.As != "html":
		p.Add(at, "as: %q is none: write text or html", f.As)
	case f.Attr != "" && f.As == "html":
		p.Add(at, "an attribute has no HTML: leave out as")
	case f.Absolute && f.Attr == "":
		p.Add(at, "absolute is about an attribute: say which, as in attr: href")
	}
	w := webpage.Want{Select: f.CSS, Attr: strings.ToLower(f.Attr), HTML: f.As == "html", Absolute: f.Absolute, All: f.All}
	if err == nil && len(path) == 1 {
		w.Name = path[0].Name
	}
	return w
}
