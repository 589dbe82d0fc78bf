package recordbatch

import (
	"bytes"
	"encoding/binary"

	"github.com/klauspost/compress/s2"
)

var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

// unsnappy reads one block, or the framed blocks that Java writes.
func unsnappy(src []byte, limit int, m Memory) ([]byte, error) {
	total, err := snappyTotal(src)
	if err != nil {
		return nil, err
	}
	if total > limit {
		return nil, errTooLarge
	}
	out := m.Get(total)[:total]
	if !bytes.HasPrefix(src, xerial) {
		if _, err := s2.Decode(out, src); err != nil {
			m.Put(out)
			return nil, errCompressed
		}
		return out, nil
	}
	src = src[16:]
	at := 0
	for len(src) > 0 {
		block, tail, _ := xerialBlock(src)
		n, _ := snappySize(block)
		if _, err := s2.Decode(out[at:at+n:at+n], block); err != nil {
			m.Put(out)
			return nil, errCompressed
		}
		at += n
		src = tail
	}
	return out, nil
}

// snappyTotal is what the block, or the framed blocks together, claim to hold.
func snappyTotal(src []byte) (total int, err error) {
	if !bytes.HasPrefix(src, xerial) {
		return snappySize(src)
	}
	if len(src) < 16 {
		return 0, errCompressed
	}
	for src = src[16:]; len(src) > 0; {
		block, rest, err := xerialBlock(src)
		if err != nil {
			return 0, err
		}
		n, err := snappySize(block)
		if err != nil {
			return 0, err
		}
		total += n
		src = rest
	}
	return total, nil
}

func xerialBlock(b []byte) (block, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errCompressed
	}
	n := int(int32(binary.BigEndian.Uint32(b)))
	if n < 0 || n > len(b)-4 {
		return nil, nil, errCompressed
	}
	return b[4 : 4+n], b[4+n:], nil
}

// snappySize is the size that a block claims, which the format bounds: 64 bytes for
// every 3.
func snappySize(block []byte) (int, error) {
	n, err := s2.DecodedLen(block)
	if err != nil || n > 24*len(block)+64 {
		return 0, errCompressed
	}
	return n, nil
}
