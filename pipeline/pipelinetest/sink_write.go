package pipelinetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/penstockio/penstock/pipeline"
)

// oddValues are values that a topic may hold and that are no usual objects.
func oddValues() [][]byte {
	return [][]byte{
		nil, {}, []byte("null"), []byte("[1,2]"), []byte(`"` + canary + `"`), []byte("17"), []byte(canary + " { "),
		[]byte("two\n" + canary + "\nlines"), {0xff, 0x00, 0xfe}, []byte("{\n\t\"odd\": true\n}"),
		[]byte(`{"pad":"` + strings.Repeat("x", 4<<20) + `"}`),
	}
}

// laneBatch makes n records of a lane from number first on.
func laneBatch(lane, first, n int) ([]*pipeline.Record, *slab) {
	s := new(slab)
	recs := make([]*pipeline.Record, n)
	for i := range recs {
		value := fmt.Appendf(nil, `{"lane":%d,"n":%d,"pad":"é %d"}`, lane, first+i, first+i)
		pos := pipeline.Position{Topic: "kit", Partition: int32(lane), Offset: int64(first + i)}
		recs[i] = s.record(pos, fmt.Appendf(nil, "key-%d", lane), value)
	}
	return recs, s
}

func (c SinkUnderTest) write(ctx context.Context, recs []*pipeline.Record) error {
	if err := within("Write", func() error { return c.Sink.Write(ctx, recs) }); err != nil {
		return fmt.Errorf("writing %d records: %w", len(recs), err)
	}
	return nil
}

// failures gives the error of each record that is not stored, by index.
func failures(recs []*pipeline.Record, err error) (map[int]error, error) {
	failed := map[int]error{}
	if err == nil {
		return failed, nil
	}
	var w *pipeline.WriteError
	if !errors.As(err, &w) {
		for i := range recs {
			failed[i] = err
		}
		return failed, nil
	}
	last := -1
	for _, f := range w.Failed {
		switch {
		case f.Index <= last:
			return nil, fmt.Errorf("index %d stands behind index %d: not ascending", f.Index, last)
		case f.Index >= len(recs):
			return nil, fmt.Errorf("index %d of %d records", f.Index, len(recs))
		case f.Err == nil:
			return nil, fmt.Errorf("record %d failed without an error", f.Index)
		}
		last = f.Index
		failed[f.Index] = f.Err
	}
	if len(failed) == 0 {
		return nil, errors.New("a *WriteError that names no record")
	}
	return failed, nil
}

// drive writes as the engine does: records that failed for the time being are written again,
// until all are stored.
func (c SinkUnderTest) drive(ctx context.Context, recs []*pipeline.Record) error {
	for range 20 {
		failed, err := failures(recs, within("Write", func() error { return c.Sink.Write(ctx, recs) }))
		if err != nil {
			return err
		}
		var again []*pipeline.Record
		for i, rec := range recs {
			if why := failed[i]; why != nil {
				if _, permanent := pipeline.IsPermanent(why); permanent {
					return fmt.Errorf("record %d is rejected: %w", i, why)
				}
				again = append(again, rec)
			}
		}
		if recs = again; len(recs) == 0 {
			return nil
		}
	}
	return fmt.Errorf("%d records are still not stored after 20 writes", len(recs))
}

// oddWrite writes records among which are odd ones, with offset 1<<40: these may be rejected,
// or with must have to be. The others must be stored.
func (c SinkUnderTest) oddWrite(ctx context.Context, recs []*pipeline.Record, must bool) error {
	for len(recs) > 0 {
		failed, err := failures(recs, within("Write", func() error { return c.Sink.Write(ctx, recs) }))
		if err != nil {
			return err
		}
		var again []*pipeline.Record
		progress := false
		for i, rec := range recs {
			odd := rec.Offset == 1<<40
			why := failed[i]
			_, permanent := pipeline.IsPermanent(why)
			switch {
			case why == nil && odd && must:
				return errors.New("the record that has to be rejected is stored")
			case why == nil:
				progress = true
			case strings.Contains(why.Error(), canary):
				return fmt.Errorf("the error quotes the value: %w", why)
			case permanent && odd:
				progress = true
				if err := rejected(why); err != nil {
					return err
				}
			case permanent || pipeline.IsFatal(why):
				return fmt.Errorf("record %d is good and failed for good: %w", i, why)
			default:
				again = append(again, rec)
			}
		}
		if !progress {
			return fmt.Errorf("no record was stored or rejected: %w", firstOf(failed))
		}
		recs = again
	}
	return nil
}

func firstOf(failed map[int]error) error {
	for _, err := range failed {
		return err
	}
	return nil
}

// stored gives the numbers stored, by lane, in order.
func (c SinkUnderTest) stored() (map[int][]int, error) {
	values, err := c.Stored()
	if err != nil {
		return nil, fmt.Errorf("reading back: %w", err)
	}
	got := map[int][]int{}
	for _, v := range values {
		var is struct{ Lane, N *int }
		if json.Unmarshal(bytes.TrimSpace(v), &is) == nil && is.Lane != nil && is.N != nil {
			got[*is.Lane] = append(got[*is.Lane], *is.N)
		}
	}
	return got, nil
}

// finish closes the sink and checks that the numbers from 0 to below want[lane] are stored, in
// order, each once, or with AtLeastOnce at least once.
func (c SinkUnderTest) finish(ctx context.Context, want map[int]int) error {
	got, err := c.stored()
	if err != nil {
		return err
	}
	if err := c.close(ctx); err != nil {
		return err
	}
	for lane := range got {
		if _, ok := want[lane]; !ok {
			return fmt.Errorf("lane %d is stored, and was never written", lane)
		}
	}
	for lane, n := range want {
		next := 0
		for i, is := range got[lane] {
			if is == next {
				next++
			} else if is > next || !c.AtLeastOnce {
				return fmt.Errorf("lane %d: number %d is stored at place %d, where %d belongs", lane, is, i, next)
			}
		}
		if next != n {
			return fmt.Errorf("lane %d: %d of %d records are stored", lane, next, n)
		}
	}
	return nil
}

func (c SinkUnderTest) close(ctx context.Context) error {
	if err := within("Close", func() error { return c.Sink.Close(ctx) }); err != nil {
		return fmt.Errorf("closing: %w", err)
	}
	return nil
}
