package httpsink

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
)

const idempotencyKey = "Idempotency-Key"

// A request is a run of records under one key.
type request struct {
	url   string
	body  []byte
	key   string
	first recordID
	count int
	hash  [sha256.Size]byte // of all ids, in order
}

// A recordID tells a record from all others of the source, the parts of a split included.
type recordID struct {
	pipeline.Position
	part int32
}

// A laneID is what a lane's records have in common.
type laneID struct {
	topic     string
	partition int32
}

// maxUnknown bounds what is remembered, far above any number of partitions.
const maxUnknown = 10_000

// isUnknown says whether req has been sent before, with an outcome that is not known.
func (h *Sink) isUnknown(req request) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	u, ok := h.unknown[laneID{req.first.Topic, req.first.Partition}]
	return ok && u.count == req.count && u.hash == req.hash
}

// remember notes of which records a request was whose outcome is not known, so that the next
// attempt is one of the same.
func (h *Sink) remember(req request, unknown bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	lane := laneID{req.first.Topic, req.first.Partition}
	if !unknown {
		delete(h.unknown, lane)
		return
	}
	if len(h.unknown) >= maxUnknown {
		for other := range h.unknown { // any one: a lane that still writes is remembered again
			delete(h.unknown, other)
			break
		}
	}
	req.body = nil
	h.unknown[lane] = req
}

// next makes the next request of recs: the one whose outcome is not known when they
// begin with it, else as many records as fit, all to one URL. An error is that of the
// first record.
func (h *Sink) next(recs []*pipeline.Record) (request, error) {
	h.mu.Lock()
	before, ok := h.unknown[laneID{recs[0].Topic, recs[0].Partition}]
	h.mu.Unlock()
	if ok && before.first == idOf(recs[0]) && before.count <= len(recs) && client.PositionsHash(recs[:before.count]...) == before.hash {
		return h.exactly(recs[:before.count])
	}
	return h.fill(recs, h.settings.MaxRecords, int(h.settings.MaxBytes))
}

// exactly makes one request of all recs. They have been in a request together before.
func (h *Sink) exactly(recs []*pipeline.Record) (request, error) {
	req, err := h.fill(recs, len(recs), 0)
	if err == nil && req.count < len(recs) {
		err = errors.New("sending: records that went into one request do not any more")
	}
	return req, err
}

// fill takes records from the first on, at least one, while they have one URL and fit
// within the limits; 0 is none.
func (h *Sink) fill(recs []*pipeline.Record, maxRecords, maxBytes int) (request, error) {
	if h.settings.Format == "single" {
		maxRecords = 1
	}
	req := request{first: idOf(recs[0])}
	if h.settings.Format == "array" {
		req.body = append(req.body, '[')
	}
	for i, rec := range recs {
		if i == maxRecords {
			break
		}
		url, err := h.settings.URL.URL(rec)
		if err == nil && i > 0 && url != req.url {
			break
		}
		size := len(req.body)
		if err == nil {
			req.body, err = h.add(req.body, rec)
		}
		if i > 0 && (err != nil || maxBytes > 0 && len(req.body)+1 > maxBytes) {
			req.body = req.body[:size]
			break
		}
		if err != nil {
			return request{}, err
		}
		req.url = url
		req.count++
	}
	if h.settings.Format == "array" {
		req.body = append(req.body, ']')
	}
	req.key, req.hash = client.IdempotencyKey(h.scope, recs[:req.count]...)
	return req, nil
}

var errNotJSON = pipeline.Reject(pipeline.ReasonInvalidJSON,
	errors.New("sending: the value is not valid JSON; write format: single, or as: fixture"))

// add appends a record to a body that has been begun. On an error the body's first
// bytes are as they were.
func (h *Sink) add(body []byte, rec *pipeline.Record) ([]byte, error) {
	if h.form.Fixtures {
		if h.settings.Format == "array" && len(body) > 1 {
			body = append(body, ',')
		}
		body, err := h.form.Append(body, rec)
		if err == nil && h.settings.Format != "ndjson" {
			body = bytes.TrimSuffix(body, []byte("\n"))
		}
		return body, err
	}
	v := rec.Value()
	if v == nil {
		v = []byte("null")
	}
	if h.settings.Format == "single" {
		return append(body, v...), nil // a copy: the transport may outlive the record
	}
	// Not by gjson, which recurses at each level: millions of levels exhaust the stack and end the process.
	if !json.Valid(v) {
		return body, errNotJSON
	}
	if h.settings.Format == "ndjson" {
		return h.form.Append(body, rec)
	}
	if len(body) > 1 {
		body = append(body, ',')
	}
	return append(body, v...), nil
}

func idOf(rec *pipeline.Record) recordID { return recordID{rec.Position, rec.Part} }
