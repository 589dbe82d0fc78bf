package recordbatch

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// A Codec is how the records of a batch are compressed, as the batch's attributes
// say it.
type Codec int8

// The codecs.
const (
	CodecNone Codec = iota
	CodecGzip
	CodecSnappy
	CodecLZ4
	CodecZstd
)

// Codecs are the names of the codecs, by their number.
var Codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

func (c Codec) String() string {
	if c >= 0 && int(c) < len(Codecs) {
		return Codecs[c]
	}
	return fmt.Sprintf("codec %d", int8(c))
}

// ParseCodec finds a codec by its name.
func ParseCodec(name string) (Codec, error) {
	for i, n := range Codecs {
		if n == name {
			return Codec(i), nil
		}
	}
	return 0, fmt.Errorf("unknown compression %q: use one of none, gzip, snappy, lz4, zstd", name)
}

// A Compressor keeps what the codecs would otherwise make anew for every batch. Its
// zero value works; it is not safe for concurrent use. It must stay with its owner:
// the zstd encoder holds channels, which must not move between the bubbles of
// testing/synctest.
type Compressor struct {
	lz4  *lz4.Compressor
	gzip *gzip.Writer
	zstd *zstd.Encoder
}

// Weight is what a Compressor of the codec comes to hold, as its test measures it: tables
// and windows.
func (c Codec) Weight() int64 {
	switch c {
	case CodecGzip:
		return 1100 << 10
	case CodecLZ4:
		return 140 << 10
	case CodecZstd:
		return 4 << 20
	}
	return 0
}

// Append appends src, compressed, to dst.
func (c *Compressor) Append(codec Codec, dst, src []byte) ([]byte, error) {
	switch codec {
	case CodecNone:
		return append(dst, src...), nil
	case CodecGzip:
		return c.appendGzip(dst, src)
	case CodecSnappy:
		n := len(dst)
		dst = grow(dst, s2.MaxEncodedLen(len(src)))
		return dst[:n+len(s2.EncodeSnappy(dst[n:cap(dst)], src))], nil
	case CodecLZ4:
		return c.appendLZ4(dst, src)
	case CodecZstd:
		if c.zstd == nil {
			var err error
			c.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20))
			if err != nil {
				return dst, err
			}
		}
		return c.zstd.EncodeAll(src, dst), nil
	}
	return dst, fmt.Errorf("compressing: %s does not exist", codec)
}

// grow makes room for n bytes behind b.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	return append(b, make([]byte, n)...)[:len(b)]
}

func (c *Compressor) appendGzip(dst, src []byte) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	if c.gzip == nil {
		c.gzip = gzip.NewWriter(out)
	} else {
		c.gzip.Reset(out)
	}
	_, err := c.gzip.Write(src)
	if err == nil {
		err = c.gzip.Close()
	}
	return out.Bytes(), err
}

// lz4Block is the size of a frame's blocks, which the frame's header names.
const lz4Block = 64 << 10

// appendLZ4 writes one frame of independent blocks without checksums: version 1,
// blocks of 64 KiB, and the header's own checksum.
func (c *Compressor) appendLZ4(dst, src []byte) ([]byte, error) {
	if c.lz4 == nil {
		c.lz4 = new(lz4.Compressor)
	}
	dst = binary.LittleEndian.AppendUint32(dst, lz4Magic)
	dst = append(dst, 0x60, 0x40, 0x82)
	for len(src) > 0 {
		block := src[:min(len(src), lz4Block)]
		src = src[len(block):]
		at := len(dst)
		dst = grow(dst, 4+len(block))[:at+4]
		// With less room than the block takes uncompressed, the compressor gives up on
		// blocks that would grow.
		n, err := c.lz4.CompressBlock(block, dst[at+4:at+4+len(block)])
		if err != nil || n == 0 || n >= len(block) {
			binary.LittleEndian.PutUint32(dst[at:], uint32(len(block))|1<<31)
			dst = append(dst, block...)
			continue
		}
		binary.LittleEndian.PutUint32(dst[at:], uint32(n))
		dst = dst[:at+4+n]
	}
	return binary.LittleEndian.AppendUint32(dst, 0), nil
}
