//go:build unix

package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline/catalog"
)

// TestWhatARefusedLoadReadsIsWatched: a script or a schema with a mistake in it is seen to be mended, also one that no load has taken before, and also between
// the load and the first look behind it.
func TestWhatARefusedLoadReadsIsWatched(t *testing.T) {
	for name, tt := range map[string]struct{ stage, bad, good string }{
		"script": {"script: {file: FILE}", "def process(record:\n", "def process(record):\n    return record\n"},
		"schema": {"validate: {schema: {file: FILE}}", `{"type": `, `{"type": "object"}`},
	} {
		for _, late := range []bool{false, true} {
			dir := t.TempDir()
			main, part := filepath.Join(dir, "p.yaml"), filepath.Join(dir, "part")
			write := func(stage string) {
				writeFile(t, main, "pipeline: p\nsource:\n  tail: {files: [in.jsonl], position: position}\nstages:\n  - "+stage+"\nsinks:\n  - file: {path: out.jsonl}\n")
			}
			write(`map: {set: {a: "1"}}`)
			f := sourceFiles{g: &globals{kinds: catalog.Kinds()}, files: []string{main}}
			if _, err := f.load(); err != nil {
				t.Fatal(err)
			}
			writeFile(t, part, tt.bad)
			write(strings.Replace(tt.stage, "FILE", "part", 1))
			known := f.look() // the change is seen, and loaded
			if _, err := f.load(); err == nil {
				t.Fatalf("%s: the mistake is not found", name)
			}
			if !late {
				if known = f.look(); !f.look().isAsBefore(known) {
					t.Errorf("%s: something has changed", name)
				}
			}
			writeFile(t, part, tt.good+"\n")
			if f.look().isAsBefore(known) {
				t.Errorf("%s, late %t: nobody sees that it is mended", name, late)
			}
			if _, err := f.load(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestANewFileIsNotLoadedHalfWritten: one that is read for the first time is waited for until it is still.
func TestANewFileIsNotLoadedHalfWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := reloadable(t, &log)
		main := p.config.files.files[0]
		write := func(stage string) {
			writeFile(t, main, "pipeline: p\nsource:\n  tail: {files: [in.jsonl], position: position}\nstages:\n  - name: m\n    "+stage+"\nsinks:\n  - file: {path: out.jsonl}\n")
		}
		write(`map: {set: {a: "12"}}`)
		set, err := p.config.files.load()
		if err != nil {
			t.Fatal(err)
		}
		p.config.begin(set)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		p.commands.open(ctx)
		go p.reloadWhenAsked(ctx)

		part := filepath.Join(filepath.Dir(main), "part.yaml")
		write(`map: {include: part.yaml}`)
		writeFile(t, part, "set: {a: ")
		p.config.ask("watch")
		for _, more := range []string{`"`, `1`, `2"}` + "\n"} {
			time.Sleep(300 * time.Millisecond)
			synctest.Wait()
			text, err := os.ReadFile(part)
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, part, string(text)+more)
		}
		time.Sleep(3 * watchSettle)
		synctest.Wait()
		if got := log.String(); strings.Contains(got, "config.rejected") || !strings.Contains(got, "nothing has changed in it") {
			t.Errorf("the log says %s", got)
		}
	})
}
