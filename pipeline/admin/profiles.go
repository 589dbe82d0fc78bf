package admin

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/pprof"
	"net/url"
	runtimepprof "runtime/pprof"
	"strconv"
	"strings"
)

// longestProfile bounds for how many seconds a profile may be taken: it costs the process time, and
// holds a place.
const longestProfile = 300

// profiles answers /debug/pprof/. The command line, which may hold secrets (--set), is left
// out, and the trace of the scheduler. So the page is our own: that of package pprof leads to both.
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
		// Package pprof takes its parameters out of a body too, whose seconds nobody has bounded.
		r.Body = http.NoBody
		r.Header.Del("Content-Type")
		w.Header().Set("Cache-Control", "no-store")
		switch name := strings.TrimPrefix(r.URL.Path, "/debug/pprof/"); name {
		case "":
			listProfiles(w)
		case "profile": // which is not one of those by name; the time-outs do not end it
			pprof.Profile(w, r)
		default:
			pprof.Handler(name).ServeHTTP(w, r)
		}
	})
}

// listProfiles writes the page of the profiles.
func listProfiles(w http.ResponseWriter) {
	var page strings.Builder
	page.WriteString("<!DOCTYPE html>\n<title>profiles</title>\n<p>The profiles of this process, each with its number of entries; \"go tool pprof URL\" shows one:</p>\n<ul>\n")
	for _, p := range runtimepprof.Profiles() {
		name := html.EscapeString(p.Name())
		fmt.Fprintf(&page, "<li><a href=\"%s?debug=1\">%s</a> %d</li>\n", url.PathEscape(p.Name()), name, p.Count())
	}
	page.WriteString("<li><a href=\"goroutine?debug=2\">goroutine</a>, the whole stacks</li>\n<li><a href=\"profile?seconds=30\">profile</a>, of the processor, for 30 seconds</li>\n</ul>\n")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = io.WriteString(w, page.String()) // the caller may have gone
}
