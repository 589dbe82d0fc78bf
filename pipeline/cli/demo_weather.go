package cli

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"path"
	"sync/atomic"
	"time"
)

// A weatherServer is the slow server that the demo asks where late flights began: most
// answers take a few milliseconds, two of a hundred a quarter of a second, and one of
// a hundred calls is told to come back.
type weatherServer struct {
	addr   string
	server *http.Server

	calls, refused, running, most atomic.Int64
}

func startWeather() (*weatherServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the weather server: %w", err)
	}
	w := &weatherServer{addr: l.Addr().String()}
	w.server = &http.Server{Handler: http.HandlerFunc(w.answer), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = w.server.Serve(l) }()
	return w, nil
}

func (w *weatherServer) close() { _ = w.server.Shutdown(context.Background()) }

func (w *weatherServer) answer(rw http.ResponseWriter, r *http.Request) {
	now := w.running.Add(1)
	defer w.running.Add(-1)
	for most := w.most.Load(); now > most && !w.most.CompareAndSwap(most, now); most = w.most.Load() {
	}
	if w.calls.Add(1)%100 == 0 {
		w.refused.Add(1)
		http.Error(rw, "too many requests", http.StatusTooManyRequests)
		return
	}
	wait := 5*time.Millisecond + rand.N(10*time.Millisecond)
	if rand.IntN(50) == 0 {
		wait = 250 * time.Millisecond
	}
	select {
	case <-time.After(wait):
	case <-r.Context().Done():
		return
	}
	station := path.Base(r.URL.Path)
	rw.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(rw, `{"station":%q,"sky":%q}`, station, skyOf(station))
}

// skyOf makes up a weather that is the same in every run.
func skyOf(station string) string {
	sum := 0
	for _, c := range station {
		sum += int(c)
	}
	return []string{"clear", "cloudy", "rain", "snow", "fog"}[sum%5]
}
