package redisserver

import (
	"errors"
	"math"
)

// errNoAnswer says that what came is no answer of Redis.
var errNoAnswer = errors.New("this is no answer of Redis")

const (
	maxDepth   = 8 // of answers within answers; those of Redis have three, as a list of entries that have fields
	leastBytes = 3 // of an answer within another, as _\r\n
)

// An announced follows the answers of a server as they come, and knows how many bytes they have announced that are still to come. The
// library makes room for what a server announces before any of it is there: a text of 400 MB, a list of 200,000,000. The zero value is at
// the beginning of an answer.
type announced struct {
	state  byte // one of those below
	kind   byte // of a header: its first byte
	number int64
	signed bool // the number is below 0: there is nothing
	digits int
	text   int64           // bytes to come of a text, with the end of its line
	levels [maxDepth]int64 // answers to come, of the list and of those around it
	depth  int
}

const (
	atStart  = iota // of an answer
	inLine          // to its end, whatever it holds
	inHeader        // the digits of a number
	atEnd           // of the line of a header
	inText
)

// take takes what has come. more is how many bytes may come behind it; below 0: any number. The error is ErrTooLarge when more is
// announced than that, and errNoAnswer for what is none.
func (a *announced) take(b []byte, more int64) error {
	for i := 0; i < len(b); {
		if a.state == inText {
			n := min(a.text, int64(len(b)-i))
			i += int(n)
			if a.text -= n; a.text == 0 {
				a.done()
			}
			continue
		}
		began, err := a.next(b[i])
		if err != nil {
			return err
		}
		i++
		if began && more >= 0 && a.toCome() > more+int64(len(b)-i) {
			return ErrTooLarge
		}
	}
	return nil
}

// next takes a byte that is none of a text. began: something has been announced with it.
func (a *announced) next(c byte) (began bool, err error) {
	switch a.state {
	case atStart:
		switch c {
		case '$', '=', '!', '*', '~', '%':
			a.state, a.kind, a.number, a.signed, a.digits = inHeader, c, 0, false, 0
		case '+', '-', ':', '_', '#', ',', '(':
			a.state = inLine
		default: // attributes and what nobody has asked for are of a protocol that is not spoken here
			return false, errNoAnswer
		}
	case inLine:
		if c == '\n' {
			a.done()
		}
	case inHeader:
		return false, a.header(c)
	case atEnd:
		if c != '\n' {
			return false, errNoAnswer
		}
		return true, a.begin()
	}
	return false, nil
}

func (a *announced) header(c byte) error {
	switch {
	case c == '\r' && a.digits > 0:
		a.state = atEnd
	case c == '-' && a.digits == 0 && !a.signed:
		a.signed = true
	case c >= '0' && c <= '9' && a.digits < 18: // the library takes no more either, for there is no memory of that size
		a.number = 10*a.number + int64(c-'0')
		a.digits++
	default:
		return errNoAnswer
	}
	return nil
}

// begin begins what a header has announced.
func (a *announced) begin() error {
	list := a.kind == '*' || a.kind == '~' || a.kind == '%'
	switch {
	case a.signed, list && a.number == 0:
		a.done()
	case !list:
		a.state, a.text = inText, a.number+2
	case a.depth == maxDepth:
		return errNoAnswer
	default:
		if a.kind == '%' {
			a.number *= 2
		}
		a.levels[a.depth] = a.number
		a.depth++
		a.state = atStart
	}
	return nil
}

// done ends an answer, and those around it that end with it.
func (a *announced) done() {
	a.state = atStart
	for a.depth > 0 {
		if a.levels[a.depth-1]--; a.levels[a.depth-1] > 0 {
			return
		}
		a.depth--
	}
}

// toCome gives how many bytes are announced at least, and have not come. A list that has begun is one of those of the list around it.
func (a *announced) toCome() int64 {
	n := float64(a.text) // the sum may be beyond what an integer holds
	for i := range a.depth {
		n += leastBytes * float64(a.levels[i])
		if i > 0 {
			n -= leastBytes
		}
	}
	if a.state == inText && a.depth > 0 {
		n -= leastBytes // the text is one of them
	}
	return int64(min(n, math.MaxInt64/2))
}
