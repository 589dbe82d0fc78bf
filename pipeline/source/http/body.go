package http

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/penstockio/penstock/pipeline"
)

// This file reads the body of a request.
//
// What it guarantees. No byte is kept that was not taken from the budget before (I4), and what a slow caller makes us keep is what it
// has sent. A body that turns into more than max_body is refused when that is seen, not afterwards.
//
// How. The room begins small and is doubled when it is full, each time after its bytes were taken.

const (
	firstPiece = 64 << 10
	overhead   = 1 << 10 // of a request, beside its bytes
	gzipRoom   = 64 << 10
)

// take takes bytes of the budget for the request, and waits for them as long as the file says.
func (s *Source) take(r *http.Request, lane pipeline.Lane, bytes int64) (pipeline.Charge, *refusal) {
	ctx, cancel := context.WithTimeout(r.Context(), max(s.settings.Wait, time.Millisecond))
	defer cancel()
	defer context.AfterFunc(s.stopping, cancel)()
	charge, err := lane.Take(ctx, bytes)
	switch {
	case err == nil:
		return charge, nil
	case s.stopping.Err() != nil:
		return nil, stops()
	case r.Context().Err() != nil:
		return nil, gone("no")
	case ctx.Err() != nil:
		return nil, s.noRoom()
	}
	return nil, laneLost() // it has ended, and the next request finds another one
}

// read reads the body, decompressed. The charge holds its bytes, and is the caller's.
func (s *Source) read(w http.ResponseWriter, r *http.Request, l *line, lane pipeline.Lane) (body []byte, charge pipeline.Charge, no *refusal) {
	most := int64(s.settings.MaxBody)
	if r.ContentLength > most {
		return nil, nil, s.tooLarge()
	}
	in, extra, free, no := s.decompressed(r, io.Reader(http.MaxBytesReader(w, r.Body, most)))
	if no != nil {
		return nil, nil, no
	}
	defer free()
	limit := most + 1 // one more, to see that it is too large, or the end without growing
	if extra == 0 && r.ContentLength >= 0 {
		limit = r.ContentLength + 1
	}
	size := min(limit, firstPiece)
	if charge, no = s.take(r, lane, size+overhead+extra); no != nil {
		return nil, nil, no
	}
	defer func() {
		if no != nil {
			charge.Release()
		}
	}()
	rc, until := http.NewResponseController(w), time.Now().Add(s.settings.BodyTime)
	_ = rc.SetReadDeadline(until) // it fails where the connection is gone
	alone := false
	defer func() {
		if alone {
			l.alone.Unlock()
		}
	}()
	body = make([]byte, 0, size)
	for {
		n, err := in.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > most:
			return nil, charge, s.tooLarge()
		case err == io.EOF:
			charge.Add(-extra)
			_ = rc.SetReadDeadline(time.Time{})
			return body, charge, nil
		case err != nil:
			return nil, charge, s.unread(err)
		case len(body) < cap(body):
			continue
		}
		grown := min(2*int64(cap(body)), limit)
		asked := time.Now()
		if no := s.grow(r, l, lane, charge, int64(cap(body)), grown, &alone); no != nil {
			return nil, charge, no
		}
		until = until.Add(time.Since(asked)) // the caller was not slow meanwhile
		_ = rc.SetReadDeadline(until)
		bigger := make([]byte, len(body), grown)
		copy(bigger, body)
		body = bigger
	}
}

// grow has a charge hold more bytes. While the budget has them they are taken; else one request of each lane at a time goes on without
// waiting, as a lane may always have one record, and the others wait for room. alone says that this is the one.
func (s *Source) grow(r *http.Request, l *line, lane pipeline.Lane, charge pipeline.Charge, from, to int64, alone *bool) *refusal {
	if !*alone && lane.Room() < to {
		*alone = l.alone.TryLock()
	}
	if !*alone {
		more, no := s.take(r, lane, to-from)
		if no != nil {
			return no
		}
		defer more.Release()
	}
	charge.Add(to - from)
	return nil
}

