package cli

import (
	"log"
	"strings"

	"github.com/penstockio/penstock/pipeline/event"
)

// maxLibraryLine is the most bytes that are kept of what a library has logged: what servers sent may be in it.
const maxLibraryLine = 300

// A libraryLog takes what is written to the standard library's log, each time one line, and makes a free
// line of it, of level debug: whoever reads the log of a daemon relies on its form, and a server that
// sends what nobody has asked for would have net/http write beside it.
type libraryLog struct{ events *event.Emitter }

func (l libraryLog) Write(p []byte) (int, error) {
	text := strings.ToValidUTF8(strings.TrimRight(string(p), "\n"), "?")
	if len(text) > maxLibraryLine {
		text = strings.ToValidUTF8(text[:maxLibraryLine], "") + "…"
	}
	l.events.Log().Debug().Str("text", text).Msg("a library has logged")
	return len(p), nil
}

// takeStandardLog has what is written to the standard library's log be lines of events.
func takeStandardLog(events *event.Emitter) {
	log.SetFlags(0)
	log.SetPrefix("")
	log.SetOutput(libraryLog{events})
}

// keepStandardLog gives what puts the standard library's log back to how it is now: the program that has
// the command in it may go on.
func keepStandardLog() (restore func()) {
	w, flags, prefix := log.Writer(), log.Flags(), log.Prefix()
	return func() {
		log.SetOutput(w)
		log.SetFlags(flags)
		log.SetPrefix(prefix)
	}
}
