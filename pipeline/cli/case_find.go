package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/penstockio/penstock/pipeline/config"
)

// The files of a case.
const (
	pipelineFile = "pipeline.yaml"
	settingsFile = "case.yaml"
	inputLines   = "input.jsonl"  // fixture lines
	inputValues  = "input.values" // one value a line
	answersFile  = "answers/http.jsonl"
	redisFile    = "answers/redis.jsonl"
	wantDir      = "want"
	archiveEnd   = ".txtar"
)

const whatIsACase = "a case is a folder with pipeline.yaml and input.jsonl, or one of several in a file *.txtar; see penstock test --help"

// findCases gives the cases below the paths, or at the paths themselves; what is meant as one and
// lacks a part is one that fails. kinds are those that
// the pipeline files may name.
func findCases(paths []string, kinds config.Kinds) (cases []*testCase, err error) {
	for _, root := range paths {
		before, half := len(cases), map[string]bool{}
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, path)
			if err != nil || name == "." {
				name = filepath.Base(path)
			}
			name = filepath.ToSlash(name)
			switch {
			case d.IsDir() && isCase(path):
				cases = append(cases, &testCase{dir: path, name: name, kinds: kinds})
				return fs.SkipDir
			case d.IsDir() && d.Name() == wantDir && half[filepath.Dir(path)]:
				return fs.SkipDir // what it holds is of the case
			case d.IsDir():
				if wrong := halfCase(path); wrong != nil {
					half[path] = true
					cases = append(cases, &testCase{name: name, wrong: wrong})
				}
			case strings.HasSuffix(name, archiveEnd):
				found, err := casesOfArchive(path, strings.TrimSuffix(name, archiveEnd), kinds)
				cases = append(cases, found...)
				return err
			}
			return nil
		})
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usagef("looking for cases: there is no %s", root)
		}
		if err != nil {
			return nil, usagef("looking for cases: %w", err)
		}
		if len(cases) == before {
			return nil, usagef("looking for cases: %s holds none: %s", root, whatIsACase)
		}
	}
	return cases, nil
}

// isCase says whether a folder is a case: it has an input, or says by case.yaml that it is one.
func isCase(dir string) bool {
	has := func(name string) bool { return isFile(filepath.Join(dir, name)) }
	return has(settingsFile) || has(pipelineFile) && (has(inputLines) || has(inputValues))
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// A caseParts says what of a case a folder has.
type caseParts struct {
	shown                   string // the first of them
	input, pipeline         string // "": it has none
	likeInput, likePipeline string // what is called nearly so
	other                   string // of want or answers: only a case has that
}

// partsOf finds the parts among files, by their names within the folder.
func partsOf(names []string) (p caseParts) {
	for _, name := range names {
		stem, ending := strings.TrimSuffix(name, filepath.Ext(name)), filepath.Ext(name)
		near := func(part string, endings ...string) bool {
			return config.Nearest(stem, []string{part}) != "" && config.Nearest(ending, endings) != ""
		}
		switch {
		case name == inputLines, name == inputValues:
			p.input = name
		case name == pipelineFile, name == settingsFile:
			p.pipeline = name
		case name == answersFile, name == redisFile, name == execAnswersFile, strings.HasPrefix(name, "want/") && (ending == wantLines || ending == wantValues):
			p.other = name
		case strings.Contains(name, "/"):
		case ending == wantValues, near("input", wantLines, wantValues):
			p.likeInput = name
		case near("pipeline", ".yaml"), near("case", ".yaml"):
			p.likePipeline = name
		}
		if p.shown == "" && p != (caseParts{}) {
			p.shown = name
		}
	}
	return p
}

// meant says whether the folder is surely meant as a case: an input beside a pipeline, whatever
// they are called, or what only cases have.
func (p caseParts) meant() bool {
	return p.other != "" || p.input+p.likeInput != "" && p.pipeline+p.likePipeline != ""
}

// missing says what is there and what is not; "": nothing that a case needs is missing.
func (p caseParts) missing() string {
	switch {
	case p.input == "":
		return fmt.Sprintf("it has %s, but neither %s nor %s%s", p.shown, inputLines, inputValues, p.hint())
	case p.pipeline == "":
		return fmt.Sprintf("it has %s, but neither %s nor %s%s", p.shown, pipelineFile, settingsFile, p.hint())
	}
	return ""
}

// hint says what was likely meant by a file that is called nearly as the one that is missing.
func (p caseParts) hint() string {
	like, name := p.likeInput, inputLines
	switch {
	case p.input == "" && filepath.Ext(like) == wantValues:
		name = inputValues
	case p.input != "":
		like, name = p.likePipeline, pipelineFile
	}
	switch like {
	case "":
		return ""
	case p.shown:
		return fmt.Sprintf(": did you mean %s?", name)
	}
	return fmt.Sprintf("; %s: did you mean %s?", like, name)
}

// halfCase is an error when a folder, which is no case, is meant as one: it would be passed over in
// silence. An input alone is meant as one; a pipeline alone may be there for others.
func halfCase(dir string) error {
	var names []string
	for _, pattern := range []string{"*", "want/*", answersFile, redisFile, execAnswersFile} {
		files, err := fs.Glob(os.DirFS(dir), pattern)
		if err != nil {
			return err
		}
		for _, name := range files {
			if isFile(filepath.Join(dir, filepath.FromSlash(name))) {
				names = append(names, name)
			}
		}
	}
	p := partsOf(names)
	if missing := p.missing(); (p.meant() || p.input != "") && missing != "" {
		return fmt.Errorf("%s is no whole case: %s", dir, missing)
	}
	return nil
}
