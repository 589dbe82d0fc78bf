package admin

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
)

// longestProfile bounds for how many seconds a profile may be taken: it costs the process time, and
// holds a place.
const longestProfile = 300

// profiles answers /debug/pprof/. The command line, which may hold secrets (--set), is left
// out, and the trace of the scheduler.
func (s *Server) profiles() http.Handler {
	if !s.options.Pprof {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text := r.URL.Query().Get("seconds"); text != "" {
			if seconds, err := strconv.Atoi(text); err != nil || seconds < 1 || seconds > longestProfile {
				refuse(w, http.StatusBadRequest, fmt.Sprintf("seconds is a whole number from 1 to %d", longestProfile))
				return
			}
		}
		w.Header().Set("Cache-Control", "no-store")
		if r.URL.Path == "/debug/pprof/profile" { // which is not one of those by name; the time-outs do not end it
			pprof.Profile(w, r)
			return
		}
		pprof.Index(w, r) // the page, and the profiles by their names
	})
}