// decompressed gives the body as it was before its Content-Encoding, what that takes beside it, and what gives that back.
func (s *Source) decompressed(r *http.Request, raw io.Reader) (in io.Reader, extra int64, free func(), no *refusal) {
	switch coding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); coding {
	case "", "identity":
		return raw, 0, func() {}, nil
	case "gzip", "x-gzip":
		return &gzipReader{raw: raw}, gzipRoom, func() {}, nil
	case "zstd":
		ctx, cancel := context.WithTimeout(r.Context(), max(s.settings.Wait, time.Millisecond))
		defer cancel()
		defer context.AfterFunc(s.stopping, cancel)()
		d, err := s.zstd.get(ctx)
		switch {
		case err != nil && s.stopping.Err() != nil:
			return nil, 0, nil, stops()
		case err != nil:
			return nil, 0, nil, s.noRoom()
		}
		if err := d.Reset(raw); err != nil {
			s.zstd.put(d)
			return nil, 0, nil, badCoding("zstd")
		}
		return &codedReader{d, "zstd"}, firstPiece, func() { s.zstd.put(d) }, nil
	}
	return nil, 0, nil, &refusal{
		status: http.StatusUnsupportedMediaType, reason: "content_encoding", header: http.Header{"Accept-Encoding": {"gzip, zstd"}},
		detail: "the Content-Encoding is none of gzip, zstd and identity, one of which is understood",
	}
}

// A gzipReader reads the header of the stream with the first bytes, not before.
type gzipReader struct {
	raw io.Reader
	z   *gzip.Reader
}

func (g *gzipReader) Read(p []byte) (n int, err error) {
	if g.z == nil {
		if g.z, err = gzip.NewReader(g.raw); err != nil {
			return 0, coded(err, "gzip")
		}
	}
	n, err = g.z.Read(p)
	return n, coded(err, "gzip")
}

type codedReader struct {
	io.Reader
	coding string
}

func (c *codedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	return n, coded(err, c.coding)
}

// A codingError says that a body is not what its Content-Encoding says.
type codingError struct {
	coding string
	err    error
}

func (e *codingError) Error() string { return fmt.Sprintf("reading %s: %v", e.coding, e.err) }
func (e *codingError) Unwrap() error { return e.err }

// coded says of an error of a decoder that it is one. Others are passed on.
func coded(err error, coding string) error {
	var tooLong *http.MaxBytesError
	if err == nil || err == io.EOF && coding != "" || errors.As(err, &tooLong) || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return &codingError{coding, err}
}

// unread says why a body could not be read.
func (s *Source) unread(err error) *refusal {
	var tooLong *http.MaxBytesError
	var wrong *codingError
	var network net.Error
	switch {
	case errors.As(err, &tooLong), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return s.tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &refusal{
			status: http.StatusRequestTimeout, reason: "slow_body", close: true,
			detail: fmt.Sprintf("the body has not come within %v (body_timeout)", s.settings.BodyTime),
		}
	case errors.As(err, &wrong):
		return badCoding(wrong.coding)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network):
		return gone("no")
	}
	no := badValue("the body cannot be read: it has to come as Transfer-Encoding: chunked says")
	no.close = true
	return no
}

func badCoding(coding string) *refusal {
	return &refusal{status: http.StatusBadRequest, reason: "content_encoding", detail: "the body is not whole, or is not what its Content-Encoding says: " + coding}
}

// decoders are those of zstd, each of which has a window of some MiB: so there are few, and a request waits for one.
type decoders struct{ free chan *zstd.Decoder }

const (
	mostDecoders = 4
	mostWindow   = 8 << 20 // what RFC 8878 recommends to support
)

func newDecoders() *decoders {
	d := &decoders{free: make(chan *zstd.Decoder, mostDecoders)}
	for range mostDecoders {
		d.free <- nil // made when it is needed
	}
	return d
}

func (d *decoders) get(ctx context.Context) (*zstd.Decoder, error) {
	select {
	case one := <-d.free:
		if one != nil {
			return one, nil
		}
		one, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(mostWindow))
		if err != nil {
			d.free <- nil
		}
		return one, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (d *decoders) put(one *zstd.Decoder) {
	_ = one.Reset(nil) // lets go of the body
	d.free <- one
}
