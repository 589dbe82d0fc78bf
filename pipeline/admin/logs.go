package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// linesAtOnce bounds how many lines a reader takes from the log at once.
const linesAtOnce = 64

// logStream answers /api/v1/logs/stream: the last lines that are kept, and then each one that comes. The id of an event is
// the number of its line in this process; who comes again with it gets what he has not seen.
func (s *Server) logStream() http.Handler {
	recent := s.options.Recent
	if recent == nil {
		return nil
	}
	life := strconv.FormatInt(time.Now().UnixNano(), 36) + "-" // numbers of another process mean nothing here
	return s.streamed(func(r *http.Request) (func(*stream) error, error) {
		asked, err := parameters(r, "pipeline", "level")
		if err != nil {
			return nil, err
		}
		if err := unknownPipeline(asked, s.pipelineNames()); err != nil {
			return nil, err
		}
		least := asked["level"]
		if levels := []string{"debug", "info", "warn", "error"}; least != "" && !slices.Contains(levels, least) {
			return nil, fmt.Errorf("level is one of %s, not %q", strings.Join(levels, ", "), least)
		}
		seen, again := uint64(0), false
		if number, ours := strings.CutPrefix(r.Header.Get("Last-Event-ID"), life); ours {
			if n, err := strconv.ParseUint(number, 10, 64); err == nil && n <= recent.Last() {
				seen, again = n, true
			}
		}
		return func(out *stream) error {
			for {
				lines, missed, more := recent.After(seen, linesAtOnce)
				if missed > 0 && again { // what was before the first line is not missed
					out.event("missed", "", fmt.Sprintf(`{"lines":%d}`, missed))
				}
				seen, again = seen+missed, true
				for _, l := range lines {
					seen = l.Number
					if only, one := asked["pipeline"]; one && only != l.Pipeline || least != "" && !event.AtLeast(l.Level, least) {
						continue
					}
					out.event("line", life+strconv.FormatUint(l.Number, 10), l.Text)
				}
				if err := out.flush(); err != nil {
					return err
				}
				if more == nil {
					continue
				}
				if err := out.wait(more, 0); err != nil {
					return err
				}
			}
		}, nil
	})
}

func (s *Server) pipelineNames() (names []string) {
	for _, one := range s.options.Snapshots() {
		names = append(names, one.Pipeline)
	}
	return names
}
