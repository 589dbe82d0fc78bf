package pipelinetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

// A SinkUnderTest is a sink with nothing stored, and the means to look at what is behind it.
// The kit closes the sink; the function that makes it sees to everything else that has to be
// closed.
type SinkUnderTest struct {
	Sink pipeline.Sink

	// Stored gives the values stored so far, each destination's in its order. The kit's values
	// are JSON objects with the numbers "lane" and "n" and a text "pad"; they may come back
	// written otherwise, with further fields, or without pad. A value that is no such object is
	// left out of the comparison.
	Stored func() ([][]byte, error)

	// Reject, when not nil, is a value that the sink must refuse for good.
	Reject []byte

	// Fail, when not nil, makes every Write fail for the time being, until restore is called.
	Fail func() (restore func())

	// Hang, when not nil, makes every Write block on what is behind the sink, as a server that
	// does not answer, until restore is called. stuck is closed when a Write blocks.
	Hang func() (stuck <-chan struct{}, restore func())

	// AtLeastOnce says that Stored may show a record again, also when no write failed.
	AtLeastOnce bool
}

// Sink checks the promises of pipeline.Sink. fresh makes a sink of its own for each
// check.
func Sink(t *testing.T, fresh func(t *testing.T) SinkUnderTest) {
	t.Helper()
	run(t, sinkChecks, func(t *testing.T) SinkUnderTest {
		c := fresh(t)
		attach(t, c.Sink)
		return c
	})
}

