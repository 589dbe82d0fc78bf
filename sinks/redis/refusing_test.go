package redissink

import (
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	goredis "github.com/redis/go-redis/v9"

	"github.com/penstockio/penstock/sinks/internal/sinktest"
)

// A refusing server refuses what a test says, and what it has refused within a transaction ends that, as the real one does.
type refusing struct {
	*miniredis.Miniredis

	mu      sync.Mutex
	refuse  func(cmd string, args []string) string // "": not
	refused map[*server.Peer]bool
	empty   map[*server.Peer]bool // transactions of nothing so far
	begun   int                   // others
}

func newRefusing(t testing.TB) *refusing {
	r := &refusing{Miniredis: miniredis.RunT(t), refused: map[*server.Peer]bool{}, empty: map[*server.Peer]bool{}}
	r.Server().SetPreHook(func(c *server.Peer, cmd string, args ...string) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		text := ""
		switch cmd {
		case "MULTI":
			if r.refuse != nil {
				text = r.refuse(cmd, args)
			}
			r.empty[c] = text == ""
		case "EXEC":
			delete(r.empty, c)
			if r.refused[c] {
				text = "EXECABORT Transaction discarded because of previous errors."
			}
			delete(r.refused, c)
		default:
			if r.empty[c] {
				r.begun++
				delete(r.empty, c)
			}
			if r.refuse != nil {
				text = r.refuse(cmd, args)
			}
			if text != "" {
				r.refused[c] = true
			}
		}
		if text != "" {
			c.WriteError(text)
		}
		return text != ""
	})
	return r
}

func (r *refusing) refuses(f func(cmd string, args []string) string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse, r.begun = f, 0
}

// TestWithoutTransactions: a server carries out what comes behind a MULTI that it refuses, one by one. So nothing is sent to one that refuses it: the
// records wait, and are not stored again with each attempt.
func TestWithoutTransactions(t *testing.T) {
	r := newRefusing(t)
	r.refuses(func(cmd string, _ []string) string {
		if cmd == "MULTI" {
			return "NOPERM User some has no permissions to run the 'multi' command"
		}
		return ""
	})
	withoutTransactions(t, sink(t, r.Addr(), "xadd", "x", nil), library(t, r.Addr()))
}

func withoutTransactions(t *testing.T, k *Sink, c *goredis.Client) {
	t.Helper()
	for range 3 {
		err := k.Write(t.Context(), records(`{"id":"a"}`, `{"id":"b"}`))
		if failed := sinktest.Failures(t, err); !maps.Equal(failed, map[int]string{0: "", 1: ""}) || !strings.Contains(err.Error(), "MULTI") {
			t.Errorf("failed: %v, %v", failed, err)
		}
	}
	if n := c.XLen(t.Context(), "x").Val(); n != 0 {
		t.Errorf("the stream has %d entries of records that wait", n)
	}
	if err := k.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "MULTI") {
		t.Errorf("a check says %v", err)
	}
}
