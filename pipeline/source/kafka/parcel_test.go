package kafkasource

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

var codecs = map[string]kgo.CompressionCodec{
	"none": {}, "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// numbered gives n values from first on.
func numbered(first, n int) (vs []string) {
	for i := range n {
		vs = append(vs, fmt.Sprintf("v%d", first+i))
	}
	return vs
}

// nexts gives where each batch ends.
func nexts(items []queuedBatch) (ns []int64) {
	for _, item := range items {
		ns = append(ns, item.batch.Next)
	}
	return ns
}

// Batches of the broker's come one by one, unless they are small, whatever number of
// places there is at a time; what is charged is given back.
func TestKafkaTakesSetsApart(t *testing.T) {
	oneGoroutine(t)
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			var raw []byte
			var want []string
			var at int64
			put := func(c craft) {
				c.base, c.codec = at, codec
				raw = append(raw, c.bytes(t)...)
				offset := at
				for i, v := range c.values {
					if i > 0 {
						offset += 1 + int64(c.gap)
					}
					want = append(want, fmt.Sprintf("%d:%s", offset, v))
				}
				at = offset + 1 + int64(c.tail)
			}
			put(craft{values: numbered(0, 300)})
			put(craft{values: numbered(300, 257), gap: 2, tail: 5})
			for i := range 300 {
				put(craft{values: numbered(1000+i, 1)})
			}
			put(craft{values: []string{strings.Repeat("x", 300<<10)}})
			put(craft{values: []string{strings.Repeat("y", 300<<10)}})
			for _, places := range []int{1, 7, 256, 10_000} {
				b.p.next = 0
				items := b.take(b.p, b.lane, raw)
				ns := nexts(items)
				if ns[0] != 300 || ns[1] != 300+3*256+1+5 || ns[2] != ns[1]+256 || ns[len(ns)-1] != at || b.p.next != at {
					t.Errorf("%v", ns)
				}
				if codec == (kgo.CompressionCodec{}) && (len(ns) != 5 || ns[3] != at-1) { // the last small ones and the first large one
					t.Errorf("%v up to %d", ns, at)
				}
				if _, bytes := b.budget.Use(); bytes < int64(len(raw)) {
					t.Errorf("%d bytes are charged for %d", bytes, len(raw))
				}
				got, err := b.words(items, places)
				if err != nil || got != strings.Join(want, " ") {
					t.Fatalf("%d at a time: %v, %d bytes of %d", places, err, len(got), len(strings.Join(want, " ")))
				}
				b.settled()
			}
		})
	}
}

// What is not delivered moves the batch before it, and one of its own when there is none.
func TestKafkaMovesPastWhatIsNotDelivered(t *testing.T) {
	const txn, control = 0x10, 0x20
	marker := func(base, pid int64, kind byte) craft {
		return craft{base: base, pid: pid, attributes: txn | control, key: []byte{0, 0, 0, kind}, values: []string{"marker"}}
	}
	big := func(base, pid int64, attributes int16) craft {
		return craft{base: base, pid: pid, attributes: attributes, values: numbered(int(base), 2)}
	}
	for name, tc := range map[string]struct {
		set     []craft
		aborted []recordbatch.AbortedTransaction
		from    int64
		words   string
		nexts   []int64
	}{
		"between":         {set: []craft{big(0, 7, txn), marker(2, 7, 1), big(3, 8, txn), marker(5, 8, 1)}, words: "0:v0 1:v1 3:v3 4:v4", nexts: []int64{3, 6}},
		"in front":        {set: []craft{marker(0, 7, 1), big(1, 7, 0)}, words: "1:v1 2:v2", nexts: []int64{3}},
		"nothing else":    {set: []craft{big(0, 7, txn), marker(2, 7, 0)}, aborted: []recordbatch.AbortedTransaction{{ProducerID: 7}}, nexts: []int64{3}},
		"aborted between": {set: []craft{big(0, 8, txn), big(2, 7, txn), marker(4, 7, 0), big(5, 8, 0)}, aborted: []recordbatch.AbortedTransaction{{ProducerID: 7, First: 2}}, words: "0:v0 1:v1 5:v5 6:v6", nexts: []int64{5, 7}},
		"all compacted":   {set: []craft{{base: 0, tail: 9}, big(20, 0, 0)}, words: "20:v20 21:v21", nexts: []int64{22}},
		"seen before":     {set: []craft{big(0, 0, 0), big(2, 0, 0)}, from: 3, words: "3:v3", nexts: []int64{4}},
		"all seen":        {set: []craft{big(0, 0, 0)}, from: 2},
		"gap":             {set: []craft{big(0, 0, 0), big(9, 0, 0)}, words: "0:v0 1:v1 9:v9 10:v10", nexts: []int64{11}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			var raw []byte
			for _, c := range tc.set {
				raw = append(raw, c.bytes(t)...)
			}
			b.p.next = tc.from
			items := b.take(b.p, b.lane, raw, tc.aborted...)
			if ns := nexts(items); !slices.Equal(ns, tc.nexts) {
				t.Errorf("next %v, not %v", ns, tc.nexts)
			}
			if got, err := b.words(items, 10); got != tc.words || err != nil {
				t.Errorf("%q %v", got, err)
			}
			b.settled()
		})
	}
}

