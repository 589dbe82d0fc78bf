// SPDX-License-Identifier: Apache-2.0

package secretfiles

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// A file that changes is read again when it is time, or at once when somebody wants that. One
// that is gone or wrong changes nothing and is told of once.
func TestFilesAreReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("\ufeff one \n")
	var warnings []string
	s, err := Open(Options{File: settings.Path(path), What: "the token of x.token_file", Token: true, Every: time.Hour, Check: CheckToken,
		Warn: func(err error) { warnings = append(warnings, err.Error()) }})
	if err != nil {
		t.Fatal(err)
	}
	is := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	is("at first", s.Text(), "one")
	write("two")
	is("before it is time", s.Text(), "one")
	is("at once", s.Look(), "two")
	write("three")
	s.Expire()
	is("when it is time", s.Text(), "three")
	for _, bad := range []string{"", " \n", "canary x", "Bearer canary", "canary\x00"} {
		write(bad)
		is("while it is bad", s.Look(), "three")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	is("gone", s.Look(), "three")
	if len(warnings) != 1 || !strings.Contains(warnings[0], "x.token_file") || !strings.Contains(warnings[0], path) {
		t.Errorf("warnings: %q", warnings)
	}
	write("four")
	is("good again", s.Look(), "four")
	write("canary\x00")
	is("bad again", s.Look(), "four")
	if len(warnings) != 2 || strings.Contains(strings.Join(warnings, ""), "canary") {
		t.Errorf("warnings: %q", warnings)
	}
}

// What cannot be read at the start is an error of the environment that names the file.
func TestOpenNamesTheFile(t *testing.T) {
	var env *pipeline.EnvironmentError
	if _, err := Open(Options{File: "/nowhere/token", What: "the token of x.token_file"}); !errors.As(err, &env) || !strings.Contains(err.Error(), "/nowhere/token") {
		t.Error(err)
	}
	if s, err := Open(Options{Literal: "one\n", Token: true}); err != nil || s.Text() != "one" || s.Look() != "one" {
		t.Errorf("a literal: %v", err)
	}
	if s, err := Open(Options{Literal: " one "}); err != nil || s.Text() != " one " {
		t.Errorf("a literal that is no token: %v", err)
	}
}
