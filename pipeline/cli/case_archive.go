package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/txtar"

	"github.com/penstockio/penstock/pipeline/config"
)

// A caseArchive is a txtar file with cases: NAME/pipeline.yaml, NAME/input.jsonl and so on. What
// stands at its top, a pipeline.yaml for example, counts for each case that has none of its own.
type caseArchive struct {
	file    string
	content *txtar.Archive
	changed bool
}

// casesOfArchive gives the cases of a txtar file; none when it is about something else. name is
// what their names begin with.
func casesOfArchive(file, name string, kinds config.Kinds) (cases []*testCase, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	a := &caseArchive{file: file, content: txtar.Parse(text)}
	within := func(n string) string {
		if n == "" {
			return name
		}
		return name + "/" + n
	}
	names := a.names()
	if len(names) > 0 {
		if wrong := a.check(); wrong != nil {
			return []*testCase{{name: name, wrong: wrong}}, nil
		}
	}
	for _, n := range names {
		cases = append(cases, &testCase{archive: a, within: n, name: within(n), kinds: kinds})
	}
	a.halves(names, func(n string, wrong error) {
		cases = append(cases, &testCase{name: within(n), wrong: wrong})
	})
	return cases, nil
}

func (a *caseArchive) has(name string) bool { return a.find(name) != nil }

func (a *caseArchive) find(name string) *txtar.File {
	for i := range a.content.Files {
		if a.content.Files[i].Name == name {
			return &a.content.Files[i]
		}
	}
	return nil
}

// names gives the folders that are cases, in order: those that have, with what stands at the
// top, an input and a pipeline. "" is the archive as a whole, when no folder is one.
func (a *caseArchive) names() (names []string) {
	complete := func(dirs ...string) bool {
		input, pipeline := false, false
		for _, d := range dirs {
			input = input || a.has(d+inputLines) || a.has(d+inputValues)
			pipeline = pipeline || a.has(d+pipelineFile) || a.has(d+settingsFile)
		}
		return input && pipeline
	}
	for _, f := range a.content.Files {
		dir, rest, inside := strings.Cut(f.Name, "/")
		if inside && partOfCase(rest) && !slices.Contains(names, dir) && complete("", dir+"/") {
			names = append(names, dir)
		}
	}
	if names == nil && complete("") {
		return []string{""}
	}
	return names
}

// partOfCase says whether a file, by its name within a folder, makes the folder a case.
func partOfCase(name string) bool {
	switch name {
	case pipelineFile, settingsFile, inputLines, inputValues:
		return true
	}
	return strings.HasPrefix(name, "want/")
}

