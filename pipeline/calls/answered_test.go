package calls

import (
	"context"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/tracing"
)

type inTrace struct{ tracing.Context }

// TestWhereAnAnswerIsFrom: a call says that it asked nobody, and in which trace the one did that asked.
func TestWhereAnAnswerIsFrom(t *testing.T) {
	trace := &inTrace{}
	for name, tt := range map[string]struct {
		change func(*Settings)
		joins  bool // the second call comes while the first is under way
		how    string
		of     any
	}{
		"an equal call": {nil, true, "equal_call", trace},
		"kept":          {func(s *Settings) { c := DefaultCache(); c.TTL = time.Hour; s.Cache = &c }, false, "cache", nil},
	} {
		calls := newCalls(t, tt.change)
		var second pipeline.Call
		var got string
		s := &oracle{t: t, reply: func(context.Context, string, int, *string) (Reply[string], error) {
			if tt.joins {
				second = calls.Admit(Question[string]{Host: "h", Key: "k", Use: func(*pipeline.Record, string) error { return nil }}, 1)
			}
			r := reply("k")
			return r, nil
		}}
		q := s.question("k", &got)
		q.Host = "h"
		first := calls.Admit(q, 1)
		letThrough(t, tracing.With(t.Context(), trace), first)
		if how, _ := answeredBy(first); how != "" {
			t.Errorf("%s: the first asked itself, and says %q", name, how)
		}
		if !tt.joins {
			second = calls.Admit(q, 1)
		}
		letThrough(t, t.Context(), second)
		if how, of := answeredBy(second); how != tt.how || of != tt.of {
			t.Errorf("%s: %q, %v", name, how, of)
		}
		calls.Close()
	}
}

// letThrough lets a call in and makes it.
func letThrough(t *testing.T, ctx context.Context, c pipeline.Call) {
	t.Helper()
	if _, in := c.Enter(func() {}); !in {
		t.Fatalf("not let in: %s", c.Waits())
	}
	err := c.Do(ctx, new(pipeline.Record))
	c.Leave(pipeline.CallResult{Begun: true, Err: err})
	if err != nil {
		t.Fatal(err)
	}
}
