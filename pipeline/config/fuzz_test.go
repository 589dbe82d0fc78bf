package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/config"
)

// Whatever a file holds, it is taken, or refused with problems that lie within it.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(testdata, "*.yaml"))
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "")
	}
	f.Add([]byte(overridden), "stages.weather.workers=[1, {a: b}]")
	f.Add([]byte("a: &a [*a]\n"), "a[0][1].b=${X")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte, set string) {
		name := filepath.Join(dir, "f.yaml")
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
		l := loader()
		if set != "" {
			l.Set = []string{set}
		}
		ok, err := l.Load(name)
		if err == nil {
			if _, err := ok.Pipelines[0].Show(); err != nil {
				t.Error(err)
			}
			return
		}
		var invalid *config.InvalidError
		if !errors.As(err, &invalid) || len(invalid.Problems.Errors()) == 0 {
			t.Fatalf("refused without a reason: %v", err)
		}
		lines := 1
		for _, end := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} {
			lines += strings.Count(string(text), end)
		}
		for _, p := range invalid.Problems {
			if p.Text == "" || p.Line < 0 || p.Line > lines || p.Column < 0 || (p.Line > 0) != (p.Column > 0) {
				t.Errorf("problem %+v in %d lines", p, lines)
			}
			if p.Detail() == "" {
				t.Errorf("no detail of %+v", p)
			}
		}
	})
}
