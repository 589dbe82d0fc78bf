package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/internal/listen"
	"github.com/penstockio/penstock/pipeline/server"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Commanding is who may steer the process over the endpoint, and what does it.
type Commanding struct {
	// Do is told of each command; nil: nothing can be changed over the endpoint.
	Do Commander
	// Token, or what stands in the file TokenFile, has to come with each command in place of that of the Options, and is
	// taken for everything else too: who may steer may look. Without one that of the Options is taken. One of both
	// is needed, unless the endpoint is a socket.
	Token     settings.Secret
	TokenFile settings.Path
	// Denied is told of each command of somebody who has no right to it; the pipeline is "" where the request names none. It may be nil.
	Denied func(pipeline string, ev event.CommandDenied)
}

const (
	largestCommand = 64 << 10         // bytes of a body
	headerBy       = "Penstock-By"    // who asks, as he says
	longestBy      = 128              // bytes of who asks
	answerWithin   = 30 * time.Second // after the command
)

// checkCommands refuses commands that every user of the machine could give.
func (o *Options) checkCommands() error {
	c := &o.Commands
	at, err := listen.Parse(o.Listen)
	if c.Do == nil || err != nil || at.Socket != "" { // server.New says what is wrong with the address
		return nil
	}
	if o.Token == "" && o.TokenFile == "" && c.Token == "" && c.TokenFile == "" {
		return errors.New("making the admin endpoint: every user of the machine could steer the process: commands need a token, or a unix socket")
	}
	return nil
}

// steered makes the route of commands: parse says which one a request asks for, by the parts of its path behind that of the route, and its
// body.
func (s *Server) steered(path string, parse func(rest []string, body []byte) (Command, error)) route {
	if s.options.Commands.Do == nil {
		return route{path: path}
	}
	return route{path: path, steers: true, handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, err := partsOf(r, path)
		if err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		if r.URL.RawQuery != "" || r.URL.ForceQuery {
			refuse(w, http.StatusBadRequest, "a command takes no query: what it is for stands in its path and its body")
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestCommand))
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d KiB", largestCommand>>10))
			return
		} else if err != nil {
			refuse(w, http.StatusBadRequest, "the body did not come whole")
			return
		}
		c, err := parse(rest, body)
		if err != nil {
			status := http.StatusBadRequest
			if missing := (notFoundError{}); errors.As(err, &missing) {
				status = http.StatusNotFound
			}
			refuse(w, status, err.Error())
			return
		}
		c.By, c.From = askedBy(r), server.From(r)
		s.do(w, r, c)
	})}
}

// do has a command done, however long that takes. It goes on when the caller leaves: what has begun is not
// left half done, and its event says what came of it.
func (s *Server) do(w http.ResponseWriter, r *http.Request, c Command) {
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Time{}) // of a ResponseWriter that has none, as in tests
	done, err := s.options.Commands.Do.Do(context.WithoutCancel(r.Context()), c)
	_ = rc.SetWriteDeadline(time.Now().Add(answerWithin))
	var refused *RefusedError
	switch {
	case err == nil:
		answer(w, http.StatusOK, obeyed{c.Verb, done})
	case errors.As(err, &refused):
		refuse(w, refused.Status, err.Error())
	default:
		refuse(w, http.StatusInternalServerError, err.Error())
	}
}

// obeyed is the answer to a command that has been done.
type obeyed struct {
	Command Verb `json:"command"`
	Done
}

// guardCommand refuses a command that is not for its handler: of a page in a browser, of somebody without the right, or in another
// form.
func (s *Server) guardCommand(w http.ResponseWriter, r *http.Request, to route) {
	form, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case !s.server.FromHere(r):
		s.denied(r, to, "page")
		refuse(w, http.StatusForbidden, "the request comes from a page of another site")
	case s.server.Entitled(r) && form != "application/json":
		refuse(w, http.StatusUnsupportedMediaType, "a command is JSON: send Content-Type: application/json, and {} where there is nothing to say")
	case s.server.Entitled(r):
		leave, ok := server.Enter(r, false)
		if !ok {
			busy(w, "too many requests are being answered")
			return
		}
		defer leave()
		to.handler.ServeHTTP(w, r)
	case r.Header.Get("Authorization") != "" && s.server.Authorized(r):
		s.denied(r, to, "token")
		refuse(w, http.StatusForbidden, "commands need the token of admin.command_token or admin.command_token_file")
	default:
		s.denied(r, to, "token")
		unauthorized(w)
	}
}

func unauthorized(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", "Bearer")
	refuse(w, http.StatusUnauthorized, "the token is missing or wrong")
}

func (s *Server) denied(r *http.Request, to route, reason string) {
	tell := s.options.Commands.Denied
	if tell == nil {
		return
	}
	var c Command
	if rest, err := partsOf(r, to.path); err == nil {
		c = commandAt(to.path, rest)
	}
	tell(c.Pipeline, event.CommandDenied{Command: string(c.Verb), Reason: reason, AskedBy: askedBy(r), AskedFrom: server.From(r)})
}

// askedBy gives who asks, as he says.
func askedBy(r *http.Request) string {
	by := strings.ToValidUTF8(r.Header.Get(headerBy), "?")
	for i := range by {
		if i+utf8.UTFMax > longestBy {
			return by[:i]
		}
	}
	return by
}
