package cli

import (
	"bytes"
	"io"
	"os"

	"github.com/penstockio/penstock/pipeline/event"
)

// lastWords is what printError has of an error, as w takes it.
func lastWords(w io.Writer, err error) []byte {
	var text bytes.Buffer
	printError(&text, err)
	if file, ok := w.(*os.File); ok && event.InJournal(file) {
		return event.JournalErrors(text.Bytes())
	}
	return text.Bytes()
}
