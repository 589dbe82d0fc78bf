package execstage

import (
	"bytes"
	"strings"
	"sync"
)

// mostNoise is how much of what a process writes to standard error is kept.
const mostNoise = 1 << 10

// A tail keeps the end of what was written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tail) add(text []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(text) > mostNoise {
		text = text[len(text)-mostNoise:]
	}
	if over := len(t.kept) + len(text) - mostNoise; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	t.kept = append(t.kept, text...)
}

func (t *tail) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = t.kept[:0]
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(bytes.TrimSpace(t.kept)), "?")
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
