package cli

import (
	"context"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// keys are what is typed, with what is put before it: the last expression, as if it had been typed.
// They come one by one, so that what is typed ahead stays behind that. What is pasted comes as one
// line, wherever the cursor stands.
type keys struct {
	rw  io.ReadWriter
	ctx context.Context // at its end, Read gives its cause

	pending []byte     // put before what is typed
	held    []byte     // typed, and looked at
	offered bool       // nothing was typed since something was put before it
	enter   bool       // the last key was Enter
	ahead   []typedKey // typed while something was evaluated

	ask   chan struct{} // for one more key of rw, which is read beside: an evaluation may be going on
	typed chan typedKey
	asked bool
}

type typedKey struct {
	key byte
	err error
}

const (
	ctrlC, ctrlD           = 3, 4
	pasteBegins, pasteEnds = "\x1b[200~", "\x1b[201~"
	maxPasted              = 1 << 16 // bytes of a paste that are looked at
)

// newKeys starts reading keys, as they are asked for.
func newKeys(ctx context.Context, rw io.ReadWriter) *keys {
	k := &keys{rw: rw, ctx: ctx, ask: make(chan struct{}, 1), typed: make(chan typedKey, 1)}
	go func() {
		b := make([]byte, 1)
		for range k.ask {
			n, err := 0, error(nil)
			for n == 0 && err == nil {
				n, err = rw.Read(b)
			}
			if n == 1 {
				err = nil
			}
			k.typed <- typedKey{b[0], err}
		}
	}()
	return k
}

// close ends the reading, but for a key that is waited for.
func (k *keys) close() { close(k.ask) }

func (k *keys) putBefore(text string) {
	k.pending, k.offered = []byte(text), text != ""
}

// next gives where the next key comes. Who takes it says that none is asked for.
func (k *keys) next() <-chan typedKey {
	if !k.asked {
		k.asked = true
		k.ask <- struct{}{}
	}
	return k.typed
}

// goOn keeps a key that is typed while something is done, and says whether to wait for more: not when
// that is done, nor when Ctrl-C or a signal ends it. What was typed before Ctrl-C is forgotten.
func (k *keys) goOn(done <-chan struct{}) bool {
	next := (<-chan typedKey)(nil)
	if n := len(k.ahead); n == 0 || k.ahead[n-1].err == nil {
		next = k.next()
	}
	select {
	case <-done:
	case <-k.ctx.Done():
	case t := <-next:
		k.asked = false
		if k.ahead = append(k.ahead, t); t.err != nil || t.key != ctrlC {
			return true
		}
		k.ahead = nil
	}
	return false
}

// one waits for the next key.
func (k *keys) one() (byte, error) {
	if k.ctx.Err() != nil { // also where there is a key
		return 0, context.Cause(k.ctx)
	}
	if len(k.ahead) > 0 {
		t := k.ahead[0]
		k.ahead = k.ahead[1:]
		return t.key, t.err
	}
	select {
	case t := <-k.next():
		k.asked = false
		return t.key, t.err
	case <-k.ctx.Done():
		return 0, context.Cause(k.ctx)
	}
}

// Read implements io.Reader.
func (k *keys) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if len(k.pending) > 0 {
		n := copy(b, k.pending)
		k.pending = k.pending[n:]
		return n, nil
	}
	if len(k.held) == 0 {
		if err := k.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(b, k.held)
	k.held = k.held[n:]
	return n, nil
}

// fill holds the next key, or what was pasted.
func (k *keys) fill() error {
	for len(k.held) == 0 {
		key, err := k.one()
		if err != nil {
			return err
		}
		enter := k.enter
		k.enter = key == '\r'
		switch {
		case key == '\n' && enter: // of a \r\n
		case key == ctrlD && k.offered:
			return io.EOF
		case key != pasteBegins[0]:
			k.held = []byte{key}
		default:
			err = k.escape()
		}
		if err != nil {
			return err
		}
	}
	k.offered = false
	return nil
}

// escape goes on behind an ESC, with which a paste may begin.
func (k *keys) escape() error {
	k.held = []byte(pasteBegins[:1])
	for string(k.held) != pasteBegins {
		key, err := k.one()
		if err != nil {
			return err
		}
		if key == pasteBegins[0] { // the one before it was typed alone, and does nothing
			k.held = k.held[:1]
			continue
		}
		if k.held = append(k.held, key); !strings.HasPrefix(pasteBegins, string(k.held)) {
			return nil
		}
	}
	var pasted []byte
	for !strings.HasSuffix(string(pasted[max(0, len(pasted)-len(pasteEnds)):]), pasteEnds) {
		key, err := k.one()
		if err != nil {
			return err
		}
		if pasted = append(pasted, key); len(pasted) > maxPasted+len(pasteEnds) {
			pasted = slices.Delete(pasted, maxPasted, maxPasted+1) // its end goes on
		}
	}
	k.held = []byte(oneLine(strings.TrimSuffix(string(pasted), pasteEnds)))
	return nil
}

// Write implements io.Writer.
func (k *keys) Write(b []byte) (int, error) { return k.rw.Write(b) }

// oneLine gives an expression on one line, without the comments that end with a line.
func oneLine(text string) string {
	if !strings.ContainsFunc(text, unicode.IsControl) {
		return text
	}
	var out strings.Builder
	quote := rune(0)
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case quote == 0 && strings.HasPrefix(text[i:], "//"):
			if n = strings.IndexAny(text[i:], "\r\n"); n < 0 {
				n = len(text) - i
			}
			i += n
			continue
		case quote != 0 && quote != '`' && r == '\\' && i+n < len(text):
			_, behind := utf8.DecodeRuneInString(text[i+n:])
			n += behind
		case quote == 0 && strings.ContainsRune("\"'`", r):
			quote = r
		case r == quote:
			quote = 0
		}
		if unicode.IsControl(r) {
			out.WriteByte(' ')
		} else {
			out.WriteString(text[i : i+n])
		}
		i += n
	}
	return strings.TrimSpace(out.String())
}
