package kafkasource

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka/recordbatch"
)

// A damage is a way in which a batch of 300 records can be wrong.
type damage struct {
	reason  string
	good    int  // of its records, in front
	endless bool // where it ends is not known
	early   bool // its header alone tells
	make    func(c craft, t testing.TB) []byte
}

var damages = map[string]damage{
	"crc": {reason: recordbatch.CorruptCRC, early: true, make: func(c craft, t testing.TB) []byte {
		raw := c.bytes(t)
		raw[len(raw)-1] ^= 1
		return raw
	}},
	"format": {reason: recordbatch.CorruptFormat, early: true, endless: true, make: func(c craft, t testing.TB) []byte {
		raw := c.bytes(t)
		raw[16] = 1
		return raw
	}},
	"length": {reason: recordbatch.CorruptLength, early: true, endless: true, make: func(c craft, t testing.TB) []byte {
		raw := c.bytes(t)
		copy(raw[8:], []byte{0, 0, 0, 9})
		return raw
	}},
	"compressed": {reason: recordbatch.CorruptCompressed, make: func(c craft, t testing.TB) []byte {
		c.codec = codecs["snappy"]
		c.squash = func(packed []byte) []byte { return packed[:len(packed)/2] }
		return c.bytes(t)
	}},
	"too_large": {reason: recordbatch.CorruptTooLarge, make: func(c craft, t testing.TB) []byte {
		c.codec = codecs["zstd"]
		c.values[7] = strings.Repeat("large", 1<<20)
		return c.bytes(t)
	}},
	"record/count": {reason: recordbatch.CorruptRecord, make: func(c craft, t testing.TB) []byte {
		c.count = 1 << 20
		return c.bytes(t)
	}},
	"record/count too low": {reason: recordbatch.CorruptRecord, good: 257, make: func(c craft, t testing.TB) []byte {
		c.count = 257
		return c.bytes(t)
	}},
	"record/middle": {reason: recordbatch.CorruptRecord, good: 280, make: func(c craft, t testing.TB) []byte {
		c.damage = func(records []byte) []byte {
			at := bytes.Index(records, []byte(c.values[280]))
			records[at-1] = 0x7e // the length of the value
			return records
		}
		return c.bytes(t)
	}},
	"record/compressed middle": {reason: recordbatch.CorruptRecord, good: 256, make: func(c craft, t testing.TB) []byte {
		c.codec = codecs["lz4"]
		c.damage = func(records []byte) []byte {
			at := bytes.Index(records, []byte(c.values[256]))
			records[at-1] = 0x7e
			return records
		}
		return c.bytes(t)
	}},
	"record/header": {reason: recordbatch.CorruptRecord, good: 3, make: func(c craft, t testing.TB) []byte {
		c.headers = []kmsg.Header{{Key: "name", Value: []byte("v")}}
		c.damage = func(records []byte) []byte {
			at := bytes.Index(records, []byte(c.values[3]))
			at += bytes.Index(records[at:], []byte("name"))
			records[at-1] = 0x7e // the length of the name
			return records
		}
		return c.bytes(t)
	}},
}

// What cannot be read is told with its place, and stops the source behind what is good
// or is passed over, wherever it is and however many records there are places for.
func TestKafkaDamage(t *testing.T) {
	for name, d := range damages {
		for _, policy := range []string{"stop", "skip"} {
			for _, before := range []int{0, 1, 3} { // batches in front
				for _, places := range []int{1, 256, 1000} {
					t.Run(fmt.Sprintf("%s/%s/before=%d/places=%d", name, policy, before, places), func(t *testing.T) {
						d.try(t, policy, before, places)
					})
				}
			}
		}
	}
}

func (d damage) try(t *testing.T, policy string, before, places int) {
	b := newBench(t, func(s *Settings) { s.OnCorrupt, s.Fetch.Decompressed = policy, 1<<20 })
	start := 300 * before
	good := func(at int) []byte { return craft{base: int64(at), values: numbered(at, 300)}.bytes(t) }
	var raw []byte
	for i := range before {
		raw = append(raw, good(300*i)...)
	}
	raw = append(raw, d.make(craft{base: int64(start), values: numbered(start, 300)}, t)...)
	raw = append(raw, good(start+300)...)
	stops := policy == "stop" || d.endless

	items := b.take(b.p, b.lane, raw)
	next := start + 600 // what is wrong in a batch is found when it is opened
	if d.early && stops {
		next = start
	} else if d.early {
		next = start + 300 // the rest is fetched again
	}
	if b.p.next != int64(next) {
		t.Errorf("reading on at %d, not %d", b.p.next, next)
	}
	var want []string
	for i := range start + 600 {
		if i < start+d.good || i >= start+300 && !stops && !d.early {
			want = append(want, fmt.Sprintf("%d:v%d", i, i))
		}
	}
	got, err := b.words(items, places)
	if got != strings.Join(want, " ") {
		t.Errorf("%d records, not %d", len(strings.Fields(got)), len(want))
	}
	d.checkReport(b, err, policy, start, stops)
	b.settled()
}

