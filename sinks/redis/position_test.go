package redissink

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/sinks/internal/sinktest"
)

// onceByPosition writes the same records again, as after a lost answer or a kill, with more behind them; nothing is there
// twice. An entry that is not there, though the stream has later ones, is a rejected record and not a lost one.
func onceByPosition(t *testing.T, address string) {
	c := library(t, address)
	if err := c.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	k := sink(t, address, "xadd", "s:{meta.topic}:{meta.partition}", func(s *Settings) { s.ID = "position" })
	all := records(`0`, `1`, `2`, `3`, `4`, `5`, `6`)
	for _, part := range [][]*pipeline.Record{all[:4], all[2:6], all[5:6], all[:3], all} {
		if err := k.Write(t.Context(), part); err != nil {
			t.Errorf("%v", err)
		}
	}
	want := "0-1map[value:0] 1-1map[value:1] 2-1map[value:2] 3-1map[value:3] 4-1map[value:4] 5-1map[value:5] 6-1map[value:6]"
	if got := there(t, c, "s:t:0"); got != want {
		t.Errorf("the stream:\n got %s\nwant %s", got, want)
	}
	if err := c.XDel(t.Context(), "s:t:0", "1-1", "3-1").Err(); err != nil {
		t.Fatal(err)
	}
	if failed := sinktest.Failures(t, k.Write(t.Context(), all[:5])); !maps.Equal(failed, map[int]string{1: "redis", 3: "redis"}) {
		t.Errorf("failed: %v", failed)
	}
	parts := records(`a`, `b`)
	for i, rec := range parts {
		rec.Offset, rec.Part = 7, int32(i+1)
	}
	if err := errors.Join(k.Write(t.Context(), parts), k.Write(t.Context(), parts)); err != nil || c.XLen(t.Context(), "s:t:0").Val() != 7 {
		t.Errorf("parts: %v, %s", err, there(t, c, "s:t:0"))
	}
}

func TestOnceByPosition(t *testing.T) { onceByPosition(t, miniredis.RunT(t).Addr()) }

// positionsAnew writes records of a topic that was made anew: the IDs of their positions are there, and are those of other records. They are
// rejected, but for those that are the same; none counts as stored.
func positionsAnew(t *testing.T, address string) {
	c := library(t, address)
	if err := c.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	position := func(s *Settings) { s.ID = "position" }
	k := sink(t, address, "xadd", "s:{meta.topic}:{meta.partition}", position)
	if err := k.Write(t.Context(), records(`"a"`, `"b"`, `"c"`, `{}`)); err != nil {
		t.Fatal(err)
	}
	large := `"` + strings.Repeat("x", 1<<20) + `"` // there, where a small one is looked for
	named := sink(t, address, "xadd", "n:{meta.topic}:{meta.partition}", func(s *Settings) {
		position(s)
		s.Fields = fields(t, "one", "one", "two", "two")
	})
	if err := named.Write(t.Context(), records(`{"one":"a"}`, `{"one":"a","two":"b"}`, `{"two":"a"}`, `{"one":`+large+`}`, `{"one":"a"}`)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		sink *Sink
		recs []*pipeline.Record
		want []int
	}{
		{k, records(`"d"`, `"e"`, `"f"`, `{ }`), []int{0, 1, 2, 3}},
		{k, records(`"d"`, `"b"`, `"C"`, `{}`), []int{0, 2}},
		{named, records(`{"one":"a","two":"b"}`, `{"one":"a"}`, `{"one":"a"}`, `{"one":"a"}`, `{"one":"a"}`), []int{0, 1, 2, 3}},
		{named, records(`{"one":"a"}`, `{"one":"a","two":"b"}`, `{"two":"a"}`, `{"one":`+large+`}`, `{"one":"a"}`), nil},
	} {
		err := tt.sink.Write(t.Context(), tt.recs)
		failed := map[int]string{}
		if err != nil {
			failed = sinktest.Failures(t, err)
		}
		if got := slices.Sorted(maps.Keys(failed)); !slices.Equal(got, tt.want) {
			t.Errorf("rejected: %v, want %v: %v", got, tt.want, err)
		}
		if err != nil && !strings.Contains(err.Error(), "another entry with the ID of this record's position") {
			t.Errorf("the text: %v", err)
		}
	}
}

func TestPositionsAnew(t *testing.T) { positionsAnew(t, miniredis.RunT(t).Addr()) }
