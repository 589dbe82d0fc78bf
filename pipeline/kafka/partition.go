package kafka

import "encoding/binary"

// PartitionForKey is the partition of n that Java's producer, and those that follow
// it, choose for a key: murmur2 of the key.
func PartitionForKey(key []byte, n int32) int32 {
	return int32(murmur2(key)&0x7fffffff) % n
}

// stickyRun is how many offsets of a source partition go to one output partition
// when messages have no key.
const stickyRun = 1000

// PartitionForOrigin is the partition of n for a message without a key: the same for
// a run of offsets of one source partition, so that batches are full, another one
// for the next run, and the same again when the message is sent again.
func PartitionForOrigin(o Origin, n int32) int32 {
	start := int64(murmur2([]byte(o.Topic))) + int64(o.Partition)
	return int32((start + max(o.Offset, 0)/stickyRun) % int64(n))
}

// murmur2 is the 32-bit MurmurHash2 with the seed of Java's producer.
func murmur2(b []byte) uint32 {
	const (
		seed uint32 = 0x9747b28c
		m    uint32 = 0x5bd1e995
		r           = 24
	)
	h := seed ^ uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b)
		k *= m
		k ^= k >> r
		k *= m
		h *= m
		h ^= k
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(b[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h
}
