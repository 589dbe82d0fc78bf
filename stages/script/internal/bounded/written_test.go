package bounded

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"go.starlark.net/starlark"
)

// TestWrittenIsCounted: what JSON takes is counted with its escapes, and with the copies that were made as it grew.
func TestWrittenIsCounted(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures memory, and nothing in it is concurrent")
	}
	for name, text := range map[string]string{"escapes": "\x01", "no UTF-8": "\xff", "quotes": `"`, "plain": "a"} {
		s := starlark.String(strings.Repeat(text, 500_000))
		all := make([]starlark.Value, 16)
		for i := range all {
			all[i] = s
		}
		r := NewRun(Limits{Steps: 1e9, Memory: 1 << 30}, nil)
		r.Begin(context.Background())
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := r.AppendJSON(nil, starlark.NewList(all)); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if size := int64(after.TotalAlloc - before.TotalAlloc); size > r.used+r.used/4 {
			t.Errorf("%s: %d bytes were allocated, and %d counted", name, size, r.used)
		}
		r.End()
	}
}

// TestSlicedIsCounted: a text that is sliced backwards is put together byte by byte.
func TestSlicedIsCounted(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures memory, and nothing in it is concurrent")
	}
	r, f := attack(t, "return x[::-1]", Limits{Steps: 1e9, Memory: 1 << 30})
	r.Begin(context.Background())
	defer r.End()
	x := starlark.String(strings.Repeat("a", 4_000_000))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := r.Call(f, x); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if size := int64(after.TotalAlloc - before.TotalAlloc); size > r.used+r.used/4 {
		t.Errorf("%d bytes were allocated, and %d counted", size, r.used)
	}
}
