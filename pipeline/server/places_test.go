package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestAllPlacesServe: when each place has a request under way, a new connection is closed.
func TestAllPlacesServe(t *testing.T) {
	p := newPlaces(2, 0)
	take := func() (*place, net.Conn) {
		here, there := net.Pipe()
		t.Cleanup(func() { _ = here.Close() })
		return p.take(there), here
	}
	one, _ := take()
	two, _ := take()
	r, err := http.NewRequestWithContext(placeOf(context.Background(), one), "GET", "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	leave, _ := Enter(r, false)
	other, _ := Enter(r.WithContext(placeOf(context.Background(), two)), false)
	defer other()
	if _, here := take(); !isClosed(here) {
		t.Error("a third connection was taken beside two requests")
	}
	leave()
	if _, here := take(); isClosed(here) {
		t.Error("a connection was refused, and one of two is idle")
	}
	if _, err := one.Read(make([]byte, 1)); err == nil || len(p.all) != 2 || p.all[one] {
		t.Errorf("the idle one has its place still: %v", err)
	}
}

// isClosed says whether the other end of a pipe is.
func isClosed(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now())
	_, err := conn.Read(make([]byte, 1))
	return err == io.EOF
}

// A caller has the address of a machine.
type caller struct {
	net.Conn
	from string
}

func (c caller) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(c.from)} }

// TestOneMachineTakesNoPlacesOfOthers: a machine that opens connections faster than others shake hands takes places from itself
// alone, also from several addresses of one network.
func TestOneMachineTakesNoPlacesOfOthers(t *testing.T) {
	for name, from := range map[string]func(i int) string{
		"one address":                         func(int) string { return "10.0.0.1" },
		"one network":                         func(i int) string { return fmt.Sprintf("2001:db8::%x", i) },
		"one address, written as one of IPv6": func(i int) string { return []string{"10.0.0.1", "::ffff:10.0.0.1"}[i%2] },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlaces(8, 0)
			take := func(from string) net.Conn {
				here, there := net.Pipe()
				t.Cleanup(func() { _ = here.Close() })
				p.take(caller{there, from})
				return here
			}
			others := []net.Conn{take("10.0.0.2"), take("2001:db8:1::1"), take("127.0.0.1")}
			var many []net.Conn
			for i := range 100 {
				many = append(many, take(from(i)))
			}
			for i, here := range others {
				if isClosed(here) {
					t.Errorf("the connection of machine %d is closed", i)
				}
			}
			open := 0
			for i, here := range many {
				if !isClosed(here) {
					open++
				} else if i >= 95 {
					t.Errorf("connection %d is closed, and an older one of its machine has a place", i)
				}
			}
			if open != 5 || len(p.all) != 8 {
				t.Errorf("%d of the many are open, %d places are taken", open, len(p.all))
			}
		})
	}
}
