package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline/config"
)

// This file is which files a process is loaded from, and finds out when they change.
//
// What it guarantees. A change of any file that was read, and of which files a folder holds, is found within watchEvery and
// watchSettle. Half-written files are not loaded: what changes has to be still for watchSettle.
//
// How. It looks at sizes and times. That works where the system tells nothing of changes: on a network's disk, and for the links by which
// Kubernetes replaces all files of a volume at once; and it does not care whether an editor writes into a file or puts another in its
// place. A few files cost a few microseconds a second.

const (
	watchEvery  = time.Second
	watchSettle = 500 * time.Millisecond
)

// sourceFiles are the files of a process, as its command line has them.
type sourceFiles struct {
	g     *globals // nil: nothing is loaded again
	files []string
	flags runFlags
}

// readFiles are the files that were read the last time.
type readFiles struct {
	mu  sync.Mutex
	all []string
}

func (r *readFiles) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = nil
}

func (r *readFiles) note(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.all, path) {
		r.all = append(r.all, path)
	}
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

// A sight is what files look like: those that the command line names, with those of its folders, and those that were read the last time.
type sight struct{ given, read map[string]stamp }

// look gives what the files look like now.
func (f sourceFiles) look() sight {
	all := sight{map[string]stamp{}, map[string]stamp{}}
	add := func(to map[string]stamp, path string) {
		var s stamp
		if info, err := os.Stat(path); err == nil {
			s = stamp{info.Size(), info.ModTime(), info.Mode()}
		}
		to[path] = s
	}
	for _, name := range f.files {
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			add(all.given, name)
			continue
		}
		for _, pattern := range []string{"*.yaml", "*.yml"} { // the time of the folder changes with files that are none of the pipelines
			found, _ := filepath.Glob(filepath.Join(name, pattern))
			for _, file := range found {
				add(all.given, file)
			}
		}
	}
	f.g.read.mu.Lock()
	read := slices.Clone(f.g.read.all)
	f.g.read.mu.Unlock()
	for _, path := range read {
		add(all.read, path)
	}
	return all
}

// isAsBefore says whether nothing has changed. Which files are read changes with each reload, and is no change by itself.
func (s sight) isAsBefore(was sight) bool {
	same := func(a, b stamp) bool { return a.size == b.size && a.mode == b.mode && a.at.Equal(b.at) }
	if !maps.EqualFunc(s.given, was.given, same) {
		return false
	}
	for path, now := range s.read {
		if before, ok := was.read[path]; ok && !same(now, before) {
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
			c.ask("watch")
			known, missed, wait = now, false, watchEvery
		default:
			wait = watchSettle
		}
		last = now
	}
}
