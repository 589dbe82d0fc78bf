package config

import "reflect"

// A SideFile is a YAML file beside pipeline files, such as the case.yaml of a case, after it has
// been read: it knows where its values stand.
type SideFile struct {
	places map[string]*node
}

// LoadBeside reads a file of settings that is no pipeline file into a struct with the tags of
// settings; what names the struct in messages, as "a case" does. Variables are put in as in a
// pipeline file; Set does not count. The error is an *InvalidError with everything found.
func (l *Loader) LoadBeside(name, what string, into any) (*SideFile, error) {
	d, root := l.open(name, 0)
	if root != nil {
		d.noteMisplaced(root, reflect.TypeOf(into), false)
		d.structure(root, reflect.ValueOf(into).Elem(), "", container{what: what})
		d.places[""] = root
	}
	problems := d.problems.sort()
	d.known = secretTexts(d.secrets)
	problems.concealAll(d.known, secretTexts(d.hidden))
	if len(problems.Errors()) > 0 {
		return nil, &InvalidError{Problems: problems}
	}
	return &SideFile{places: d.places}, nil
}

// Move puts a problem that was found in the text at path, at its p.Column, to where that text
// stands in the file.
func (f *SideFile) Move(p Problem, path string) Problem {
	n := f.places[path]
	if n == nil {
		return p
	}
	runes := []rune(n.raw)
	line, col := n.place(len(string(runes[:min(max(p.Column-1, 0), len(runes))])))
	moved := n.src.problem(p.Severity, line, col, p.width, p.Text, p.Suggestion)
	moved.order = p.order
	return moved
}

// Within gives p for a file that is a part of a larger one, behind its first `before` lines. Problems
// of other files come back unchanged.
func (p Problem) Within(file, larger string, before int) Problem {
	if p.File == file {
		p.File = larger
		if p.Line > 0 {
			p.Line += before
		} else {
			p.Line, p.Column = before, 1
		}
	}
	return p
}
