package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// A Loader reads pipeline files. The zero value knows no components.
type Loader struct {
	Kinds Kinds
	// Set overrides settings, path=value each: "stages.weather.workers=8", with the
	// name of a step or its index, "stages[2].workers=8".
	Set []string
	// Env looks up variables. nil: the environment of the process.
	Env func(name string) (string, bool)
	// Repeatable makes now, uuid and random of all expressions give the same in every run over
	// the same records: see expr.Expr.Repeatable.
	Repeatable bool
	// Reads is called with the name of each file that is about to be read, also when there is none of that name: what is loaded
	// changes with these. nil: nobody wants to know.
	Reads func(path string)
}

// A Set is what one process runs.
type Set struct {
	Pipelines []*Pipeline
	Process   Process // of all of them together; each Pipeline has the same
	Warnings  Problems
	Hash      string // of the only pipeline, or of all
}

// Beside gives how many bytes all components together may hold beside what is charged to the budget of records.
func (s *Set) Beside() (bytes int64) {
	add := func(c Component) {
		if c.Kind != nil && c.Kind.Beside != nil && c.Settings != nil {
			bytes += c.Kind.Beside(c.Settings)
		}
	}
	for _, p := range s.Pipelines {
		add(p.Source)
		for i := range p.Stages {
			add(p.Stages[i].Component)
		}
		for i := range p.Sinks {
			add(p.Sinks[i].Component)
		}
		if p.DeadLetter != nil {
			add(p.DeadLetter.Component)
		}
	}
	return bytes
}

// Load reads files, and the files *.yaml and *.yml of folders, and checks each of them
// and all of them together. The error is an *InvalidError with everything found, when
// one of them cannot be run.
func (l *Loader) Load(paths ...string) (*Set, error) {
	files, problems := expand(paths)
	set := &Set{}
	overrides := newOverrides(l.Set)
	var decoders []*decoder
	for i, name := range files {
		d, p := l.read(name, i, overrides)
		decoders = append(decoders, d)
		set.Pipelines = append(set.Pipelines, p)
	}
	problems = append(problems, overrides.unused(len(files))...)
	var from map[string]*node
	set.Process, from = mergeProcess(decoders, set.Pipelines)
	names, taken := map[string]*node{}, map[string]*node{}
	for i, p := range set.Pipelines {
		if p == nil {
			continue
		}
		d := decoders[i]
		p.Process, p.decoder = set.Process, d
		d.check(p)
		d.uniqueName(p, names)
		d.takenOnce(p, taken)
		d.noSecretNames(p)
		d.keepOrigins(p, from)
	}
	loops(decoders, set.Pipelines)
	unusedRates(decoders, set.Pipelines)
	for _, d := range decoders {
		problems = append(problems, d.problems...)
	}
	var secrets, hidden []string
	for _, d := range decoders {
		secrets, hidden = append(secrets, d.secrets...), append(hidden, d.hidden...)
	}
	secrets = secretTexts(secrets)
	for _, d := range decoders {
		d.known = secrets
	}
	problems = problems.sort()
	problems.concealAll(secrets, secretTexts(hidden))
	if len(problems.Errors()) > 0 || len(files) == 0 {
		return nil, &InvalidError{Problems: problems}
	}
	set.Warnings = problems
	set.hash()
	return set, nil
}

// expand gives the files that paths name.
func expand(paths []string) ([]string, Problems) {
	var files []string
	var problems Problems
	fail := func(i int, name, text, suggestion string) {
		problems = append(problems, Problem{File: name, Severity: SeverityError, Text: text, Suggestion: suggestion, order: i})
	}
	for i, name := range paths {
		info, err := os.Stat(name)
		switch {
		case err != nil:
			fail(i, name, fmt.Sprintf("reading the file: %v", unwrapPath(err)), "")
		case info.IsDir():
			inside := inFolder(name)
			if len(inside) == 0 {
				fail(i, name, "the folder holds no pipeline file", "pipeline files end in .yaml or .yml")
			}
			for _, file := range inside {
				if info, err := os.Stat(file); err == nil && !info.IsDir() && !info.Mode().IsRegular() { // to open a pipe waits for who writes to it
					fail(i, file, "reading the file: it is no plain file", "name it by itself if it is to be read, or move it out of the folder")
					continue
				}
				files = append(files, file)
			}
		case !info.Mode().IsRegular() && info.Mode()&os.ModeNamedPipe == 0 && info.Mode()&os.ModeCharDevice == 0:
			fail(i, name, "reading the file: it is no plain file", "")
		default:
			files = append(files, name)
		}
	}
	return files, problems
}