var sinkChecks = []check[SinkUnderTest]{
	{
		"stores", "A nil error says that all are durable, in order per destination.",
		func(ctx context.Context, c SinkUnderTest) error {
			for batch := range 3 {
				recs, _ := laneBatch(0, batch*10, 10)
				if err := c.write(ctx, recs); err != nil {
					return err
				}
			}
			return c.finish(ctx, map[int]int{0: 30})
		},
	},
	{
		"empty write", "Write of no records stores nothing and is no error.",
		func(ctx context.Context, c SinkUnderTest) error {
			if err := c.write(ctx, nil); err != nil {
				return err
			}
			return c.finish(ctx, nil)
		},
	},
	{
		"keeps nothing", "Write reads records, never keeps them: their bytes are used again when it has returned.",
		func(ctx context.Context, c SinkUnderTest) error {
			for batch := range 3 {
				recs, s := laneBatch(0, batch*10, 10)
				if err := c.write(ctx, recs); err != nil {
					return err
				}
				s.poison()
				for i := range recs {
					recs[i] = nil
				}
			}
			return c.finish(ctx, map[int]int{0: 30})
		},
	},
	{
		"edits nothing", "Write reads records, never edits them: other sinks read them too.",
		func(ctx context.Context, c SinkUnderTest) error {
			recs, _ := laneBatch(0, 0, 10)
			before := make([]seen, len(recs))
			for i, rec := range recs {
				before[i] = see(rec)
			}
			if err := c.write(ctx, recs); err != nil {
				return err
			}
			for i, rec := range recs {
				if what := see(rec).differs(before[i]); what != "" {
					return fmt.Errorf("the %s of record %d has changed", what, i)
				}
			}
			return c.finish(ctx, map[int]int{0: 10})
		},
	},
	{
		"edited records", "A record's value is what its edits make of it.",
		func(ctx context.Context, c SinkUnderTest) error {
			recs, _ := laneBatch(0, 0, 2)
			if err := errors.Join(recs[1].SetRaw("n", []byte("2")), recs[1].SetRaw("lane", []byte("1"))); err != nil {
				return err
			}
			if err := c.write(ctx, recs); err != nil {
				return err
			}
			got, err := c.stored()
			if err != nil {
				return err
			}
			if len(got[0]) != 1 || len(got[1]) != 1 || got[1][0] != 2 {
				return fmt.Errorf("stored by lane: %v; want n 0 in lane 0 and n 2 in lane 1", got)
			}
			return c.close(ctx)
		},
	},
	{
		"concurrent lanes", "Write is serial per lane; lanes may be written concurrently.",
		func(ctx context.Context, c SinkUnderTest) error {
			const lanes, batches, size = 6, 8, 5
			errs := make([]error, lanes)
			want := map[int]int{}
			var all sync.WaitGroup
			for lane := range lanes {
				want[lane] = batches * size
				all.Go(func() {
					for b := range batches {
						recs, s := laneBatch(lane, b*size, size)
						if err := c.write(ctx, recs); err != nil {
							errs[lane] = errors.Join(errs[lane], err)
						}
						s.poison()
					}
				})
			}
			all.Wait()
			if err := errors.Join(errs...); err != nil {
				return err
			}
			return c.finish(ctx, want)
		},
	},
	{
		"ended lanes", "LaneEnded comes when no Write of the lane is under way, beside those of others; another lane of the partition may follow.",
		func(ctx context.Context, c SinkUnderTest) error {
			ender, ok := c.Sink.(pipeline.LaneEnder)
			if !ok {
				return c.close(ctx)
			}
			const lanes, batches, size = 4, 6, 5
			errs := make([]error, lanes)
			want := map[int]int{}
			var all sync.WaitGroup
			for lane := range lanes {
				want[lane] = batches * size
				all.Go(func() {
					for b := range batches {
						recs, s := laneBatch(lane, b*size, size)
						err := c.write(ctx, recs)
						s.poison()
						errs[lane] = errors.Join(errs[lane], err, within("LaneEnded", func() error {
							ender.LaneEnded("kit", int32(lane))
							return nil
						}))
					}
				})
			}
			all.Wait()
			if err := errors.Join(errs...); err != nil {
				return err
			}
			return c.finish(ctx, want)
		},
	},
	{
		"odd values", "A record that cannot be stored is named in a *WriteError; all others are durable and will not be written again.",
		func(ctx context.Context, c SinkUnderTest) error {
			for i, value := range oddValues() {
				recs, s := laneBatch(0, i*2, 2)
				odd := s.record(pipeline.Position{Topic: "kit", Offset: 1 << 40}, []byte("k"), value)
				if err := c.oddWrite(ctx, []*pipeline.Record{recs[0], odd, recs[1]}, false); err != nil {
					return fmt.Errorf("a value of %d bytes: %w", len(value), err)
				}
			}
			return c.finish(ctx, map[int]int{0: 2 * len(oddValues())})
		},
	},
	{
		"rejects", "A permanent error rejects that record alone; its reason is lower case with underscores, and it quotes no value.",
		func(ctx context.Context, c SinkUnderTest) error {
			if c.Reject == nil {
				return c.close(ctx)
			}
			recs, s := laneBatch(0, 0, 2)
			bad := s.record(pipeline.Position{Topic: "kit", Offset: 1 << 40}, []byte("k"), c.Reject)
			if err := c.oddWrite(ctx, []*pipeline.Record{recs[0], bad, recs[1], bad}, true); err != nil {
				return err
			}
			return c.finish(ctx, map[int]int{0: 2})
		},
	},
	{
		"fails for the time being", "A record that may be stored later is a transient failure; after it nothing later for its destination has been stored.",
		func(ctx context.Context, c SinkUnderTest) error {
			if c.Fail == nil {
				return c.close(ctx)
			}
			recs, _ := laneBatch(0, 0, 10)
			restore := c.Fail()
			err := within("Write", func() error { return c.Sink.Write(ctx, recs) })
			restore()
			if err == nil {
				return errors.New("Write gave nil although the world behind the sink fails")
			}
			failed, err := failures(recs, err)
			if err != nil {
				return err
			}
			for i, why := range failed {
				if _, permanent := pipeline.IsPermanent(why); permanent || pipeline.IsFatal(why) {
					return fmt.Errorf("record %d: not transient: %w", i, why)
				}
			}
			if err := c.drive(ctx, recs); err != nil {
				return err
			}
			c.AtLeastOnce = true
			return c.finish(ctx, map[int]int{0: 10})
		},
	},
	{
		"ended context", "Write returns soon after ctx ends; what it has not stored it does not call stored.",
		func(ctx context.Context, c SinkUnderTest) error {
			ended, cancel := context.WithCancel(ctx)
			cancel()
			recs, s := laneBatch(0, 0, 5)
			if err := within("Write with an ended ctx", func() error { return c.Sink.Write(ended, recs) }); err == nil {
				got, err := c.stored()
				if err != nil {
					return err
				}
				if len(got[0]) != 5 {
					return fmt.Errorf("Write gave nil, and %d of 5 records are stored", len(got[0]))
				}
			}
			s.poison()
			recs, _ = laneBatch(0, 0, 5)
			if err := c.drive(ctx, recs); err != nil {
				return err
			}
			c.AtLeastOnce = true
			return c.finish(ctx, map[int]int{0: 5})
		},
	},
	{
		"hangs", "Write returns soon after ctx ends, also while it waits for somebody; the bytes are used again then.",
		func(ctx context.Context, c SinkUnderTest) error {
			if c.Hang == nil {
				return c.close(ctx)
			}
			stuck, restore := c.Hang()
			brief, cancel := context.WithCancel(ctx)
			recs, s := laneBatch(0, 0, 5)
			err := within("Write", func() error {
				result := make(chan error, 1)
				go func() { result <- c.Sink.Write(brief, recs) }()
				select {
				case <-stuck:
					cancel()
					return <-result
				case err := <-result:
					cancel()
					return err
				}
			})
			s.poison()
			restore()
			if err == nil {
				return errors.New("Write gave nil although the world behind the sink hangs")
			}
			recs, _ = laneBatch(0, 0, 5)
			if err := c.drive(ctx, recs); err != nil {
				return err
			}
			c.AtLeastOnce = true
			return c.finish(ctx, map[int]int{0: 5})
		},
	},
	{
		"closes unused", "Close releases what the sink holds; it may come without a Write.",
		func(ctx context.Context, c SinkUnderTest) error { return c.close(ctx) },
	},
}
