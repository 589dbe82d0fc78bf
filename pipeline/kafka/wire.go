package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

// A writer appends the primitive types of Kafka's protocol. The compact forms are
// those of flexible versions (KIP-482).
type writer struct {
	version  int16 // of the request that is written
	b        []byte
	attached []attachment
}

// An attachment is bytes that stand in front of b[at] without being copied there.
type attachment struct {
	at    int
	room  []byte // the bytes are those behind front
	front int
}

func (a attachment) p() []byte { return a.room[a.front:] }

func (w *writer) int8(v int8)   { w.b = append(w.b, byte(v)) }
func (w *writer) int16(v int16) { w.b = binary.BigEndian.AppendUint16(w.b, uint16(v)) }
func (w *writer) int32(v int32) { w.b = binary.BigEndian.AppendUint32(w.b, uint32(v)) }
func (w *writer) int64(v int64) { w.b = binary.BigEndian.AppendUint64(w.b, uint64(v)) }
func (w *writer) bool(v bool) {
	if v {
		w.int8(1)
	} else {
		w.int8(0)
	}
}
func (w *writer) uvarint(v uint64) { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) uuid(v [16]byte)  { w.b = append(w.b, v[:]...) }
func (w *writer) string(s string) {
	w.int16(int16(len(s)))
	w.b = append(w.b, s...)
}

// nullable writes "" as null.
func (w *writer) nullable(s string) {
	if s == "" {
		w.int16(-1)
		return
	}
	w.string(s)
}
func (w *writer) bytes(p []byte) {
	w.int32(int32(len(p)))
	w.b = append(w.b, p...)
}

// attach is the bytes of room behind front, without the copy where that pays: room must
// stay as it is until the request has been written. What is in front of the bytes in the
// request is put in front of them in room, when it fits there, so that both are one write:
// a call of the kernel for eight bytes costs as much as one for many thousands
// (BenchmarkProduce).
func (w *writer) attach(room []byte, front int) {
	p := room[front:]
	if len(p) < minAttached {
		w.bytes(p)
		return
	}
	w.int32(int32(len(p)))
	w.attached = append(w.attached, attachment{len(w.b), room, front})
}

// minAttached is the size from which a call of the kernel is cheaper than a copy.
const minAttached = 16 << 10

// size is the length of all that has been written.
func (w *writer) size() int {
	n := len(w.b)
	for _, a := range w.attached {
		n += len(a.p())
	}
	return n
}

func (w *writer) writeTo(out io.Writer) error {
	from := 0
	for _, a := range w.attached {
		before := w.b[from:a.at]
		if len(before) > a.front {
			if _, err := out.Write(before); err != nil {
				return err
			}
			before = nil
		}
		start := a.front - len(before)
		copy(a.room[start:], before)
		if _, err := out.Write(a.room[start:]); err != nil {
			return err
		}
		from = a.at
	}
	if from == len(w.b) {
		return nil
	}
	_, err := out.Write(w.b[from:])
	return err
}

func (w *writer) array(n int) { w.int32(int32(n)) }
func (w *writer) compactString(s string) {
	w.uvarint(uint64(len(s)) + 1)
	w.b = append(w.b, s...)
}

func (w *writer) compactArray(n int) { w.uvarint(uint64(n) + 1) }
func (w *writer) tags()              { w.uvarint(0) }

var errShort = errors.New("response ends early")

// A reader takes the primitive types off a response. After the first error, which
// stays in err, every method returns zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail(errShort)
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) int8() int8 {
	if p := r.take(1); p != nil {
		return int8(p[0])
	}
	return 0
}
func (r *reader) int16() int16 {
	if p := r.take(2); p != nil {
		return int16(binary.BigEndian.Uint16(p))
	}
	return 0
}
func (r *reader) int32() int32 {
	if p := r.take(4); p != nil {
		return int32(binary.BigEndian.Uint32(p))
	}
	return 0
}
func (r *reader) int64() int64 {
	if p := r.take(8); p != nil {
		return int64(binary.BigEndian.Uint64(p))
	}
	return 0
}
func (r *reader) bool() bool { return r.int8() != 0 }
func (r *reader) uuid() (id [16]byte) {
	copy(id[:], r.take(16))
	return id
}
func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail(errShort)
		return 0
	}
	r.b = r.b[n:]
	return v
}

// string reads a string; null reads as "".
func (r *reader) string() string { return string(r.take(max(int(r.int16()), 0))) }

// bytes reads bytes; null reads as nil. It does not copy.
func (r *reader) bytes() []byte {
	n := r.int32()
	if n < 0 {
		return nil
	}
	return r.take(int(n))
}

