package cli

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents gives README.md and every page in docs and .github, as paths from the
// repository's root.
func documents(t *testing.T) (pages []string) {
	if _, err := os.Stat(filepath.Join(repo, "README.md")); err == nil {
		pages = append(pages, "README.md")
	}
	for _, folder := range []string{"docs", ".github"} {
		err := fs.WalkDir(os.DirFS(repo), folder, func(p string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(p, ".md") {
				pages = append(pages, p)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return pages
}

var (
	decisionName = regexp.MustCompile(`^([0-9]{4})-[a-z0-9-]+\.md$`)
	decisionHead = regexp.MustCompile(`^# (.+)\n\nDate: ([0-9]{4}-[0-9]{2}-[0-9]{2})\b.*\nStatus: (in force|replaced by \[[0-9]{4}\]\(.*)\n`)
)

// TestDecisionsAreNumberedAndListed: numbers have no gap and are not used twice, every
// record says since when and whether it holds, and the list has them all.
func TestDecisionsAreNumberedAndListed(t *testing.T) {
	dir := filepath.Join(repo, "docs", "decisions")
	list, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	records, err := os.ReadDir(dir) // in order
	if err != nil {
		t.Fatal(err)
	}
	next, before := 1, ""
	for _, r := range records {
		if r.Name() == "README.md" {
			continue
		}
		name := decisionName.FindStringSubmatch(r.Name())
		if name == nil || name[1] != fmt.Sprintf("%04d", next) {
			t.Errorf("%s: the next record is %04d-words.md", r.Name(), next)
			continue
		}
		next++
		text, err := os.ReadFile(filepath.Join(dir, r.Name()))
		if err != nil {
			t.Fatal(err)
		}
		head := decisionHead.FindSubmatch(text)
		if head == nil {
			t.Errorf("%s does not begin with a heading, Date: and Status:", r.Name())
			continue
		}
		title, date := string(head[1]), string(head[2])
		if date < before {
			t.Errorf("%s is older than the record before it", r.Name())
		}
		before = date
		if row := fmt.Sprintf("| [%s](%s) | %s | %s |\n", name[1], r.Name(), date, title); !bytes.Contains(list, []byte(row)) {
			t.Errorf("docs/decisions/README.md does not have the row %s", row)
		}
	}
	if next == 1 {
		t.Error("there are no records")
	}
}

// TestFilesNamedInTheDocumentsExist: a path in backticks that starts with a top-level
// folder is one of ours, and so is a relative link.
func TestFilesNamedInTheDocumentsExist(t *testing.T) {
	oneGoroutine(t)
	checked := 0
	for _, page := range documents(t) {
		text, err := os.ReadFile(filepath.Join(repo, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range filesNamedIn(text) {
			checked++
			if matches, err := filepath.Glob(filepath.Join(repo, name)); err != nil || len(matches) == 0 {
				t.Errorf("%s names %s, which is not there", page, name)
			}
		}
		for _, link := range linksIn(text) {
			checked++
			if _, err := os.Stat(filepath.Join(repo, filepath.Dir(page), link)); err != nil {
				t.Errorf("%s links to %s, which is not there", page, link)
			}
		}
	}
	if checked == 0 {
		t.Error("no document names a file")
	}
}

var (
	quoted = regexp.MustCompile("`([^`\n]+)`")
	linked = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	place  = regexp.MustCompile(`:[0-9]+(:[0-9]+)?$`)
	fences = regexp.MustCompile("(?ms)^```.*?^```")
)

// filesNamedIn gives the paths of repository files in backticks. What holds spaces,
// placeholders or variables is no path.
func filesNamedIn(text []byte) (names []string) {
	for _, m := range quoted.FindAllSubmatch(fences.ReplaceAll(text, nil), -1) {
		name := place.ReplaceAllString(string(m[1]), "")
		top, rest, slash := strings.Cut(name, "/")
		if !slash || rest == "" && !strings.HasSuffix(name, "/") || strings.ContainsAny(name, " <>{}$…=()\"'|,") || strings.Contains(name, "...") {
			continue
		}
		if slices.Contains([]string{"cmd", "pipeline", "stages", "sinks", "testdata", "docs", "deploy", ".ci", ".github"}, top) {
			names = append(names, name)
		}
	}
	return names
}

// linksIn gives the targets of links to files, without the part behind #.
func linksIn(text []byte) (targets []string) {
	for _, m := range linked.FindAllSubmatch(fences.ReplaceAll(text, nil), -1) {
		target, _, _ := bytes.Cut(m[1], []byte("#"))
		if len(target) > 0 && !bytes.Contains(target, []byte(":")) {
			targets = append(targets, string(target))
		}
	}
	return targets
}

func TestFilesNamedIn(t *testing.T) {
	text := "See `pipeline/engine/lane.go:12`, `stages/*.go`, `cmd/<command>`, `pipeline.Stage`, `out/a.jsonl`, `cmd/penstock run`,\n" +
		"[events](reference/events.md#x), [top](#top), [site](https://example.org/a).\n```\n`pipeline/in-a-fence.go`\n```\n"
	if got := strings.Join(filesNamedIn([]byte(text)), " "); got != "pipeline/engine/lane.go stages/*.go" {
		t.Errorf("got %s", got)
	}
	if got := strings.Join(linksIn([]byte(text)), " "); got != "reference/events.md" {
		t.Errorf("got %s", got)
	}
}
