// SPDX-License-Identifier: Apache-2.0

// Package secretfiles keeps a secret that stands in a file of its own as it is on disk: one that
// was renewed is used from then on.
package secretfiles

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/internal/smallfile"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Options say where a secret stands. One of Literal and File is set.
type Options struct {
	Literal settings.Secret // it stands in the pipeline file, and does not change
	File    settings.Path
	What    string             // for messages: "the token of admin.token_file"
	Token   bool               // blanks around it do not belong to it
	Every   time.Duration      // the file is looked at when the last look is as long ago; 0: with each Text
	Check   func(string) error // refuses what is none, without showing it; nil: everything but an empty one is
	// Warn is called when the file has become unreadable or wrong, once until it is good again. It may be nil.
	Warn func(error)
}

// A Secret is one that is read again when its file changes. What was read last stays in use while
// the file is not good. It is safe for concurrent use.
type Secret struct {
	o Options

	mu     sync.Mutex
	last   string // what was read when the file was good
	looked time.Time
	failed bool // since it was last good
}

// Open reads the secret. The file may be a pipe, which is read to its end, and not again. The error is an EnvironmentError that
// names the file.
func Open(o Options) (*Secret, error) {
	s := &Secret{o: o, last: o.Literal.Reveal(), looked: time.Now()}
	if o.File == "" {
		if o.Token {
			s.last = strings.TrimSpace(s.last)
		}
		return s, nil
	}
	var err error
	if s.last, err = s.read(smallfile.ReadOnce); err != nil {
		return nil, &pipeline.EnvironmentError{Err: err}
	}
	return s, nil
}

// read gives what the file holds, without the end of its line and a byte order mark.
func (s *Secret) read(file func(name string) ([]byte, error)) (string, error) {
	raw, err := file(string(s.o.File))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", s.o.What, err)
	}
	text := strings.TrimRight(strings.TrimPrefix(string(raw), "\ufeff"), "\r\n")
	if s.o.Token {
		text = strings.TrimSpace(text)
	}
	err = errors.New("it is empty")
	if text != "" {
		err = nil
		if s.o.Check != nil {
			err = s.o.Check(text)
		}
	}
	if err != nil {
		return "", fmt.Errorf("reading %s, %s: %w", s.o.What, s.o.File, err)
	}
	return text, nil
}

// Text gives the secret, after a look at its file when the last one is a while ago.
func (s *Secret) Text() string {
	s.mu.Lock()
	fresh := s.o.File == "" || time.Since(s.looked) < s.o.Every
	last := s.last
	s.mu.Unlock()
	if fresh {
		return last
	}
	return s.Look()
}

// Expire has the next Text look at the file.
func (s *Secret) Expire() {
	s.mu.Lock()
	s.looked = time.Time{}
	s.mu.Unlock()
}

// Look gives the secret after a look at its file.
func (s *Secret) Look() string {
	s.mu.Lock()
	var problem error
	if s.o.File != "" {
		s.looked = time.Now()
		text, err := s.read(smallfile.Read)
		if err != nil && !s.failed {
			problem = err
		}
		if s.failed = err != nil; !s.failed {
			s.last = text
		}
	}
	last := s.last
	s.mu.Unlock()
	if problem != nil && s.o.Warn != nil {
		s.o.Warn(fmt.Errorf("%w; what was read before stays in use until the file is good", problem))
	}
	return last
}

// CheckToken refuses what is no token alone, as one that comes as Authorization: Bearer, without
// showing it.
func CheckToken(text string) error {
	switch {
	case text == "":
		return errors.New("it is empty")
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return errors.New("it holds a line break or another control character")
	case len(text) > len("bearer ") && strings.EqualFold(text[:len("bearer ")], "bearer "):
		return errors.New("it begins with Bearer, which is put before it by itself: leave that out")
	case strings.ContainsAny(text, " \t\ufeff"):
		return errors.New("it holds a blank, and a token has none")
	}
	return nil
}

// leastToken is how many characters a token has that other machines may guess at.
const leastToken = 16

// CheckLongToken is CheckToken for a token that other machines may guess at.
func CheckLongToken(text string) error {
	if err := CheckToken(text); err != nil {
		return err
	}
	if len(text) < leastToken {
		return fmt.Errorf("it has fewer than %d characters, and other machines may guess at it: `openssl rand -hex 24` makes one", leastToken)
	}
	return nil
}