func inFolder(dir string) []string {
	var files []string
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		found, err := filepath.Glob(filepath.Join(globEscape.Replace(dir), pattern))
		if err != nil {
			continue
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	return files
}

var globEscape = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// open reads the text of a file. The node is nil when there is nothing to decode, which has been reported.
func (l *Loader) open(name string, order int) (*decoder, *node) {
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		dir = filepath.Dir(name)
	}
	env := l.Env
	if env == nil {
		env = os.LookupEnv
	}
	if l.Reads != nil {
		l.Reads(filepath.Join(dir, filepath.Base(name)))
	}
	text, err := readLimited(name)
	r := newReading(name, order, text, &variables{env: env, dir: dir, reads: l.Reads}, l.Kinds)
	r.src.dir, r.src.path = dir, filepath.Join(dir, filepath.Base(name))
	d := &decoder{reading: r, dir: dir, places: map[string]*node{}, keys: map[string]*node{}, bad: map[string]bool{}, repeatable: l.Repeatable}
	if err != nil {
		r.reportFile(fmt.Sprintf("reading the file: %v", unwrapPath(err)), "")
		return d, nil
	}
	return d, r.parse(text)
}

// read decodes one file. The pipeline is nil when there was nothing to decode.
func (l *Loader) read(name string, order int, overrides *overrides) (*decoder, *Pipeline) {
	d, root := l.open(name, order)
	if root == nil {
		return d, nil
	}
	r, dir := d.reading, d.dir
	newIncludes(r).expand(root, reflect.TypeFor[Pipeline]())
	d.noteMisplaced(root, reflect.TypeFor[Pipeline](), false) // lines show what overrides take the place of
	overrides.apply(r, root)
	d.noteMisplaced(root, reflect.TypeFor[Pipeline](), false)
	p := defaultPipeline()
	p.File, p.Dir = name, dir
	if root.kind != mappingNode {
		hint := "`penstock init` writes one to begin with"
		if root.kind == sequenceNode {
			hint += "; " + toInclude
		}
		d.errorAt(root, "a pipeline file is a mapping that begins with pipeline: NAME, not "+root.describe(), hint)
		return d, nil
	}
	d.structure(root, reflect.ValueOf(p).Elem(), "", container{what: "a pipeline file"})
	d.adminSocket(p.Admin)
	d.places[""] = root
	return d, p
}

const toInclude = "a file that others include stands in a folder of its own"

// readLimited reads at most one byte more than a pipeline file may have.
func readLimited(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, 0, 16<<10)
	for len(buf) <= maxFile {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, len(buf))
		}
		n, err := f.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil {
			if err.Error() == "EOF" {
				break
			}
			return nil, errors.Join(err, f.Close())
		}
	}
	return buf, f.Close()
}

// uniqueName reports a second pipeline of one name.
func (d *decoder) uniqueName(p *Pipeline, names map[string]*node) {
	n := d.places["pipeline"]
	if n == nil || p.Name == "" {
		return
	}
	if first := names[p.Name]; first != nil {
		d.errorAt(n, fmt.Sprintf("a second pipeline of the name %q; the first is %s:%d", p.Name, first.src.name, first.line), "give each pipeline a name of its own")
		return
	}
	names[p.Name] = n
}

