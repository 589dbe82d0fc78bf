package tail

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// This file finds files: those that come, and where those went that are followed.

// A foundFile is a file that is there.
type foundFile struct {
	name string // what it was found under
	path string // where it is: the same, but for a symbolic link
	id   identity
}

// lookAt looks at what stands under a path; ok: it is a plain file, or a link to one.
func lookAt(name string) (at foundFile, ok bool) {
	info, err := os.Lstat(name)
	if err != nil {
		return foundFile{}, false
	}
	at = foundFile{name: name, path: name}
	if info.Mode().Type() == os.ModeSymlink { // a rotation renames what it leads to, in the folder of that
		if at.path, err = filepath.EvalSymlinks(name); err != nil {
			return foundFile{}, false
		}
		if info, err = os.Stat(at.path); err != nil {
			return foundFile{}, false
		}
	}
	if !info.Mode().IsRegular() {
		return foundFile{}, false
	}
	at.id, err = fileID(at.path, info)
	return at, err == nil
}

// compressed are the endings of names of files that hold no lines any more.
var compressed = []string{".gz", ".bz2", ".xz", ".zst", ".lz4", ".lzma", ".lzo", ".br", ".zip", ".7z", ".tgz", ".z"}

func isCompressed(name string) bool {
	return slices.Contains(compressed, strings.ToLower(filepath.Ext(name)))
}

// glob gives the files that are to be followed now, each once.
func (t *Source) glob(own *ownFiles) (found []foundFile) {
	seen := map[identity]bool{}
	for _, pattern := range t.s.Files {
		paths, _ := filepath.Glob(string(pattern)) // Validate has seen the pattern; what cannot be listed has no files
		for _, path := range paths {
			if isCompressed(path) || t.excluded(filepath.Base(path)) {
				continue
			}
			at, ok := lookAt(path)
			if !ok || seen[at.id] || own.has(at) { // under another name it is the same
				continue
			}
			seen[at.id] = true
			found = append(found, at)
		}
	}
	return found
}

func (t *Source) excluded(name string) bool {
	return slices.ContainsFunc(t.s.Exclude, func(pattern string) bool {
		is, _ := filepath.Match(pattern, name) // Validate has seen it
		return is
	})
}

// scan looks for files that have come, were renamed, or are gone.
func (t *Source) scan(now time.Time) {
	began := time.Now()
	v := t.survey()
	known := t.known()
	for _, f := range t.files {
		if at, ok := v.byID[f.id]; ok {
			t.setPath(f, at.path)
			t.setAway(f, time.Time{})
			f.lost = false
			continue
		}
		t.goneFrom(f, v, now)
	}
	come := 0
	for _, at := range v.found {
		if !known[at.id] && t.s.Stop == "never" {
			f := t.add(at)
			come++
			t.events.Log().Info().Str("path", f.path).Int32("partition", f.number).Msg("following a file that has come")
		}
	}
	if come > 0 || t.takeUnstored() || slices.ContainsFunc(t.files, func(f *file) bool { return !t.isRecorded(f) }) {
		t.storeNew()
	}
	// At most a quarter of the time goes into scans, however many files there are, and whatever seems to be missing.
	end := time.Now()
	t.soonestScan = end.Add(3 * end.Sub(began))
	t.nextScan = later(end.Add(t.s.Scan), t.soonestScan)
}

// takeUnstored says whether something waits to be stored.
func (t *Source) takeUnstored() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.unstored
	t.unstored = false
	return was
}

// scanSoon has the next scan come as soon as one may: a file is not where it was.
func (t *Source) scanSoon() {
	if t.soonestScan.Before(t.nextScan) {
		t.nextScan = t.soonestScan
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// setPath notes where a file is.
func (t *Source) setPath(f *file, path string) {
	if f.path == path {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f.path = path
}

// setAway notes since when no pattern finds a file.
func (t *Source) setAway(f *file, since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.away = since
}

// goneFrom sees to a file that is none of those that are to be followed any more: it was renamed or deleted. One whose folder cannot be
// listed is neither, as far as anybody knows: to forget it would read it from its start when the folder can be listed again.
func (t *Source) goneFrom(f *file, v *survey, now time.Time) {
	var at foundFile
	if f.away.IsZero() || f.h == nil || t.opened.Len() >= t.s.MaxOpen { // then it may have to be closed, which needs its path
		var err error
		if at, err = v.inFolder(filepath.Dir(f.path), f.id); err != nil {
			t.tellOnce(filepath.Dir(f.path), err, "a folder of files that are followed cannot be listed now; it is tried again")
			return
		}
		delete(t.told, filepath.Dir(f.path))
	}
	if f.away.IsZero() {
		t.setAway(f, now)
		f.due = now
		t.events.Log().Info().Str("path", f.path).Int32("partition", f.number).Str("linger", t.s.Linger.String()).
			Msg("a file was renamed or deleted: it is followed on until nothing comes")
	}
	if f.lost = f.h == nil && at.path == ""; at.path != "" {
		t.setPath(f, at.path)
	}
}

// storeNew stores the files that have come, so that they may be read. When that fails it is tried again at the next scan.
func (t *Source) storeNew() {
	if err := t.save(); err != nil {
		t.tellOnce("storing", err, "files that have come are not read before it is stored that they are followed; it is tried again")
	} else {
		delete(t.told, "storing")
	}
}

// tellOnce logs a trouble that may pass, once until it has.
func (t *Source) tellOnce(what string, err error, message string) {
	if !t.told[what] {
		t.told[what] = true
		t.events.Log().Warn().Err(err).Msg(message)
	}
}

// beginAnew has a file read from its start as another one: what it held is not there any more. What was seen of it, up to
// a size, and not read is lost.
func (t *Source) beginAnew(f *file, seen int64, now time.Time) {
	if seen > f.offset {
		t.gap(f, seen, GapCut)
	} else {
		t.events.Log().Info().Str("path", f.path).Int32("partition", f.number).Msg("a file was cut or written anew in its place: it is read from its start")
	}
	fresh := &file{id: f.id, name: f.name, path: f.path, h: f.h, turn: f.turn, bound: -1, grew: now}
	fresh.away = f.away
	if t.s.Stop == "end" {
		fresh.bound = 0
	}
	if f.h, f.turn = nil, nil; fresh.turn != nil {
		fresh.turn.Value = fresh
	}
	t.mu.Lock()
	fresh.number = t.next
	t.next++
	t.files[slices.Index(t.files, f)] = fresh
	t.mu.Unlock()
	if f.lane != nil {
		t.finish(f)
		t.dead = append(t.dead, f)
	}
	t.anew = true
}

// Reasons of source.gap.
const (
	GapCut  = "cut"  // the file was cut, or written anew in its place
	GapGone = "gone" // it was deleted while it was not open
)

// gap tells of bytes that were seen and cannot be read any more.
func (t *Source) gap(f *file, to int64, reason string) {
	t.emit(event.SourceGap{
		Topic: f.name, Partition: int64(f.number), OffsetFrom: f.offset, OffsetTo: to, Reason: reason, Policy: "skip",
	})
}

// emit emits an event, when there is an emitter.
func (t *Source) emit(e any) {
	if t.events != nil {
		t.events.Emit(e, "")
	}
}
