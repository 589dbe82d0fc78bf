package cli

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	kafkasource "github.com/penstockio/penstock/pipeline/source/kafka"
	filesink "github.com/penstockio/penstock/sinks/file"
)

var yamlBlocks = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// partOf gives a page of the repository, from a heading to the next one of its kind; "" is the whole page.
func partOf(t *testing.T, name, heading string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repo, name))
	if err != nil {
		t.Fatal(err)
	}
	if heading == "" {
		return string(text)
	}
	_, part, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("%s has no %q", name, heading)
	}
	part, _, _ = strings.Cut(part, "\n## ")
	return part
}

// TestFilesOfDeadLettersReject runs the files that the manual shows for dead letters: each rejects a record
// that the step in it is there for, else nobody could try what they show.
func TestFilesOfDeadLettersReject(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnprocessableEntity) }))
	t.Cleanup(s.Close)
	blocks := yamlBlocks.FindAllStringSubmatch(partOf(t, "docs/operations.md", "Dead letters"), -1)
	if len(blocks) < 2 {
		t.Fatalf("only %d files", len(blocks))
	}
	for _, b := range blocks {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"p.yaml":       strings.ReplaceAll(b[1], "http://127.0.0.1:8080", s.URL) + "log: {format: json}\n",
			"orders.jsonl": `{"sku":"a","amount":"text","email":"somebody@example.com"}` + "\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		code, _, log := penstock(t, "run", filepath.Join(dir, "p.yaml"))
		letters, err := os.ReadFile(filepath.Join(dir, "rejected.jsonl"))
		if code != exitDone || err != nil || strings.Count(string(letters), "\n") != 1 {
			t.Errorf("exit code %d, %v: %q are the letters of\n%s%s", code, err, letters, b[1], log)
		}
		if strings.Contains(b[1], "email") == strings.Contains(string(letters), "somebody@") {
			t.Errorf("redacted is what the file does not say:\n%s%s", b[1], letters)
		}
	}
}

// TestExamplesOfDeadLettersFitTheREADME: late-flights.yaml is the file of the README, and the positions
// and steps in the examples of dead-letter are such as it can have.
func TestExamplesOfDeadLettersFitTheREADME(t *testing.T) {
	file := filepath.Join(t.TempDir(), "late-flights.yaml")
	text := yamlBlocks.FindStringSubmatch(partOf(t, "README.md", "A pipeline file"))
	if err := os.WriteFile(file, []byte(text[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	loader := config.Loader{Kinds: catalog.Kinds()}
	set, err := loader.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	p := set.Pipelines[0]
	if _, ok := p.DeadLetter.Settings.(*filesink.Settings); !ok {
		t.Fatal("the README's dead letters are in no file")
	}
	topics := p.Source.Settings.(*kafkasource.Settings).Topics
	root, _ := newRoot(streams{}, catalog.Kinds())
	found, positions := 0, 0
	for _, name := range []string{"ls", "show", "replay"} {
		c, _, err := root.Find([]string{"dead-letter", name})
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(c.Example) {
			_, behind, ok := strings.Cut(strings.TrimSpace(line), " "+name+" late-flights.yaml ")
			if !ok {
				t.Errorf("%s: %q is of another file", name, line)
				continue
			}
			found++
			if _, step, ok := strings.Cut(behind, "--step "); ok && !slices.Contains(rejecters(p), strings.Fields(step)[0]) {
				t.Errorf("%s: the README's file has no step %s", name, step)
			}
			if name != "show" {
				continue
			}
			positions++
			topic, _, _ := strings.Cut(behind, "/")
			if _, err := strconv.Atoi(behind); err != nil && !slices.Contains(topics, topic) { // the line of the file, or where the record was read
				t.Errorf("%s: the README's file has no %s", name, behind)
			}
		}
	}
	if found < 5 || positions != 2 {
		t.Errorf("only %d examples, %d with a position", found, positions)
	}
}