// takenOnce reports a second source that takes what the process has one of.
func (d *decoder) takenOnce(p *Pipeline, taken map[string]*node) {
	k := p.Source.Kind
	if k == nil || k.Once == nil {
		return
	}
	what, field := k.Once(p.Source.Settings)
	if what == "" {
		return
	}
	place := "source." + k.Name
	if field != "" {
		place += "." + field
	}
	n := d.at(place)
	if first := taken[what]; first != nil {
		d.errorAt(n, fmt.Sprintf("a second pipeline that reads %s; the first is %s:%d", what, first.src.name, first.line),
			"a process has one: what comes would go to either; run them as two processes, or read a file")
		return
	}
	taken[what] = n
}

// keepOrigins keeps what Place, Show and the hash need of the file: places, origins, secrets. process
// holds what stands in one of the files for all.
func (d *decoder) keepOrigins(p *Pipeline, process map[string]*node) {
	p.secrets, p.folders = secretTexts(d.secrets), map[string]bool{}
	p.origins = make(map[string]string, len(d.places))
	for path, n := range d.places {
		p.origins[path] = n.origin
		if n.src != nil && n.src.from != nil {
			p.folders[n.src.dir] = true
		}
		if is := n.source(); is.origin == "" && is.src != nil && is.src.from != nil {
			p.origins[path] = d.relative(is.src.path)
		}
	}
	for path, n := range process {
		if _, own := p.origins[path]; !own {
			p.origins[path] = n.src.name
		}
	}
	p.places = make(map[string]string, len(d.places))
	for _, nodes := range []map[string]*node{d.places, d.keys} { // keys win, where both are known
		for path, n := range nodes {
			if n.line > 0 {
				p.places[path] = fmt.Sprintf("%s:%d:%d", n.src.name, n.line, n.col)
			}
		}
	}
}

// mergeProcess makes one Process out of those of all files, and reports where they
// contradict one another. from says by path what it has taken from where.
func mergeProcess(decoders []*decoder, pipelines []*Pipeline) (merged Process, from map[string]*node) {
	merged, from = defaultProcess(), map[string]*node{}
	first := map[string]any{}
	for i, p := range pipelines {
		if p == nil {
			continue
		}
		d := decoders[i]
		eachSetting(reflect.ValueOf(&p.Process).Elem(), reflect.ValueOf(&merged).Elem(), "", func(path string, have, into reflect.Value) {
			n := d.places[path]
			mapping := n != nil && n.kind == mappingNode && have.Kind() == reflect.Map && path != "limits.rates" // see mergeRates
			if n == nil || n.kind != scalarNode && n.kind != sequenceNode && !mapping {
				return
			}
			before, ok := first[path]
			if !ok {
				first[path], from[path] = have.Interface(), n
				into.Set(have)
				return
			}
			if !reflect.DeepEqual(before, have.Interface()) {
				d.contradicts(n, path, have.Interface(), before, from[path])
			}
		})
		d.mergeRates(p.Limits.Rates, &merged.Limits.Rates, from)
	}
	return merged, from
}

// contradicts reports what is another in a file before.
func (d *decoder) contradicts(n *node, path string, is, was any, at *node) {
	shown := func(value any) string {
		text := fmt.Sprint(value)
		if strings.Contains(text, "://") {
			return concealQuery(text)
		}
		return text
	}
	d.errorAt(n, fmt.Sprintf("%s belongs to the process: it is %s here and %s in %s:%d", path, shown(is), shown(was), at.src.name, at.line),
		"write it in one of the files, or the same in all")
}

// eachSetting calls f for every leaf of two structs of one type. A pointer that is nil
// in have is passed over, and made in into where it is not.
func eachSetting(have, into reflect.Value, path string, f func(path string, have, into reflect.Value)) {
	for _, fd := range fieldsOf(have.Type()) {
		h, i, at := have.FieldByIndex(fd.index), into.FieldByIndex(fd.index), join(path, fd.name)
		if h.Kind() == reflect.Pointer {
			if h.IsNil() {
				continue
			}
			if i.IsNil() {
				i.Set(fresh(i.Type().Elem()).Addr())
			}
			h, i = h.Elem(), i.Elem()
		}
		if h.Kind() == reflect.Struct {
			eachSetting(h, i, at, f)
			continue
		}
		f(at, h, i)
	}
}
