package websocketsink

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"sync/atomic"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/fixture"
)

// The forms of a message, as `as` names them.
const (
	asValue   = "value"
	asJSON    = "json"
	asFixture = "fixture"
)

// A message is a record as clients get it. It is made once, and shared by all of them: it is not changed any more, but for what is
// atomic. Who has got it from the shelf gives it back.
type message struct {
	number uint64 // 1, 2, 3 …
	before int64  // bytes of all messages before it

	frame []byte // of WebSocket, from its header to its end
	head  int    // how much of frame is header

	// The record, for filters.
	at      pipeline.Position
	part    int32
	time    int64
	key     []byte
	value   []byte
	headers []pipeline.Header

	size  int64        // that is charged
	users atomic.Int32 // who has it: the shelf, and clients that are sending it
}

// messageSize is about what a message takes beside its bytes.
const messageSize = 256

// newMessage makes the message of a record. It keeps none of the record's bytes.
func newMessage(rec *pipeline.Record, as string) *message {
	m := &message{at: rec.Position, part: rec.Part, time: rec.Time}
	b := make([]byte, maxFrameHead, maxFrameHead+rec.Size()+64)
	b = appendPayload(b, rec, as)
	payload := b[maxFrameHead:]
	opcode := byte(opText)
	if !utf8.Valid(payload) {
		opcode = opBinary // text of a WebSocket is UTF-8 (RFC 6455, 5.6)
	}
	m.head = frameHead(len(payload))
	m.frame = b[maxFrameHead-m.head:]
	putFrameHead(m.frame, opcode, len(payload))
	switch {
	case rec.Tombstone():
	case as == asValue:
		m.value = payload
	default:
		m.value = rec.AppendValue([]byte{})
	}
	m.size = int64(cap(b)) + messageSize
	if as != asValue {
		m.size += int64(cap(m.value))
	}
	m.key = bytes.Clone(rec.Key())
	m.size += int64(len(m.key))
	for _, h := range rec.Headers() {
		m.headers = append(m.headers, pipeline.Header{Name: h.Name, Value: bytes.Clone(h.Value)})
		m.size += int64(len(h.Name) + len(h.Value) + 40)
	}
	return m
}

// payload is what a client is shown of the record.
func (m *message) payload() []byte { return m.frame[m.head:] }

// record makes rec the record again. It is read only.
func (m *message) record(rec *pipeline.Record) {
	rec.Init(m.at, m.key, m.value, m.headers, m.time)
	rec.Part = m.part
}

// appendPayload appends what a client is shown of a record.
func appendPayload(b []byte, rec *pipeline.Record, as string) []byte {
	switch {
	case as == asFixture:
		b = fixture.Append(b, rec, "")
		return b[:len(b)-1] // without its line break
	case rec.Tombstone():
		return append(b, "null"...)
	case as == asJSON:
		from := len(b)
		b = rec.AppendValue(b)
		if json.Valid(b[from:]) && utf8.Valid(b[from:]) {
			return b
		}
		text, err := json.Marshal(string(b[from:])) // bytes that are no UTF-8 become U+FFFD
		if err != nil {
			text = []byte("null") // no string fails
		}
		return append(b[:from], text...)
	}
	return rec.AppendValue(b)
}

// Frames of WebSocket, as RFC 6455, 5.2 has them: a whole message each, without a mask, as a server sends it.
const (
	opText       = 1
	opBinary     = 2
	maxFrameHead = 10
)

// frameHead is how long the header of a frame with n bytes is.
func frameHead(n int) int {
	switch {
	case n < 126:
		return 2
	case n < 1<<16:
		return 4
	}
	return 10
}

// putFrameHead writes the header.
func putFrameHead(frame []byte, opcode byte, n int) {
	frame[0] = 0x80 | opcode
	switch frameHead(n) {
	case 2:
		frame[1] = byte(n)
	case 4:
		frame[1] = 126
		binary.BigEndian.PutUint16(frame[2:], uint16(n))
	default:
		frame[1] = 127
		binary.BigEndian.PutUint64(frame[2:], uint64(n))
	}
}

// textFrame makes a frame of a text.
func textFrame(text []byte) []byte {
	frame := make([]byte, frameHead(len(text)), frameHead(len(text))+len(text))
	putFrameHead(frame, opText, len(text))
	return append(frame, text...)
}
