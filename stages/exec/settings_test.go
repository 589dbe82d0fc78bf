package execstage

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/settings"
)

func TestSettings(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Settings)
		wrong  string // "": nothing
	}{
		"plain":        {func(*Settings) {}, ""},
		"no command":   {func(s *Settings) { s.Command = nil }, "command: name the program"},
		"no name":      {func(s *Settings) { s.Command = []string{"", "x"} }, "command: the program has no name"},
		"a shell line": {func(s *Settings) { s.Command = []string{"python3 enrich.py"} }, "there is no shell"},
		"a pipe":       {func(s *Settings) { s.Command = []string{"jq|sort"} }, "there is no shell"},
		"a space":      {func(s *Settings) { s.Command = []string{"/opt/my tools/run", "x"} }, ""},
		"only a space": {func(s *Settings) { s.Command = []string{"/opt/my tools/run"} }, ""}, // CheckFiles sees to it
		"no variable":  {func(s *Settings) { s.Env = map[string]settings.Secret{"A=B": "canary"} }, `"A=B" is no name`},
		"processes":    {func(s *Settings) { s.Processes = 0 }, "processes: 0 is out of range"},
		"in flight":    {func(s *Settings) { s.InFlight = 5000 }, "in_flight: 5000 is out of range"},
		"max_line":     {func(s *Settings) { s.MaxLine = 1 }, "max_line: 1B is out of range"},
		"memory":       {func(s *Settings) { s.Memory = 1000 }, "memory: 1000B is too little"},
		"times":        {func(s *Settings) { s.StartTimeout, s.StopTimeout = 0, -time.Second }, "stop_timeout: it must be above 0"},
		"into":         {func(s *Settings) { s.Into = "a[*]" }, "into: "},
		"as":           {func(s *Settings) { s.As = "csv" }, "as: "},
		"stderr":       {func(s *Settings) { s.Stderr = "file" }, "stderr: "},
		"values":       {func(s *Settings) { s.As, s.InFlight = "value", 2 }, "in_flight: with as: value a process has one record at a time"},
	} {
		s := Default()
		s.Command = []string{"python3", "enrich.py"}
		tt.change(&s)
		err := s.Validate()
		if (err == nil) != (tt.wrong == "") || err != nil && (!strings.Contains(err.Error(), tt.wrong) || strings.Contains(err.Error(), "canary")) {
			t.Errorf("%s: %v, want %q", name, err, tt.wrong)
		}
	}
}

// What the file names has to be there. What is looked for in PATH is of the machine that runs it.
func TestCheckFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no mode there")
	}
	home := t.TempDir()
	put := func(name string, mode os.FileMode) string {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	put("plain", 0o644)
	run := put("bin/run", 0o755)
	put("my prog.sh", 0o755)
	for program, tt := range map[string]struct{ dir, wrong string }{
		"no-such-program": {"", ""},
		"./bin/run":       {"", ""},
		"bin/run":         {"", ""},
		run:               {"", ""},
		"./run":           {filepath.Join(home, "bin"), ""},
		"./my prog.sh":    {"", ""},
		"./bin/run x.sh":  {"", "there is no shell"},
		"./none":          {"", "there is no program " + home},
		"./plain":         {"", "make it executable, or write what runs it before it, as in [python3, ./plain]"},
		"sh":              {filepath.Join(home, "none"), "dir: there is no folder"},
		"cat":             {filepath.Join(home, "plain"), "dir: there is no folder"},
	} {
		s := Default()
		s.Command, s.Dir = []string{program}, settings.Path(tt.dir)
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", program, err)
		}
		if err := s.CheckFiles(home); (err == nil) != (tt.wrong == "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("%s: %v, want %q", program, err, tt.wrong)
		}
	}
}

// A process gets no variable of the pipeline's that may hold a secret.
func TestEnvironment(t *testing.T) {
	own := []string{"PATH=/bin", "HOME=/root", "LC_ALL=C", "TZ=UTC", "DB_PASSWORD=canary", "AWS_SECRET=canary", "LD_PRELOAD=x", "odd"}
	got := environment(own, map[string]settings.Secret{"PATH": "/mine", "KEY": "k"}, "p", "enrich")
	for _, want := range []string{"HOME=/root", "LC_ALL=C", "TZ=UTC", "KEY=k", "PENSTOCK_EXEC_PROTOCOL=1", "PENSTOCK_PIPELINE=p", "PENSTOCK_STEP=enrich", "PYTHONUNBUFFERED=1"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q lacks %s", got, want)
		}
	}
	if all := strings.Join(got, " "); strings.Contains(all, "canary") || strings.Contains(all, "LD_PRELOAD") || strings.Contains(all, "odd") {
		t.Errorf("%q", got)
	}
	if slices.Index(got, "PATH=/mine") < slices.Index(got, "PATH=/bin") { // of two the last counts
		t.Errorf("%q: the file does not come last", got)
	}
}
