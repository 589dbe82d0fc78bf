// SPDX-License-Identifier: Apache-2.0

// Command licences prints the terms of all that is linked into the binary on the systems that releases are for, as whoever ships it has to show
// them. That each of them may be shipped is for TestLicencesOfWhatIsLinked.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var (
	systems     = []string{"linux", "darwin", "windows"}
	licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense|notice)([-_.].*)?$|(?i)-licen[cs]e(\.(md|txt))?$`)
)

// A linked package is what `go list -json` says of one.
type linked struct {
	Dir    string
	Module *struct {
		Path, Version, Dir string
		Main               bool
	}
}

func main() {
	if err := write(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

func write(w io.Writer) error {
	modules := map[string]map[string]bool{} // the files of each module
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("finding Go: %w", err)
	}
	modules["the Go runtime and standard library"] = map[string]bool{filepath.Join(strings.TrimSpace(string(root)), "LICENSE"): true}
	for _, system := range systems {
		if err := collect(system, modules); err != nil {
			return err
		}
	}
	for _, module := range slices.Sorted(maps.Keys(modules)) {
		files := slices.Sorted(maps.Keys(modules[module]))
		if len(files) == 0 {
			return fmt.Errorf("%s has no licence file", module)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "%s\n%s: %s\n\n%s\n\n", strings.Repeat("=", 80), module, filepath.Base(file), strings.TrimSpace(string(text))); err != nil {
				return err
			}
		}
	}
	return nil
}

// collect adds the licence files of the packages that are linked on a system: those in the folder of each, and around it up to its module's.
func collect(system string, modules map[string]map[string]bool) error {
	cmd := exec.Command("go", "list", "-deps", "-json=Dir,Module", "./cmd/penstock")
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("listing what is linked on %s: %w", system, err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p linked
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if p.Module == nil || p.Module.Main { // the standard library's is in already
			continue
		}
		name := p.Module.Path + " " + p.Module.Version
		if modules[name] == nil {
			modules[name] = map[string]bool{}
		}
		for dir := p.Dir; len(dir) >= len(p.Module.Dir); dir = filepath.Dir(dir) {
			entries, err := os.ReadDir(dir)
			if err != nil {
				return err
			}
			for _, e := range entries {
				if e.Type().IsRegular() && licenceFile.MatchString(e.Name()) && filepath.Ext(e.Name()) != ".go" {
					modules[name][filepath.Join(dir, e.Name())] = true
				}
			}
		}
	}
}
