package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/admin"
)

// TestShapes: the parts of a file and the ways between them; a router where records may go more than one way.
func TestShapes(t *testing.T) {
	says := func(s admin.Shape) string {
		var all []string
		for _, p := range s.Parts {
			all = append(all, p.ID)
		}
		for _, w := range s.Ways {
			way := w.From + ">" + w.To
			if w.When != "" {
				way += fmt.Sprintf("[%s]", w.When)
			}
			if w.Rejected {
				way += "!"
			}
			all = append(all, way)
		}
		return strings.Join(all, " ")
	}
	t.Setenv("CONDITION", "x > 1") // what stands in a variable may be a secret
	dir := t.TempDir()
	for name, tt := range map[string]struct{ file, want string }{
		"straight": {"stages:\n  - filter: x > 1\nsinks:\n  - stdout: {}\n",
			"source:stdin step:filter sink:stdout source:stdin>step:filter step:filter>sink:stdout"},
		"bare": {"sinks:\n  - stdout: {}\n", "source:stdin sink:stdout source:stdin>sink:stdout"},
		"fanned": {"stages:\n  - name: both\n    map: {set: {a: b}}\nsinks:\n  - stdout: {}\n  - name: some\n    when: ${CONDITION}\n    file: {path: out}\ndead_letter:\n  file: {path: dead}\n",
			"source:stdin step:both router:router sink:stdout sink:some dead_letter:dead_letter source:stdin>step:both step:both>router:router " +
				"router:router>sink:stdout router:router>sink:some[${CONDITION}] router:router>dead_letter:dead_letter!"},
		"condition": {"sinks:\n  - when: x > 1\n    stdout: {}\n",
			"source:stdin router:router sink:stdout source:stdin>router:router router:router>sink:stdout[x > 1]"},
	} {
		file := filepath.Join(dir, name+".yaml")
		writeFile(t, file, "pipeline: "+name+"\nsource:\n  stdin: {}\n"+tt.file)
		set, err := globalsFor(t).load([]string{file})
		if err != nil {
			t.Fatal(err)
		}
		all := shapes(set)
		if len(all) != 1 || all[0].Pipeline != name || says(all[0]) != tt.want {
			t.Errorf("%s: %+v\n%s\nwant\n%s", name, all, says(all[0]), tt.want)
		}
	}
}
