package recordbatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// A Memory gives buffers and takes them back. A Decompressor calls it in the goroutine that opens a
// batch.
type Memory interface {
	// Get gives a slice of length 0 and at least the given capacity.
	Get(capacity int) []byte
	// Put takes a slice back that Get gave, or one that grew from it.
	Put([]byte)
}

// heap is the Memory of who brings none.
type heap struct{}

func (heap) Get(n int) []byte { return make([]byte, 0, n) }
func (heap) Put([]byte)       {}

var (
	errTooLarge   = errors.New("decompresses to more than the limit")
	errCompressed = errors.New("the compressed records are damaged")
)

// A Decompressor opens record batches. It is not safe for concurrent use; a copy of a
// batch may be opened elsewhere than where it was decoded. It holds the state of the
// codecs that have any, and is made where it is used: its zstd decoder holds channels,
// which must not move between the bubbles of testing/synctest. The zero value takes
// memory from the heap.
type Decompressor struct {
	// Limit bounds the records of one batch. 0: 64 MiB.
	Limit int
	// Memory gives the buffers of decompressed records. nil: the heap.
	Memory Memory

	gzip      *gzip.Reader
	src       bytes.Reader
	zstd      *zstd.Decoder
	zstdLimit int
	zstdLast  int // about what the last frame came to
}

// Open makes the records of a batch readable, decompressing them if need be. The error is
// a *CorruptError: then the batch has no records, and takes no memory.
func (d *Decompressor) Open(b *Batch) error {
	mem := d.Memory
	if mem == nil {
		mem = heap{}
	}
	if b.Compressed() {
		limit := d.Limit
		if limit <= 0 {
			limit = defaultMaxDecompressed
		}
		out, err := d.decode(Codec(b.attributes&attrCodec), b.records, limit, mem)
		b.records = nil
		switch {
		case err == errTooLarge:
			return b.corrupt(b.From, CorruptTooLarge, fmt.Errorf("the limit is %d bytes", limit))
		case err != nil:
			return b.corrupt(b.From, CorruptCompressed, err)
		}
		b.records, b.Decompressed = out, out
	}
	if n := len(b.records); b.Count > n/minRecord {
		if b.Decompressed != nil {
			mem.Put(b.Decompressed)
		}
		b.records, b.Decompressed = nil, nil
		return b.corrupt(b.From, CorruptRecord, fmt.Errorf("%d records in %d bytes", b.Count, n))
	}
	return nil
}

// decode gives what src holds, in a buffer from m, or errTooLarge when that is more
// than limit bytes. How much it asks m for depends on what src can hold at best, never
// on what it claims alone.
func (d *Decompressor) decode(codec Codec, src []byte, limit int, m Memory) ([]byte, error) {
	var out []byte
	var err error
	switch codec {
	case CodecGzip:
		out, err = d.gunzip(src, limit, m)
	case CodecSnappy:
		return unsnappy(src, limit, m) // which knows the size
	case CodecLZ4:
		out, err = unlz4(src, limit, m)
	case CodecZstd:
		out, err = d.unzstd(src, limit, m)
	default:
		err = fmt.Errorf("the batch is compressed with codec %d, which does not exist", codec)
	}
	if err != nil {
		return nil, err
	}
	return fit(out, m), nil
}

// fit moves what came out much smaller than its buffer into a buffer of its size, so that the large
// one is free for the next batch at once: a frame of LZ4 with blocks of 4 MiB takes that much,
// which 100 KB would otherwise keep until the last record is done with.
func fit(out []byte, m Memory) []byte {
	if cap(out) <= 2*len(out)+4<<10 {
		return out
	}
	small := append(m.Get(len(out)), out...)
	m.Put(out)
	return small
}

func (d *Decompressor) gunzip(src []byte, limit int, m Memory) ([]byte, error) {
	d.src.Reset(src)
	var err error
	if d.gzip == nil {
		d.gzip, err = gzip.NewReader(&d.src)
	} else {
		err = d.gzip.Reset(&d.src)
	}
	if err != nil {
		return nil, errCompressed
	}
	out := m.Get(min(claimed(CodecGzip, src), limit) + 2)
	for {
		if len(out) > limit {
			m.Put(out)
			return nil, errTooLarge
		}
		if len(out) == cap(out) {
			grown := m.Get(min(2*cap(out), limit) + 1)
			grown = append(grown, out...)
			m.Put(out)
			out = grown
		}
		n, err := d.gzip.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if err == io.EOF && len(out) <= limit {
			return out, nil
		}
		if err != nil && err != io.EOF {
			m.Put(out)
			return nil, errCompressed
		}
	}
}