// Reading ends in front of the offset to stop at, wherever that is.
func TestKafkaStopsWithinASet(t *testing.T) {
	for name, codec := range codecs {
		var raw []byte
		for _, c := range []craft{
			{base: 0, values: numbered(0, 300)}, {base: 300, values: numbered(300, 3), gap: 1, tail: 4}, {base: 400, values: numbered(400, 2)},
		} {
			c.codec = codec
			raw = append(raw, c.bytes(t)...)
		}
		for bound, words := range map[int64]int{1: 1, 255: 255, 256: 256, 257: 257, 299: 299, 300: 300, 301: 301, 302: 301, 303: 302, 306: 303, 350: 303, 400: 303, 401: 304, 402: 305, 500: 305} {
			b := newBench(t)
			b.p.bound.Store(bound)
			items := b.take(b.p, b.lane, raw)
			end := min(bound, 402)
			if ns := nexts(items); ns[len(ns)-1] != end || b.p.next != end || b.p.atBound() != (bound <= 402) {
				t.Errorf("%s: bound %d: next %v, reading on at %d", name, bound, ns, b.p.next)
			}
			got, err := b.words(items, 256)
			if n := len(strings.Fields(got)); n != words || err != nil {
				t.Errorf("%s: bound %d: %d records, not %d: %v", name, bound, n, words, err)
			}
			b.settled()
		}
	}
}

// What is charged is what is there: the set until nobody needs its bytes, and what
// comes out of it while that is kept.
func TestKafkaChargesWhatIsThere(t *testing.T) {
	b := newBench(t)
	var raw []byte
	for i := range 3 {
		raw = append(raw, craft{base: int64(500 * i), codec: kgo.ZstdCompression(), values: flights(500)}.bytes(t)...)
	}
	items := b.take(b.p, b.lane, raw)
	packed := b.charged()
	if packed < int64(len(raw)) || packed > int64(len(raw))+8<<10 {
		t.Fatalf("%d bytes are charged for %d", packed, len(raw))
	}
	places := make([]pipeline.Record, 256)
	for i, item := range items {
		if n, err := item.batch.Fill(places); n != 256 || err != nil {
			t.Fatal(n, err)
		}
		least := int64((i + 1) * 500 * 200)
		if n := b.charged(); n < least || n > least*5/4+packed {
			t.Errorf("%d bytes are charged with %d batches open", n, i+1)
		}
	}
	if b.k.mem.bytes == 0 {
		t.Error("the set is kept though all of it has been decompressed")
	}
	for i, item := range items {
		drop(item.batch)
		if n := b.charged(); n > int64((2-i)*500*250) {
			t.Errorf("%d bytes are charged with %d batches done", n, i+1)
		}
	}
	b.settled()
	if n := b.k.mem.bytes; n < 3*500*200 {
		t.Errorf("%d bytes are kept for reuse", n)
	}

	// Records of a set that was not compressed point into it: the last one keeps it.
	raw = nil
	for i := range 3 {
		raw = append(raw, craft{base: int64(2000 + 500*i), values: flights(500)}.bytes(t)...)
	}
	items = b.take(b.p, b.lane, raw)
	for _, i := range []int{2, 0, 1} {
		if n := b.charged(); n < int64(len(raw)) {
			t.Errorf("%d bytes are charged for %d", n, len(raw))
		}
		drop(items[i].batch)
	}
	b.settled()
}

