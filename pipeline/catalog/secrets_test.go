package catalog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
)

// Where a record may choose any host, no secret of the file goes along, in whatever setting it stands.
func TestNoSecretsForAnyHost(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte("canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	const page = `agent: "x-bot (+https://x.example/)", select: {t: title}, `
	for _, c := range []struct{ kind, settings, wrong string }{
		{"http", `url: "{u}?key=${file:` + key + `}", hosts: ['*']`, "url"},
		{"http", `url: "{u}", hosts: ['*'], headers: {X-K: "${file:` + key + `}"}`, "headers.X-K"},
		{"http", `url: "{u}", hosts: ['*'], headers: {X-K: "k {id} ${file:` + key + `}"}`, "headers.X-K"},
		{"http", `url: "{u}", hosts: ['*'], secret_headers: {X-K: "k"}`, "secret_headers"},
		{"http", `url: "{u}", hosts: ['*'], auth: {bearer: {token: abcd}}`, "auth"},
		{"http", `url: "{u}", hosts: ['*'], tls: {cert: ` + key + `, key: ` + key + `}`, "tls.cert"},
		{"http", `url: "{u}?key=${file:` + key + `}", hosts: ['*.example.org']`, ""},
		{"http", `url: "{u}", hosts: ['*'], headers: {X-K: "k"}`, ""},
		// With the host in the file no header goes where a redirect leads.
		{"http", `url: "http://a.example/", redirects: any_host, hosts: ['*'], auth: {bearer: {token: abcd}}`, ""},
		{"scrape", page + `url: "{u}?key=${file:` + key + `}", hosts: ['*']`, "url"},
		{"scrape", page + `url: "{u}", hosts: ['*'], tls: {cert: ` + key + `, key: ` + key + `}`, "tls.cert"},
		{"scrape", page + `url: "{u}?key=${file:` + key + `}", hosts: [a.example]`, ""},
	} {
		file := filepath.Join(dir, "p.yaml")
		text := fmt.Sprintf("pipeline: p\nsource: {replay: {files: [in.jsonl]}}\nstages:\n  - %s: {into: got, %s}\nsinks:\n  - stdout: {}\n", c.kind, c.settings)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := (&config.Loader{Kinds: catalog.Kinds()}).Load(file)
		if said := fmt.Sprint(err); (err != nil) != (c.wrong != "") || c.wrong != "" && !(strings.Contains(said, c.wrong) && strings.Contains(said, "a record chooses who is called")) || strings.Contains(said, "canary") {
			t.Errorf("%s: %v", c.settings, err)
		}
	}
}

// A name with a digit is not the one that robots.txt is read for, and the file is told.
func TestNamesOfCrawlersThatAreCut(t *testing.T) {
	for agent, cut := range map[string]bool{"b2bot/1.0": true, "a.b": true, "acme-docs/1.0": false, "acme_bot": false, "acme (x": false} {
		file := filepath.Join(t.TempDir(), "p.yaml")
		text := fmt.Sprintf("pipeline: p\nsource: {replay: {files: [in.jsonl]}}\nstages:\n  - scrape: {url: 'http://a.example/{id}', into: got, select: {t: title}, agent: '%s (+https://x.example/)'}\nsinks:\n  - stdout: {}\n", agent)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := (&config.Loader{Kinds: catalog.Kinds()}).Load(file)
		if err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(set.Warnings.Detail(), "robots.txt is read for"); said != cut {
			t.Errorf("%s: %s", agent, set.Warnings.Detail())
		}
	}
}
