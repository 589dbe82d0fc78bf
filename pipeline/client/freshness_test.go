package client

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// head makes a header of lines "Name: value", or of nothing.
func head(lines ...string) http.Header {
	h := http.Header{}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		h.Add(name, value)
	}
	return h
}

var receivedAt = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

const (
	noTTL     = time.Duration(-1)
	asksFirst = time.Duration(1)
	fileTTL   = 90 * time.Second // what the file says of answers that say nothing
)

func TestFreshness(t *testing.T) {
	at := func(d time.Duration) string { return receivedAt.Add(d).Format(http.TimeFormat) }
	for _, c := range []struct {
		name     string // with the section of RFC 9111 where no other is named
		method   string // GET
		request  http.Header
		status   int // 200
		answer   http.Header
		delay    time.Duration
		ttl      time.Duration
		stale    time.Duration
		validate bool
		vary     []string
	}{
		{name: "nothing is said", ttl: fileTTL},
		{name: "5.2.2.1 max-age", answer: head("Cache-Control: max-age=60"), ttl: time.Minute},
		{name: "5.2 names are in any case", answer: head("cache-control: Max-Age=60"), ttl: time.Minute},
		{name: "5.2 quoted is accepted too", answer: head(`Cache-Control: max-age="60"`), ttl: time.Minute},
		{name: "5.2 among others, over two lines", answer: head("Cache-Control: public,, x=1", `Cache-Control: y="a, no-store", max-age=60`), ttl: time.Minute},
		{name: "a quote that does not end", answer: head(`Cache-Control: max-age=60, x="no-store`), ttl: time.Minute},
		{name: "a quote with an escape", answer: head(`Cache-Control: x="a\", no-store", max-age=60`), ttl: time.Minute},
		{name: "a quote that ends in an escape", answer: head(`Cache-Control: max-age=60, x="\`), ttl: time.Minute},
		{name: "4.2.1 the first of two counts", answer: head("Cache-Control: max-age=60, max-age=5"), ttl: time.Minute},
		{name: "4.2.1 not a number is out of date", answer: head("Cache-Control: max-age=soon"), ttl: asksFirst},
		{name: "4.2.1 nor is a fraction", answer: head("Cache-Control: max-age=1.5"), ttl: asksFirst},
		{name: "4.2.1 nor one below 0", answer: head("Cache-Control: max-age=-5"), ttl: asksFirst},
		{name: "4.2.1 nor one without value", answer: head("Cache-Control: max-age"), ttl: asksFirst},
		{name: "1.2.2 larger than 2^31 is 2^31", answer: head("Cache-Control: max-age=99999999999999999999"), ttl: (1 << 31) * time.Second},
		{name: "max-age=0", answer: head("Cache-Control: max-age=0"), ttl: asksFirst},

		{name: "5.3 Expires without Date", answer: head("Expires: " + at(time.Minute)), ttl: time.Minute},
		{name: "5.3 Expires goes by the server's own clock", answer: head("Expires: "+at(time.Hour+time.Minute), "Date: "+at(time.Hour)), ttl: time.Minute},
		{name: "5.3 max-age wins over Expires", answer: head("Expires: "+at(time.Hour), "Cache-Control: max-age=60"), ttl: time.Minute},
		{name: "5.3 Expires: 0", answer: head("Expires: 0"), ttl: asksFirst},
		{name: "5.3 Expires that is no date", answer: head("Expires: tomorrow"), ttl: asksFirst},
		{name: "5.3 Expires in the past", answer: head("Expires: " + at(-time.Hour)), ttl: asksFirst},
		{name: "5.3 the first of two Expires", answer: head("Expires: "+at(time.Minute), "Expires: "+at(time.Hour)), ttl: time.Minute},

		{name: "4.2.3 Age is taken off", answer: head("Cache-Control: max-age=60", "Age: 20"), ttl: 40 * time.Second},
		{name: "4.2.3 the way counts with Age", answer: head("Cache-Control: max-age=60", "Age: 20"), delay: 3 * time.Second, ttl: 37 * time.Second},
		{name: "4.2.3 and without", answer: head("Cache-Control: max-age=60"), delay: 3 * time.Second, ttl: 57 * time.Second},
		{name: "4.2.3 an old Date is an age", answer: head("Cache-Control: max-age=60", "Date: "+at(-30*time.Second)), ttl: 30 * time.Second},
		{name: "4.2.3 the larger of both", answer: head("Cache-Control: max-age=60", "Age: 20", "Date: "+at(-30*time.Second)), ttl: 30 * time.Second},
		{name: "4.2.3 a Date ahead is no age", answer: head("Cache-Control: max-age=60", "Date: "+at(time.Hour)), ttl: time.Minute},
		{name: "older than it holds", answer: head("Cache-Control: max-age=60", "Age: 61"), ttl: asksFirst},
		{name: "5.1 Age that is no number is left out", answer: head("Cache-Control: max-age=60", "Age: old"), ttl: time.Minute},
		{name: "5.1 the first of a list", answer: head("Cache-Control: max-age=60", "Age: 20, 50"), ttl: 40 * time.Second},
		{name: "Age of an answer that says nothing else", answer: head("Age: 20"), ttl: fileTTL},

		{name: "5.2.2.5 no-store", answer: head("Cache-Control: no-store, max-age=60"), ttl: noTTL},
		{name: "5.2.1.5 no-store of the request", request: head("Cache-Control: no-store"), answer: head("Cache-Control: max-age=60"), ttl: noTTL},
		{name: "5.2.2.4 no-cache", answer: head("Cache-Control: no-cache, max-age=60"), ttl: asksFirst, stale: -1},
		{name: "5.2.2.4 no-cache of some fields is taken as of all", answer: head(`Cache-Control: no-cache="set-cookie, x", max-age=60`), ttl: asksFirst, stale: -1},
		{name: "5.2.1.4 no-cache of the request", request: head("Cache-Control: no-cache"), answer: head("Cache-Control: max-age=60"), ttl: asksFirst},
		{name: "5.4 Pragma of the request", request: head("Pragma: no-cache"), answer: head("Cache-Control: max-age=60"), ttl: asksFirst},
		{name: "5.4 Pragma beside Cache-Control is left out", request: head("Pragma: no-cache", "Cache-Control: max-age=10"), answer: head("Cache-Control: max-age=60"), ttl: 10 * time.Second},
		{name: "5.4 Pragma of the answer says nothing", answer: head("Pragma: no-cache", "Cache-Control: max-age=60"), ttl: time.Minute},
		{name: "5.2.1.1 max-age of the request", request: head("Cache-Control: max-age=10"), answer: head("Cache-Control: max-age=60", "Age: 4"), ttl: 6 * time.Second},
		{name: "5.2.1.1 that is longer", request: head("Cache-Control: max-age=100"), answer: head("Cache-Control: max-age=60"), ttl: time.Minute},
		{name: "5.2.2.7 private: this cache is one", answer: head("Cache-Control: private, max-age=60"), ttl: time.Minute},
		{name: "5.2.2.7 private of some fields", answer: head(`Cache-Control: private="x", max-age=60`), ttl: time.Minute},
		{name: "3.5 Authorization: this cache is private", request: head("Authorization: Bearer x"), answer: head("Cache-Control: max-age=60"), ttl: time.Minute},
		{name: "5.2.2.10 s-maxage is for shared caches", answer: head("Cache-Control: s-maxage=600, max-age=60"), ttl: time.Minute},
		{name: "5.2.2.10 s-maxage alone says nothing here", answer: head("Cache-Control: s-maxage=600"), ttl: fileTTL},
		{name: "5.2.2.8 proxy-revalidate is for shared caches", answer: head("Cache-Control: proxy-revalidate, max-age=60"), ttl: time.Minute},
		{name: "5.2.2.2 must-revalidate", answer: head("Cache-Control: must-revalidate, max-age=60"), ttl: time.Minute, stale: -1},

		{name: "RFC 5861 stale-if-error", answer: head("Cache-Control: max-age=60, stale-if-error=600"), ttl: time.Minute, stale: 10 * time.Minute},
		{name: "RFC 5861 stale-if-error=0", answer: head("Cache-Control: max-age=60, stale-if-error=0"), ttl: time.Minute, stale: -1},
		{name: "RFC 5861 stale-if-error that is no number", answer: head("Cache-Control: max-age=60, stale-if-error=x"), ttl: time.Minute, stale: -1},
		{name: "must-revalidate wins over it", answer: head("Cache-Control: max-age=60, stale-if-error=600, must-revalidate"), ttl: time.Minute, stale: -1},

		{name: "3 POST", method: "POST", answer: head("Cache-Control: max-age=60"), ttl: noTTL},
		{name: "3 PUT", method: "PUT", answer: head("Cache-Control: max-age=60"), ttl: noTTL},
		{name: "3 HEAD", method: "HEAD", answer: head("Cache-Control: max-age=60"), ttl: time.Minute},
		{name: "3.3 parts are not kept", status: 206, answer: head("Cache-Control: max-age=60"), ttl: noTTL},
		{name: "4.3.4 a 304 is no answer of its own", status: 304, answer: head("Cache-Control: max-age=60"), ttl: noTTL},
		{name: "404 that says nothing", status: 404, ttl: fileTTL},
		{name: "500 that says nothing", status: 500, ttl: noTTL},
		{name: "500 with max-age", status: 500, answer: head("Cache-Control: max-age=60"), ttl: time.Minute},
		{name: "202 that says nothing", status: 202, ttl: noTTL},
		{name: "202 with Expires", status: 202, answer: head("Expires: " + at(time.Minute)), ttl: time.Minute},
		{name: "202 that is public", status: 202, answer: head("Cache-Control: public"), ttl: fileTTL},
		{name: "202 that is private", status: 202, answer: head("Cache-Control: private"), ttl: fileTTL},
		{name: "103 is not final", status: 103, answer: head("Cache-Control: max-age=60"), ttl: noTTL},
		{name: "5.2.2.3 must-understand of a known status wins over no-store", answer: head("Cache-Control: must-understand, no-store, max-age=60"), ttl: time.Minute},
		{name: "5.2.2.3 must-understand of one not known", status: 299, answer: head("Cache-Control: must-understand, max-age=60"), ttl: noTTL},

		{name: "4.1 Vary", answer: head("Vary: accept-language, Accept", "Vary: ACCEPT"), ttl: fileTTL, vary: []string{"Accept", "Accept-Language"}},
		{name: "4.1 Vary: *", answer: head("Cache-Control: max-age=60", "Vary: Accept, *"), ttl: noTTL},
		{name: "an empty Vary", answer: head("Vary: "), ttl: fileTTL},
		{name: "4.3.1 an ETag", answer: head(`Etag: W/"1"`), ttl: fileTTL, validate: true},
		{name: "4.3.1 Last-Modified", answer: head("Last-Modified: " + at(-time.Hour)), ttl: fileTTL, validate: true},
		{name: "4.3.1 an ETag of one that may not be kept", answer: head(`Etag: "1"`, "Cache-Control: no-store"), ttl: noTTL},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := Exchange{Method: c.method, Request: c.request, Status: c.status, Answer: c.answer, Sent: receivedAt.Add(-c.delay), Received: receivedAt}
			if x.Method == "" {
				x.Method = http.MethodGet
			}
			if x.Status == 0 {
				x.Status = http.StatusOK
			}
			want := Freshness{TTL: c.ttl, Stale: c.stale, Validates: c.validate, Vary: c.vary}
			if c.ttl == noTTL {
				want.Stale = -1
			}
			if got := x.Freshness(fileTTL); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestFreshnessAfterNotModified(t *testing.T) {
	at := func(d time.Duration) string { return receivedAt.Add(d).Format(http.TimeFormat) }
	first := head("Cache-Control: max-age=60", "Date: "+at(-time.Hour), "Age: 20", `Etag: "1"`, "Last-Modified: "+at(-2*time.Hour),
		"Vary: Accept", "Content-Type: text/html", "Content-Length: 12")
	for _, c := range []struct {
		name   string
		answer http.Header
		ttl    time.Duration
		tag    string
	}{
		{"that says nothing", head(), time.Minute, `"1"`},
		{"with its date", head("Date: " + at(-10*time.Second)), 50 * time.Second, `"1"`},
		{"that says anew how long", head("Cache-Control: max-age=5", "Content-Length: 0"), 5 * time.Second, `"1"`},
		{"with another tag", head(`Etag: "2"`), time.Minute, `"2"`},
		{"with an age of its own", head("Age: 7"), 53 * time.Second, `"1"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			kept := Deciding(first)
			header := Renew(kept, c.answer)
			x := Exchange{Method: http.MethodGet, Status: http.StatusOK, Answer: header, Sent: receivedAt, Received: receivedAt}
			f := x.Freshness(fileTTL)
			if f.TTL != c.ttl || !f.Validates || !slices.Equal(f.Vary, []string{"Accept"}) {
				t.Errorf("got %+v, want %v", f, c.ttl)
			}
			if header.Get("Content-Length") != "" || header.Get("Content-Type") != "" {
				t.Error("what does not decide is kept")
			}
			if !reflect.DeepEqual(kept, Deciding(first)) {
				t.Error("the known header was changed")
			}
			request := head("If-None-Match: old", "Accept: x")
			Condition(request, header)
			want := head("If-None-Match: "+c.tag, "Accept: x", "If-Modified-Since: "+at(-2*time.Hour))
			if !reflect.DeepEqual(request, want) {
				t.Errorf("the request asks with %v, want %v", request, want)
			}
		})
	}
}

