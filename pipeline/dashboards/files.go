package dashboards

import (
	"embed"
	"io/fs"
	"slices"
	"strings"
)

//go:embed grafana/*.json rules/*.yaml
var made embed.FS

// A FileKind is what a file is for.
type FileKind string

// The kinds of files.
const (
	LokiPages        FileKind = "loki"
	PrometheusPages  FileKind = "prometheus"
	LokiAlerts       FileKind = "alerts-loki"
	PrometheusAlerts FileKind = "alerts-prometheus"
)

// FileKinds gives all kinds of files.
func FileKinds() []FileKind {
	return []FileKind{LokiPages, PrometheusPages, LokiAlerts, PrometheusAlerts}
}

// A File is one that somebody else loads: a page for Grafana, or rules.
type File struct {
	Name string // without a folder: loki-overview.json, alerts-loki.yaml
	Kind FileKind
	Data []byte
}

// Files gives the files of some kinds, by name. No kind: all.
func Files(kinds ...FileKind) []File {
	var files []File
	err := fs.WalkDir(made, ".", func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f := File{Name: d.Name()}
		for _, k := range FileKinds() {
			if strings.HasPrefix(f.Name, string(k)) {
				f.Kind = k
			}
		}
		if len(kinds) > 0 && !slices.Contains(kinds, f.Kind) {
			return nil
		}
		f.Data, err = made.ReadFile(at)
		files = append(files, f)
		return err
	})
	if err != nil {
		panic(err) // what is embedded can be read
	}
	return files
}

// ForService gives the files for a log whose service_name is another one: the alerts for Loki watch it, and the
// pages on Loki open with it. The slice is new.
func ForService(files []File, service string) []File {
	files = slices.Clone(files)
	for i, f := range files {
		text := string(f.Data)
		switch f.Kind {
		case LokiAlerts:
			text = strings.ReplaceAll(text, `service_name="`+DefaultService+`"`, `service_name="`+service+`"`)
		case LokiPages:
			text = strings.ReplaceAll(text, `"text": "`+DefaultService+`",`, `"text": "`+service+`",`)
			text = strings.ReplaceAll(text, `"value": "`+DefaultService+`"`, `"value": "`+service+`"`)
		}
		files[i].Data = []byte(text)
	}
	return files
}
