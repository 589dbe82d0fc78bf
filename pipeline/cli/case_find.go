package cli

import (
	"errors"
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
	archiveEnd   = ".txtar"
)

const whatIsACase = "a case is a folder with pipeline.yaml and input.jsonl, or one of several in a file *.txtar; see penstock test --help"

// findCases gives the cases below the paths, or at the paths themselves. kinds are those that
// the pipeline files may name.
func findCases(paths []string, kinds config.Kinds) (cases []*testCase, err error) {
	for _, root := range paths {
		before := len(cases)
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
			case !d.IsDir() && strings.HasSuffix(name, archiveEnd):
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