func TestConditionWithoutValidator(t *testing.T) {
	request := head("Accept: x")
	Condition(request, head("Cache-Control: max-age=1"))
	if !reflect.DeepEqual(request, head("Accept: x")) {
		t.Errorf("the request became %v", request)
	}
}

// TestFreshnessOfAnything has no header that a server may send do harm: an answer that may not be kept
// has neither a TTL nor a time to stand in, and no time is 0.
func TestFreshnessOfAnything(t *testing.T) {
	value := rapid.OneOf(rapid.String(), rapid.StringMatching(`((max-age|no-cache|no-store|public|x|stale-if-error)(=("[^"]*"?|[0-9]{0,24}))?[, ]{0,3}){0,5}`))
	rapid.Check(t, func(t *rapid.T) {
		h := http.Header{}
		for _, name := range append([]string{"Pragma"}, deciding...) {
			for range rapid.IntRange(0, 2).Draw(t, "lines") {
				h.Add(name, value.Draw(t, name))
			}
		}
		x := Exchange{Method: "GET", Request: h, Status: rapid.IntRange(100, 599).Draw(t, "status"), Answer: h, Sent: receivedAt, Received: receivedAt}
		f := x.Freshness(fileTTL)
		if f.TTL == 0 || f.TTL < 0 && (f.Stale >= 0 || f.Validates) || f.TTL > (1<<31)*time.Second {
			t.Fatalf("got %+v of %v", f, h)
		}
	})
}
