package http

import (
	"bytes"
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
	overhead   = 1 << 10  // of a request, beside its bytes
	gzipRoom   = 64 << 10 // of a decoder, beside what it gives
	zstdRoom   = 64 << 10
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
		return nil, gone()
	case ctx.Err() != nil:
		return nil, s.noRoom()
	}
	return nil, laneLost() // it has ended, and the next request finds another one
}

// A room is the memory of a request, and how it gets more.
type room struct {
	s      *Source
	r      *http.Request
	line   *line
	lane   pipeline.Lane
	charge pipeline.Charge
	held   int64
	alone  bool // this one goes on without waiting
}

// grow has the charge hold more bytes. While the budget has them they are taken; else one request of each lane at a time goes on without
// waiting, as a lane may always have one record, and the others wait for room.
func (m *room) grow(by int64) *refusal {
	if !m.alone && m.lane.Room() < m.held+by {
		m.alone = m.line.alone.TryLock()
	}
	if !m.alone {
		more, no := m.s.take(m.r, m.lane, by)
		if no != nil {
			return no
		}
		defer more.Release()
	}
	m.add(by)
	return nil
}

func (m *room) add(by int64) {
	m.charge.Add(by)
	m.held += by
}

// end lets others grow; failed also gives the bytes back.
func (m *room) end(failed bool) {
	if m.alone {
		m.line.alone.Unlock()
	}
	if failed {
		m.charge.Release()
	}
}

// read reads the body, decompressed. The charge holds its bytes, and is the caller's.
func (s *Source) read(w http.ResponseWriter, r *http.Request, l *line, lane pipeline.Lane) (body []byte, charge pipeline.Charge, no *refusal) {
	most := int64(s.settings.MaxBody)
	if r.ContentLength > most {
		return nil, nil, s.tooLarge()
	}
	coding, no := codingOf(r)
	if no != nil {
		return nil, nil, no
	}
	limit := most + 1 // one more, to see that it is too large, or the end without growing
	if r.ContentLength >= 0 {
		limit = r.ContentLength + 1
	}
	size := min(limit, firstPiece)
	m := &room{s: s, r: r, line: l, lane: lane, held: size + overhead}
	if m.charge, no = s.take(r, lane, m.held); no != nil {
		return nil, nil, no
	}
	whole := false
	defer func() { m.end(!whole) }() // also when what reads it panics
	rc, until := http.NewResponseController(w), time.Now().Add(s.settings.BodyTime)
	_ = rc.SetReadDeadline(until) // it fails where the connection is gone
	body, no = m.fill(http.MaxBytesReader(w, r.Body, most), size, limit, func(waited time.Duration) {
		until = until.Add(waited) // the caller was not slow meanwhile
		_ = rc.SetReadDeadline(until)
	})
	if no == nil {
		_ = rc.SetReadDeadline(time.Time{})
		body, no = m.decompressed(coding, body)
	}
	if no != nil {
		return nil, nil, no
	}
	whole = true
	return body, m.charge, nil
}

// fill reads all into memory, of which the first bytes are charged already. waited is told how long it waited for more.
func (m *room) fill(in io.Reader, size, limit int64, waited func(time.Duration)) ([]byte, *refusal) {
	body := make([]byte, 0, size)
	for {
		n, err := in.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > int64(m.s.settings.MaxBody):
			return nil, m.s.tooLarge()
		case err == io.EOF:
			return body, nil
		case err != nil:
			return nil, m.s.unread(err)
		case len(body) < cap(body):
			continue
		}
		grown, asked := min(2*int64(cap(body)), limit), time.Now()
		if no := m.grow(grown - int64(cap(body))); no != nil {
			return nil, no
		}
		waited(time.Since(asked))
		bigger := make([]byte, len(body), grown)
		copy(bigger, body)
		body = bigger
	}
}

// codingOf gives the Content-Encoding of a request; "": there is none.
func codingOf(r *http.Request) (string, *refusal) {
	switch coding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); coding {
	case "", "identity":
		return "", nil
	case "gzip", "x-gzip":
		return "gzip", nil
	case "zstd":
		return coding, nil
	}
	return "", &refusal{
		status: http.StatusUnsupportedMediaType, reason: "content_encoding", header: http.Header{"Accept-Encoding": {"gzip, zstd"}},
		detail: "the Content-Encoding is none of gzip, zstd and identity, one of which is understood",
	}
}

// decompressed gives a body as it was before its Content-Encoding. It is all here: a caller who sends it slowly holds no decoder.
func (m *room) decompressed(coding string, packed []byte) ([]byte, *refusal) {
	if coding == "" {
		return packed, nil
	}
	extra := int64(gzipRoom)
	if coding == "zstd" {
		extra = zstdRoom
	}
	if no := m.grow(extra + firstPiece); no != nil {
		return nil, no
	}
	in, free, no := m.s.decoder(m.r, coding, packed)
	if no != nil {
		return nil, no
	}
	defer free()
	body, no := m.fill(in, firstPiece, int64(m.s.settings.MaxBody)+1, func(time.Duration) {})
	if no == nil {
		m.add(-extra - int64(cap(packed)))
	}
	return body, no
}

// decoder reads a compressed body. free is to be called behind it.
func (s *Source) decoder(r *http.Request, coding string, packed []byte) (in io.Reader, free func(), no *refusal) {
	raw := bytes.NewReader(packed)
	if coding == "gzip" {
		return &gzipReader{raw: raw}, func() {}, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), max(s.settings.Wait, time.Millisecond))
	defer cancel()
	defer context.AfterFunc(s.stopping, cancel)()
	d, err := s.zstd.get(ctx)
	switch {
	case err != nil && s.stopping.Err() != nil:
		return nil, nil, stops()
	case err != nil && r.Context().Err() != nil:
		return nil, nil, gone()
	case err != nil:
		return nil, nil, s.noRoom()
	}
	if err := d.Reset(raw); err != nil {
		s.zstd.put(d)
		return nil, nil, badCoding(coding)
	}
	return &codedReader{d, coding}, func() { s.zstd.put(d) }, nil
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

// coded says of an error of a decoder that it is one.
func coded(err error, coding string) error {
	if err == nil || err == io.EOF {
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
	case errors.Is(err, io.ErrUnexpectedEOF): // the caller may have closed one side of the connection alone, and read on
		no := badValue("the body ends before its end: it has to come whole, as Content-Length or Transfer-Encoding: chunked says")
		no.close = true
		return no
	case errors.As(err, &network):
		return gone()
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
