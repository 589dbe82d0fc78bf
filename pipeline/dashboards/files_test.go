package dashboards

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var update = flag.Bool("update", false, "write the files that are made of the dashboards and rules")

// wanted gives the files that belong to the data, by their path.
func wanted() map[string][]byte {
	files := map[string][]byte{}
	for _, d := range All() {
		files[filepath.Join("grafana", string(d.Store)+"-"+d.Name+".json")] = Grafana(d)
	}
	for kind, groups := range map[FileKind][]RuleGroup{LokiAlerts: LokiRules(), PrometheusAlerts: PrometheusRules()} {
		if len(groups) > 0 {
			files[filepath.Join("rules", string(kind)+".yaml")] = RuleFile(groups)
		}
	}
	return files
}

// TestFilesAreThoseOfTheData: what is committed and embedded is what the data gives, no more and no less.
func TestFilesAreThoseOfTheData(t *testing.T) {
	want := wanted()
	if *update {
		for _, folder := range []string{"grafana", "rules"} {
			old, err := filepath.Glob(filepath.Join(folder, "*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range old {
				if want[name] == nil {
					if err := os.Remove(name); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		for name, data := range want {
			if err := os.WriteFile(name, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	names := map[string]bool{}
	for _, f := range Files() {
		folder := "grafana"
		if filepath.Ext(f.Name) == ".yaml" {
			folder = "rules"
		}
		name := filepath.Join(folder, f.Name)
		names[name] = true
		switch data, ok := want[name]; {
		case !ok:
			t.Errorf("%s belongs to nothing; go test ./pipeline/dashboards -run Files -update removes it", name)
		case !bytes.Equal(data, f.Data):
			t.Errorf("%s is out of date; go test ./pipeline/dashboards -run Files -update writes it", name)
		}
		if f.Kind == "" {
			t.Errorf("%s is of no kind", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !names[name] {
			t.Errorf("%s is missing; go test ./pipeline/dashboards -run Files -update writes it", name)
		}
	}
}
