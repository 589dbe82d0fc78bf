package admin

import (
	"encoding/json"
	"net/http"

	"github.com/penstockio/penstock/pipeline/server"
)

// guard refuses what must not reach a handler.
func (s *Server) guard(w http.ResponseWriter, r *http.Request, to route) {
	switch {
	case !s.server.Addressed(r):
		refuse(w, http.StatusMisdirectedRequest, "the request is addressed to another host: admin.hosts has the names that it may be addressed to")
	case to.steers && r.Method == http.MethodPost:
		s.guardCommand(w, r, to)
	case to.steers:
		w.Header().Set("Allow", "POST")
		refuse(w, http.StatusMethodNotAllowed, "it is a command: POST alone")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		why := "nothing can be changed here: GET alone"
		if s.options.Commands.Do == nil {
			why += "; commands are taken where the file says admin.commands: true"
		}
		refuse(w, http.StatusMethodNotAllowed, why)
	case !to.open && !to.page && !s.server.Authorized(r):
		unauthorized(w)
	default:
		leave, ok := server.Enter(r, to.open)
		if !ok {
			busy(w, "too many requests are being answered")
			return
		}
		defer leave()
		r.Body = http.MaxBytesReader(w, r.Body, 1<<10)
		to.handler.ServeHTTP(w, r)
	}
}

func (s *Server) health(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body := struct {
			Status string `json:"status"`
			Reason string `json:"reason,omitempty"`
		}{Status: "ok"}
		status := http.StatusOK
		if err := check(); err != nil {
			status, body.Status = http.StatusServiceUnavailable, "failing"
			if s.server.Authorized(r) {
				body.Reason = err.Error()
			}
		}
		answer(w, status, body)
	}
}

func refuse(w http.ResponseWriter, status int, why string) {
	answer(w, status, struct {
		Error string `json:"error"`
	}{why})
}

// busy refuses what may be asked again in a moment.
func busy(w http.ResponseWriter, why string) {
	w.Header().Set("Retry-After", "1")
	refuse(w, http.StatusServiceUnavailable, why+": ask again later")
}

func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer has no JSON form"}`)
	}
	begin(w, status)
	_, _ = w.Write(append(text, '\n')) // the caller may have gone
}

// begin writes the head of an answer in JSON.
func begin(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
}
