package cli

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Whoever ships the binary ships what is linked into it, on the terms of its authors. The
// tests here read those terms where they stand, in the module cache, so that a dependency
// whose terms are others than the known ones is noticed with the commit that brings it.

// A licence is known by what it grants: headings and names are left out or changed often,
// these sentences hardly ever.
type licence struct {
	name string
	says []string // all of them, as inOneLine gives text
}

var licences = []licence{
	{"MIT", []string{"permission is hereby granted, free of charge, to any person obtaining a copy of this software", "permission notice shall be included in all copies"}},
	{"ISC", []string{"permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby granted"}},
	{"ISC", []string{"permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"}},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms, with or without modification, are permitted", "endorse or promote products"}},
	{"BSD-2-Clause", []string{"redistribution and use in source and binary forms, with or without modification, are permitted", "redistributions in binary form must reproduce"}},
	{"Apache-2.0", []string{"apache license version 2.0", "grant of patent license"}},
	{"Apache-2.0", []string{"licensed under the apache license, version 2.0", "you may not use this file except in compliance with the license"}},
	{"MPL-2.0", []string{"mozilla public license version 2.0", "covered software"}},
	{"MPL-2.0", []string{"mozilla public license, version 2.0", "covered software"}},
	{"Unlicense", []string{"this is free and unencumbered software released into the public domain"}},
	{"public domain", []string{"anyone is free to copy, modify, publish, use, compile, sell, or distribute the original sqlite code"}},
}

// refused are words of licences that ask more of whoever ships the binary than a notice,
// or allow less. One of them is enough, whatever stands beside it.
var refused = []string{
	"gnu general public license", "gnu lesser general public license", "gnu library general public license",
	"gnu affero general public license", "server side public license", "business source license",
	"elastic license", "commons clause", "creative commons", "non-commercial use only", "noncommercial",
	"all advertising materials mentioning features",
}

// secondary is the sentence of the MPL that names the licences of the GNU project: it
// allows them and asks for none.
var secondary = regexp.MustCompile(`.secondary license. means [^.]*version 2\.0, [^.]*version 2\.1, [^.]*version 3\.0, or any later versions of those licenses\.`)

var (
	noWords = regexp.MustCompile(`[\s#>*]+`)
	british = strings.NewReplacer("licence", "license", "“", `"`, "”", `"`)
)

// inOneLine makes texts comparable that are broken into lines, and marked as comments, in
// different ways.
func inOneLine(text []byte) string {
	return strings.TrimSpace(noWords.ReplaceAllString(british.Replace(strings.ToLower(string(text))), " "))
}

// recognise names the licence of a text, the first of several; or says what is wrong.
func recognise(text []byte) (name string, err error) {
	p := secondary.ReplaceAllString(inOneLine(text), "")
	for _, r := range refused {
		if strings.Contains(p, r) {
			return "", errors.New("its text has the words: " + r)
		}
	}
	for _, l := range licences {
		if !slices.ContainsFunc(l.says, func(s string) bool { return !strings.Contains(p, s) }) {
			return l.name, nil
		}
	}
	return "", errors.New("its text is of no licence that this test knows")
}

