package letters

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// A span is the offsets from From on, before To.
type span struct{ From, To int64 }

// A Done is the set of the letters of one partition, or file, that are done with. The zero value is
// empty.
type Done struct {
	spans []span // in order, none empty, none touching the next
}

// Add adds the offsets from one on, before another.
func (d *Done) Add(from, to int64) {
	if from >= to {
		return
	}
	i := sort.Search(len(d.spans), func(i int) bool { return d.spans[i].To >= from }) // the first that touches it
	j := i
	for ; j < len(d.spans) && d.spans[j].From <= to; j++ {
		from, to = min(from, d.spans[j].From), max(to, d.spans[j].To)
	}
	d.spans = slices.Replace(d.spans, i, j, span{from, to})
}

// Has says whether an offset is in the set.
func (d *Done) Has(offset int64) bool {
	i := sort.Search(len(d.spans), func(i int) bool { return d.spans[i].To > offset })
	return i < len(d.spans) && d.spans[i].From <= offset
}

// First gives the first offset from one on that is not in the set.
func (d *Done) First(from int64) int64 {
	i := sort.Search(len(d.spans), func(i int) bool { return d.spans[i].To > from })
	if i < len(d.spans) && d.spans[i].From <= from {
		return d.spans[i].To
	}
	return from
}

// last gives the last offset in the set; 0: none.
func (d *Done) last() int64 {
	if len(d.spans) == 0 {
		return 0
	}
	return d.spans[len(d.spans)-1].To - 1
}

// Clone gives a copy.
func (d *Done) Clone() *Done { return &Done{slices.Clone(d.spans)} }

// appendGaps appends the spans behind an offset as numbers of variable length: how far the next one
// is, how long it is.
func (d *Done) appendGaps(b []byte, from int64) []byte {
	for _, s := range d.spans {
		if s.To <= from {
			continue
		}
		b = binary.AppendUvarint(b, uint64(s.From-from))
		b = binary.AppendUvarint(b, uint64(s.To-s.From))
		from = s.To
	}
	return b
}

var errGaps = errors.New("what stands beside the offset is not what a replay has written")

// Gaps is the text that stands beside a group's offset, which is from: base64 of appendGaps;
// "": nothing behind it is done.
func (d *Done) Gaps(from int64) string {
	return base64.RawURLEncoding.EncodeToString(d.appendGaps(nil, from))
}

// GapsLen is how long Gaps would be. It is asked for with each letter.
func (d *Done) GapsLen(from int64) int {
	var room [2 * binary.MaxVarintLen64]byte
	n := 0
	for _, s := range d.spans {
		if s.To <= from {
			continue
		}
		n += binary.PutUvarint(room[:], uint64(s.From-from)) + binary.PutUvarint(room[:], uint64(s.To-s.From))
		from = s.To
	}
	return base64.RawURLEncoding.EncodedLen(n)
}

// AddGaps is the reverse of Gaps.
func (d *Done) AddGaps(text string, from int64) error {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return errGaps
	}
	for len(b) > 0 {
		gap, n := binary.Uvarint(b)
		if n <= 0 {
			return errGaps
		}
		length, m := binary.Uvarint(b[n:])
		if m <= 0 || gap > 1<<62 || length == 0 || length > 1<<62 {
			return errGaps
		}
		b = b[n+m:]
		from += int64(gap)
		d.Add(from, from+int64(length))
		from += int64(length)
	}
	return nil
}

// Lines gives the set as people read it: 1-1000, 1003.
func (d *Done) Lines() []string {
	lines := []string{}
	for _, s := range d.spans {
		if s.To-s.From == 1 {
			lines = append(lines, strconv.FormatInt(s.From, 10))
			continue
		}
		lines = append(lines, fmt.Sprintf("%d-%d", s.From, s.To-1))
	}
	return lines
}

// addLines is the reverse of Lines.
func (d *Done) addLines(lines []string) error {
	for _, line := range lines {
		first, last, ok := strings.Cut(line, "-")
		if !ok {
			last = first
		}
		from, err := strconv.ParseInt(first, 10, 62)
		to, err2 := strconv.ParseInt(last, 10, 62)
		if err != nil || err2 != nil || from < 0 || to < from {
			return fmt.Errorf("%q are no lines like 1-1000 or 7", line)
		}
		d.Add(from, to+1)
	}
	return nil
}
