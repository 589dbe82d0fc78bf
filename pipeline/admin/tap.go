package admin

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/server"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A TapRequest is what a request for /api/v1/tap asks for.
type TapRequest struct {
	Pipeline string // one that runs
	Step     string
	Sides    engine.TapSide
	Where    string        // an expression; "": every record
	Rate     settings.Rate // N is 0: as many as may be shown
	Limit    int64         // 0: without end
	By, From string        // as of a Command
}

// A Tap shows records that pass a step. Its methods are for one goroutine.
type Tap interface {
	// Next waits for the next record and gives a line of JSON for each side on which it was seen. Errors are those
	// of engine.Tap.
	Next(ctx context.Context) (lines [][]byte, err error)
	Counts() engine.TapCounts
	// Close ends the tap, and says why: limit, left, stopped or gone.
	Close(reason string)
}

// TapEnd is how many records a tap has shown, and why it has ended.
type TapEnd struct {
	Reason  string `json:"reason,omitempty"` // limit: as many as were asked for; stopped: the pipeline has ended; gone: the step has, in a reload; "": it goes on
	Records int64  `json:"records"`
	Skipped int64  `json:"skipped"` // records that came by and were not looked at
	Failed  int64  `json:"failed"`  // records for which the condition failed
}

// tapEnds are the reasons of ends that a tap comes to by itself.
var tapEnds = map[error]string{io.EOF: "limit", engine.ErrTapOver: "stopped", engine.ErrTapGone: "gone"}

const (
	mostTaps    = 4                // at a time
	tapUsual    = "10/s"           // rate when the request does not say
	tapAlive    = 5 * time.Second  // after which a reader is told that the tap is there
	tapPatience = 10 * time.Second // of one write
)

// tap answers /api/v1/tap: a stream that goes on until as many records were shown as were asked for, the caller goes, or the
// pipeline ends.
func (s *Server) tap() http.Handler {
	if s.options.Tap == nil {
		return nil
	}
	places := make(chan struct{}, mostTaps)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, err := s.tapAsked(r)
		var missing notFoundError
		switch {
		case r.Method != http.MethodGet:
			w.Header().Set("Allow", "GET")
			refuse(w, http.StatusMethodNotAllowed, "a tap is a stream: GET alone")
			return
		case errors.As(err, &missing):
			refuse(w, http.StatusNotFound, err.Error())
			return
		case err != nil:
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		default:
			busy(w, fmt.Sprintf("%d taps are open, which is the most", mostTaps))
			return
		}
		t, err := s.options.Tap(asked)
		switch {
		case errors.Is(err, engine.ErrNoStep):
			refuse(w, http.StatusNotFound, err.Error())
		case err != nil:
			refuse(w, http.StatusBadRequest, err.Error())
		default:
			newTapStream(w, r, s.server.Authorized).run(r.Context(), t)
		}
	})
}

// tapAsked reads the parameters of a request for a tap.
func (s *Server) tapAsked(r *http.Request) (TapRequest, error) {
	var out TapRequest
	asked, err := parameters(r, "pipeline", "step", "side", "where", "rate", "limit")
	if err != nil {
		return out, err
	}
	if out.Pipeline, err = s.tapPipeline(asked); err != nil {
		return out, err
	}
	out.Step, out.Where = asked["step"], asked["where"]
	if out.Step == "" {
		return out, errors.New("step is missing: the name of a step or sink, or source")
	}
	for name := range strings.SplitSeq(cmp.Or(asked["side"], "after"), ",") {
		side, ok := engine.TapSides[name]
		if !ok {
			return out, fmt.Errorf("side is before, after, rejected or filtered, or several with commas, not %q", asked["side"])
		}
		out.Sides |= side
	}
	if err := out.Rate.UnmarshalText([]byte(cmp.Or(asked["rate"], tapUsual))); err != nil {
		return out, fmt.Errorf("rate: %w", err)
	}
	if out.Limit, err = strconv.ParseInt(cmp.Or(asked["limit"], "0"), 10, 64); err != nil || out.Limit < 0 {
		return out, fmt.Errorf("limit is a number of records, and 0 for no end, not %q", asked["limit"])
	}
	out.By, out.From = askedBy(r), server.From(r)
	return out, nil
}

// tapPipeline gives the pipeline that is meant: the only one may stay unnamed.
func (s *Server) tapPipeline(asked map[string]string) (string, error) {
	var names []string
	for _, p := range s.options.Snapshots() {
		names = append(names, p.Pipeline)
	}
	name, named := asked["pipeline"]
	if !named && len(names) == 1 {
		return names[0], nil
	}
	if !named {
		return "", fmt.Errorf("pipeline is missing: there is %s", strings.Join(names, ", "))
	}
	return name, unknownPipeline(asked, names)
}

// A tapStream writes the answer: server-sent events, or lines of JSON where the caller asks for
// these.
type tapStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	out     *bufio.Writer
	lines   bool
	may     func() bool // the reader has the right to look on
}

func newTapStream(w http.ResponseWriter, r *http.Request, authorized func(*http.Request) bool) *tapStream {
	s := &tapStream{w: w, control: http.NewResponseController(w), out: bufio.NewWriter(w), may: func() bool { return authorized(r) }}
	s.lines = strings.Contains(r.Header.Get("Accept"), "application/x-ndjson")
	return s
}

// run writes what the tap shows until it ends, and closes it.
func (s *tapStream) run(ctx context.Context, t Tap) {
	reason := "left"
	defer func() { t.Close(reason) }()
	_ = s.control.SetReadDeadline(time.Time{}) // else the server takes a caller who only reads for gone
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	if s.lines {
		h.Set("Content-Type", "application/x-ndjson")
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	s.w.WriteHeader(http.StatusOK)
	if s.counts("open", "", t) != nil {
		return
	}
	for {
		alive, cancel := context.WithTimeout(ctx, tapAlive)
		lines, err := t.Next(alive)
		cancel()
		switch {
		case err == nil:
			err = s.records(lines)
		case ctx.Err() != nil:
			return
		case tapEnds[err] != "":
			reason = tapEnds[err]
			_ = s.counts("end", reason, t) // the caller may have gone
			return
		default: // nothing came
			err = s.counts("counts", "", t)
		}
		if err != nil {
			return
		}
	}
}

func (s *tapStream) records(lines [][]byte) error {
	if !s.may() { // his token was another one when he began
		return errNoRight
	}
	for _, line := range lines {
		if !s.lines {
			_, _ = s.out.WriteString("event: record\ndata: ") // an error stays until the flush
		}
		_, _ = s.out.Write(line)
		_ = s.out.WriteByte('\n')
		if !s.lines {
			_ = s.out.WriteByte('\n')
		}
	}
	return s.flush()
}

// counts tells how many records there were so far. In lines of JSON each is a record, and nothing stands in place of it but an empty line.
func (s *tapStream) counts(event, reason string, t Tap) error {
	if !s.may() {
		return errNoRight
	}
	c := t.Counts()
	text, err := json.Marshal(TapEnd{Reason: reason, Records: c.Shown, Skipped: c.Skipped, Failed: c.Failed})
	if err != nil {
		return err
	}
	if s.lines {
		_ = s.out.WriteByte('\n')
	} else {
		_, _ = fmt.Fprintf(s.out, "event: %s\ndata: %s\n\n", event, text)
	}
	return s.flush()
}

func (s *tapStream) flush() error {
	if err := s.control.SetWriteDeadline(time.Now().Add(tapPatience)); err != nil {
		return err
	}
	if err := s.out.Flush(); err != nil {
		return err
	}
	return s.control.Flush()
}
