package client

import (
	"math"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Exchange is a request and the header of its answer, as a cache looks at them.
type Exchange struct {
	Method   string
	Request  http.Header
	Status   int
	Answer   http.Header // of a 304: what Renew gives
	Sent     time.Time   // when the request was sent
	Received time.Time   // when the header of the answer was there

	// Redirects led to the answer. It holds for no longer than each of them does; one that does
	// not say how long it holds is asked about each time.
	Redirects []Exchange
}

// Freshness is what HTTP says of how long an answer may be used again. TTL, Stale and Validates mean
// what they do in a calls.Reply.
type Freshness struct {
	// TTL is how long the answer may be used from Received on without asking again. Below 0: it must
	// not be kept. It is never 0: an answer that may be kept, but is not used again without
	// asking, has one nanosecond.
	TTL time.Duration

	// Stale is how long after that the answer may stand in while the server fails. 0: the answer
	// does not say. Below 0: it must not.
	Stale time.Duration

	// Validates says that the server can be asked whether the answer still holds: see Condition.
	Validates bool

	// Vary has the names of the request's fields on which the answer depends, in the form of
	// http.Header, sorted, each once.
	Vary []string
}

// Freshness goes by RFC 9111, and RFC 5861 for stale-if-error. otherwise is the TTL of an answer
// that may be kept and does not say how long it holds; there is no other heuristic.
//
// The cache is a private one in the words of the RFC: whoever uses an answer has sent the same
// request with the same credentials. So private and Authorization do not keep an answer out,
// and s-maxage and proxy-revalidate, which are for caches that serve several users, are not
// looked at.
func (x Exchange) Freshness(otherwise time.Duration) Freshness {
	f := Freshness{TTL: -1, Stale: -1}
	asked, said := directives(x.Request), directives(x.Answer)
	vary, any := varies(x.Answer)
	if any || !x.storable(asked, said) {
		return f
	}
	f.Vary, f.Validates = vary, x.Answer.Get("Etag") != "" || x.Answer.Get("Last-Modified") != ""

	age := x.age()
	f.TTL = otherwise
	if life, ok := x.lifetime(said); ok {
		f.TTL = life - age
	}
	if most, ok := asked.seconds("max-age"); ok {
		f.TTL = min(f.TTL, most-age)
	}
	_, validate := said["no-cache"]
	if validate || asked.noCache(x.Request) {
		f.TTL = 0
	}
	f.TTL = max(f.TTL, 1)

	_, must := said["must-revalidate"]
	f.Stale = 0
	if stale, ok := said.seconds("stale-if-error"); ok {
		f.Stale = stale
		if stale == 0 {
			f.Stale = -1
		}
	}
	if must || validate {
		f.Stale = -1
	}
	for _, r := range x.Redirects {
		f.within(r.Freshness(0), x.Received.Sub(r.Received))
	}
	return f
}

// within has an answer hold no longer than a redirect that led to it, which came earlier by before.
func (f *Freshness) within(r Freshness, before time.Duration) {
	f.TTL = max(min(f.TTL, r.TTL-before), 1)
	if r.Stale < 0 || r.Stale > 0 && f.Stale >= 0 && (f.Stale == 0 || r.Stale < f.Stale) {
		f.Stale = r.Stale
	}
}

// keepable are the statuses whose answers may be kept without saying how long they hold (RFC 9110,
// section 15.1), but for 206: parts are not put together here.
var keepable = []int{200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501}

// storable says whether the answer may be kept at all (RFC 9111, section 3).
func (x Exchange) storable(asked, said cacheControl) bool {
	known := slices.Contains(keepable, x.Status)
	switch {
	case x.Method != http.MethodGet && x.Method != http.MethodHead:
		return false
	case x.Status < 200 || x.Status == http.StatusPartialContent || x.Status == http.StatusNotModified:
		return false
	case asked.has("no-store"):
		return false
	case said.has("must-understand"): // it overrides no-store for those who know the status
		if !known {
			return false
		}
	case said.has("no-store"):
		return false
	}
	return known || said.has("public") || said.has("private") || said.has("max-age") || x.Answer.Get("Expires") != ""
}

// lifetime gives how long the answer is fresh, from when the server made it. One that cannot be
// read is 0: the RFC encourages that.
func (x Exchange) lifetime(said cacheControl) (life time.Duration, ok bool) {
	if life, ok = said.seconds("max-age"); ok {
		return life, true
	}
	lines := x.Answer.Values("Expires")
	if len(lines) == 0 {
		return 0, false
	}
	at, err := http.ParseTime(lines[0])
	if err != nil {
		return 0, true // "0" above all: it is over
	}
	return max(at.Sub(x.date()), 0), true
}

// date gives when the server made the answer; without a Date that is now.
func (x Exchange) date() time.Time {
	if at, err := http.ParseTime(x.Answer.Get("Date")); err == nil {
		return at
	}
	return x.Received
}

// age gives how old the answer was when it was there: RFC 9111, section 4.2.3.
func (x Exchange) age() time.Duration {
	apparent := max(x.Received.Sub(x.date()), 0)
	first, _, _ := strings.Cut(x.Answer.Get("Age"), ",")
	told, _ := deltaSeconds(first)
	return max(apparent, told+max(x.Received.Sub(x.Sent), 0))
}

// Condition has a request ask whether a known answer still holds: a server that says 304 means
// yes. known is the header of that answer; request is changed.
func Condition(request, known http.Header) {
	if tag := known.Get("Etag"); tag != "" {
		request.Set("If-None-Match", tag)
	}
	if at := known.Get("Last-Modified"); at != "" {
		request.Set("If-Modified-Since", at)
	}
}

// deciding are the fields of an answer that Freshness, Condition and Renew go by.
var deciding = []string{"Age", "Cache-Control", "Date", "Etag", "Expires", "Last-Modified", "Vary"}

// Deciding gives a copy of the fields of an answer by which it is judged: what has to be kept
// of its header along with it.
func Deciding(answer http.Header) http.Header {
	h := make(http.Header, len(deciding))
	for _, name := range deciding {
		if lines := answer.Values(name); len(lines) > 0 {
			h[name] = slices.Clone(lines)
		}
	}
	return h
}

// HeaderBytes gives about how much memory a header takes.
func HeaderBytes(h http.Header) (bytes int) {
	for name, lines := range h {
		bytes += 64 + len(name)
		for _, line := range lines {
			bytes += 16 + len(line)
		}
	}
	return bytes
}

// Renew gives the header of a known answer after a 304 that says that it still holds: what the 304
// says anew, and the rest as it was. How old the known answer was is no longer of interest.
func Renew(known, notModified http.Header) http.Header {
	h := Deciding(known)
	delete(h, "Age")
	delete(h, "Date")
	for name, lines := range Deciding(notModified) {
		h[name] = lines
	}
	return h
}

// varies gives the names in Vary; any says that the answer depends on more than fields.
func varies(answer http.Header) (names []string, any bool) {
	for _, line := range answer.Values("Vary") {
		for name := range strings.SplitSeq(line, ",") {
			switch name = textproto.TrimString(name); name {
			case "":
			case "*":
				return nil, true
			default:
				names = append(names, http.CanonicalHeaderKey(name))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), false
}

// cacheControl has the directives of Cache-Control by their names in lower case. Of one that comes
// more than once the first counts.
type cacheControl map[string]string

func directives(h http.Header) cacheControl {
	lines := h.Values("Cache-Control")
	if len(lines) == 0 {
		return nil
	}
	c := cacheControl{}
	rest := strings.Join(lines, ",")
	for rest != "" {
		var name, value string
		name, value, rest = directive(rest)
		if _, twice := c[name]; name != "" && !twice {
			c[name] = value
		}
	}
	return c
}

// directive cuts the first directive off a list: a comma within quotes belongs to its value.
func directive(list string) (name, value, rest string) {
	end := strings.IndexAny(list, ",=")
	if end < 0 {
		return strings.ToLower(textproto.TrimString(list)), "", ""
	}
	name, rest = strings.ToLower(textproto.TrimString(list[:end])), list[end+1:]
	if list[end] == ',' {
		return name, "", rest
	}
	rest = textproto.TrimString(rest)
	if !strings.HasPrefix(rest, `"`) {
		value, rest, _ = strings.Cut(rest, ",")
		return name, textproto.TrimString(value), rest
	}
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '"':
			_, rest, _ = strings.Cut(rest[i+1:], ",")
			return name, b.String(), rest
		case '\\':
			if i++; i == len(rest) {
				return name, b.String(), ""
			}
		}
		b.WriteByte(rest[i])
	}
	return name, b.String(), "" // the quotes do not end
}

func (c cacheControl) has(name string) bool {
	_, ok := c[name]
	return ok
}

// seconds gives the value of a directive; one that is no number counts as 0.
func (c cacheControl) seconds(name string) (d time.Duration, ok bool) {
	v, ok := c[name]
	if !ok {
		return 0, false
	}
	d, _ = deltaSeconds(v)
	return d, true
}

// noCache says whether a request does not want an answer that was kept.
func (c cacheControl) noCache(request http.Header) bool {
	return c.has("no-cache") || c == nil && strings.EqualFold(textproto.TrimString(request.Get("Pragma")), "no-cache")
}

// deltaSeconds reads a number of seconds, at most 2^31 as the RFC has it.
func deltaSeconds(s string) (d time.Duration, ok bool) {
	s = textproto.TrimString(s)
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > math.MaxInt32 {
		n = 1 << 31
	}
	return time.Duration(n) * time.Second, true
}
