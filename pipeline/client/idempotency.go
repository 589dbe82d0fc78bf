package client

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"github.com/penstockio/penstock/pipeline"
)

// PositionsHash tells a run of records from any other, the parts of a split included.
func PositionsHash(recs ...*pipeline.Record) (sum [sha256.Size]byte) {
	d := sha256.New()
	var b []byte
	for _, rec := range recs {
		b = binary.AppendUvarint(b[:0], uint64(len(rec.Topic)))
		b = append(b, rec.Topic...)
		b = binary.AppendVarint(b, int64(rec.Partition))
		b = binary.AppendVarint(b, rec.Offset)
		b = binary.AppendVarint(b, int64(rec.Part))
		d.Write(b)
	}
	d.Sum(sum[:0])
	return sum
}

// maxKey is what servers take of an Idempotency-Key.
const maxKey = 255

// IdempotencyKey makes the Idempotency-Key of a request that is made for a run of records:
// scope/topic/partition@first-last/hash, the same whenever it is made again. For people it is the
// place; for the server it tells the request from that for any other run. sum is PositionsHash.
func IdempotencyKey(scope string, recs ...*pipeline.Record) (key string, sum [sha256.Size]byte) {
	first, last := recs[0], recs[len(recs)-1]
	sum = PositionsHash(recs...)
	k := escapeKey(scope + "/" + first.Position.String())
	if len(recs) > 1 {
		k += "-" + strconv.FormatInt(last.Offset, 10)
	}
	short := hex.EncodeToString(sum[:8])
	if len(k)+1+len(short) > maxKey {
		long := sha256.Sum256(append([]byte(scope+"\x00"), sum[:]...))
		return hex.EncodeToString(long[:]), sum
	}
	return k + "/" + short, sum
}

// escapeKey keeps what a header may hold and people can read.
func escapeKey(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || r == '"' || r == '\\' {
			return '_'
		}
		return r
	}, s)
}

// headerKey gives the form in which a request has a header. Where net/http finds one of the two, it
// sends a POST by itself once more when a kept connection ends: without a place in the rate and
// uncounted, while the engine repeats it in its turn. It does not look for them in lower case, and to
// servers that is the same.
func headerKey(name string) string {
	switch name = http.CanonicalHeaderKey(name); name {
	case "Idempotency-Key", "X-Idempotency-Key":
		return strings.ToLower(name)
	}
	return name
}
