package cli

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
)

var (
	fence      = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	scriptFile = regexp.MustCompile("(?m)^-- (.+) --\n")
	secretFile = regexp.MustCompile(`\$\{file:[^}]*\}`)
)

// pipelineFiles gives every pipeline file of the repository, by where it stands: files,
// whose text is left out, examples of documents and of the catalog, and those of scripts,
// but of those that are about warnings.
func pipelineFiles(t *testing.T) map[string]string {
	files := map[string]string{}
	for _, root := range []string{"testdata", "docs", "cmd", "README.md"} {
		err := filepath.WalkDir(filepath.Join(repo, root), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(name)
			switch {
			case err != nil:
			case filepath.Base(filepath.Dir(name)) == "config" && strings.HasSuffix(name, ".yaml"): // pipeline/config's tests know which are right
			case filepath.Base(name) == settingsFile: // of a case, which runs as one
			case strings.Contains(filepath.ToSlash(name), "/config/include/"), // parts of the files beside
				strings.Contains(filepath.ToSlash(name), "/share-a-rate/limits/"):
			case strings.HasSuffix(name, ".yaml"):
				files[name] = ""
			case strings.HasSuffix(name, ".md"):
				for i, m := range fence.FindAllStringSubmatch(string(text), -1) {
					if strings.Contains(m[1], "scrape_configs:") {
						continue // of Prometheus
					}
					files[name+"#"+string(rune('a'+i))] = m[1]
				}
			case strings.HasSuffix(name, ".txtar") && !slices.Contains([]string{"check.txtar", "limits.txtar"}, filepath.Base(name)):
				places := scriptFile.FindAllStringSubmatchIndex(string(text), -1)
				for i, at := range places {
					end := len(text)
					if i+1 < len(places) {
						end = places[i+1][0]
					}
					if inner := string(text[at[2]:at[3]]); strings.HasSuffix(inner, ".yaml") {
						files[name+"#"+inner] = string(text[at[1]:end])
					}
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range catalog.Kinds() {
		switch k.Section {
		case config.SourceSection:
			files["example of "+k.Name] = "source:\n  " + strings.ReplaceAll(k.Example, "\n", "\n  ")
		default:
			files["example of the "+string(k.Section)+" "+k.Name] = string(k.Section) + "s:\n  - " + strings.ReplaceAll(k.Example, "\n", "\n    ")
		}
	}
	return files
}

// whole adds to an example what a pipeline file has besides. "" when it is none.
func whole(text string) string {
	var have map[string]yaml.Node
	if yaml.Unmarshal([]byte(text), &have) != nil {
		return ""
	}
	for key, rest := range map[string]string{
		"pipeline": "pipeline: p\n",
		"source":   "source: {kafka: {brokers: [127.0.0.1:9092], topics: [some-other-topic]}}\n",
		"sinks":    "sinks: [{stdout: {}}]\n",
	} {
		if _, ok := have[key]; !ok {
			text += "\n" + rest
		}
	}
	return text
}

// TestNothingDoubtfulStandsInTheRepository: what a warning says must not be true of what
// we show, test and recommend.
func TestNothingDoubtfulStandsInTheRepository(t *testing.T) {
	known := map[string]string{"HTTP": "http://127.0.0.1:1", "HTTP_HOST": "127.0.0.1:1", "REDIS": "127.0.0.1:1", "BROKERS": "127.0.0.1:9092", "WEATHER": "127.0.0.1:1"}
	type shout struct { // the stage of testdata/module, which the README shows too
		Field string `yaml:"field" doc:"a field"`
	}
	own := config.StageKind("shout", "makes a field upper case", "shout: {field: city}", shout{},
		func(shout) (pipeline.StageFunc, error) { return nil, nil })
	loader := config.Loader{Kinds: append(catalog.Kinds(), own), Env: func(name string) (string, bool) {
		return cmp.Or(known[name], "1"), true
	}}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(repo, "testdata", "config"))); err != nil {
		t.Fatal(err)
	}
	files := pipelineFiles(t)
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, "common", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "common"), 0o700); err != nil { // what the examples of documents include
		t.Fatal(err)
	}
	put("cluster.yaml", "brokers: [127.0.0.1:9092]\n")
	for where, text := range files {
		if strings.HasPrefix(text, "parameters:") {
			if strings.Contains(where, "pipeline-file.md") {
				put("clean.yaml", text)
			}
			delete(files, where)
		}
	}
	if len(files) < 50 {
		t.Fatalf("only %d pipeline files were found", len(files))
	}
	for where, text := range files {
		name := where
		if text != "" {
			name = filepath.Join(dir, "pipeline.yaml")
			if err := os.WriteFile(name, []byte(whole(secretFile.ReplaceAllString(text, "x"))), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		set, err := loader.Load(name)
		switch {
		case err == nil && len(set.Warnings) > 0:
			t.Errorf("%s:\n%s", where, set.Warnings.Detail())
		case err != nil && !strings.Contains(where, ".txtar"): // scripts have files that are wrong on purpose
			t.Errorf("%s is not taken: %v", where, err)
		}
	}
}
