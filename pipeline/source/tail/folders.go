package tail

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// This file is about what stands in folders.

// A survey is what is there at one time: the files that are to be followed, and what is in folders. Each folder is listed once, when a file is
// looked for in it first: with thousands of files that were renamed, listing it for each would take minutes.
type survey struct {
	found   []foundFile
	byID    map[identity]foundFile // of found
	byPath  map[string]foundFile   // of found
	folders map[string]folder
	own     *ownFiles
	looks   *int // counts the entries of folders that were looked at
}

// A folder is what a folder holds: plain files that are not compressed.
type folder struct {
	files map[identity]foundFile
	err   error // it could not be listed: any file may be there
}

func newSurvey(found []foundFile, own *ownFiles, looks *int) *survey {
	v := &survey{
		found: found, byID: make(map[identity]foundFile, len(found)), byPath: make(map[string]foundFile, len(found)),
		folders: map[string]folder{}, own: own, looks: looks,
	}
	for _, at := range found {
		v.byID[at.id] = at
		v.byPath[at.path] = at
	}
	return v
}

// survey looks for the files that are to be followed.
func (t *Source) survey() *survey {
	own := t.ownFiles()
	return newSurvey(t.glob(own), own, &t.looks)
}

// inFolder looks for a file in a folder, under whatever name. An error says that the folder could not be listed: the file may be there all the
// same. A folder that is gone has no files.
func (v *survey) inFolder(dir string, id identity) (foundFile, error) {
	d, ok := v.folders[dir]
	if !ok {
		d = v.list(dir)
		v.folders[dir] = d
	}
	return d.files[id], d.err
}

func (v *survey) list(dir string) folder {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return folder{}
	}
	if err != nil {
		return folder{err: err}
	}
	files := make(map[identity]foundFile, len(entries))
	for _, e := range entries {
		if !e.Type().IsRegular() || isCompressed(e.Name()) {
			continue
		}
		*v.looks++
		at, ok := lookAt(filepath.Join(dir, e.Name()))
		if _, twice := files[at.id]; ok && !twice && !v.own.has(at) {
			files[at.id] = at
		}
	}
	return folder{files: files}
}

// find looks for a file of the position: among those that are to be followed, and else in the folder where it was, under
// whatever name. away says that it is none of those that are to be followed.
func (v *survey) find(s storedFile) (at foundFile, away bool, err error) {
	if at, ok := v.byID[s.identity]; ok {
		return at, false, nil
	}
	// Numbers of devices may change when a system starts; and some systems know nothing but the path.
	if at, ok := v.byPath[s.Path]; ok && (at.id.Path != "" || at.id.Inode == s.Inode) {
		return at, false, nil
	}
	at, err = v.inFolder(filepath.Dir(s.Path), s.identity)
	return at, true, err
}

// ownEndings are behind the name of the position in those of the files that this source writes.
var ownEndings = []string{"", ".lock", ".new"}

// An ownFiles knows the files that this source writes. To follow one would be to read one's own writing for ever. They are known by folder and name, as the
// position is another file after each commit, and by the file itself, as it may be found by a link or in other letters.
type ownFiles struct {
	names  map[string]bool
	folder os.FileInfo // nil: it is not there
	ids    map[identity]bool
}

func (t *Source) ownFiles() *ownFiles {
	o := &ownFiles{names: map[string]bool{}, ids: map[identity]bool{}}
	o.folder, _ = os.Stat(filepath.Dir(string(t.s.Position)))
	for _, ending := range ownEndings {
		path := string(t.s.Position) + ending
		o.names[filepath.Base(path)] = true
		if at, ok := lookAt(path); ok {
			o.ids[at.id] = true
		}
	}
	return o
}

// has says whether a file is one of them. One may have got the inode of a file that was followed.
func (o *ownFiles) has(at foundFile) bool {
	if o.ids[at.id] {
		return true
	}
	if o.folder == nil || !o.names[filepath.Base(at.path)] {
		return false
	}
	dir, err := os.Stat(filepath.Dir(at.path))
	return err == nil && os.SameFile(dir, o.folder)
}