// checkReport checks what was reported of a damaged batch.
func (d damage) checkReport(b *bench, err error, policy string, start int, stops bool) {
	from, to := start+d.good, start+300
	if d.endless {
		to = -1
	}
	e := b.log.named("source.corrupt")
	if len(e) != 1 || e[0]["offset_from"] != float64(from) || e[0]["offset_to"] != float64(to) || e[0]["reason"] != d.reason || e[0]["policy"] != policy {
		b.t.Errorf("%v, not %d to %d", e, from, to)
	}
	var c *recordbatch.CorruptError
	switch {
	case !stops && err != nil:
		b.t.Error(err)
	case stops && (!errors.As(err, &c) || c.Reason != d.reason || c.From != int64(from) ||
		!strings.HasPrefix(err.Error(), fmt.Sprintf("reading flights/0: reading the batch at offset %d: ", from))):
		b.t.Errorf("%v, not at %d", err, from)
	}
}

// One partition's damage does not touch another's, and small batches that travel together
// are told apart.
func TestKafkaDamageIsOfOneBatch(t *testing.T) {
	b := newBench(t, func(s *Settings) { s.OnCorrupt = "skip" })
	other, lane := b.partition(1, -1)
	var raw []byte
	for i := range 9 {
		c := craft{base: int64(3 * i), values: numbered(3*i, 3), codec: codecs["snappy"]}
		if i == 0 || i == 4 || i == 8 {
			c.squash = func(packed []byte) []byte { return packed[:len(packed)-1] }
		}
		raw = append(raw, c.bytes(t)...)
	}
	items := b.take(b.p, b.lane, raw)
	more := b.take(other, lane, slices.Concat(craft{values: numbered(0, 300)}.bytes(t), craft{base: 300, values: numbered(300, 3)}.bytes(t)))
	if len(items) != 1 || items[0].batch.Next != 27 {
		t.Errorf("%d batches", len(items))
	}
	if got, err := b.words(items, 5); got != "3:v3 4:v4 5:v5 6:v6 7:v7 8:v8 9:v9 10:v10 11:v11 15:v15 16:v16 17:v17 18:v18 19:v19 20:v20 21:v21 22:v22 23:v23" || err != nil {
		t.Error(got, err)
	}
	if got, err := b.words(more, 256); len(strings.Fields(got)) != 303 || err != nil {
		t.Error(got, err)
	}
	var froms []any
	for _, e := range b.log.named("source.corrupt") {
		froms = append(froms, e["offset_from"])
	}
	if !slices.Equal(froms, []any{0.0, 12.0, 24.0}) {
		t.Error(froms)
	}
	b.settled()
}

// Damage within a batch is not passed over because the source is to stop within it, but
// what is behind that offset is none of its business.
func TestKafkaDamageAtTheOffsetToStopAt(t *testing.T) {
	for bound, stops := range map[int64]bool{250: false, 280: false, 281: true, 299: true, 300: true} {
		b := newBench(t)
		b.p.bound.Store(bound)
		items := b.take(b.p, b.lane, damages["record/middle"].make(craft{values: numbered(0, 300)}, t))
		got, err := b.words(items, 256)
		if n := len(strings.Fields(got)); n != int(min(bound, 280)) || (err != nil) != stops {
			t.Errorf("bound %d: %d records, %v", bound, n, err)
		}
		if e := b.log.named("source.corrupt"); (len(e) > 0) != stops {
			t.Errorf("bound %d: %v", bound, e)
		}
		b.settled()
	}
}

// FuzzKafkaFill fills places of any number from batches with damage at any byte: what
// comes is what was there, in order, and everything is given back.
func FuzzKafkaFill(f *testing.F) {
	f.Add(uint8(0), uint16(0), uint8(0), uint8(1), int16(-1))
	f.Add(uint8(1), uint16(90), uint8(0x80), uint8(3), int16(17))
	f.Add(uint8(4), uint16(150), uint8(0xff), uint8(200), int16(5))
	b := newBench(f, func(s *Settings) { s.OnCorrupt = "skip" })
	names := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	f.Fuzz(func(t *testing.T, codec uint8, at uint16, flip, places uint8, bound int16) {
		b.t = t
		var raw []byte
		for i := range 5 {
			c := craft{base: int64(10 * i), values: numbered(10*i, 4), gap: 1, tail: 3, codec: codecs[names[int(codec)%len(names)]], headers: []kmsg.Header{{Key: "h"}}}
			damage := func(bytes []byte) []byte {
				if i == int(at)%5 && len(bytes) > 0 {
					bytes[int(at/5)%len(bytes)] ^= flip
				}
				return bytes
			}
			if codec < 128 {
				c.squash = damage
			} else {
				c.damage = damage
			}
			raw = append(raw, c.bytes(t)...)
		}
		b.p.next = 0
		b.p.bound.Store(int64(max(bound, -1)))
		if b.p.atBound() {
			return
		}
		last := int64(-1)
		recs := make([]pipeline.Record, int(places)+1)
		for _, item := range b.take(b.p, b.lane, raw) {
			for item.batch.Fill != nil {
				n, err := item.batch.Fill(recs)
				if err != nil {
					t.Fatal(err)
				}
				for i := range recs[:n] {
					r := &recs[i]
					if r.Offset <= last || r.Offset >= item.batch.Next || bound >= 0 && r.Offset >= int64(bound) {
						t.Fatalf("offset %d behind %d in a batch up to %d", r.Offset, last, item.batch.Next)
					}
					if flip == 0 && string(r.Value()) != fmt.Sprintf("v%d", r.Offset/10*10+r.Offset%10/2) {
						t.Fatalf("%d: %s", r.Offset, r.Value())
					}
					last = r.Offset
				}
				if n == 0 {
					break
				}
			}
			drop(item.batch)
		}
		if b.charged() != 0 {
			t.Fatalf("%d bytes are still charged", b.charged())
		}
	})
}
