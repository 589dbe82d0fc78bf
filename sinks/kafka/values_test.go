package kafkasink

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// editedRecord is one whose value, once its edits are in, takes size bytes or a few more.
func editedRecord(t *testing.T, i, size int) *pipeline.Record {
	t.Helper()
	r := record(int64(i), fmt.Sprint("k", i%7), fmt.Sprintf(`{"gone":%d,"n":%d}`, i, i))
	if err := r.SetRaw("pad", fmt.Appendf(nil, `"%0*d"`, max(size-len(`{"n":10000,"pad":""}`), 1), i)); err != nil {
		t.Fatal(err)
	}
	if err := r.Remove("gone"); err != nil {
		t.Fatal(err)
	}
	return r
}

// Values of edited records are put together in the room of a Write, whatever their sizes,
// and again for the next Write of the same records: with the same bytes. All that holds
// them is charged.
func TestKafkaWritesEditedValues(t *testing.T) {
	sizes := []int{30, 200, 4096, valueRoom/4 - 1, valueRoom / 4, valueRoom/4 + 1, valueRoom/2 + 100, valueRoom - 1, valueRoom, valueRoom + 1, 3 * valueRoom}
	c := kafkatest.StartFake(t)
	topic := c.Topic(t, 3)
	k, err := New(topicSettings(t, c, topic), nil)
	if err != nil {
		t.Fatal(err)
	}
	var charged, most atomic.Int64
	k.Account(func(n int64) { most.Store(max(most.Load(), charged.Add(n))) })
	var recs []*pipeline.Record
	total, want := 0, map[string]int{}
	for i := range 300 {
		r := editedRecord(t, i, sizes[i*i%len(sizes)])
		if i%5 == 0 {
			r = record(int64(i), "k", fmt.Sprintf(`{"n":%d}`, i)) // not edited
		}
		v := r.AppendValue(nil)
		total += len(v)
		want[string(v)] = 2
		recs = append(recs, r)
	}
	for range 2 {
		if err := k.Write(t.Context(), recs); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range c.Consume(t, topic) {
		want[string(r.Value)]--
	}
	for v, n := range want {
		if n != 0 {
			t.Errorf("%.60s, %d bytes: %d times too few", v, len(v), n)
		}
	}
	if most.Load() < int64(total) {
		t.Errorf("%d bytes of values were put together, and at most %d were charged", total, most.Load())
	}
	if charged.Load() > maxSpare+(16<<20) {
		t.Errorf("%d bytes are kept", charged.Load())
	}
	if err := k.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if charged.Load() != 0 {
		t.Errorf("%d bytes are still charged behind Close", charged.Load())
	}
}

// A value stays where it is until the room is given back, also when there comes to be no
// more place in the piece that it is in.
func TestKafkaValuesStay(t *testing.T) {
	var b batch
	var recs []*pipeline.Record
	var values [][]byte
	for i := range 2000 {
		recs = append(recs, editedRecord(t, i, 100+i*7%900))
		values = append(values, b.value(recs[i]))
	}
	for i, r := range recs {
		if !bytes.Equal(values[i], r.Value()) {
			t.Fatalf("the value of record %d has become %s, not %s", i, values[i], r.Value())
		}
		if cap(values[i]) != len(values[i]) {
			t.Fatalf("who appends to the value of record %d writes into another", i)
		}
	}
}