// A lane may end before its batches are asked for their records, and between.
func TestKafkaGivesBackWhatIsNotRead(t *testing.T) {
	for name, codec := range codecs {
		for fills := range 4 {
			b := newBench(t)
			raw := append(craft{values: numbered(0, 600), codec: codec, headers: []kmsg.Header{{Key: "h"}}}.bytes(t), craft{base: 600, values: numbered(0, 600), codec: codec}.bytes(t)...)
			items := b.take(b.p, b.lane, raw)
			places := make([]pipeline.Record, 256)
			for range fills {
				if _, err := items[0].batch.Fill(places); err != nil {
					t.Fatal(err)
				}
			}
			drop(items[1].batch)
			drop(items[0].batch)
			if b.charged() != 0 {
				t.Errorf("%s: %d bytes are charged after %d fills", name, b.charged(), fills)
			}
		}
	}
	// Nor does one that is given up on its way to Read keep anything.
	b := newBench(t)
	b.k.out = make(chan queuedBatch)
	close(b.p.quit)
	b.take(b.p, b.lane, craft{values: numbered(0, 600)}.bytes(t))
	b.settled()
}

// Names that no other record has are charged with the headers: each is a string of its own.
func TestKafkaHeadersOfManyNames(t *testing.T) {
	b := newBench(t)
	const n, name = 1000, 100
	var many []kmsg.Header
	for i := range n {
		many = append(many, kmsg.Header{Key: fmt.Sprintf("%0*d", name, i)})
	}
	items := b.take(b.p, b.lane, craft{values: numbered(0, 1), headers: many}.bytes(t))
	before := b.charged()
	for _, item := range items {
		if _, err := item.batch.Fill(make([]pipeline.Record, 10)); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.charged() - before; got < n*(headerBytes+name) {
		t.Errorf("%d bytes are charged for %d headers with names of %d bytes", got, n, name)
	}
	for _, item := range items {
		drop(item.batch)
	}
}

func TestKafkaHeaders(t *testing.T) {
	b := newBench(t)
	var many []kmsg.Header
	for i := range 1000 {
		many = append(many, kmsg.Header{Key: fmt.Sprint("name", i%7), Value: []byte(fmt.Sprint(i))})
	}
	few := []kmsg.Header{{Key: "a"}, {Key: "", Value: []byte{}}, {Key: "a", Value: []byte("x")}}
	raw := slices.Concat(craft{values: numbered(0, 400), headers: few}.bytes(t), craft{base: 400, values: numbered(400, 2), headers: many}.bytes(t), craft{base: 402, values: numbered(402, 2)}.bytes(t))
	items := b.take(b.p, b.lane, raw)
	before := b.charged()
	var recs []pipeline.Record
	for _, item := range items {
		for {
			places := make([]pipeline.Record, 100)
			n, err := item.batch.Fill(places)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			recs = append(recs, places[:n]...)
		}
	}
	for i := range recs {
		want := few
		switch {
		case i >= 402:
			want = nil
		case i >= 400:
			want = many
		}
		_, _, headers := recs[i].Original()
		if !slices.EqualFunc(headers, want, func(h pipeline.Header, k kmsg.Header) bool {
			return h.Name == k.Key && bytes.Equal(h.Value, k.Value) && (h.Value == nil) == (k.Value == nil)
		}) {
			t.Fatalf("record %d: %v", i, headers)
		}
	}
	if n := b.charged() - before; n < (400*3+2000)*headerBytes || n > (400*3+2000)*headerBytes*2 {
		t.Errorf("%d bytes are charged for headers", n)
	}
	for _, item := range items {
		drop(item.batch)
	}
	b.settled()
}

// A batch may be as large as the limit once it is decompressed.
func TestKafkaOpensLargeBatches(t *testing.T) {
	oneGoroutine(t)
	for name, codec := range codecs {
		if name == "none" {
			continue
		}
		b := newBench(t, func(s *Settings) { s.Fetch.Decompressed = 64 << 20 })
		value := strings.Repeat("large ", 1<<20)[:1<<20]
		large := craft{values: slices.Repeat([]string{value}, 63), codec: codec}
		items := b.take(b.p, b.lane, large.bytes(t))
		n, err := items[0].batch.Fill(make([]pipeline.Record, 256))
		if n != 63 || err != nil {
			t.Fatalf("%s: %d %v", name, n, err)
		}
		if c := b.charged(); c < 63<<20 || c > 82<<20 {
			t.Errorf("%s: %d MiB are charged", name, c>>20)
		}
		drop(items[0].batch)
		b.settled()
		if b.k.mem.bytes > memoryBytes {
			t.Errorf("%s: %d bytes are kept", name, b.k.mem.bytes)
		}
		large.values = append(large.values, value)
		large.base = 63
		_, err = b.words(b.take(b.p, b.lane, large.bytes(t)), 256)
		var c *recordbatch.CorruptError
		if !errors.As(err, &c) || c.Reason != recordbatch.CorruptTooLarge || !strings.Contains(err.Error(), "fetch.decompressed") {
			t.Errorf("%s: %v", name, err)
		}
		b.settled()
	}
}

// Batches that are small in the set and large when they are opened do not share a parcel:
// all that a parcel has opened is held until its last record is done with.
func TestKafkaOpensLittleAtATime(t *testing.T) {
	oneGoroutine(t)
	for name, codec := range codecs {
		b := newBench(t)
		var raw []byte
		for i := range 20 {
			value := strings.Repeat("alike ", 20<<10)
			raw = append(raw, craft{base: int64(10 * i), codec: codec, values: slices.Repeat([]string{value}, 10)}.bytes(t)...)
		}
		items := b.take(b.p, b.lane, raw)
		places := make([]pipeline.Record, 256)
		for _, item := range items {
			set := b.charged()
			if n, err := item.batch.Fill(places); n == 0 || err != nil {
				t.Fatal(name, n, err)
			}
			if n := b.charged() - set; n > 5<<20 {
				t.Errorf("%s: %d MiB are opened at once, of %d batches", name, n>>20, len(items))
			}
			drop(item.batch)
		}
		b.settled()
	}
}

// Lanes are filled beside each other and beside the fetch loop.
func TestKafkaFillsBesideItself(t *testing.T) {
	b := newBench(t)
	var all sync.WaitGroup
	for n := range int32(4) {
		p, lane := b.partition(n+1, -1)
		for _, codec := range codecs {
			raw := slices.Concat(craft{base: p.next, values: numbered(0, 300), codec: codec, headers: []kmsg.Header{{Key: fmt.Sprint("h", n)}}}.bytes(t), craft{base: p.next + 300, values: numbered(0, 300), codec: codec}.bytes(t))
			items := b.take(p, lane, raw)
			all.Go(func() {
				if got, err := b.words(items, 100); err != nil || len(strings.Fields(got)) != 600 {
					t.Error(err, got)
				}
			})
		}
	}
	all.Wait()
	b.settled()
}

// No record costs an allocation, nor do its headers' names.
func TestKafkaFillAllocatesNothingPerRecord(t *testing.T) {
	oneGoroutine(t)
	for name, codec := range codecs {
		if name == "gzip" { // which allocates for each of its blocks
			continue
		}
		b := newBench(t)
		raw := craft{values: flights(5000), codec: codec, headers: []kmsg.Header{{Key: "name", Value: []byte("v")}}}.bytes(t)
		places := make([]pipeline.Record, 256)
		var items []queuedBatch
		for range 12 {
			b.p.next = 0
			items = append(items, b.take(b.p, b.lane, raw)...)
		}
		i := 0
		allocs := testing.AllocsPerRun(10, func() {
			total := 0
			for n := -1; n != 0; total += n {
				n, _ = items[i].batch.Fill(places)
			}
			drop(items[i].batch)
			if i++; total != 5000 {
				t.Fatalf("%s: %d records", name, total)
			}
		})
		if allocs > 50 { // rooms for 256 headers
			t.Errorf("%s: %v allocations for 5000 records", name, allocs)
		}
		drop(items[11].batch)
		b.settled()
	}
}
