package pipelinetest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// numbers is a source of one lane of numbers, with its faults.
type numbers struct {
	n     int
	store *int64 // the committed offset, kept between sources
	fault string

	engine pipeline.Feed
	mu     sync.Mutex
	lane   pipeline.Lane
	next   int64
}

func (s *numbers) Open(ctx context.Context, e pipeline.Feed) (err error) {
	s.engine = e
	s.lane, s.next, err = e.Lane(ctx, "numbers", s.committed())
	return err
}

func (s *numbers) committed() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.store
}

func (s *numbers) Read(ctx context.Context) (*pipeline.Batch, error) {
	select {
	case <-s.lane.Ended():
		if s.fault != "does not open again" {
			if err := s.Open(ctx, s.engine); err != nil {
				return nil, err
			}
		}
	default:
	}
	if s.next >= int64(s.n) {
		return nil, io.EOF
	}
	charge, err := s.lane.Take(ctx, 100)
	if err != nil && s.fault != "fails to end" {
		if ctx.Err() == nil {
			return &pipeline.Batch{Lane: s.lane, Next: s.next}, nil // the lane ended
		}
		return nil, ctx.Err()
	}
	if s.fault == "keeps a charge" {
		_, _ = s.lane.Take(ctx, 8<<10)
	}
	if s.fault == "fails to end" && ctx.Err() != nil {
		return nil, io.ErrUnexpectedEOF
	}
	var recs []pipeline.Record
	for range 5 {
		if s.next >= int64(s.n) {
			break
		}
		if s.fault == "skips" && s.next == 7 {
			s.next++
			continue
		}
		var rec pipeline.Record
		rec.Init(pipeline.Position{Topic: "numbers", Offset: s.next}, nil, fmt.Appendf(nil, "%d", s.next), nil, 0)
		recs = append(recs, rec)
		s.next++
	}
	if s.fault == "turns round" {
		slices.Reverse(recs)
	}
	b := &pipeline.Batch{Lane: s.lane, Fill: pipeline.Records(recs), Next: s.next, Charge: charge}
	if s.fault == "says too little" {
		b.Next -= 5
	}
	return b, nil
}

func (s *numbers) Commit(_ context.Context, marks []pipeline.Mark) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range marks {
		*s.store = m.Next
		if s.fault == "commits too much" {
			*s.store = int64(s.n)
		}
	}
	return nil
}

func (s *numbers) Close(context.Context) error { return nil }

func sourceOf(fault string) SourceUnderTest {
	const n = 23
	store := new(int64)
	var values []string
	for i := range n {
		values = append(values, fmt.Sprint(i))
	}
	return SourceUnderTest{
		New:     func() (pipeline.Source, error) { return &numbers{n: n, store: store, fault: fault}, nil },
		Lanes:   map[string][]string{"numbers": values},
		Resumes: true,
	}
}

func TestSourceKitPasses(t *testing.T) {
	Source(t, func(t *testing.T) SourceUnderTest { return sourceOf("") })
}

func TestSourceKitNotices(t *testing.T) {
	defer func(d time.Duration) { patience = d }(patience)
	patience = 500 * time.Millisecond // some mutants hang
	for fault, name := range map[string]string{
		"skips":               "hands over",
		"turns round":         "hands over",
		"says too little":     "hands over",
		"keeps a charge":      "small budget",
		"fails to end":        "ended context",
		"commits too much":    "restart",
		"does not open again": "lost lanes",
	} {
		t.Run(fault, func(t *testing.T) {
			i := slices.IndexFunc(sourceChecks, func(c check[SourceUnderTest]) bool { return c.name == name })
			if err := sourceChecks[i].run(t.Context(), sourceOf(fault)); err == nil {
				t.Error("the check did not notice")
			}
		})
	}
}
