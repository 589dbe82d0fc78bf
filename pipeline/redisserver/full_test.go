package redisserver

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/settings"
)

// TestAServerThatIsFull: it says so before it is asked anything, and closes the connection, whose other end may have sent something meanwhile. What it
// has said counts, not that the connection is lost.
func TestAServerThatIsFull(t *testing.T) {
	for name, before := range map[string]func(c net.Conn){
		"before anything is sent": func(net.Conn) {},
		"when something was sent": func(c net.Conn) { // and is not read: the connection is reset behind the text
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			over := make(chan struct{})
			go func() {
				defer close(over)
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					before(c)
					_, _ = c.Write([]byte("-ERR max number of clients reached\r\n")) // the test looks at what arrives
					_ = c.Close()
				}
			}()
			defer func() { _ = l.Close(); <-over }()
			for _, s := range []Settings{{}, {Username: "some", Password: settings.Secret("one"), DB: 3}} {
				for _, tries := range []bool{false, true} {
					for range 50 {
						s.Address = l.Addr().String()
						v := newServer(t, s, 1)
						v.tries = tries
						ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
						_, err := get(ctx, v, "a")
						cancel()
						about, err := Explain(t.Context(), "reading", err)
						if about != AboutNow || !strings.Contains(err.Error(), "no room for another connection (maxclients)") {
							t.Fatalf("db %d, transactions %v: %d, %v", s.DB, tries, about, err)
						}
						v.Close()
					}
				}
			}
		})
	}
}
