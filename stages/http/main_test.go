package httpstage

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// asServer makes the test binary a small HTTP server in a process of its own.
const asServer = "PENSTOCK_STAGES_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		serveAlone()
		return
	}
	goleak.VerifyTestMain(m)
}

// serveAlone answers every request and prints its address, until its input ends.
func serveAlone() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}()
	fmt.Println(l.Addr())
	body := []byte(`{"temperature":-3.5,"wind":{"speed":12.25,"from":"NW"},"sky":"clear","visibility":10000,"observed":"2026-11-20T12:00:00Z",` +
		`"station":"1234567890","pressure":1013.25}`)
	fmt.Fprintln(os.Stderr, http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	})))
}
