package client

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A secret is one that stands in the pipeline file or in a file of its own, which is looked at every
// five seconds at most. It is safe for concurrent use.
type secret struct {
	path  string // "": it does not change
	what  string // for messages
	blank bool   // blanks around it belong to it
	check func(string) error
	warn  func(error)

	mu     sync.Mutex
	last   string // what was read when the file was good
	looked time.Time
	failed bool // since it was last good
}

// openSecret reads the secret. The error is an EnvironmentError that names the file. check may be
// nil; warn too: it is called when the file has become unreadable or wrong, once until it is good
// again. What was read last stays in use.
func openSecret(literal settings.Secret, file settings.Path, what string, check func(string) error, warn func(error)) (*secret, error) {
	s := &secret{path: string(file), what: what, blank: true, check: check, warn: warn, last: literal.Reveal(), looked: time.Now()}
	if file == "" {
		return s, nil
	}
	var err error
	if s.last, err = s.read(); err != nil {
		return nil, &pipeline.EnvironmentError{Err: err}
	}
	return s, nil
}

// openToken is openSecret for a token, to which blanks do not belong.
func openToken(literal settings.Secret, file settings.Path, what string, check func(string) error, warn func(error)) (*secret, error) {
	s, err := openSecret(literal, file, what, func(text string) error { return check(strings.TrimSpace(text)) }, warn)
	if err != nil {
		return nil, err
	}
	s.blank, s.last = false, strings.TrimSpace(s.last)
	return s, nil
}

// read gives what the file holds, without the end of its line and a byte order mark.
func (s *secret) read() (string, error) {
	raw, err := os.ReadFile(s.path)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", s.what, err)
	}
	text := strings.TrimRight(strings.TrimPrefix(string(raw), "\ufeff"), "\r\n")
	if !s.blank {
		text = strings.TrimSpace(text)
	}
	err = errors.New("it is empty")
	if text != "" {
		err = nil
		if s.check != nil {
			err = s.check(text)
		}
	}
	if err != nil {
		return "", fmt.Errorf("reading %s, %s: %w", s.what, s.path, err)
	}
	return text, nil
}

// text gives the secret, after a look at its file when the last one is a while ago.
func (s *secret) text() string {
	s.mu.Lock()
	fresh := s.path == "" || time.Since(s.looked) < checkFilesEvery
	last := s.last
	s.mu.Unlock()
	if fresh {
		return last
	}
	return s.look()
}

// look gives the secret after a look at its file.
func (s *secret) look() string {
	s.mu.Lock()
	var problem error
	if s.path != "" {
		s.looked = time.Now()
		text, err := s.read()
		if err != nil && !s.failed {
			problem = err
		}
		if s.failed = err != nil; !s.failed {
			s.last = text
		}
	}
	last := s.last
	s.mu.Unlock()
	if problem != nil && s.warn != nil {
		s.warn(fmt.Errorf("%w; what was read before stays in use until the file is good", problem))
	}
	return last
}
