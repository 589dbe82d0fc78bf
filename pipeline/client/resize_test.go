package client

import (
	"net/http"
	"sync"
	"testing"
)

// As many calls run at once as there are slots now, and no more: a call beyond them waits for a connection.
func TestResize(t *testing.T) {
	arrived, release := make(chan struct{}, 64), make(chan struct{})
	h, server := serve(t, HTTPOptions{Slots: 2}, func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	})
	for _, slots := range []int{2, 5, 1} {
		h.Resize(slots)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := h.Do(t.Context(), Request{Method: "GET", URL: server.URL}); err != nil {
					t.Error(err)
				}
			})
		}
		for n := range 8 {
			if n < slots {
				<-arrived // one after the other gets there, though none has an answer
				continue
			}
			release <- struct{}{}
			<-arrived
		}
		if extra := len(arrived); extra != 0 {
			t.Errorf("%d slots: %d calls more are at the server", slots, extra)
		}
		for range slots {
			release <- struct{}{}
		}
		wg.Wait()
	}
}
