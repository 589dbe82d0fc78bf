//go:build unix

package config_test

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/config"
)

// TestPipesInThePlaceOfFiles: a pipe that nobody writes to holds up no load, wherever it stands in the place of a file.
func TestPipesInThePlaceOfFiles(t *testing.T) {
	const stages = "pipeline: p\nsource:\n  replay: {files: [in.jsonl], as: value}\nstages:\n  - STAGE\nsinks:\n  - stdout: {}\n"
	for name, c := range map[string]struct{ stage, pipe, want string }{
		"a file of the folder": {"filter: 'true'", "q.yaml", "q.yaml: reading the file: it is no plain file"},
		"an include":           {"map: {include: pipe}", "pipe", "it is no plain file"},
		"a script":             {"script: {file: pipe}", "pipe", "it is no plain file"},
		"a schema":             {"validate: {schema: {file: pipe}}", "pipe", "it is no plain file"},
		"a secret":             {`http: {url: "https://127.0.0.1:1/", into: w, auth: {bearer: {token: "${file:pipe}"}}}`, "pipe", "it is no plain file"},
		"an authority":         {`http: {url: "https://127.0.0.1:1/", into: w, tls: {ca: pipe}}`, "pipe", ""}, // who reads it says so
	} {
		t.Run(name, func(t *testing.T) {
			dir := put(t, map[string]string{"p.yaml": strings.Replace(stages, "STAGE", c.stage, 1)})
			if err := syscall.Mkfifo(filepath.Join(dir, c.pipe), 0o600); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				_, err := loader().Load(dir)
				done <- err
			}()
			select {
			case err := <-done:
				var invalid *config.InvalidError
				if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &invalid) || !strings.Contains(invalid.Problems.Detail(), c.want)) {
					t.Errorf("the load says %v", err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the load hangs")
			}
		})
	}
}
