package expr

import (
	cryptorand "crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

var randomFunctions = map[string]function{
	"uuid": {params: []mask{mAny}, least: 0, most: 0, kinds: mString, call: uuid4, varies: true, manual: manual{
		usage:    "uuid()",
		says:     "a random UUID (version 4), another at each call; in replay and in cases one that depends on the record's position and the place of the call alone",
		examples: []Example{{`uuid() matches "^[0-9a-f-]{14}4[0-9a-f-]{21}$"`, `true`}},
	}},
	"uuid7": {params: []mask{mAny}, least: 0, most: 0, kinds: mString, call: uuid7, varies: true, manual: manual{
		usage:    "uuid7()",
		says:     "a UUID of version 7, which begins with the milliseconds of now(), so that it sorts by time; random otherwise, as uuid is",
		fails:    "the record's time is before 1678 or after 2261, in replay and in cases",
		examples: []Example{{`uuid7() matches "^[0-9a-f-]{14}7[0-9a-f-]{21}$"`, `true`}},
	}},
	"random": {params: []mask{mInt}, least: 0, most: 1, kinds: 1<<kInt | 1<<kFloat, call: random, varies: true, manual: manual{
		usage:    "random(n?)",
		says:     "a random number: a fraction from 0 up to 1 without it, or with n an integer from 0 up to n without it; not for secrets; in replay and in cases one that depends on the record's position and the place of the call alone",
		fails:    "n is below 1 or beyond 64 bits",
		examples: []Example{{`random(6) in 0..5`, `true`}, {`random() < 1`, `true`}, {`random(0)`, `error: at least 1`}},
	}},
}

// A repetition makes now, uuid and random of an expression repeatable: what they give then comes
// from the record, the place, and the number of the call within the evaluation.
type repetition struct{ place string }

// Repeatable makes now give the record's time, and uuid and random what depends on the record's
// position, on place and on the number of the call alone, so that a second run gives the same.
// Two expressions of one pipeline have places that differ. It must not be called while e is in
// use; copies that were made of e before are not concerned.
func (e *Expr) Repeatable(place string) { e.repeat = &repetition{place} }

// Repeatable does for all parts what it does for an Expr.
func (t *Template) Repeatable(place string) {
	t.eachPart(func(i int, e *Expr) { e.Repeatable(place + "#" + strconv.Itoa(i)) })
}

// randomBytes gives 16 bytes for the next call of a function that gives random values; secure asks for
// bytes that nobody can foresee, when they are not to be repeatable.
func (m *machine) randomBytes(secure bool) (b [16]byte) {
	m.calls++
	switch {
	case m.repeat != nil:
		var from []byte
		for _, s := range []string{m.repeat.place, m.rec.Topic} {
			from = append(binary.AppendUvarint(from, uint64(len(s))), s...)
		}
		for _, n := range []int64{int64(m.rec.Partition), m.rec.Offset, int64(m.rec.Part), int64(m.calls)} {
			from = binary.BigEndian.AppendUint64(from, uint64(n))
		}
		sum := sha256.Sum256(from)
		copy(b[:], sum[:])
	case secure:
		_, _ = cryptorand.Read(b[:]) // never fails: it ends the process where the system has none
	default:
		binary.BigEndian.PutUint64(b[:], rand.Uint64())
	}
	return b
}

// now gives one time for all calls of an evaluation.
func now(m *machine, _ []value) (value, error) {
	switch {
	case m.hasNow:
	case m.repeat == nil:
		m.now = time.Now().UnixNano()
	case m.rec.Time == pipeline.NoTime:
		m.now = 0
	default:
		n, err := integers("*", m.rec.Time, int64(time.Millisecond))
		if err != nil {
			return vNil, fault("the record's time is before 1678 or after 2261")
		}
		m.now = n
	}
	m.hasNow = true
	return value{kind: kTime, num: m.now}, nil
}

func uuid4(m *machine, _ []value) (value, error) { return m.uuid(m.randomBytes(true), 4) }

func uuid7(m *machine, _ []value) (value, error) {
	t, err := now(m, nil)
	if err != nil {
		return vNil, err
	}
	b := m.randomBytes(true)
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(max(floorDiv(t.num, int64(time.Millisecond)), 0)))
	copy(b[:6], at[2:])
	return m.uuid(b, 7)
}

// uuid writes a UUID of a version, whose other bits are those of b.
func (m *machine) uuid(b [16]byte, version byte) (value, error) {
	if err := m.grow(36); err != nil {
		return vNil, err
	}
	if err := m.step(8); err != nil {
		return vNil, err
	}
	b[6], b[8] = b[6]&0x0f|version<<4, b[8]&0x3f|0x80
	out := make([]byte, 36)
	hex.Encode(out[0:8], b[0:4])
	hex.Encode(out[9:13], b[4:6])
	hex.Encode(out[14:18], b[6:8])
	hex.Encode(out[19:23], b[8:10])
	hex.Encode(out[24:36], b[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return value{kind: kString, form: clean, text: out}, nil
}

func random(m *machine, args []value) (value, error) {
	if err := m.step(4); err != nil {
		return vNil, err
	}
	if len(args) == 0 {
		b := m.randomBytes(false)
		return vFloat(float64(binary.BigEndian.Uint64(b[:])>>11) / (1 << 53)), nil
	}
	if err := allSmall(args); err != nil {
		return vNil, err
	}
	if args[0].num < 1 {
		return vNil, fault("the number is at least 1")
	}
	// The high half of a product with 64 random bits: of n possible results, none is favoured by
	// more than n in 2^64.
	b := m.randomBytes(false)
	n, _ := bits.Mul64(binary.BigEndian.Uint64(b[:]), uint64(args[0].num))
	return vInt(int64(n)), nil
}
