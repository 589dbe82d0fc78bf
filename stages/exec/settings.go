package execstage

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/settings"
)

// Settings are the settings of the exec stage.
type Settings struct {
	Command      []string                   `yaml:"command" doc:"the program and its arguments; there is no shell. A name is looked for in PATH, a path is relative to dir" required:"true" min:"1"`
	Dir          settings.Path              `yaml:"dir" doc:"folder in which it runs; default: that of the pipeline file"`
	Env          map[string]settings.Secret `yaml:"env" doc:"variables for it, whose values never show. Of those of penstock it gets PATH, HOME, USER, LANG, LC_*, TZ, TMPDIR and what Windows needs alone"`
	Processes    int                        `yaml:"processes" doc:"how many run at most" min:"1" max:"1024"`
	InFlight     int                        `yaml:"in_flight" doc:"most records that one has at a time; it may answer them in any order. processes x in_flight is the default of workers, of which there are 65536 at most, and the most calls at once" min:"1" max:"1024"`
	As           string                     `yaml:"as" doc:"what a line is: record, an object with the record and its id, as the page of the protocol says; value: the value alone, of which one at a time is answered by its new value" enum:"record|value"`
	Into         settings.FieldPath         `yaml:"into" doc:"field that takes what the process answers; default: it takes the place of the value"`
	MaxLine      settings.Size              `yaml:"max_line" doc:"longest line that a process may answer" min:"64B" max:"1GiB"`
	Memory       settings.Size              `yaml:"memory" doc:"most memory of its own that each process may have, its children each as much again (RLIMIT_DATA); on Linux alone. Default: no limit" min:"1MiB"`
	Ready        bool                       `yaml:"ready" doc:"a process writes {\"ready\": 1} when it has loaded, and gets no record before"`
	StartTimeout time.Duration              `yaml:"start_timeout" doc:"with ready: how long that may take" min:"10ms" max:"1h"`
	StopTimeout  time.Duration              `yaml:"stop_timeout" doc:"how long a process has to end by itself when its input is closed, and again when it was sent SIGTERM; SIGKILL follows" min:"10ms" max:"10m"`
	Stderr       string                     `yaml:"stderr" doc:"lines that it writes to standard error: drop, but for the last in the dead letter of a record that failed; log: as events child.line too, which may show what records hold" enum:"drop|log"`

	// Recorded, when not nil, answers in place of processes: none is started. Only cases set it.
	Recorded *Recorded `yaml:"-"`
}

// Default gives the settings of an exec stage before a file is read.
func Default() Settings {
	return Settings{
		Processes: 1, InFlight: 1, As: asRecord, MaxLine: 1 << 20, StartTimeout: 30 * time.Second, StopTimeout: 2 * time.Second, Stderr: stderrDrop,
	}
}

// Words of settings.
const (
	asRecord   = "record"
	asValue    = "value"
	stderrDrop = "drop"
	stderrLog  = "log"
)

// Slots is how many records processes have at once at most.
func (s *Settings) Slots() int { return max(s.Processes, 1) * max(s.InFlight, 1) }

// Validate checks what can be known without starting anything. It joins several errors.
func (s *Settings) Validate() error {
	var p settings.Problems
	switch {
	case len(s.Command) == 0:
		p.Add("command", "name the program and its arguments, as in [python3, enrich.py]")
	case s.Command[0] == "":
		p.Add("command", "the program has no name")
	case len(s.Command) == 1 && shellLike(s.Command[0]) && !named(s.Command[0]): // else CheckFiles sees whether it is there
		p.Add("command", "%q %s", s.Command[0], noShell)
	}
	for name := range s.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			p.Add("env", "%q is no name of a variable", name)
		}
	}
	s.checkNumbers(&p)
	if s.Into != "" {
		if _, err := s.Into.Place(); err != nil {
			p.Add("into", "%w", err)
		}
	}
	if s.As != asRecord && s.As != asValue {
		p.Add("as", "%q is none: write record or value", s.As)
	}
	if s.As == asValue && s.InFlight > 1 {
		p.Add("in_flight", "with as: value a process has one record at a time: its lines have no id; write more processes, or as: record")
	}
	if s.Stderr != stderrDrop && s.Stderr != stderrLog {
		p.Add("stderr", "%q is none: write drop or log", s.Stderr)
	}
	return p.Err()
}

func (s *Settings) checkNumbers(p *settings.Problems) {
	if s.Processes < 1 || s.Processes > 1024 {
		p.Add("processes", "%d is out of range: write 1 to 1024", s.Processes)
	}
	if s.InFlight < 1 || s.InFlight > 1024 {
		p.Add("in_flight", "%d is out of range: write 1 to 1024", s.InFlight)
	}
	if s.MaxLine < 64 || s.MaxLine > 1<<30 {
		p.Add("max_line", "%v is out of range: write a size from 64B to 1GiB", s.MaxLine)
	}
	if s.Memory != 0 && s.Memory < 1<<20 {
		p.Add("memory", "%v is too little for any process: write 1MiB or more", s.Memory)
	}
	if s.StartTimeout <= 0 {
		p.Add("start_timeout", "it must be above 0")
	}
	if s.StopTimeout <= 0 {
		p.Add("stop_timeout", "it must be above 0")
	}
}

// CheckFiles says whether the folder and the program are there, as far as the file alone names them: a
// program that is looked for in PATH is of the machine that runs the pipeline, which may be another. home is
// the folder of the pipeline file.
func (s *Settings) CheckFiles(home string) error {
	var p settings.Problems
	dir := s.folder(home)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		p.Add("dir", "there is no folder %s", dir)
		return p.Err()
	}
	if len(s.Command) > 0 && named(s.Command[0]) {
		if _, err := s.program(home); err != nil {
			p.Add("command", "%w", err)
		}
	}
	return p.Err()
}

// folder is where the processes run.
func (s *Settings) folder(home string) string {
	if s.Dir != "" {
		return string(s.Dir)
	}
	return home
}

// shellLike says whether a word may be meant for a shell. It may be a path as well.
func shellLike(word string) bool { return strings.ContainsAny(word, " |><;&$") }

const noShell = "is one word with a space or a sign of a shell in it: write the program and each argument by itself, as in [python3, enrich.py]; there is no shell"

// named says whether a program is named by its path.
func named(program string) bool { return strings.ContainsRune(filepath.ToSlash(program), '/') }

// program gives the path of the program. The error says what to do.
func (s *Settings) program(home string) (string, error) {
	name := s.Command[0]
	if !named(name) {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", fmt.Errorf("there is no program %s in PATH: install it, or write its path", name)
		}
		return path, nil
	}
	path := filepath.FromSlash(name)
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.folder(home), path)
	}
	if _, err := os.Stat(path); err != nil {
		if len(s.Command) == 1 && shellLike(name) {
			return "", fmt.Errorf("there is no program %s: %q %s", path, name, noShell)
		}
		return "", fmt.Errorf("there is no program %s", path)
	}
	if _, err := exec.LookPath(path); err != nil {
		return "", fmt.Errorf("%s cannot be run: make it executable, or write what runs it before it, as in [python3, %s]", path, name)
	}
	return path, nil
}
