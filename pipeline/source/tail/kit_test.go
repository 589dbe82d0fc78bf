package tail

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
	"github.com/penstockio/penstock/pipeline/settings"
)

func TestTailConforms(t *testing.T) {
	pipelinetest.Source(t, func(t *testing.T) pipelinetest.SourceUnderTest {
		dir := t.TempDir()
		at := func(name string) string { return filepath.Join(dir, name) }
		texts := map[string][]string{"none": nil, "one": {`{"one":1}`}}
		for i := range 2000 {
			texts["long"] = append(texts["long"], fmt.Sprintf(`{"long":%d}`, i))
		}
		for i := range 20 {
			texts["wide"] = append(texts["wide"], fmt.Sprintf(`{"wide":%d,"x":"%s"}`, i, strings.Repeat("x", 100<<10)))
		}
		lanes := map[string][]string{}
		for i, name := range []string{"long", "none", "one", "wide"} { // as a pattern finds them
			text := strings.Join(texts[name], "\n\n") + "\n"
			if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			lanes[fmt.Sprintf("%s/%d", filepath.ToSlash(at(name)), i)] = texts[name]
		}
		s := Settings{Files: []settings.Path{settings.Path(at("*"))}, Position: settings.Path(filepath.Join(t.TempDir(), "position")), Stop: "end"}
		return pipelinetest.SourceUnderTest{
			New:     func() (pipeline.Source, error) { return New(s, Options{Pipeline: "kit"}) },
			Lanes:   lanes,
			Resumes: true,
		}
	})
}
