package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	linkedPlace = regexp.MustCompile(`\]\(([^)\s#:]*)#([^)\s]+)\)`)
	headingLine = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	linkInTitle = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	notInPlaces = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// places gives what may stand behind # in a link to a page: its headings, as GitHub writes them.
func places(page string) map[string]bool {
	all := map[string]bool{}
	for _, m := range headingLine.FindAllStringSubmatch(string(fences.ReplaceAll([]byte(page), nil)), -1) {
		title := strings.ToLower(linkInTitle.ReplaceAllString(m[1], "$1"))
		name := strings.ReplaceAll(notInPlaces.ReplaceAllString(title, ""), " ", "-")
		for n, again := 0, name; ; n++ {
			if n > 0 {
				again = name + "-" + strconv.Itoa(n)
			}
			if !all[again] {
				all[again] = true
				break
			}
		}
	}
	return all
}

// TestPlacesLinkedToInTheDocumentsExist: what stands behind # in a link is a heading of the page that it leads to.
func TestPlacesLinkedToInTheDocumentsExist(t *testing.T) {
	checked := 0
	for _, page := range append(documents(t), "CHANGELOG.md") {
		text := readPage(t, page)
		for _, m := range linkedPlace.FindAllSubmatch(fences.ReplaceAll([]byte(text), nil), -1) {
			target := page
			if len(m[1]) > 0 {
				target = filepath.Join(filepath.Dir(page), string(m[1]))
			}
			if !strings.HasSuffix(target, ".md") {
				continue
			}
			checked++
			if to, err := os.ReadFile(filepath.Join(repo, target)); err == nil && !places(string(to))[string(m[2])] {
				t.Errorf("%s links to %s#%s: that page has no such heading", page, target, m[2])
			}
		}
	}
	if checked == 0 {
		t.Error("no document links to a place")
	}
}

func TestPlaces(t *testing.T) {
	got := places("# A page\n## Rates, breakers & `caches`\n## [Why](x.md) so\n## Twice\n## Twice\n```\n# no heading\n```\n")
	for _, want := range []string{"a-page", "rates-breakers--caches", "why-so", "twice", "twice-1"} {
		if !got[want] {
			t.Errorf("no place %s in %v", want, got)
		}
	}
	if len(got) != 5 {
		t.Errorf("%v", got)
	}
}