// array reads the number of elements; null reads as 0. An element takes at least one
// byte, which bounds what a caller may allocate for it.
func (r *reader) array() int {
	n := r.int32()
	if int(n) > len(r.b) {
		r.fail(errShort)
		return 0
	}
	return max(int(n), 0)
}
func (r *reader) compactString() string {
	n := r.uvarint()
	if n > math.MaxInt32 {
		r.fail(errShort)
		return ""
	}
	return string(r.take(max(int(n)-1, 0)))
}
func (r *reader) compactArray() int {
	n := r.uvarint()
	if n > uint64(len(r.b))+1 {
		r.fail(errShort)
		return 0
	}
	return max(int(n)-1, 0)
}

// tags skips a tag section.
func (r *reader) tags() {
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		r.uvarint()
		r.take(int(min(r.uvarint(), math.MaxInt32)))
	}
}

// maxResponse bounds the length prefix of a response other than a fetch, before
// anything is allocated for it.
const maxResponse = 64 << 20

// maxVersions bounds the first answer on a connection: it may not be a broker's.
const maxVersions = 1 << 20

// An exchange is one request and its answer, sent to the broker with the given node
// id through kafka-go's Transport.
type exchange struct {
	key      protocol.ApiKey
	version  int16 // as negotiated with the broker, from the table of requests
	flexible bool
	broker   int32 // node id; -1: any
	clientID string
	// patience is how long the broker may think before its answer begins. 0: 10 s.
	patience time.Duration
	body     func(*writer)
	// read takes the answer's body: size bytes from r. nil: the body is kept whole
	// in answer. Neither contains the tags of a flexible response header.
	read   func(r io.Reader, size int) error
	answer []byte
	from   *node // who answered, of any
}

var correlation atomic.Int32

var errExpectsTLS = errors.New("the broker is expecting TLS")

// roundTrip writes the request, header included, and reads the answer. After an
// error the connection is of no further use.
func (x *exchange) roundTrip(rw io.ReadWriter) error {
	id := correlation.Add(1)
	w := &writer{version: x.version, b: make([]byte, 4, 512)}
	w.int16(int16(x.key))
	w.int16(x.version)
	w.int32(id)
	w.nullable(x.clientID)
	if x.flexible {
		w.tags()
	}
	x.body(w)
	binary.BigEndian.PutUint32(w.b, uint32(w.size()-4))
	if err := w.writeTo(rw); err != nil {
		return err
	}
	var head [8]byte
	first := x.key == protocol.ApiVersions // asked of whoever answers there
	if n, err := io.ReadFull(rw, head[:]); err != nil {
		if first && n > 0 && errors.Is(err, io.ErrUnexpectedEOF) {
			return foreign(head[:n])
		}
		return err
	}
	if head[0] == 0x15 && head[1] == 0x03 { // an alert of TLS, where a length should be
		return errExpectsTLS
	}
	size := int(int32(binary.BigEndian.Uint32(head[:4]))) - 4
	if got := int32(binary.BigEndian.Uint32(head[4:])); got != id {
		if first {
			return foreign(head[:])
		}
		return fmt.Errorf("answer %d to request %d", got, id)
	}
	if x.flexible && x.key != protocol.ApiVersions {
		n, err := skipTags(rw, size)
		if err != nil {
			return err
		}
		size -= n
	}
	if first && (size < 0 || size > maxVersions) {
		return foreign(nil)
	}
	if size < 0 || (x.read == nil && size > maxResponse) {
		return fmt.Errorf("answer of %d bytes", size)
	}
	if x.read != nil {
		return x.read(rw, size)
	}
	x.answer = make([]byte, size)
	_, err := io.ReadFull(rw, x.answer)
	return err
}

// skipTags takes the tag section of a flexible response header off r, which holds
// size bytes of the response, and gives its length.
func skipTags(r io.Reader, size int) (int, error) {
	n := 0
	uvarint := func() (v uint64, err error) {
		var b [1]byte
		for shift := 0; shift < 35; shift += 7 {
			if n++; n > size {
				return 0, errShort
			}
			if _, err := io.ReadFull(r, b[:]); err != nil {
				return 0, err
			}
			v |= uint64(b[0]&0x7f) << shift
			if b[0] < 0x80 {
				return v, nil
			}
		}
		return 0, errShort
	}
	count, err := uvarint()
	for ; count > 0 && err == nil; count-- {
		if _, err = uvarint(); err != nil {
			break
		}
		var length uint64
		if length, err = uvarint(); err != nil {
			break
		}
		if length > uint64(size-n) {
			return 0, errShort
		}
		n += int(length)
		_, err = io.CopyN(io.Discard, r, int64(length))
	}
	return n, err
}