// claimed is how many bytes src says that it decompresses to; where it does not say, a likely
// number. It may be wrong, or a lie: whoever allocates by it has to bound it.
func claimed(codec Codec, src []byte) int {
	const often = 16 // times the size, of records that are much alike
	n := len(src)
	switch codec {
	case CodecNone:
		return n
	case CodecGzip:
		if n > 8 { // the last four bytes are the size, modulo 2^32
			return min(int(binary.LittleEndian.Uint32(src[n-4:])), 1032*n)
		}
	case CodecSnappy:
		if total, err := snappyTotal(src); err == nil {
			return total
		}
	case CodecZstd:
		var head zstd.Header
		if head.Decode(src) == nil && head.HasFCS {
			return int(min(head.FrameContentSize, math.MaxInt32))
		}
	}
	return often * n
}

const (
	lz4Magic   = 0x184D2204
	lz4History = 64 << 10 // how far back a linked block may point
)

// unlz4 reads one frame. Checksums in it are passed over: the batch has its own.
func unlz4(src []byte, limit int, m Memory) ([]byte, error) {
	blocks, linked, blockMax, err := lz4Header(src)
	if err != nil {
		return nil, err
	}
	trailer := 0
	if src[4]&0x10 != 0 {
		trailer = 4
	}
	size, err := lz4Bound(blocks, blockMax, trailer)
	if err != nil {
		return nil, err
	}
	out := m.Get(min(size, limit))
	for {
		head := binary.LittleEndian.Uint32(blocks)
		n := int(head & 0x7fffffff)
		if n == 0 {
			return out, nil
		}
		block := blocks[4 : 4+n]
		blocks = blocks[4+n+trailer:]
		room := min(blockMax, limit-len(out), cap(out)-len(out))
		switch {
		case head>>31 != 0 && n <= room:
			out = append(out, block...)
			continue
		case head>>31 != 0:
			err = errTooLarge
		default:
			var dict []byte
			if linked {
				dict = out[max(0, len(out)-lz4History):]
			}
			var got int
			got, err = lz4.UncompressBlockWithDict(block, out[len(out):len(out)+room], dict)
			if err == nil && got >= 0 && got <= room {
				out = out[:len(out)+got]
				continue
			}
			if room < blockMax { // it had no space for a whole block
				err = errTooLarge
			} else {
				err = errCompressed
			}
		}
		m.Put(out)
		return nil, err
	}
}

func lz4Header(src []byte) (blocks []byte, linked bool, blockMax int, err error) {
	if len(src) < 7 || binary.LittleEndian.Uint32(src) != lz4Magic || src[4]>>6 != 1 {
		return nil, false, 0, errCompressed
	}
	flags, size := src[4], src[5]>>4&7
	head := 7
	if flags&0x08 != 0 {
		head += 8 // content size
	}
	if flags&0x01 != 0 || size < 4 || len(src) < head { // a dictionary is never used
		return nil, false, 0, errCompressed
	}
	return src[head:], flags&0x20 == 0, 64 << 10 << (2 * (size - 4)), nil
}

// lz4Bound walks the blocks and gives the most that they can hold.
func lz4Bound(b []byte, blockMax, trailer int) (size int, err error) {
	for {
		if len(b) < 4 {
			return 0, errCompressed
		}
		head := binary.LittleEndian.Uint32(b)
		n := int(head & 0x7fffffff)
		if n == 0 {
			return size, nil
		}
		if n > len(b)-4-trailer || n > blockMax+blockMax/128+64 {
			return 0, errCompressed
		}
		if head>>31 != 0 {
			size += n
		} else {
			size += min(blockMax, 255*n)
		}
		b = b[4+n+trailer:]
	}
}

func (d *Decompressor) unzstd(src []byte, limit int, m Memory) ([]byte, error) {
	if d.zstd == nil || d.zstdLimit != limit {
		if d.zstd != nil {
			d.zstd.Close()
		}
		var err error
		d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(max(limit, 1))),
			zstd.IgnoreChecksum(true), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		d.zstdLimit = limit
	}
	var head zstd.Header
	if err := head.Decode(src); err != nil {
		return nil, errCompressed
	}
	if head.HasFCS && head.FrameContentSize > uint64(limit) {
		return nil, errTooLarge
	}
	// A frame that Java's clients write does not tell its size, which is then guessed by that of
	// the frame before. A buffer that grows step by step would leave as much again to the
	// collector.
	size := max(4*len(src), min(d.zstdLast, 1024*len(src)))
	if head.HasFCS {
		size = min(int(head.FrameContentSize), max(64*len(src), 1<<20))
	}
	buf := m.Get(min(size, limit))
	out, err := d.zstd.DecodeAll(src, buf)
	switch {
	case err == nil && len(out) <= limit:
		if cap(out) != cap(buf) {
			m.Put(buf)
		}
		d.zstdLast = min(len(out)+len(out)/8, 4<<20)
		return out, nil
	case err == nil, errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		err = errTooLarge
	default:
		err = errCompressed
	}
	m.Put(buf)
	return nil, err
}

// Close frees what the codecs hold. The Decompressor can be used again.
func (d *Decompressor) Close() {
	if d.zstd != nil {
		d.zstd.Close()
		d.zstd = nil
	}
}
