package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline/config"
)

// This file is which files a process is loaded from, and finds out when they change.
//
// What it guarantees. A change of any file that was read, also by a reload that was refused, and of which files a folder holds, is found
// within watchEvery and watchSettle. Half-written files are not loaded: what changes has to be still for watchSettle, and so has what is
// read for the first time.
//
// How. It looks at sizes and times. That works where the system tells nothing of changes: on a network's disk, and for the links by which
// Kubernetes replaces all files of a volume at once; and it does not care whether an editor writes into a file or puts another in its
// place. A few files cost a few microseconds a second.

// triggerWatch is what asks for a reload when files have changed.
const triggerWatch = "watch"

const (
	watchEvery  = time.Second
	watchSettle = 500 * time.Millisecond
	mostSettles = 20 // after so many looks at files that are never still what they hold is taken
)

// sourceFiles are the files of a process, as its command line has them.
type sourceFiles struct {
	g     *globals // nil: nothing is loaded again
	files []string
	flags runFlags
}

// readFiles are the files that were read the last time, as they were then.
type readFiles struct {
	mu  sync.Mutex
	all map[string]stamp
}

func (r *readFiles) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = nil
}

// note notes a file that is about to be read.
func (r *readFiles) note(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.all[path]; ok {
		return
	}
	if r.all == nil {
		r.all = map[string]stamp{}
	}
	r.all[path] = stampOf(path)
}

// stamps gives what the files looked like when they were read.
func (r *readFiles) stamps() map[string]stamp {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.all)
}

// load loads the files as at the start.
func (f sourceFiles) load() (*config.Set, error) {
	for _, name := range f.files {
		if info, err := os.Stat(name); err == nil && !info.IsDir() && !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s: it is no plain file, and cannot be read again: restart the process", name)
		}
	}
	set, err := f.g.load(f.files)
	if err != nil {
		return nil, err
	}
	f.flags.apply(set)
	return set, nil
}

// loadStill is load that waits for what it reads for the first time: whoever has watched the files has not seen it being still.
func (f sourceFiles) loadStill(ctx context.Context) (set *config.Set, err error) {
	before := f.g.read.stamps()
	for range mostSettles {
		set, err = f.load()
		fresh := f.g.read.stamps()
		maps.DeleteFunc(fresh, func(path string, _ stamp) bool { _, known := before[path]; return known })
		if len(fresh) == 0 {
			return set, err
		}
		select {
		case <-ctx.Done():
			return set, err
		case <-time.After(watchSettle):
		}
		maps.DeleteFunc(fresh, func(path string, was stamp) bool { return was.is(stampOf(path)) })
		if len(fresh) == 0 {
			return set, err
		}
	}
	return f.load()
}

// apply puts what the command line says in place of what the files say.
func (f runFlags) apply(set *config.Set) {
	if f.drain <= 0 {
		return
	}
	set.Process.Limits.Drain = f.drain
	for _, p := range set.Pipelines {
		p.Limits.Drain = f.drain
	}
}

// A stamp is what a file looks like from outside. The zero value is of one that there is not.
type stamp struct {
	size int64
	at   time.Time
	mode os.FileMode
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info.Size(), info.ModTime(), info.Mode()}
}

func (s stamp) is(other stamp) bool {
	return s.size == other.size && s.mode == other.mode && s.at.Equal(other.at)
}

// A sight is what files look like: those that the command line names, with those of its folders, and those that were read the last time. noted is
// what these looked like then.
type sight struct{ given, read, noted map[string]stamp }

// look gives what the files look like now.
func (f sourceFiles) look() sight {
	all := sight{map[string]stamp{}, map[string]stamp{}, f.g.read.stamps()}
	for _, name := range f.files {
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			all.given[name] = stampOf(name)
			continue
		}
		for _, pattern := range []string{"*.yaml", "*.yml"} { // the time of the folder changes with files that are none of the pipelines
			found, _ := filepath.Glob(filepath.Join(name, pattern))
			for _, file := range found {
				all.given[file] = stampOf(file)
			}
		}
	}
	for path := range all.noted {
		all.read[path] = stampOf(path)
	}
	return all
}

// isAsBefore says whether nothing has changed. Which files are read changes with each reload, and is no change by itself: what nobody had
// looked at before has to be as it was when it was read.
func (s sight) isAsBefore(was sight) bool {
	if !maps.EqualFunc(s.given, was.given, stamp.is) {
		return false
	}
	for path, now := range s.read {
		before, ok := was.read[path]
		if !ok {
			before = s.noted[path]
		}
		if !now.is(before) {
			return false
		}
	}
	return true
}

// hasChangedSince says whether a file is younger than a moment.
func (s sight) hasChangedSince(at time.Time) bool {
	for _, files := range []map[string]stamp{s.given, s.read} {
		for _, one := range files {
			if one.at.After(at) {
				return true
			}
		}
	}
	return false
}

// watchFiles asks for a reload when files have changed and are still, until ctx ends.
func (c *configuration) watchFiles(ctx context.Context) {
	known := c.files.look()
	last, missed, wait := known, known.hasChangedSince(c.now().applied), watchEvery // since they were read, before anybody looked
	for {
		if missed {
			wait = watchSettle
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		now := c.files.look()
		switch {
		case !missed && now.isAsBefore(known):
			known, wait = now, watchEvery // with files that were read since
		case now.isAsBefore(last):
			c.ask(triggerWatch)
			known, missed, wait = now, false, watchEvery
		default:
			wait = watchSettle
		}
		last = now
	}
}
