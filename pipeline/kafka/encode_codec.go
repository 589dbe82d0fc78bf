package kafka

import (
	"bytes"
	"fmt"
	"io"

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

// compress appends src, compressed, to dst.
func compress(codec Codec, dst, src []byte) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	var w io.WriteCloser
	var err error
	switch codec {
	case CodecNone:
		return append(dst, src...), nil
	case CodecGzip:
		w = gzip.NewWriter(out)
	case CodecSnappy:
		return append(dst, s2.EncodeSnappy(nil, src)...), nil
	case CodecLZ4:
		w = lz4.NewWriter(out)
	case CodecZstd:
		w, err = zstd.NewWriter(out, zstd.WithEncoderConcurrency(1))
	default:
		return dst, fmt.Errorf("codec %d is not known", codec)
	}
	if err != nil {
		return dst, err
	}
	if _, err = w.Write(src); err == nil {
		err = w.Close()
	}
	return out.Bytes(), err
}
