package script

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
	"github.com/penstockio/penstock/stages/script/internal/bounded"
)

// Settings are the settings of a Stage.
type Settings struct {
	Code     Code          `yaml:"code" shown:"code" doc:"the script; one of code and file"`
	File     settings.Path `yaml:"file" read:"start" doc:"file with the script; it is read at the start"`
	Function string        `yaml:"function" doc:"function of the script that is called with each record"`
	Steps    int64         `yaml:"steps" min:"100" max:"100000000000" doc:"most steps of the interpreter for one record; a million is some tens of milliseconds, a line of a script some five to twenty"`
	Memory   settings.Size `yaml:"memory" min:"64KiB" max:"64GiB" doc:"most bytes that are allocated for one record, all that was freed meanwhile counted"`
}

// Defaults gives the settings of a Stage before a file is read.
func Defaults() Settings {
	return Settings{Function: "process", Steps: 1_000_000, Memory: 64 << 20}
}

// Validate implements the check of settings.
func (s *Settings) Validate() error {
	var p settings.Problems
	switch {
	case s.Code == "" && s.File == "":
		p.Add("code", "there is no script: write code: | and below it def %s(record):, or file: with the name of a file", s.Function)
	case s.Code != "" && s.File != "":
		p.Add("file", "there is one script: code, or a file")
	}
	if s.Function == "" {
		p.Add("function", "it names no function")
	}
	if s.Steps < 1 {
		p.Add("steps", "below one")
	}
	if s.Memory < 1 {
		p.Add("memory", "below one byte")
	}
	return p.Err()
}

// Check compiles the script and runs its top level, to find out whether it is good. Errors name line and column in the script's file,
// or point into code.
func (s *Settings) Check() error {
	_, err := compile(s)
	return err
}

// Code is the text of a script.
type Code string

// UnmarshalText takes the code when its syntax is right. The error is an *expr.Error.
func (c *Code) UnmarshalText(text []byte) error {
	if err := bounded.Check("code", text, names()); err != nil {
		return placed(text, err)
	}
	*c = Code(text)
	return nil
}

// MarshalText is the reverse of UnmarshalText.
func (c Code) MarshalText() ([]byte, error) { return []byte(c), nil }

// placed gives an error of code as one at a byte of its text.
func placed(text []byte, err error) error {
	var e *bounded.CodeError
	if !errors.As(err, &e) {
		return err
	}
	at := 0
	for range e.Line - 1 {
		at += bytes.IndexByte(text[at:], '\n') + 1
	}
	line := text[at:]
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	return &expr.Error{Column: at + byteOf(line, e.Column), Message: e.Message, Suggestion: e.Suggestion}
}

// byteOf gives the byte, counted from 1, of a character, counted from 1.
func byteOf(line []byte, char int) int {
	n := 1
	for i := range string(line) {
		if n >= char {
			return i + 1
		}
		n++
	}
	return len(line) + 1
}

// source gives the script, and what errors call it: the name of its file, or "".
func (s *Settings) source() (text []byte, name string, err error) {
	if s.File == "" {
		return []byte(s.Code), "", nil
	}
	name = filepath.Base(string(s.File))
	info, err := os.Stat(string(s.File))
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no plain file")
	}
	if err == nil && info.Size() > bounded.MaxSource {
		err = fmt.Errorf("it has more than %d KiB", bounded.MaxSource>>10)
	}
	if err == nil {
		text, err = os.ReadFile(string(s.File))
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	if err != nil {
		return nil, name, &settings.FieldError{Field: "file", Err: fmt.Errorf("reading %s: %w", name, err)}
	}
	return text, name, nil
}
