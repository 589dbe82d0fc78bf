package bounded

import (
	"context"
	"testing"

	"go.starlark.net/starlark"
)

// TestHashedAgain: what puts keys into another dict or set hashes them again, and a tuple or a long text takes its time each time.
func TestHashedAgain(t *testing.T) {
	const times = 20
	for name, body := range map[string]string{
		"set union":          "s = set([k])\nfor i in range(20):\n  s | s",
		"set intersection":   "s = set([k])\nfor i in range(20):\n  s & s",
		"set difference":     "s = set([k])\nfor i in range(20):\n  s - s",
		"set symmetric":      "s = set([k])\nfor i in range(20):\n  s ^ s",
		"set in place":       "s = set([k])\nfor i in range(20):\n  s |= s",
		"dict union":         "d = {k: 1}\nfor i in range(20):\n  d | d",
		"dict in place":      "d, e = {k: 1}, {}\nfor i in range(20):\n  e |= d",
		"dict made":          "d = {k: 1}\nfor i in range(20):\n  dict(d)",
		"dict updated":       "d, e = {k: 1}, {}\nfor i in range(20):\n  e.update(d)",
		"set made":           "d = {k: 1}\nfor i in range(20):\n  set(d)",
		"set method":         "s = set([k])\nfor i in range(20):\n  s.union(s)",
		"dict comprehension": "for i in range(20):\n  {k: 1 for j in range(1)}",
		"dict literal":       "for i in range(20):\n  {k: 1}",
		"get":                "d = {k: 1}\nfor i in range(20):\n  d.get(k)",
		"in":                 "d = {k: 1}\nfor i in range(20):\n  k in d",
		"index":              "d = {k: 1}\nfor i in range(20):\n  d[k]",
		"set index":          "d = {}\nfor i in range(20):\n  d[k] = 1",
		"pop":                "d = {}\nfor i in range(20):\n  d.setdefault(k, 1)\n  d.pop(k)",
		"add":                "s = set()\nfor i in range(20):\n  s.add(k)",
	} {
		for key, least := range map[string]int64{"tuple(range(10000))": 10_000 / 4, "x * 160": 160_000 >> 6} {
			r, f := attack(t, "k = "+key+"\n"+body, Limits{Steps: 1e7, Memory: 1 << 30})
			r.Begin(context.Background())
			if _, err := r.Call(f, starlark.String(make([]byte, 1000))); err != nil {
				t.Fatalf("%s of %s: %v", name, key, err)
			}
			if got := int64(r.thread.Steps); got < times*least {
				t.Errorf("%s of %s: %d steps, fewer than %d", name, key, got, times*least)
			}
			r.End()
		}
	}
}
