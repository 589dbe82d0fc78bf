// SPDX-License-Identifier: Apache-2.0

// Package sinktest has what the tests of the sinks share.
package sinktest

import (
	"errors"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

// Record makes a record of a value.
func Record(offset int64, value string) *pipeline.Record { return record(offset, []byte(value)) }

// Tombstone makes a record without a value.
func Tombstone(offset int64) *pipeline.Record { return record(offset, nil) }

func record(offset int64, value []byte) *pipeline.Record {
	var r pipeline.Record
	r.Init(pipeline.Position{Topic: "t", Offset: offset}, nil, value, nil, pipeline.NoTime)
	return &r
}

// Failures gives index and reason of each record that a write has not stored, from its error. The
// reason is "fatal" for one that stops the pipeline, and "" for one that may be tried again. The
// indices have to rise.
func Failures(t *testing.T, err error) map[int]string {
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
