package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/config"
)

const hashed = `pipeline: p
source:
  replay: {files: [in.jsonl], as: value}
stages:
  - script: {file: one.star}
  - validate: {schema: {file: one.json}}
  - map: {include: part.yaml}
  - http: {url: "https://127.0.0.1:1/", into: w, tls: {ca: ca.pem, cert: cert.pem, key: key.pem}, auth: {bearer: {token: "${file:token}"}}}
sinks:
  - stdout: {}
`

// TestHashOfFiles: the hash changes with what a reload applies: what scripts, schemas, included files and authorities hold. What is a secret, or belongs to one machine, is
// no part of it, nor is the folder.
func TestHashOfFiles(t *testing.T) {
	files := map[string]string{
		"p.yaml": hashed, "one.star": "def process(r):\n  return r\n", "one.json": `{"type": "object"}`, "part.yaml": "set: {a: \"1\"}\n",
		"token": "t0ken", "ca.pem": "authority", "cert.pem": "shown", "key.pem": "private",
	}
	load := func(dir string) *config.Set { return mustLoad(t, loader(), filepath.Join(dir, "p.yaml")) }
	dir := put(t, files)
	before := load(dir)
	base := before.Hash
	if other := load(put(t, files)).Hash; other != base {
		t.Errorf("the hash is %s, and %s in another folder", base, other)
	}
	for name, c := range map[string]struct {
		text    string
		changes bool
	}{
		"one.star": {"def process(r):\n  return None\n", true}, "one.json": {`{"type": "array"}`, true}, "part.yaml": {"set: {a: \"2\"}\n", true}, "ca.pem": {"another", true},
		"token": {"0ther", false}, "cert.pem": {"another", false}, "key.pem": {"another", false},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		set := load(dir)
		if set.Hash != base != c.changes {
			t.Errorf("%s has changed: the hash is %s, and was %s", name, set.Hash, base)
		}
		if d, err := set.Compare(before); err != nil || d[0].IsNone() {
			t.Errorf("%s has changed: a reload finds nothing, %v", name, err)
		}
		if shown, err := set.Pipelines[0].Show(); err != nil || strings.Contains(string(shown), "sha256") {
			t.Errorf("%v: shown is\n%s", err, shown)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(files[name]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
