package tail

import (
	"bytes"
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// How much of a file is remembered, for it to be known again.
const (
	headBytes = 1024 // at its beginning
	tailBytes = 256  // in front of where it was read to
)

// A file is one file that is followed, whatever it is called by now. What is not in progress belongs to the goroutine that
// calls Read.
//
// Reason for its size: it is all that has to be known of a file to tell it from others and to read on.
type file struct {
	id     identity
	name   string // the path that it was found under first: the topic of its records
	number int32
	path   string // where it is, as far as that is known

	h        *os.File      // nil: not open
	turn     *list.Element // among the files that are open
	lane     pipeline.Lane // nil: nothing has come yet
	offset   int64         // where to read on
	head     []byte        // its first bytes, at most headBytes, and none behind offset
	tail     []byte        // the bytes in front of offset
	size     int64         // as it was looked at last
	modified time.Time
	looked   bool  // size and modified are of a look that left nothing to be read
	known    int64 // the size with which what was read last was seen to stand in it
	bound    int64 // read no further; -1: as far as it goes
	least    int64 // what the next read has to bring, for a line that is longer than the last one
	half     int64 // of a line whose end has not come: looked through up to here; 0: none is
	long     int64 // of a line that is skipped: looked through up to here; 0: none is

	due     time.Time // when to look next
	pause   time.Duration
	again   bool // there is more to do at once
	blocked bool // it waits for room
	lost    bool // nothing leads to it any more

	unproved *storedFile // what has to stand in it, of a file that could not be opened at the start; nil: it has been compared

	grew  time.Time // when something came last
	ends  bool      // its lane is being finished
	rests bool      // because nothing has come for long: it is followed on without one

	progress
}

// progress is what others than the reader look at. It is guarded by the source, also where the reader writes it.
type progress struct {
	away             time.Time // since when no pattern finds it; zero: one does. It is written by the reader alone
	begun            bool      // something was read
	recorded         bool      // its number is in the position on disk, so that its records always have the same positions
	from             int64     // where reading began
	committed        int64
	fetched          int64
	end              int64  // of the file, or of its last whole line when all others were read
	seen             *int64 // end, when somebody has looked in this run or one before; nil: nobody has
	committedAt      time.Time
	beganAt          time.Time
	checks           []check // of what was handed over and is not committed
	kept             check   // the last in front of committed
	headSum          string  // of the first headN bytes, which were read
	headN            int
	finished, wholly bool // its lane is; all of it has an outcome
}

// A check is what stood in front of a byte of a file.
type check struct {
	At    int64  `json:"at"`
	Bytes int    `json:"bytes"`
	Sum   string `json:"sha256"`
	head  string // the sum of the file's head then
	headN int
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// checkNow is what stands in front of where f was read to.
func (f *file) checkNow() check {
	return check{At: f.offset, Bytes: len(f.tail), Sum: sum(f.tail), head: sum(f.head), headN: len(f.head)}
}

// keep makes a check the one that is stored.
func (p *progress) keep(c check) {
	p.kept = c
	p.keepHead(c)
}

// keepHead has the head be stored that a check has, if it is longer: also while no mark has come as far. A file of which a mark stands within what
// was read first could not be told from another one else.
func (p *progress) keepHead(c check) {
	if c.headN > p.headN {
		p.headSum, p.headN = c.head, c.headN
	}
}

// commit notes a mark.
func (p *progress) commit(next int64, now time.Time) {
	p.committed, p.committedAt = next, now
	n := 0
	for n < len(p.checks) && p.checks[n].At <= next {
		n++
	}
	if n > 0 {
		p.keep(p.checks[n-1])
		p.checks = p.checks[n:]
	}
}

// passed notes that what was read is handed over, up to a byte: data is all from offset to there.
func (f *file) passed(data []byte) {
	if n := min(headBytes-len(f.head), len(data)); n > 0 && int64(len(f.head)) == f.offset {
		f.head = append(f.head, data[:n]...)
	}
	f.offset += int64(len(data))
	if len(data) >= tailBytes {
		f.tail = append(f.tail[:0], data[len(data)-tailBytes:]...)
		return
	}
	f.tail = append(f.tail, data...)
	if over := len(f.tail) - tailBytes; over > 0 {
		f.tail = append(f.tail[:0], f.tail[over:]...)
	}
}

// moveTo has f read on from a byte, and learn what stands in front of it.
func (f *file) moveTo(h io.ReaderAt, offset int64) error {
	head := make([]byte, min(offset, headBytes))
	tail := make([]byte, min(offset, tailBytes))
	if _, err := h.ReadAt(head, 0); err != nil && len(head) > 0 {
		return err
	}
	if _, err := h.ReadAt(tail, offset-int64(len(tail))); err != nil && len(tail) > 0 {
		return err
	}
	f.head, f.tail, f.offset, f.long, f.half, f.least, f.looked = head, tail, offset, 0, 0, 0, false
	return nil
}

// behindMark gives where to read on behind a mark. A mark says that what begins in front of it is done, and may stand within
// the last line that is, just behind its first byte: reading there would tear that line.
func behindMark(h io.ReaderAt, mark int64) (int64, error) {
	if mark == 0 {
		return 0, nil
	}
	block := make([]byte, 4<<10)
	for at := mark - 1; ; {
		n, err := h.ReadAt(block, at)
		if i := bytes.IndexByte(block[:n], '\n'); i >= 0 {
			return at + int64(i) + 1, nil
		}
		at += int64(n)
		if err == io.EOF {
			return at, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// goOn has f read on behind a mark.
func (f *file) goOn(h io.ReaderAt, mark int64) error {
	at, err := behindMark(h, mark)
	if err != nil {
		return err
	}
	return f.moveTo(h, at)
}

// holds says whether a file has what a stored one had.
func (s *storedFile) holds(h io.ReaderAt) bool {
	same := func(at int64, n int, want string) bool {
		if n < 0 || n > headBytes || at < 0 {
			return false
		}
		b := make([]byte, n)
		_, err := h.ReadAt(b, at)
		return n == 0 || err == nil && sum(b) == want
	}
	return same(0, s.HeadBytes, s.Head) && same(s.Check.At-int64(s.Check.Bytes), s.Check.Bytes, s.Check.Sum)
}