// noCode are files with the name of a licence that are not about code. Key: module and
// file.
var noCode = map[string]string{
	"modernc.org/memory LICENSE-LOGO": "says where the picture of its page is from",
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([-_.].*)?$|(?i)-licen[cs]e(\.(md|txt))?$`)

// licencesIn gives the licence files of a folder.
func licencesIn(dir string) (files []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.Type().IsRegular() && licenceFile.MatchString(e.Name()) && !strings.HasSuffix(e.Name(), ".go") {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, err
}

// A linkedPackage is what `go list -json` says of one.
type linkedPackage struct {
	Dir    string
	Module *struct {
		Path, Dir string
		Main      bool
	}
}

// licenceFolders gives the folders, by module, in which the terms of the packages that are
// linked into cmd/penstock on this system may stand: that of the package, and those
// around it up to the module's. Nothing is downloaded.
func licenceFolders(t *testing.T) map[string]map[string]bool {
	cmd := exec.Command("go", "list", "-deps", "-json=Dir,Module", "./cmd/penstock")
	cmd.Dir, cmd.Stderr = repo, os.Stderr
	cmd.Env = append(os.Environ(), "GOPROXY=off")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing what is linked: %v", err)
	}
	folders := map[string]map[string]bool{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p linkedPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return folders
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Module == nil || p.Module.Main { // of the standard library, and ours
			continue
		}
		m := p.Module
		if folders[m.Path] == nil {
			folders[m.Path] = map[string]bool{}
		}
		for dir := p.Dir; under(filepath.ToSlash(dir), filepath.ToSlash(m.Dir)); dir = filepath.Dir(dir) {
			folders[m.Path][dir] = true
		}
		if !folders[m.Path][m.Dir] {
			t.Errorf("%s is not within its module, %s", p.Dir, m.Dir)
		}
	}
}

func TestLicencesOfWhatIsLinked(t *testing.T) {
	oneGoroutine(t)
	modules := licenceFolders(t)
	for _, module := range slices.Sorted(maps.Keys(modules)) {
		found := 0
		for dir := range modules[module] {
			files, err := licencesIn(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				if noCode[module+" "+filepath.Base(file)] != "" {
					continue
				}
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				name, err := recognise(text)
				if err != nil {
					t.Errorf("%s: %s: %v", module, file, err)
				}
				t.Logf("%s: %s: %s", module, filepath.Base(file), name)
				found++
			}
		}
		if found == 0 {
			t.Errorf("%s has no licence file: nothing says that it may be shipped", module)
		}
	}
	if len(modules) < 20 {
		t.Errorf("only %d modules were found", len(modules))
	}
}

func TestLicencesAreRecognised(t *testing.T) {
	oneGoroutine(t)
	const mit = "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\n" +
		"of this software and associated documentation files\n\nThe above copyright notice and this\npermission notice shall be included in all copies or substantial portions of the Software.\n"
	const bsd = "Redistribution and use in source and binary forms, with or without\n// modification, are permitted provided that\n" +
		"1. ...\n2. Redistributions in binary form must reproduce the above copyright notice\n"
	const mpl = "Mozilla Public License Version 2.0\n1.5. Covered Software\n1.12. \"Secondary License\"\n    means either the GNU General Public License, Version 2.0, the GNU\n" +
		"    Lesser General Public License, Version 2.1, the GNU Affero General\n    Public License, Version 3.0, or any later versions of those\n    licenses.\n"
	const gpl = "                    GNU GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007\n\n Everyone is permitted to copy and distribute verbatim copies\n" +
		" of this license document, but changing it is not allowed.\n"
	for _, c := range []struct{ what, text, want string }{
		{"MIT", mit, "MIT"},
		{"BSD of two clauses", strings.ReplaceAll(bsd, "// ", ""), "BSD-2-Clause"},
		{"BSD of three clauses", strings.ReplaceAll(bsd, "// ", "") + "3. Neither the name ... may be used to endorse or promote products", "BSD-3-Clause"},
		{"BSD of four clauses", strings.ReplaceAll(bsd, "// ", "") + "3. All advertising materials mentioning features", ""},
		{"ISC", "Permission to use, copy, modify, and/or distribute this software for any\npurpose with or without fee is hereby granted", "ISC"},
		{"Apache", "Apache License\nVersion 2.0, January 2004\n\n3. Grant of Patent License.", "Apache-2.0"},
		{"MPL", mpl, "MPL-2.0"},
		{"GPL", gpl, ""},
		{"GPL behind MIT", mit + gpl, ""},
		{"GPL behind MPL", mpl + gpl, ""},
		{"LGPL", "GNU LESSER GENERAL PUBLIC LICENSE\nVersion 2.1", ""},
		{"AGPL", "GNU AFFERO GENERAL PUBLIC LICENSE\nVersion 3", ""},
		{"MIT with the Commons Clause", "\"Commons Clause\" License Condition v1.0\n" + mit, ""},
		{"MIT without its condition", strings.ReplaceAll(mit, "permission notice", "picture"), ""},
		{"nothing", "", ""},
		{"a name alone", "MIT", ""},
	} {
		if got, err := recognise([]byte(c.text)); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", c.what, got, err)
		}
	}
	for name, want := range map[string]bool{"LICENSE": true, "licence.txt": true, "COPYING": true, "LICENSE-MMAP-GO": true, "SQLITE-LICENSE": true, "licensed.md": false, "README.md": false} {
		if licenceFile.MatchString(name) != want {
			t.Errorf("%s: is a licence: %v", name, !want)
		}
	}
}
