package textformat

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Base64 gives a form of base64: standard, url with - and _ in place of + and /, or raw and rawurl,
// which are these without = at the end; nil when there is none of that name.
func Base64(form string) *base64.Encoding {
	switch form {
	case "standard":
		return base64.StdEncoding
	case "url":
		return base64.URLEncoding
	case "raw":
		return base64.RawStdEncoding
	case "rawurl":
		return base64.RawURLEncoding
	}
	return nil
}

// AppendFromBase64 appends the bytes that text means, in any of the forms of Base64. Line ends
// within it do not count.
func AppendFromBase64(dst, text []byte) ([]byte, error) {
	text = bytes.TrimRight(text, "\r\n")
	padded, url := bytes.HasSuffix(text, []byte("=")), bytes.ContainsAny(text, "-_")
	form := base64.RawStdEncoding
	switch {
	case padded && url:
		form = base64.URLEncoding
	case padded:
		form = base64.StdEncoding
	case url:
		form = base64.RawURLEncoding
	}
	out, err := form.AppendDecode(dst, text)
	var wrong base64.CorruptInputError
	switch {
	case errors.As(err, &wrong):
		return dst, at(min(int(wrong), max(len(text)-1, 0)), "it is no base64, or ends too early")
	case err != nil:
		return dst, whole("it is no base64")
	}
	return out, nil
}

// AppendFromHex appends the bytes that text means, two digits for each. A line end behind them does
// not count.
func AppendFromHex(dst, text []byte) ([]byte, error) {
	text = bytes.TrimRight(text, "\r\n")
	for i, c := range text {
		if !hexadecimal(c) {
			return dst, at(i, "it is no hexadecimal digit")
		}
	}
	if len(text)%2 == 1 {
		return dst, at(len(text)-1, "the last byte has one digit")
	}
	return hex.AppendDecode(dst, text) // which takes what is left
}

// Compression makes and reads gzip, zstd and frames of LZ4. Its zero value works. It must stay with its owner:
// zstd holds channels, which must not move between the bubbles of testing/synctest.
type Compression struct {
	gunzips, gzips, unzstds, zstds, unlz4s, lz4s sync.Pool
}

const compressedTooLarge = "what is compressed has more than "

func tooLarge(most int) error {
	return whole(fmt.Sprintf("%s%d bytes", compressedTooLarge, most))
}

// IsTooLarge says whether err is that of bytes which hold more than was allowed.
func IsTooLarge(err error) bool {
	var e *Error
	return errors.As(err, &e) && strings.HasPrefix(e.Why, compressedTooLarge)
}

// AppendFromGzip appends what is compressed in text, at most that many bytes: more are an error
// before there is memory for them.
func (c *Compression) AppendFromGzip(dst, text []byte, most int) ([]byte, error) {
	r, _ := c.gunzips.Get().(*gunzip)
	if r == nil {
		r = new(gunzip)
	}
	defer func() {
		r.src.Reset(nil) // lets go of the text
		c.gunzips.Put(r)
	}()
	r.src.Reset(text)
	if err := r.Reset(&r.src); err != nil {
		return dst, at(0, "it does not begin as gzip does")
	}
	return appendBounded(dst, r, most, "gzip")
}

type gunzip struct {
	gzip.Reader
	src bytes.Reader
}

// window bounds how far back a zstd frame may refer: RFC 8878 asks decoders for 8 MiB.
const window = 8 << 20

// AppendFromZstd is AppendFromGzip for zstd.
func (c *Compression) AppendFromZstd(dst, text []byte, most int) ([]byte, error) {
	var head zstd.Header
	if err := head.Decode(text); err != nil {
		return dst, at(0, "it does not begin as zstd does")
	}
	if head.HasFCS && head.FrameContentSize > uint64(most) {
		return dst, tooLarge(most)
	}
	r, _ := c.unzstds.Get().(*zstd.Decoder)
	if r == nil {
		var err error
		if r, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window)); err != nil {
			return dst, whole(err.Error())
		}
	}
	if err := r.Reset(bytes.NewReader(text)); err != nil {
		return dst, at(0, "it does not begin as zstd does")
	}
	defer func() {
		_ = r.Reset(nil) // lets go of the text
		c.unzstds.Put(r)
	}()
	return appendBounded(dst, r, most, "zstd")
}

// appendBounded reads all of r, at most that many bytes.
func appendBounded(dst []byte, r io.Reader, most int, name string) ([]byte, error) {
	out := dst
	for {
		if len(out) == cap(out) {
			out = append(out, make([]byte, 512)...)[:len(out)]
		}
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case len(out)-len(dst) > most:
			return dst, tooLarge(most)
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return dst, whole(fmt.Sprintf("the %s breaks off or is damaged behind %d bytes of what is compressed", name, len(out)-len(dst)))
		}
	}
}

// A frameWriter compresses what is written to it.
type frameWriter interface {
	io.WriteCloser
	Reset(to io.Writer)
}

// appendWritten appends what w makes of data.
func appendWritten(dst, data []byte, w frameWriter) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	w.Reset(out)
	if _, err := w.Write(data); err != nil {
		return dst, whole(err.Error())
	}
	if err := w.Close(); err != nil {
		return dst, whole(err.Error())
	}
	return out.Bytes(), nil
}

// AppendGzip appends data, compressed.
func (c *Compression) AppendGzip(dst, data []byte) ([]byte, error) {
	w, _ := c.gzips.Get().(*gzip.Writer)
	if w == nil {
		w = gzip.NewWriter(nil)
	}
	defer c.gzips.Put(w)
	return appendWritten(dst, data, w)
}

// AppendZstd appends data, compressed.
func (c *Compression) AppendZstd(dst, data []byte) ([]byte, error) {
	w, _ := c.zstds.Get().(*zstd.Encoder)
	if w == nil {
		var err error
		if w, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20)); err != nil {
			return dst, whole(err.Error())
		}
	}
	defer c.zstds.Put(w)
	return w.EncodeAll(data, dst), nil
}

// AppendHex appends two hexadecimal digits, in lower case, for each byte of data.
func AppendHex(dst, data []byte) ([]byte, error) { return hex.AppendEncode(dst, data), nil }
