package redissink

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstockio/penstock/pipeline/calls"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// TestConforms holds the sink to its contract, with each command that keeps what it stores.
func TestConforms(t *testing.T) {
	all := func(r *refusing) func() func() {
		return func() func() {
			r.refuses(func(cmd string, _ []string) string {
				if slices.Contains([]string{"SET", "HSET", "EVAL", "XADD"}, cmd) {
					return "LOADING Redis is loading the dataset in memory"
				}
				return ""
			})
			return func() { r.refuses(nil) }
		}
	}
	for name, tt := range map[string]struct {
		command, key string
		change       func(*Settings)
		reject       string
		atLeastOnce  bool
	}{
		"set":           {command: "set", key: "k:{lane}:{n}", reject: `{"lane":[]}`},
		"hset":          {command: "hset", key: "k:{lane}:{n}", reject: `[]`},
		"hset with ttl": {command: "hset", key: "k:{lane}:{n}", reject: `{}`, change: func(s *Settings) { s.TTL = time.Hour }},
		"xadd":          {command: "xadd", key: "s:{lane}", reject: `{"x":1}`, atLeastOnce: true},
		// Not id: position, which needs what the kit does not do: offsets that ascend.
	} {
		t.Run(name, func(t *testing.T) {
			pipelinetest.Sink(t, func(t *testing.T) pipelinetest.SinkUnderTest {
				r := newRefusing(t)
				c := library(t, r.Addr())
				s := Defaults()
				s.Server.Address, s.Command, s.Key = r.Addr(), tt.command, template(t, tt.key)
				if tt.change != nil {
					tt.change(&s)
				}
				k, err := New(s, calls.Env{Workers: 4})
				if err != nil {
					t.Fatal(err)
				}
				u := pipelinetest.SinkUnderTest{
					Sink: k, Stored: func() ([][]byte, error) { return stored(t, c) }, Fail: all(r), AtLeastOnce: tt.atLeastOnce,
					Hang: func() (<-chan struct{}, func()) { return hang(r) },
				}
				if tt.reject != "" {
					u.Reject = []byte(tt.reject)
				}
				return u
			})
		})
	}
}

// stored gives all values that the server holds: by key, and of a stream in its order.
func stored(t testing.TB, c *goredis.Client) (values [][]byte, err error) {
	ctx := t.Context()
	keys, err := c.Keys(ctx, "*").Result()
	for _, key := range keys {
		switch c.Type(ctx, key).Val() {
		case "string":
			values = append(values, []byte(c.Get(ctx, key).Val()))
		case "hash":
			var b bytes.Buffer
			for name, v := range c.HGetAll(ctx, key).Val() {
				if name == "pad" {
					continue
				}
				fmt.Fprintf(&b, `,"%s":%s`, name, v)
			}
			values = append(values, []byte("{"+strings.TrimPrefix(b.String(), ",")+"}"))
		case "stream":
			for _, m := range c.XRange(ctx, key, "-", "+").Val() {
				values = append(values, []byte(m.Values["value"].(string)))
			}
		}
	}
	slices.SortStableFunc(values, func(a, b []byte) int { return number(a) - number(b) })
	return values, err
}

// number gives the n of a value, by which those that stand at keys of their own have an order.
func number(value []byte) (n int) {
	if i := bytes.Index(value, []byte(`"n":`)); i >= 0 {
		_, _ = fmt.Sscanf(string(value[i+4:]), "%d", &n)
	}
	return n
}

// hang has the server answer nothing until restore is called.
func hang(r *refusing) (stuck <-chan struct{}, restore func()) {
	first, open := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r.refuses(func(cmd string, _ []string) string {
		if cmd == "SET" || cmd == "HSET" || cmd == "EVAL" || cmd == "XADD" {
			once.Do(func() { close(first) })
			<-open
		}
		return ""
	})
	return first, func() {
		close(open)
		r.refuses(nil)
	}
}
