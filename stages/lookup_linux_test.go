package stages

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/settings"
)

// changesOfSystem are changes that size, time and number of the file do not tell.
var changesOfSystem = map[string]func(w *watched, text string){
	"time restored": func(w *watched, text string) { w.write(text); w.sameTime() },
	"made again": func(w *watched, text string) {
		if err := os.Remove(w.path); err != nil {
			w.t.Fatal(err)
		}
		w.write(text)
		w.sameTime()
	},
}

// What cannot be read twice is refused, and nothing waits for it.
func TestLookupRefusesAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	s := lookupSettings(t, "t.csv", "iata\nA\n")
	s.Table.File, s.Table.Format = settings.Path(fmt.Sprintf("/dev/fd/%d", r.Fd())), "csv"
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Error(err)
	}
}