// check finds what would be passed over in silence: a file that stands twice, a name that leads
// out of the archive.
func (a *caseArchive) check() error {
	for i, f := range a.content.Files {
		at := func(format string, args ...any) error {
			return fmt.Errorf("%s:%d: %s", a.file, a.before(i), fmt.Sprintf(format, args...))
		}
		if !filepath.IsLocal(filepath.FromSlash(f.Name)) || strings.Contains(f.Name, `\`) {
			return at("%s leads out of the archive", f.Name)
		}
		for _, g := range a.content.Files[:i] {
			if g.Name == f.Name {
				return at("%s stands twice", f.Name)
			}
		}
	}
	return nil
}

// halves calls found for each folder that is meant as a case, and lacks a part. Where there are cases
// beside it, any part of one is enough to be meant.
func (a *caseArchive) halves(names []string, found func(dir string, wrong error)) {
	files, first := map[string][]string{}, map[string]int{} // by folder
	var dirs []string
	for i, f := range a.content.Files {
		dir, rest, inside := strings.Cut(f.Name, "/")
		switch {
		case !inside, len(names) == 0 && (rest == "" || dir == "want" || dir == "answers"):
			dir, rest = "", f.Name
		case slices.Contains(names, dir):
			continue
		case len(names) > 0 && (strings.HasSuffix(rest, "/"+inputLines) || strings.HasSuffix(rest, "/"+inputValues)):
			found(path.Dir(f.Name), fmt.Errorf("%s:%d: %s is too deep: a case is a folder at the top of the archive", a.file, a.before(i), f.Name))
			continue
		}
		if _, known := first[dir]; !known {
			dirs, first[dir] = append(dirs, dir), i
		}
		files[dir] = append(files[dir], rest)
	}
	top := partsOf(files[""])
	for _, dir := range dirs {
		p := partsOf(files[dir])
		meant := p.meant() || len(names) > 0 && (p.input+p.likeInput != "" || slices.ContainsFunc(files[dir], partOfCase))
		if dir == "" && len(names) > 0 || !meant {
			continue // what is at the top is for all
		}
		p.input, p.pipeline = cmp.Or(p.input, top.input), cmp.Or(p.pipeline, top.pipeline)
		if missing := p.missing(); missing != "" {
			found(dir, fmt.Errorf("%s:%d: %s is no whole case: %s, there or at the top of the archive", a.file, a.before(first[dir]), cmp.Or(dir, "it"), missing))
		}
	}
}

// before counts the lines in front of the text of file i: the last is its marker.
func (a *caseArchive) before(i int) int {
	n := bytes.Count(a.content.Comment, []byte("\n")) + i + 1
	for _, f := range a.content.Files[:i] {
		n += bytes.Count(f.Data, []byte("\n"))
	}
	return n
}

// unpack writes what a case needs into dir: its own files and what is of no case.
func (a *caseArchive) unpack(dir, within string) error {
	names := a.names()
	for _, f := range a.content.Files {
		if of, _, inside := strings.Cut(f.Name, "/"); inside && of != within && slices.Contains(names, of) {
			continue
		}
		file := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, f.Data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// set replaces, adds or, with no text, removes a file of the case within. A new one stands
// behind the others of its case.
func (a *caseArchive) set(within, name string, text []byte) error {
	full := strings.TrimPrefix(within+"/"+name, "/")
	one := txtar.Parse(txtar.Format(&txtar.Archive{Files: []txtar.File{{Name: full, Data: text}}}))
	if len(one.Files) != 1 || one.Files[0].Name != full {
		return fmt.Errorf("%s: a line of %s would be read as the beginning of a file, as it is -- between dashes; make this case a folder", a.file, full)
	}
	a.changed = true
	files := a.content.Files
	i := slices.IndexFunc(files, func(f txtar.File) bool { return f.Name == full })
	switch {
	case len(text) == 0:
		a.content.Files = slices.DeleteFunc(files, func(f txtar.File) bool { return f.Name == full })
		return nil
	case i >= 0:
		files[i].Data = text
		return nil
	}
	last := len(files)
	for j := range files {
		if within != "" && strings.HasPrefix(files[j].Name, within+"/") {
			last = j + 1
		}
	}
	a.content.Files = slices.Insert(files, last, txtar.File{Name: full, Data: text})
	return nil
}

// save writes the archive, if it has changed.
func (a *caseArchive) save() error {
	if !a.changed {
		return nil
	}
	a.changed = false
	return os.WriteFile(a.file, txtar.Format(a.content), 0o644)
}

// locate puts places in the archive into a message, for those in the files that were unpacked
// into dir.
func (a *caseArchive) locate(message, dir string) string {
	dir += string(filepath.Separator)
	place := regexp.MustCompile(regexp.QuoteMeta(dir) + `([^:\n]+):([0-9]+)`)
	message = place.ReplaceAllStringFunc(message, func(text string) string {
		m := place.FindStringSubmatch(text)
		i, line := a.index(m[1]), 0
		if n, err := strconv.Atoi(m[2]); err == nil {
			line = n
		}
		if i < 0 {
			return text
		}
		return fmt.Sprintf("%s:%d", a.file, a.before(i)+line)
	})
	return strings.ReplaceAll(message, dir, a.file+":")
}

// index finds a file by its name in the file system; -1: there is none.
func (a *caseArchive) index(name string) int {
	return slices.IndexFunc(a.content.Files, func(f txtar.File) bool { return f.Name == filepath.ToSlash(name) })
}

// move gives a problem its place in the archive.
func (a *caseArchive) move(p config.Problem, dir string) config.Problem {
	name, err := filepath.Rel(dir, p.File)
	if err != nil {
		return p
	}
	if i := a.index(name); i >= 0 {
		return p.Within(p.File, a.file, a.before(i))
	}
	return p
}
