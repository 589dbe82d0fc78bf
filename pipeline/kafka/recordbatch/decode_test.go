package recordbatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"
)

// A message is what a record is made of.
type message struct {
	Key, Value []byte
	Headers    []Header
	Time       int64
}

// crafted makes one record batch whose header can be anything.
type crafted struct {
	base, last      int64 // offsets; last -1: of the last message
	deltas          []int64
	msgs            []*message
	codec           Codec
	pid             int64
	attributes      uint16 // besides the codec
	firstTime, maxT int64
	count           int // -1: of the messages
}

func (c crafted) bytes(t testing.TB) []byte {
	var records []byte
	for i, m := range c.msgs {
		delta := int64(i)
		if c.deltas != nil {
			delta = c.deltas[i]
		}
		records = AppendRecord(records, m.Key, m.Value, m.Headers, delta, m.Time-c.firstTime)
		if c.last < c.base+delta {
			c.last = c.base + delta
		}
	}
	if c.codec != CodecNone {
		var err error
		if records, err = new(Compressor).Append(c.codec, nil, records); err != nil {
			t.Fatal(err)
		}
	}
	if c.count == 0 {
		c.count = len(c.msgs)
	}
	return c.raw(records)
}

func (c crafted) raw(records []byte) []byte {
	b := make([]byte, HeaderSize, HeaderSize+len(records))
	b = append(b, records...)
	binary.BigEndian.PutUint64(b, uint64(c.base))
	binary.BigEndian.PutUint32(b[batchLength:], uint32(len(b)-batchOverhead))
	b[batchMagic] = 2
	binary.BigEndian.PutUint16(b[batchAttributes:], uint16(c.codec)|c.attributes)
	binary.BigEndian.PutUint32(b[batchLastDelta:], uint32(c.last-c.base))
	binary.BigEndian.PutUint64(b[batchFirstTime:], uint64(c.firstTime))
	binary.BigEndian.PutUint64(b[batchMaxTime:], uint64(c.maxT))
	binary.BigEndian.PutUint64(b[batchProducerID:], uint64(c.pid))
	binary.BigEndian.PutUint32(b[batchCount:], uint32(c.count))
	reseal(b)
	return b
}

func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func reseal(b []byte) {
	binary.BigEndian.PutUint32(b[batchCRC:], crc32.Checksum(b[batchAttributes:], castagnoli))
}

func valued(vs ...string) (out []*message) {
	for _, v := range vs {
		out = append(out, &message{Value: []byte(v), Time: 1000})
	}
	return out
}

// marker is a control batch: it ends a transaction.
func marker(t testing.TB, base, pid int64, kind byte) []byte {
	return crafted{base: base, pid: pid, attributes: attrControl | attrTransactional,
		msgs: []*message{{Key: []byte{0, 0, 0, kind}, Value: []byte{0, 0, 0, 0, 0, 0}}}}.bytes(t)
}

// got is what comes out of a decoder and of the batches that it gives, as "offset:value"
// words. The error is that of the decoder, else the first of a batch.
func got(d *Decoder, set []byte, from int64, aborted []AbortedTransaction) (string, DecodeResult, error) {
	open := &Decompressor{}
	defer open.Close()
	return gotWith(d, open, set, from, aborted)
}

func gotWith(d *Decoder, open *Decompressor, set []byte, from int64, aborted []AbortedTransaction) (string, DecodeResult, error) {
	var batches []Batch
	res, err := d.Decode(set, from, aborted, func(b *Batch) bool {
		batches = append(batches, *b)
		return true
	})
	var words []string
	for i := range batches {
		b := &batches[i]
		bad := open.Open(b)
		if bad == nil {
			var r Record
			for b.Next(&r) && (r.Headers == 0 || b.EachHeader(&r, func(_, _ []byte) {})) {
				words = append(words, fmt.Sprintf("%d:%s", r.Offset, r.Value))
			}
			bad = b.Err()
			if b.Decompressed != nil && open.Memory != nil {
				open.Memory.Put(b.Decompressed)
			}
		}
		if err == nil {
			err = bad
		}
	}
	return strings.Join(words, " "), res, err
}

