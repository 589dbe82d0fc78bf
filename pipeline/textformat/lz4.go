package textformat

import (
	"bytes"
	"encoding/binary"

	"github.com/pierrec/lz4/v4"
)

// AppendFromLZ4 is AppendFromGzip for a frame of LZ4.
func (c *Compression) AppendFromLZ4(dst, text []byte, most int) ([]byte, error) {
	if valid, err := lz4.ValidFrameHeader(text); err != nil || !valid {
		return dst, at(0, "it does not begin as lz4 does")
	}
	r, _ := c.unlz4s.Get().(*lz4.Reader)
	if r == nil {
		r = lz4.NewReader(nil)
	}
	src := bytes.NewReader(text)
	r.Reset(src)
	defer func() {
		src.Reset(nil) // lets go of the text
		c.unlz4s.Put(r)
	}()
	out, err := appendBounded(dst, r, most, "lz4")
	if err == nil && src.Len() > 0 {
		return dst, at(len(text)-src.Len(), "something stands behind the lz4 frame")
	}
	return out, err
}

// AppendLZ4 appends data as a frame of LZ4.
func (c *Compression) AppendLZ4(dst, data []byte) ([]byte, error) {
	w, _ := c.lz4s.Get().(*lz4.Writer)
	if w == nil {
		w = lz4.NewWriter(nil)
		if err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ConcurrencyOption(1)); err != nil {
			return dst, whole(err.Error())
		}
	}
	defer c.lz4s.Put(w)
	return appendWritten(dst, data, w)
}

// AppendLZ4Block appends data as a block of LZ4, which is in no frame: nothing says what it is, how
// long it becomes, or that it is whole.
func AppendLZ4Block(dst, data []byte) ([]byte, error) {
	if len(data) == 0 {
		return append(dst, 0), nil
	}
	out := make([]byte, lz4.CompressBlockBound(len(data)))
	n, err := lz4.CompressBlock(data, out, nil)
	if err != nil {
		return dst, whole("it cannot be compressed")
	}
	return append(dst, out[:n]...), nil
}

// AppendFromLZ4Block is AppendFromLZ4 for a block that is in no frame. The functions of package lz4
// want to know its length beforehand, and say the same of one that is damaged and of one that is
// too long.
func AppendFromLZ4Block(dst, text []byte, most int) ([]byte, error) {
	out := dst
	for i := 0; ; {
		if i == len(text) {
			return dst, at(max(i-1, 0), "the lz4 block ends too early")
		}
		token := text[i]
		literals, next, ok := lz4Length(text, i+1, int(token>>4))
		if !ok || literals > len(text)-next {
			return dst, at(i, "the lz4 block ends too early")
		}
		if len(out)-len(dst)+literals > most {
			return dst, tooLarge(most)
		}
		out = append(out, text[next:next+literals]...)
		if i = next + literals; i == len(text) {
			return out, nil // the last sequence has literals alone
		}
		if i+2 > len(text) {
			return dst, at(i, "the lz4 block ends too early")
		}
		back := int(binary.LittleEndian.Uint16(text[i:]))
		if back == 0 || back > len(out)-len(dst) {
			return dst, at(i, "the lz4 block refers to what is not before it")
		}
		match, next, ok := lz4Length(text, i+2, int(token&15))
		if !ok {
			return dst, at(i, "the lz4 block ends too early")
		}
		if match += 4; len(out)-len(dst)+match > most {
			return dst, tooLarge(most)
		}
		for match > 0 { // what it refers to may be what it appends
			n := min(match, back)
			from := len(out) - back
			out = append(out, out[from:from+n]...)
			match -= n
		}
		i = next
	}
}

// lz4Length gives a length whose first four bits are n, and the index behind it; ok is false when
// it is cut off.
func lz4Length(text []byte, i, n int) (length, next int, ok bool) {
	if n < 15 {
		return n, i, true
	}
	for ; i < len(text); i++ {
		n += int(text[i])
		if text[i] != 255 {
			return n, i + 1, true
		}
	}
	return 0, i, false
}
