package websocketsink

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/server"
)

const (
	// protocolName is the subprotocol that is spoken, for clients that show their token as another one.
	protocolName = "penstock"
	// protocolToken begins the subprotocol whose rest is the token: a page in a browser can set no header of a WebSocket, and what stands in an
	// address is kept by proxies.
	protocolToken = "penstock.token."
)

// tokenOf gives the token that a request shows in place of a header.
func tokenOf(r *http.Request) string {
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for one := range strings.SplitSeq(line, ",") {
			if token, ok := strings.CutPrefix(strings.TrimSpace(one), protocolToken); ok {
				return token
			}
		}
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return ""
	}
	return values.Get("access_token")
}

// handler answers all requests.
func (s *Sink) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leave, ok := server.Enter(r, false)
		if !ok {
			w.Header().Set("Retry-After", "10")
			refuse(w, http.StatusServiceUnavailable, "too many clients: max_connections says how many there may be; try again later")
			return
		}
		defer leave()
		if r.ContentLength != 0 { // nobody wants the body, and the server would wait for it
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(controlTimeout))
		}
		switch {
		case r.URL.Path == s.settings.Path:
			s.live(w, r)
		case r.URL.Path == "/" && s.page != nil:
			if !s.server.Addressed(r) {
				refuse(w, http.StatusMisdirectedRequest, "the request is addressed to another host: hosts has the names that it may be addressed to")
				return
			}
			s.page.serve(w, r)
		default:
			refuse(w, http.StatusNotFound, "there is nothing here: records are at "+s.settings.Path)
		}
	})
}

// live serves a client.
func (s *Sink) live(w http.ResponseWriter, r *http.Request) {
	if no := s.server.Check(r); no != nil {
		maps.Copy(w.Header(), no.Header)
		refuse(w, no.Status, no.Text)
		return
	}
	socket := containsWord(r.Header.Values("Upgrade"), "websocket")
	switch {
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		refuse(w, http.StatusMethodNotAllowed, "records are watched with GET")
		return
	case r.ContentLength != 0:
		refuse(w, http.StatusBadRequest, "the request has a body: leave it out")
		return
	case !socket && !strings.Contains(r.Header.Get("Accept"), "text/event-stream"):
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		refuse(w, http.StatusUpgradeRequired, "records are sent over a WebSocket, or as server-sent events: ask with Upgrade: websocket, or with Accept: text/event-stream")
		return
	}
	wants, err := s.wishOf(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	defer s.filters.leave(wants.filter)
	from := r.RemoteAddr
	if from == "" || from == "@" {
		from = "unix"
	}
	if !socket {
		out, err := s.begin(w, r)
		if err != nil {
			return
		}
		s.watch(r.Context(), out, wants, from)
		return
	}
	line, err := s.accept(w, r)
	if err != nil {
		return // it has been answered
	}
	s.watch(line.listen(), line, wants, from)
}

// wishOf reads what the client asks for. A name that is not known is an error: a filter with a letter missing would show everything.
func (s *Sink) wishOf(r *http.Request) (w wish, err error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return w, errors.New("the query cannot be read: write what stands in it percent-encoded, as encodeURIComponent does")
	}
	for name, all := range values {
		switch {
		case !slices.Contains([]string{"filter", "last", "access_token"}, name):
			return w, fmt.Errorf("there is no %.40q: the query takes filter, last and access_token", name)
		case len(all) > 1:
			return w, fmt.Errorf("%s stands in the query more than once", name)
		}
	}
	if text := values.Get("last"); text != "" {
		w.last, err = strconv.Atoi(text)
		if err != nil || w.last < 0 || w.last > s.settings.CatchUp {
			return w, fmt.Errorf("last is a number from 0 to %d, which is the setting catch_up", s.settings.CatchUp)
		}
	}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		w.resumes = true
		var number string
		w.life, number, _ = strings.Cut(id, "-")
		if w.after, err = strconv.ParseUint(number, 10, 64); err != nil {
			w.life = "" // none of ours: there is a gap
		}
	}
	w.filter, err = s.filters.use(values.Get("filter"))
	return w, err
}

// containsWord says whether one of the words of a header is word, in upper or lower case.
func containsWord(lines []string, word string) bool {
	return slices.ContainsFunc(lines, func(line string) bool {
		return slices.ContainsFunc(strings.Split(line, ","), func(one string) bool { return strings.EqualFold(strings.TrimSpace(one), word) })
	})
}

// refuse answers with a text. It shows what the request holds, at most, to who has sent it.
func refuse(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}
