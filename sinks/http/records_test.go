package httpsink

import (
	"errors"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

func rec(offset int64, value string) *pipeline.Record {
	var r pipeline.Record
	r.Init(pipeline.Position{Topic: "t", Offset: offset}, nil, []byte(value), nil, pipeline.NoTime)
	return &r
}

// failures gives index and reason of each record that a write has not stored.
func failures(t *testing.T, err error) map[int]string {
	t.Helper()
	if err == nil {
		return nil
	}
	var w *pipeline.WriteError
	if !errors.As(err, &w) {
		t.Fatalf("not a *WriteError: %v", err)
	}
	got := map[int]string{}
	last := -1
	for _, f := range w.Failed {
		if f.Index <= last {
			t.Errorf("index %d behind %d", f.Index, last)
		}
		last = f.Index
		reason, _ := pipeline.IsPermanent(f.Err)
		if pipeline.IsFatal(f.Err) {
			reason = "fatal"
		}
		got[f.Index] = reason
	}
	return got
}
