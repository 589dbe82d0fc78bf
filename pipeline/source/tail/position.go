package tail

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/internal/keptfile"
)

// This file is about the position: how far each file was read, on disk.

// positionVersion is the form of the position file.
const positionVersion = 1

// A storedPosition is what stands in the position file.
type storedPosition struct {
	Version  int          `json:"version"`
	Pipeline string       `json:"pipeline"`
	Next     int32        `json:"next"` // number of the next file
	Files    []storedFile `json:"files"`
}

// A storedFile is one file of it.
type storedFile struct {
	Name   string `json:"name"` // the topic of its records
	Number int32  `json:"number"`
	Path   string `json:"path"`           // where it was last
	Away   bool   `json:"away,omitempty"` // it was renamed or deleted, to where no pattern finds it
	identity
	Offset    int64  `json:"offset"`         // all lines in front of it have their outcome
	Seen      *int64 `json:"seen,omitempty"` // where its last whole line ended when it was last looked at; nil: nobody knows
	HeadBytes int    `json:"head_bytes"`
	Head      string `json:"head_sha256,omitempty"`
	Check     check  `json:"check"`
}

// isReadToItsEnd says whether all lines of a file that anybody has seen have their outcome. What came while nobody looked is not known.
func (s *storedFile) isReadToItsEnd() bool { return s.Seen != nil && *s.Seen <= s.Offset }

// takePosition takes the position for this process.
func (t *Source) takePosition() error {
	name := string(t.s.Position) + ".lock"
	lock, err := keptfile.Take(name)
	switch {
	case errors.Is(err, keptfile.ErrHeld):
		who := keptfile.Holder(name)
		if who == "" {
			who = "it does not say who it is"
		}
		return &pipeline.EnvironmentError{Err: fmt.Errorf("taking the position %s: another pipeline follows files with it (%s); stop that one, or give each a position of its own", t.s.Position, who)}
	case errors.Is(err, fs.ErrNotExist):
		return &pipeline.EnvironmentError{Err: fmt.Errorf("taking the position %s: its folder is not there; make it", t.s.Position)}
	case err != nil:
		return &pipeline.EnvironmentError{Err: fmt.Errorf("taking the position %s: %w", t.s.Position, err)}
	}
	t.lock = lock
	return nil
}

// load reads the position. first says that there is none yet.
func (t *Source) load() (p storedPosition, first bool, err error) {
	name := string(t.s.Position)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Dir(name)); err != nil {
			return p, true, &pipeline.EnvironmentError{Err: fmt.Errorf("looking for the folder of the position: %w; make it", err)}
		}
		return p, true, nil
	}
	if err != nil {
		return p, false, &pipeline.EnvironmentError{Err: fmt.Errorf("reading the position: %w", err)}
	}
	err = json.Unmarshal(text, &p)
	switch {
	case err != nil || p.Version < 1:
		err = fmt.Errorf("reading the position: %s is not what a source that follows files has written; name another file, or remove it to begin anew", name)
	case p.Version > positionVersion:
		err = fmt.Errorf("reading the position: %s has version %d, and this program reads up to %d; use a newer one", name, p.Version, positionVersion)
	case p.Pipeline != t.o.Pipeline:
		err = fmt.Errorf("reading the position: %s belongs to the pipeline %q, and this one is %q; give it a position of its own, or write the new name into the file if the pipeline was renamed", name, p.Pipeline, t.o.Pipeline)
	default:
		return p, false, nil
	}
	return p, false, &pipeline.EnvironmentError{Err: err}
}

// save stores how far each file was read, if that has changed. Files that it stores for the first time may be read from then on.
func (t *Source) save() error {
	t.saving.Lock()
	defer t.saving.Unlock()
	t.mu.Lock()
	p := storedPosition{Version: positionVersion, Pipeline: t.o.Pipeline, Next: t.next, Files: []storedFile{}}
	all := make([]*file, 0, len(t.files))
	for _, f := range t.files {
		all = append(all, f)
		p.Files = append(p.Files, storedFile{
			Name: f.name, Number: f.number, Path: f.path, Away: !f.away.IsZero(), identity: f.id, Offset: f.committed,
			Seen: f.seen, HeadBytes: f.headN, Head: f.headSum, Check: f.kept,
		})
	}
	p.Files = append(p.Files, t.others...)
	t.mu.Unlock()
	text, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if !bytes.Equal(text, t.stored) {
		if err := keptfile.Replace(string(t.s.Position), text); err != nil {
			return fmt.Errorf("storing the position of the files: %w", err)
		}
		t.stored = text
		t.writes++
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range all {
		f.recorded = true
	}
	return nil
}
