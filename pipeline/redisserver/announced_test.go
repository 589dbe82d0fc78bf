package redisserver

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	goredis "github.com/redis/go-redis/v9"
)

// TestNoRoomIsMadeForWhatIsAnnounced: a server that announces more than is read, and sends none of it, is left at once. The library would make room
// for it and wait.
func TestNoRoomIsMadeForWhatIsAnnounced(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		want   error
	}{
		"text":            {"$400000000\r\n", ErrTooLarge},
		"text behind":     {"*3\r\n$1\r\na\r\n:5\r\n$400000000\r\n", ErrTooLarge},
		"list":            {"*200000000\r\n", ErrTooLarge},
		"list of lists":   {"*300000\r\n*300000\r\n", ErrTooLarge},
		"map":             {"%200000\r\n", ErrTooLarge},
		"large error":     {"!400000000\r\n", ErrTooLarge},
		"hidden number":   {"$+400000000\r\n", errNoAnswer},
		"too many digits": {"$99999999999999999999\r\n", errNoAnswer},
		"too deep":        {strings.Repeat("*1\r\n", 9), errNoAnswer},
		"attributes":      {"|1\r\n", errNoAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			m := miniredis.RunT(t)
			m.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
				if cmd == "GET" || cmd == "MGET" {
					c.WriteRaw(tt.answer)
				}
				return cmd == "GET" || cmd == "MGET"
			})
			v := newServer(t, Settings{Address: m.Addr()}, 1)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute/6)
			defer cancel()
			err := v.Do(ctx, 1<<20, func(ctx context.Context, c *goredis.Client) error { return c.Do(ctx, "mget", "a").Err() })
			if !errors.Is(err, tt.want) {
				t.Errorf("%v", err)
			}
			m.Server().SetPreHook(nil)
			if err := m.Set("a", "b"); err != nil {
				t.Fatal(err)
			}
			if got, err := get(ctx, v, "a"); got != "b" || err != nil {
				t.Errorf("behind it: %q, %v", got, err)
			}
		})
	}
}

// TestAnnounced follows answers in pieces of each size: what is announced is never more than what is to come, and at the end
// there is nothing.
func TestAnnounced(t *testing.T) {
	const all = "+OK\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n$5\r\n\r\n*9\n\r\n-ERR no\r\n:12\r\n_\r\n" +
		"*3\r\n*2\r\n$3\r\n0-1\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n*0\r\n_\r\n" +
		"%2\r\n+a\r\n:1\r\n+b\r\n~1\r\n#t\r\n=5\r\ntxt:a\r\n!3\r\nERR\r\n*2\r\n*1\r\n*1\r\n_\r\n_\r\n"
	for size := 1; size <= len(all); size++ {
		var a announced
		for rest := all; rest != ""; {
			n := min(size, len(rest))
			more := int64(len(rest) - n)
			if err := a.take([]byte(rest[:n]), more); err != nil {
				t.Fatalf("pieces of %d, at %q: %v", size, rest[:n], err)
			}
			rest = rest[n:]
		}
		if a.depth != 0 || a.state != atStart || a.toCome() != 0 {
			t.Fatalf("pieces of %d: %+v", size, a)
		}
	}
	for cut := 1; cut <= 6; cut++ { // what is one byte short is too large, in whatever pieces it comes
		var a announced
		if err := errors.Join(a.take([]byte("$100\r\n")[:cut], int64(107-cut)), a.take([]byte("$100\r\n")[cut:], 101)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}
