package calls

import (
	"crypto/sha256"
	"encoding/binary"
)

// longestKey is how long a key may be that is its parts as they are.
const longestKey = 1 << 10

// Key makes the Key of a Question of its parts: lists of other parts give other keys, wherever one
// part ends and the next begins. Parts that are longer than 1 KiB in all are stood for by their
// SHA-256, so that a body of megabytes is not held by every question that waits. No parts at all
// make a key too.
func Key[T ~string | ~[]byte](parts ...T) string {
	size := 1
	for _, p := range parts {
		size += binary.MaxVarintLen64 + len(p)
	}
	if size <= longestKey {
		k := append(make([]byte, 0, size), 'k')
		for _, p := range parts {
			k = binary.AppendUvarint(k, uint64(len(p)))
			k = append(k, p...)
		}
		return string(k)
	}
	h := sha256.New()
	var length [binary.MaxVarintLen64]byte
	for _, p := range parts {
		h.Write(binary.AppendUvarint(length[:0], uint64(len(p))))
		h.Write([]byte(p))
	}
	return string(h.Sum([]byte{'h'}))
}
