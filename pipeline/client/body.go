package client

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// This file reads the bodies of answers, within their limits.

// read takes the body within the limit, or the first so many bytes of it. Both are of decoded bytes.
func (h *HTTP) read(x *attempt, resp *http.Response, first int64) ([]byte, error) {
	most := orElse(first, h.options.MaxBytes)
	tooLarge := func() error {
		return pipeline.Reject(TypeTooLarge, NewError(TypeTooLarge, x.what()+": the answer is larger than max_bytes ("+
			settings.Size(h.options.MaxBytes).String()+")", nil))
	}
	var src io.Reader = resp.Body
	var packed *io.LimitedReader
	size := resp.ContentLength
	switch enc := strings.ToLower(strings.TrimSpace(value(resp.Header, "Content-Encoding"))); enc {
	case "", "identity":
		if size > most && first == 0 {
			return nil, tooLarge()
		}
	case "gzip", "x-gzip":
		// Compression makes nothing longer by more than a little: what goes on for longer decodes to
		// nothing, and would go on for as long as the call may take.
		packed = &io.LimitedReader{R: resp.Body, N: most + most/64 + 64<<10}
		zr, err := h.gzip(packed)
		if errors.Is(err, io.EOF) { // nothing at all, compressed or not
			return []byte{}, nil
		}
		if err != nil {
			return nil, answerError(x, err)
		}
		defer h.gunzip.Put(zr)
		src, size = zr, -1
	default:
		return nil, pipeline.Reject(TypeBadAnswer, NewError(TypeBadAnswer, x.what()+": the answer comes in an encoding that was not asked for", nil))
	}
	// One byte past the limit tells a full answer from a cut one.
	body, err := readMost(src, size, most+1)
	if packed != nil && packed.N <= 0 {
		return nil, tooLarge()
	}
	if err != nil {
		return nil, answerError(x, err)
	}
	if int64(len(body)) > most {
		if first == 0 {
			return nil, tooLarge()
		}
		return body[:most], nil
	}
	if packed != nil {
		drain(resp.Body) // what stands behind the compressed part
	}
	return body, nil
}

// readMost reads to the end of src, or so many bytes, which is at least one. size is how many to expect;
// below 0: that is not known.
func readMost(src io.Reader, size, most int64) ([]byte, error) {
	if size < 0 {
		size = 511
	}
	// One byte more, so that the end is seen before there is need of more room.
	b := make([]byte, 0, min(size+1, most))
	for {
		n, err := src.Read(b[len(b):min(int64(cap(b)), most)])
		b = b[:len(b)+n]
		switch {
		case err == io.EOF: // not one within another error, which says that the body is cut
			return b, nil
		case err != nil, int64(len(b)) == most:
			return b, err
		case len(b) == cap(b):
			b = append(b, 0)[:len(b)]
		}
	}
}

// drain reads what is left of a body, so that its connection can be used again,
// unless it is long: then a new connection is cheaper.
func drain(body io.Reader) { _, _ = io.CopyN(io.Discard, body, 64<<10) }
