// SPDX-License-Identifier: Apache-2.0

// Package tail follows files as they grow, and gives each to the engine as a lane.
package tail

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/internal/keptfile"
)

// Options are what a Source must know of its pipeline.
type Options struct {
	// Pipeline is its name: what is kept in the position file belongs to it.
	Pipeline string
}

// A Source follows files: each is a lane, whose offsets are bytes of the file, and each line of it a record. The topic of a
// record is the path that its file was found under, the partition a number that no other file in the position ever has, and
// the offset the first byte of the line. A line is handed over when its end is there.
//
// A file is known by its device and inode, and by what stands in it: at its beginning, and in front of where it was read to.
// So one that was renamed is followed on, until nothing has come for Settings.Linger, and one that was deleted until then
// as far as it is open; what comes in its place is another file. One that was cut, or overwritten in place, begins
// anew as another file too; what it held that had not been read is lost, and told as source.gap.
//
// How far each file was read is stored at each commit, in Settings.Position, whole and on disk before Commit returns. Two
// sources never have one position: the second's Open fails.
//
// Reason for its size: it is all that is known between two looks at the files, which one goroutine makes.
type Source struct {
	s      Settings
	o      Options
	events *event.Emitter
	engine pipeline.Feed
	lock   *keptfile.Lock
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	wake   chan struct{} // capacity 1: a lane was finished

	// Of the goroutine that calls Read, and of Open and Close.
	at          int // the file to look at first
	nextScan    time.Time
	soonestScan time.Time // when the next may come at the earliest
	opened      list.List // the files that are open, from the one that was used longest ago on
	looks       int       // at entries of folders, for where files went
	anew        bool      // files begin anew, which is to be stored before they are read
	widest      int64     // the most room that a lane has had
	told        map[string]bool
	block       []byte  // for what is looked through
	taken       int64   // bytes that were read from files to hand them over
	dead        []*file // their lanes are finished, and nothing of them can be read again

	saving sync.Mutex // held while the position is written
	stored []byte     // what stands in the position file
	writes int        // of the position file

	mu           sync.Mutex // guards what follows, and the progress of files
	open         bool
	files        []*file
	lanes        map[pipeline.Lane]*file
	next         int32        // number of the next file
	someFinished bool         // a lane is finished, and its file is to be seen to
	unstored     bool         // something is to be stored that may wait for the next commit or scan
	others       []storedFile // of the position: not followed now, and kept
}

// New makes a Source. It touches no file.
func New(s Settings, o Options) (*Source, error) {
	s.fill()
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("making a source that follows files: %w", err)
	}
	t := &Source{s: s, o: o, wake: make(chan struct{}, 1), told: map[string]bool{}, lanes: map[pipeline.Lane]*file{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t, nil
}

// Attach implements pipeline.Attacher.
func (t *Source) Attach(e *event.Emitter) { t.events = e }

// Settings gives the settings with all defaults filled in.
func (t *Source) Settings() Settings { return t.s }

// Ping implements pipeline.Pinger: the files that are there can be read, and the position is this pipeline's.
func (t *Source) Ping(context.Context) error {
	for _, f := range t.glob(t.ownFiles()) {
		h, err := openShared(f.path)
		if errors.Is(err, os.ErrNotExist) { // it went meanwhile
			continue
		}
		if err != nil {
			return &pipeline.EnvironmentError{Err: fmt.Errorf("opening a file to follow: %w; let this user read it, or leave it out with exclude", err)}
		}
		_ = h.Close() // nothing was written
	}
	_, _, err := t.load()
	return err
}

// Open implements pipeline.Source: it takes the position for itself, and stores where it begins.
func (t *Source) Open(ctx context.Context, e pipeline.Feed) error {
	t.engine = e
	if err := t.begin(); err != nil {
		return errors.Join(err, t.Close(ctx))
	}
	t.mu.Lock()
	t.open = true
	n := len(t.files)
	t.mu.Unlock()
	t.events.Log().Info().Int("files", n).Msg("following files")
	return nil
}

// Close implements pipeline.Source. It stores the position for the last time and gives it up.
func (t *Source) Close(context.Context) error {
	t.mu.Lock()
	t.open = false
	t.mu.Unlock()
	t.cancel()
	t.tasks.Wait()
	var err error
	if t.lock != nil {
		t.removeFinished()
		if t.stored != nil { // else Open has failed
			err = t.save()
		}
		err = errors.Join(err, t.lock.Release())
		t.lock = nil
	}
	for _, f := range t.files {
		t.closeFile(f)
	}
	return err
}

// Report implements pipeline.Reporter: a file is shown as a partition, and its bytes as offsets, so that lag counts bytes.
// Files that nothing was read of since the start, and of which nothing is to be read, are left out.
func (t *Source) Report() pipeline.Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	rep := pipeline.Report{Connected: t.open, InBytes: true}
	for _, f := range t.files {
		if !f.begun && f.end <= f.committed {
			continue
		}
		rep.Partitions = append(rep.Partitions, pipeline.PartitionReport{
			Topic: f.name, Partition: f.number, Committed: f.committed, Fetched: f.fetched, HighWatermark: max(f.end, f.fetched),
			CommittedAt: f.committedAt, Read: f.fetched - f.from, BeganAt: f.beganAt,
		})
	}
	return rep
}

// Commit implements pipeline.Source.
func (t *Source) Commit(_ context.Context, marks []pipeline.Mark) error {
	now := time.Now()
	t.mu.Lock()
	for _, m := range marks {
		if f := t.lanes[m.Lane]; f != nil { // else the file has another lane by now
			f.commit(m.Next, now)
		}
	}
	t.mu.Unlock()
	return t.save()
}
