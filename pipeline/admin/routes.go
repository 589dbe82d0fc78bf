package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/penstockio/penstock/pipeline/admin/page"
	"github.com/penstockio/penstock/pipeline/event"
)

// A route is one path of the endpoint. Each is in the table of routes, and nowhere else: the
// guard, the answer to an unknown path and the tests go by it.
type route struct {
	path    string
	open    bool         // it is answered without the token, and gives no reasons then
	page    bool         // it is answered without the token, as it holds nothing of the process
	handler http.Handler // nil: the options do not provide it, and the path is unknown
	steers  bool         // it is of commands: POST alone, of those who have the right
}

// table is all paths that there may be.
func (s *Server) table() []route {
	o := &s.options
	return append(s.commands(), []route{
		{path: "/livez", open: true, handler: s.health(o.Live)},
		{path: "/readyz", open: true, handler: s.health(o.Ready)},
		{path: "/", page: true, handler: s.page()},
		{path: page.Prefix, page: true, handler: s.page()},
		{path: "/version", handler: shows(func(*http.Request) (any, error) { return o.version(), nil })},
		{path: "/metrics", handler: o.Metrics},
		{path: "/api/v1/stats", handler: s.figures(s.stats)},
		{path: "/api/v1/stats/stream", handler: s.statsStream()},
		{path: "/api/v1/graph", handler: s.graph()},
		{path: "/api/v1/history", handler: s.lastHour()},
		{path: "/api/v1/logs/stream", handler: s.logStream()},
		{path: "/api/v1/why", handler: s.why()},
		{path: "/api/v1/inflight", handler: s.inFlight()},
		{path: "/api/v1/partitions", handler: s.figures(partitionsOf)},
		{path: "/api/v1/errors", handler: s.figures(errorsOf)},
		{path: "/api/v1/tap", handler: s.tap()},
		{path: "/api/v1/config", handler: s.config()},
		{path: "/api/v1/events", handler: shows(func(*http.Request) (any, error) { return json.RawMessage(event.Schema()), nil })},
		{path: "/debug/pprof/", handler: s.profiles()},
	}...)
}

// shows makes the handler of a path that answers with JSON. An error is one of the request: a
// parameter that cannot be read, or names what is not there.
func shows(what func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := what(r)
		if err != nil {
			refuseAs(w, err)
			return
		}
		answer(w, http.StatusOK, body)
	})
}

// refuseAs refuses a request by what is wrong with it.
func refuseAs(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	var missing notFoundError
	if errors.As(err, &missing) {
		status = http.StatusNotFound
	}
	refuse(w, status, err.Error())
}

// page gives the page in the browser; nil: it is not to be there.
func (s *Server) page() http.Handler {
	if !s.options.Page {
		return nil
	}
	return page.Handler()
}

// routes gives the handler of all paths that are there. A path that ends with / stands for all below it, but for / itself.
func (s *Server) routes() http.Handler {
	var (
		there []route
		paths []string
	)
	for _, r := range s.table() {
		if r.handler != nil {
			there, paths = append(there, r), append(paths, r.path)
		}
	}
	last := len(paths) - 1
	known := "there is " + strings.Join(paths[:last], ", ") + " and " + paths[last]
	none := route{handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, known) })}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := none
		for _, one := range there {
			if one.path == r.URL.Path || one.path != "/" && strings.HasSuffix(one.path, "/") && strings.HasPrefix(r.URL.Path, one.path) {
				to = one
			}
		}
		s.guard(w, r, to)
	})
}
