package execstage

import (
	"strings"
	"sync"
)

// mostNoise is how much of the beginning, and of the end, of what a process writes to standard error is kept.
// Python says at the end what was wrong, Go at the beginning.
const mostNoise = 500

// A noise keeps the beginning and the end of what was written.
type noise struct {
	mu        sync.Mutex
	head, end []byte
	cut       bool // there was more between them
}

func (n *noise) add(text []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if room := mostNoise - len(n.head); room > 0 {
		room = min(room, len(text))
		n.head, text = append(n.head, text[:room]...), text[room:]
	}
	if over := len(n.end) + len(text) - mostNoise; over > 0 {
		n.cut = true
		n.end = n.end[:copy(n.end, n.end[min(over, len(n.end)):])]
		text = text[max(len(text)-mostNoise, 0):]
	}
	n.end = append(n.end, text...)
}

func (n *noise) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.head, n.end, n.cut = n.head[:0], n.end[:0], false
}

func (n *noise) text() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	between := ""
	if n.cut {
		between = " … "
	}
	return strings.ToValidUTF8(strings.TrimSpace(string(n.head)+between+string(n.end)), "?")
}

// lastLine gives the last line of a text.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}

// short gives the beginning of a line as text.
func short(line []byte) string {
	const most = 512
	if len(line) > most {
		line = line[:most]
	}
	return strings.ToValidUTF8(strings.TrimSpace(string(line)), "?")
}