// opened opens a batch that is in order.
func opened(t testing.TB, b *Batch) *Batch {
	t.Helper()
	if err := new(Decompressor).Open(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecodeKeepsWhatCompactionLeft(t *testing.T) {
	for _, codec := range []Codec{CodecNone, CodecSnappy, CodecLZ4, CodecGzip, CodecZstd} {
		set := slices.Concat(
			crafted{base: 0, last: 9, deltas: []int64{0, 2}, msgs: valued("a", "b"), codec: codec}.bytes(t), // tail gone
			crafted{base: 10, last: 19, codec: CodecNone, firstTime: -1}.bytes(t),                           // nothing left
			crafted{base: 25, last: 25, msgs: valued("c"), codec: codec}.bytes(t),                           // a gap in front
			crafted{base: 26, last: 29, deltas: []int64{1}, msgs: valued("d"), codec: codec}.bytes(t),
		)
		if w, res, err := got(&Decoder{}, set, 0, nil); w != "0:a 2:b 25:c 27:d" || res.Next != 30 || err != nil {
			t.Errorf("%v: %q next %d %v", codec, w, res.Next, err)
		}
		if w, res, err := got(&Decoder{}, set, 2, nil); w != "2:b 25:c 27:d" || res.Next != 30 || err != nil {
			t.Errorf("%v from 2: %q next %d %v", codec, w, res.Next, err)
		}
		if w, res, err := got(&Decoder{}, set[:len(set)-5], 28, nil); w != "" || res.Next != 28 || err != nil {
			t.Errorf("%v: partial tail: %q next %d %v", codec, w, res.Next, err)
		}
	}
}

func TestDecodeLeavesOutAbortedRecords(t *testing.T) {
	txn := func(base, pid int64, vs ...string) []byte {
		return crafted{base: base, pid: pid, attributes: attrTransactional, msgs: valued(vs...)}.bytes(t)
	}
	set := slices.Concat(
		txn(0, 7, "bad"), txn(1, 8, "good"), crafted{base: 2, pid: 7, msgs: valued("plain")}.bytes(t),
		marker(t, 3, 7, 0), txn(4, 7, "later"), marker(t, 5, 8, 1), marker(t, 6, 7, 1),
		txn(7, 7, "bad2"), marker(t, 8, 7, 0), txn(9, 7, "open"),
	)
	aborted := []AbortedTransaction{{7, 7}, {7, 0}}
	if w, res, err := got(&Decoder{Committed: true}, set, 0, aborted); w != "1:good 2:plain 4:later 9:open" || res.Next != 10 || err != nil {
		t.Errorf("committed: %q next %d %v", w, res.Next, err)
	}
	if w, res, err := got(&Decoder{}, set, 0, aborted); w != "0:bad 1:good 2:plain 4:later 7:bad2 9:open" || res.Next != 10 || err != nil {
		t.Errorf("uncommitted: %q next %d %v", w, res.Next, err)
	}
	// One decoder serves one set after another.
	d := &Decoder{Committed: true}
	for range 3 {
		if w, _, _ := got(d, set, 0, aborted); w != "1:good 2:plain 4:later 9:open" {
			t.Error(w)
		}
	}
}

func TestDecodeTimes(t *testing.T) {
	read := func(set []byte) (times []int64) {
		_, err := (&Decoder{}).Decode(set, 0, nil, func(b *Batch) bool {
			opened(t, b)
			var r Record
			for b.Next(&r) {
				times = append(times, r.Time)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return times
	}
	msgs := []*message{{Time: 5000}, {Time: 4000}}
	if ts := read(crafted{firstTime: 5000, maxT: 5000, msgs: msgs}.bytes(t)); !slices.Equal(ts, []int64{5000, 4000}) {
		t.Error("create time", ts)
	}
	if ts := read(crafted{firstTime: 5000, maxT: 9000, attributes: attrAppendTime, msgs: msgs}.bytes(t)); !slices.Equal(ts, []int64{9000, 9000}) {
		t.Error("append time", ts)
	}
	// The first timestamp holds the delete horizon; the deltas are against it.
	if ts := read(crafted{firstTime: 99000, maxT: 5000, attributes: 0x40, msgs: msgs}.bytes(t)); !slices.Equal(ts, []int64{5000, 4000}) {
		t.Error("delete horizon", ts)
	}
}

func TestDecodeTellsNullFromEmpty(t *testing.T) {
	m := &message{Key: []byte{}, Headers: []Header{{"b", nil}, {"a", []byte{}}, {"b", []byte("2")}}}
	n := &message{Value: []byte{}}
	set := crafted{msgs: []*message{m, n}}.bytes(t)
	i := 0
	_, err := (&Decoder{}).Decode(set, 0, nil, func(b *Batch) bool {
		opened(t, b)
		var r Record
		for b.Next(&r) {
			want := []*message{m, n}[i]
			i++
			if !same(r.Key, want.Key) || !same(r.Value, want.Value) || r.Headers != len(want.Headers) {
				t.Errorf("record %d: %v", i, r)
			}
			h := 0
			b.EachHeader(&r, func(name, value []byte) {
				if string(name) != want.Headers[h].Name || !same(value, want.Headers[h].Value) {
					t.Errorf("header %d: %s %v", h, name, value)
				}
				h++
			})
		}
		return true
	})
	if err != nil || i != 2 {
		t.Fatal(i, err)
	}
}

func TestDecodeNamesTheCorruptBatch(t *testing.T) {
	good := crafted{base: 0, msgs: valued("a", "b")}.bytes(t)
	tail := crafted{base: 10, msgs: valued("z")}.bytes(t)
	bad := func(c crafted, change func([]byte)) []byte {
		c.base = 2
		if c.msgs == nil {
			c.msgs = valued("x", "y")
		}
		b := c.bytes(t)
		change(b)
		return b
	}
	sealed := func(f func([]byte)) func([]byte) {
		return func(b []byte) { f(b); reseal(b) }
	}
	for name, tc := range map[string]struct {
		set      []byte
		reason   string
		from, to int64
		words    string // of the batch
	}{
		"flipped value":       {bad(crafted{}, func(b []byte) { b[len(b)-3] ^= 1 }), CorruptCRC, 2, 10, ""},
		"flipped last offset": {bad(crafted{}, func(b []byte) { b[batchLastDelta] ^= 0x40 }), CorruptCRC, 2, 10, ""},
		"negative last delta": {bad(crafted{}, sealed(func(b []byte) { b[batchLastDelta] = 0xff })), CorruptRecord, 2, -1, ""},
		"old format":          {bad(crafted{}, func(b []byte) { b[batchMagic] = 1 }), CorruptFormat, 2, -1, ""},
		"short length":        {bad(crafted{}, func(b []byte) { b[batchLength+3] = 3 }), CorruptLength, 2, -1, ""},
		"negative length":     {bad(crafted{}, func(b []byte) { b[batchLength] = 0x80 }), CorruptLength, 2, -1, ""},
		"huge count":          {bad(crafted{}, sealed(func(b []byte) { b[batchCount] = 0x7f })), CorruptRecord, 2, 4, ""},
		"count too low":       {bad(crafted{}, sealed(func(b []byte) { b[batchCount+3] = 1 })), CorruptRecord, 3, 4, "2:x"},
		"count too high":      {bad(crafted{count: 3, msgs: valued("x", "yyyyyyyyy")}, func([]byte) {}), CorruptRecord, 4, 4, "2:x 3:yyyyyyyyy"},
		"record length":       {bad(crafted{}, sealed(func(b []byte) { b[HeaderSize] = 0x7e })), CorruptRecord, 2, 4, ""},
		"second record":       {bad(crafted{}, sealed(func(b []byte) { b[HeaderSize+9] = 0x7e })), CorruptRecord, 3, 4, "2:x"},
		"offset delta":        {bad(crafted{deltas: []int64{1, 1}, last: 4}, func([]byte) {}), CorruptRecord, 4, 5, "3:x"},
		"offset past the end": {bad(crafted{deltas: []int64{0, 9}}, sealed(func(b []byte) { b[batchLastDelta+3] = 1 })), CorruptRecord, 3, 4, "2:x"},
		"bytes at the end": {crafted{base: 2, last: 3, count: 2}.raw(append(bad(crafted{}, func([]byte) {})[HeaderSize:], 0)),
			CorruptRecord, 4, 4, "2:x 3:y"},
		"a header": {bad(crafted{msgs: []*message{{Value: []byte("x")}, {Value: []byte("y"), Headers: []Header{{"name", nil}}}}}, sealed(func(b []byte) {
			b[len(b)-6] = 0x7e
		})), CorruptRecord, 3, 4, "2:x"},
		"codec 7": {bad(crafted{}, sealed(func(b []byte) { b[batchAttributes+1] |= 7 })), CorruptCompressed, 2, 4, ""},
		"gzip":    {bad(crafted{codec: CodecGzip}, sealed(func(b []byte) { b[HeaderSize+2] ^= 0xff })), CorruptCompressed, 2, 4, ""},
		"snappy":  {bad(crafted{codec: CodecSnappy}, sealed(func(b []byte) { b[HeaderSize] ^= 0x7f })), CorruptCompressed, 2, 4, ""},
		"lz4":     {bad(crafted{codec: CodecLZ4}, sealed(func(b []byte) { b[HeaderSize] ^= 0xff })), CorruptCompressed, 2, 4, ""},
		"zstd":    {bad(crafted{codec: CodecZstd}, sealed(func(b []byte) { b[HeaderSize] ^= 0xff })), CorruptCompressed, 2, 4, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w, res, err := got(&Decoder{}, slices.Concat(good, tc.set, tail), 0, nil)
			var c *CorruptError
			if !errors.As(err, &c) || c.Reason != tc.reason || c.From != tc.from || c.To != tc.to {
				t.Fatalf("%#v", err)
			}
			want := "0:a 1:b"
			if tc.words != "" {
				want += " " + tc.words
			}
			if res.Next > 2 { // its header is in order: what is wrong is found when it is opened
				want += " 10:z"
			}
			if w != want || res.Next != 2 && res.Next != 11 {
				t.Fatalf("%q next %d", w, res.Next)
			}
		})
	}
}

func TestDecodeDoesNotSkipByAHeaderThatMayLie(t *testing.T) {
	flip := func(at int, bit byte, b []byte) []byte {
		b = slices.Clone(b)
		b[at] ^= bit
		return b
	}
	batch := crafted{base: 5, msgs: valued("a", "b")}.bytes(t)
	compacted := crafted{base: 5, msgs: valued("a", "b"), last: 20}.bytes(t)
	next := crafted{base: 30, msgs: valued("z")}.bytes(t)
	for name, tc := range map[string]struct {
		set []byte
		to  int64
	}{
		"the header agrees with itself":         {flip(len(batch)-3, 1, batch), 7},
		"the last offset is flipped":            {flip(batchLastDelta+1, 1, batch), -1},
		"compacted: it may be right or not":     {flip(len(compacted)-3, 1, compacted), -1},
		"the next batch tells":                  {slices.Concat(flip(batchLastDelta+1, 1, batch), next), 30},
		"what follows is damaged too":           {slices.Concat(flip(batchLastDelta+1, 1, batch), flip(len(next)-3, 1, next)), -1},
		"what follows is not whole":             {slices.Concat(flip(batchLastDelta+1, 1, batch), next[:len(next)-1]), -1},
		"what follows has a length of nonsense": {slices.Concat(flip(batchLastDelta+1, 1, batch), flip(batchLength, 0x80, next)), -1},
	} {
		t.Run(name, func(t *testing.T) {
			_, res, err := got(&Decoder{}, tc.set, 5, nil)
			var c *CorruptError
			if !errors.As(err, &c) || c.Reason != CorruptCRC || c.From != 5 || c.To != tc.to || res.Next != 5 {
				t.Fatalf("%#v", err)
			}
		})
	}
}

func TestDecodeAsksForAnIncompleteFirstBatch(t *testing.T) {
	set := crafted{base: 5, msgs: valued("abcdefgh")}.bytes(t)
	_, res, err := got(&Decoder{}, set[:len(set)-1], 5, nil)
	if err != nil || res.Next != 5 || res.Need != len(set) {
		t.Fatalf("%+v %v", res, err)
	}
}

func TestDecodeStopsWhenTold(t *testing.T) {
	set := slices.Concat(crafted{base: 0, msgs: valued("a")}.bytes(t), crafted{base: 1, msgs: valued("b")}.bytes(t))
	seen := 0
	res, err := (&Decoder{}).Decode(set, 0, nil, func(*Batch) bool { seen++; return false })
	if err != nil || seen != 1 || res.Next != 1 {
		t.Fatal(seen, res, err)
	}
}

// A count of what a decoder asks for.
type meter struct{ asked, out int }

func (m *meter) Get(n int) []byte { m.asked += n; m.out++; return make([]byte, 0, n) }
func (m *meter) Put([]byte)       { m.out-- }

func TestDecompressionIsBounded(t *testing.T) {
	zeros := &message{Value: make([]byte, 32<<20)}
	for _, codec := range []Codec{CodecGzip, CodecSnappy, CodecLZ4, CodecZstd} {
		set := crafted{msgs: []*message{zeros}, codec: codec}.bytes(t)
		m := &meter{}
		_, _, err := gotWith(&Decoder{}, &Decompressor{Limit: 1 << 20, Memory: m}, set, 0, nil)
		var c *CorruptError
		if !errors.As(err, &c) || c.Reason != CorruptTooLarge || c.To != 1 {
			t.Errorf("%v: %v", codec, err)
		}
		if m.asked > 4<<20 || m.out != 0 {
			t.Errorf("%v: asked for %d bytes, %d buffers not given back", codec, m.asked, m.out)
		}
		if _, res, err := gotWith(&Decoder{}, &Decompressor{Limit: 33 << 20}, set, 0, nil); err != nil || res.Next != 1 {
			t.Errorf("%v within the limit: %v", codec, err)
		}
	}
}

// What a batch claims to hold is not allocated when it cannot hold it.
func TestClaimsAreNotBelieved(t *testing.T) {
	for name, tc := range map[string]struct {
		codec Codec
		bytes []byte
	}{
		"snappy": {CodecSnappy, binary.AppendUvarint(nil, 60<<20)},
		"xerial": {CodecSnappy, slices.Concat(xerial, make([]byte, 8), []byte{0, 0, 0, 4}, binary.AppendUvarint(nil, 60<<20))},
		"gzip":   {CodecGzip, []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xff, 0xff, 0xff, 0x03}},
		"lz4":    {CodecLZ4, []byte{4, 0x22, 0x4d, 0x18, 0x60, 0x70, 0, 1, 0, 0, 0, 9, 1, 0, 0, 0, 9, 0, 0, 0, 0}},
		"zstd":   {CodecZstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 3, 1, 0, 0}},
	} {
		m := &meter{}
		d := &Decompressor{Memory: m}
		_, _, err := gotWith(&Decoder{}, d, crafted{codec: tc.codec, count: 1}.raw(tc.bytes), 0, nil)
		if err == nil || m.asked > 2<<20 || m.out != 0 {
			t.Errorf("%s: %v, asked for %d bytes, %d buffers out", name, err, m.asked, m.out)
		}
		d.Close()
	}
}

func TestLinkedLZ4Blocks(t *testing.T) {
	// A frame of two blocks, the second a match into the first: "abcdefgh" twice, then
	// the five literals that end every block.
	frame := []byte{4, 0x22, 0x4d, 0x18, 0x40, 0x40, 0}
	frame = append(frame, 8, 0, 0, 0x80)
	frame = append(frame, "abcdefgh"...)
	frame = append(frame, 9, 0, 0, 0, 0x04, 8, 0, 0x50)
	frame = append(frame, "vwxyz"...)
	frame = append(frame, 0, 0, 0, 0)
	out, err := unlz4(frame, 1<<20, heap{})
	if err != nil || string(out) != "abcdefghabcdefghvwxyz" {
		t.Fatalf("%q %v", out, err)
	}
}

func TestDecodeAllocatesNothingPerRecord(t *testing.T) {
	var msgs []*message
	for range 2000 {
		msgs = append(msgs, &message{Key: []byte("key"), Value: make([]byte, 200)})
	}
	set := crafted{msgs: msgs}.bytes(t)
	d, open := &Decoder{Committed: true}, &Decompressor{}
	sum := 0
	visit := func(b *Batch) bool {
		if err := open.Open(b); err != nil {
			t.Error(err)
		}
		var r Record
		for b.Next(&r) {
			sum += len(r.Value)
		}
		return true
	}
	if n := testing.AllocsPerRun(20, func() { _, _ = d.Decode(set, 0, nil, visit) }); n > 1 {
		t.Fatalf("%v allocations for %d records", n, len(msgs))
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(crafted{base: 0, msgs: valued("a", "b")}.bytes(f), int64(0), int64(0))
	for _, codec := range []Codec{CodecGzip, CodecSnappy, CodecLZ4, CodecZstd} {
		f.Add(crafted{base: 3, msgs: valued("hello hello hello", ""), codec: codec}.bytes(f), int64(4), int64(9))
	}
	f.Add(slices.Concat(crafted{base: 0, pid: 1, attributes: attrTransactional, msgs: valued("x")}.bytes(f), marker(f, 1, 1, 0)), int64(0), int64(0))
	f.Add(crafted{msgs: []*message{{Headers: []Header{{"h", nil}, {"", []byte("v")}}}}}.bytes(f), int64(math.MaxInt64), int64(-1))
	f.Fuzz(func(t *testing.T, set []byte, from, aborted int64) {
		// The checksum would keep the fuzzer out.
		for rest := set; len(rest) > HeaderSize; {
			n := int(int32(binary.BigEndian.Uint32(rest[batchLength:]))) + batchOverhead
			if n < HeaderSize || n > len(rest) {
				break
			}
			reseal(rest[:n])
			rest = rest[n:]
		}
		from = max(from, 0)
		last := from - 1
		m := &meter{}
		d := &Decoder{Committed: true}
		open := &Decompressor{Limit: 1 << 20, Memory: m}
		defer open.Close()
		res, err := d.Decode(set, from, []AbortedTransaction{{aborted, aborted}}, func(b *Batch) bool {
			if open.Open(b) != nil {
				return true
			}
			var r Record
			for b.Next(&r) {
				if r.Offset <= last || r.Offset > b.Last {
					t.Fatalf("offset %d behind %d in %d to %d", r.Offset, last, b.Base, b.Last)
				}
				last = r.Offset
				b.EachHeader(&r, func(_, _ []byte) {})
			}
			var bad *CorruptError
			if errors.As(b.Err(), &bad) && (bad.From < last || bad.To != b.Last+1 || bad.From > bad.To) {
				t.Fatalf("damaged from %d to %d in %d to %d, read to %d", bad.From, bad.To, b.Base, b.Last, last)
			}
			if b.Decompressed != nil {
				m.Put(b.Decompressed)
			}
			return true
		})
		if res.Next < from || err == nil && res.Next <= last && last >= from {
			t.Fatalf("next %d from %d after %d", res.Next, from, last)
		}
		if m.out != 0 || m.asked > 1024*len(set)+8<<20 {
			t.Fatalf("%d buffers kept, %d bytes asked for", m.out, m.asked)
		}
	})
}
