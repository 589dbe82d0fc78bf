package tail

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/fixture"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Settings are the settings of a source that follows files.
type Settings struct {
	Files     []settings.Path `yaml:"files" required:"true" min:"1" doc:"files to follow, or patterns of them, like /var/log/app/*.log; what comes later is found"`
	Exclude   []string        `yaml:"exclude" doc:"patterns of file names, without their folder, that are left out, like *.1; names that end as compressed files do (.gz, .zst and others) are left out anyway"`
	Position  settings.Path   `yaml:"position" required:"true" doc:"file that keeps how far each file was read; of this pipeline alone. Its folder must be there"`
	From      string          `yaml:"from" enum:"start|end" doc:"where to begin in the files that are there when there is no position yet; one that comes later is read from its start"`
	Stop      string          `yaml:"stop" enum:"never|end" doc:"where to end: never, or behind the whole lines that are there at start"`
	As        string          `yaml:"as" enum:"value|fixture" doc:"value: each line is a value as it stands; fixture: a fixture line a record, of which the position is left out"`
	Key       *expr.Expr      `yaml:"key" doc:"expression that gives the key of a record, with as: value"`
	MaxLine   settings.Size   `yaml:"max_line" min:"1KiB" max:"64MiB" doc:"longest line that is taken, without its end"`
	OnBadLine string          `yaml:"on_bad_line" enum:"stop|skip" doc:"what to do with a line that is longer than max_line, is no fixture line, or for which the key cannot be made; each is reported with its place"`
	Poll      time.Duration   `yaml:"poll" min:"10ms" max:"1m" doc:"longest pause before it is looked whether a file has grown; while it does, the pauses are shorter, and after five minutes without anything new as long as scan"`
	Scan      time.Duration   `yaml:"scan" min:"10ms" max:"1h" doc:"pause between two looks for files that have come, were renamed or are gone"`
	Linger    time.Duration   `yaml:"linger" min:"100ms" max:"24h" doc:"how long a file that was renamed or deleted is followed on when nothing comes: whoever writes it may not have noticed yet"`
	MaxOpen   int             `yaml:"max_open" min:"1" max:"100000" doc:"most files that are open at once; beyond these, files are opened for each look"`
}

// Defaults gives the settings before a file is read.
func Defaults() Settings {
	return Settings{
		From: "start", Stop: "never", As: "value", MaxLine: 1 << 20, OnBadLine: "stop",
		Poll: 250 * time.Millisecond, Scan: time.Second, Linger: 30 * time.Second, MaxOpen: 512,
	}
}

// fill puts defaults where nothing stands: a library user may start from a literal.
func (s *Settings) fill() {
	d := Defaults()
	for _, p := range []struct{ at, value *string }{
		{&s.From, &d.From}, {&s.Stop, &d.Stop}, {&s.As, &d.As}, {&s.OnBadLine, &d.OnBadLine},
	} {
		if *p.at == "" {
			*p.at = *p.value
		}
	}
	for _, p := range []struct{ at, value *time.Duration }{{&s.Poll, &d.Poll}, {&s.Scan, &d.Scan}, {&s.Linger, &d.Linger}} {
		if *p.at <= 0 {
			*p.at = *p.value
		}
	}
	if s.MaxLine <= 0 {
		s.MaxLine = d.MaxLine
	}
	if s.MaxOpen <= 0 {
		s.MaxOpen = d.MaxOpen
	}
}

// Validate checks what can be known without looking at files. It joins several errors.
func (s *Settings) Validate() error {
	var p settings.Problems
	if len(s.Files) == 0 {
		p.Add("files", "give at least one file or pattern")
	}
	for i, f := range s.Files {
		if _, err := filepath.Match(string(f), ""); err != nil {
			p.Add(fmt.Sprintf("files[%d]", i), "%q is no pattern: * and ? stand for characters of one name, [a-z] for one of these; write \\[ for a [ that is meant", f)
		}
		if strings.Contains(string(f), "**") {
			p.Add(fmt.Sprintf("files[%d]", i), "%q: a * stands for one name alone; write a pattern for each depth of folders", f)
		}
		if f != "" && f == s.Position {
			p.Add(fmt.Sprintf("files[%d]", i), "it is the file of the position, too")
		}
	}
	for i, e := range s.Exclude {
		if _, err := filepath.Match(e, ""); err != nil || e == "" {
			p.Add(fmt.Sprintf("exclude[%d]", i), "%q is no pattern", e)
		} else if filepath.Base(e) != e {
			p.Add(fmt.Sprintf("exclude[%d]", i), "%q has a folder: it is compared with the name alone", e)
		}
	}
	if s.Position == "" {
		p.Add("position", "say in which file it is kept how far each file was read")
	}
	oneOf := func(field, value, a, b string) {
		if value != "" && value != a && value != b {
			p.Add(field, "%q is neither %s nor %s", value, a, b)
		}
	}
	oneOf("from", s.From, "start", "end")
	oneOf("stop", s.Stop, "never", "end")
	oneOf("as", s.As, "value", "fixture")
	oneOf("on_bad_line", s.OnBadLine, "stop", "skip")
	if s.Key != nil && s.As == "fixture" {
		p.Add("key", "a fixture line carries its own key; write as: value, or leave key out")
	}
	if s.MaxLine > fixture.MaxLine {
		p.Add("max_line", "it must be at most %v", settings.Size(fixture.MaxLine))
	}
	return p.Err()
}
