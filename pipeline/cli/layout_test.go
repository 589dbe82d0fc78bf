package cli

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	repo   = "../.." // seen from this package
	module = "github.com/penstockio/penstock"

	kafkaGo = "github.com/segmentio/kafka-go"
	franz   = "github.com/twmb/franz-go"
	conc    = "github.com/sourcegraph/conc"
	zero    = "github.com/rs/zerolog"

	otelName = "go.opentelemetry.io"
)

// A listed package is what `go list -json` says of one.
type listed struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

// An importRule says which packages of this module, and which modules of others, a
// package may import. nil others: any.
type importRule struct {
	packages []string // package paths or globs, without the module; the package's own sub-packages are allowed
	own      []string
	others   []string
}

// contract is what components and the engine agree on, with more.
func contract(more ...string) []string {
	return append([]string{"pipeline", "pipeline/settings", "pipeline/jsontext"}, more...)
}

// importRules is the layout of docs/architecture.md. The first rule that fits counts.
var importRules = []importRule{
	{packages: []string{"cmd/*", "pipeline/cli"}, own: []string{"*"}},
	{packages: []string{"pipeline/kafka/kafkatest"}, own: contract("pipeline/event", "pipeline/kafka")},
	{packages: []string{"pipeline/internal/inside", "pipeline/internal/cputime", "pipeline/internal/listen", "pipeline/internal/smallfile", "pipeline/internal/keptfile", "pipeline/jsontext"}, own: []string{}, others: []string{}},
	{packages: []string{"pipeline/settings"}, own: []string{"pipeline/jsontext"}, others: []string{}},
	{packages: []string{"pipeline/engine/internal"}, own: []string{"pipeline/engine/internal"}, others: []string{conc}},
	{packages: []string{"pipeline/engine"}, own: contract("pipeline/event", "pipeline/deadletter", "pipeline/internal/inside"),
		others: []string{conc, zero, "github.com/HdrHistogram/hdrhistogram-go"}}, // latency figures
	{packages: []string{"pipeline/catalog"}, own: contract("pipeline/calls", "pipeline/engine", "pipeline/config", "pipeline/source", "pipeline/expr", "pipeline/event", "pipeline/redact", "stages", "sinks")},
	{packages: []string{"pipeline/kafka/recordbatch"}, own: []string{}, others: []string{"github.com/klauspost/compress", "github.com/pierrec/lz4/v4"}},
	{packages: []string{"pipeline/kafka/connect"}, own: contract("pipeline/kafka"), others: []string{}},
	{packages: []string{"pipeline/source/kafka/lettertopic"}, own: contract("pipeline/source/letters", "pipeline/kafka", "pipeline/kafka/recordbatch"), others: []string{}},
	{packages: []string{"pipeline/source/kafka"}, own: contract("pipeline/event", "pipeline/kafka", "pipeline/kafka/connect", "pipeline/kafka/recordbatch")},
	{packages: []string{"pipeline/source/replay"}, own: contract("pipeline/event", "pipeline/expr", "pipeline/fixture")},
	{packages: []string{"pipeline/source/letters"}, own: contract("pipeline/deadletter", "pipeline/fixture", "pipeline/internal/keptfile"), others: []string{"golang.org/x/time/rate"}},
	{packages: []string{"pipeline/source/tail"}, own: contract("pipeline/event", "pipeline/expr", "pipeline/fixture", "pipeline/internal/keptfile"), others: []string{}},
	{packages: []string{"pipeline/source/http"}, own: contract("pipeline/event", "pipeline/expr", "pipeline/server", "pipeline/textformat", "pipeline/internal/keptfile"), others: []string{"github.com/klauspost/compress"}},
	{packages: []string{"sinks/kafka"}, own: contract("pipeline/expr", "pipeline/client", "pipeline/event", "pipeline/kafka", "pipeline/kafka/connect", "pipeline/kafka/recordbatch", "pipeline/tracing")},
	{packages: []string{"sinks/lines"}, own: contract("pipeline/fixture")},
	{packages: []string{"pipeline/textformat"}, own: []string{"pipeline/jsontext"}, others: []string{"github.com/klauspost/compress", "github.com/pierrec/lz4/v4", "golang.org/x/text"}},
	{packages: []string{"pipeline/calls"}, own: contract("pipeline/event", "pipeline/tracing")},
	{packages: []string{"stages/scrape/robotstxt"}, own: []string{}, others: []string{}},
	{packages: []string{"stages/scrape/webpage"}, own: []string{"pipeline/jsontext"}, others: []string{"github.com/andybalholm/cascadia", "golang.org/x/net/html"}},
	{packages: []string{"pipeline/redact"}, own: contract("pipeline/deadletter"), others: []string{}},
	{packages: []string{"stages"}, own: contract("pipeline/redact", "pipeline/calls", "pipeline/textformat", "pipeline/expr", "pipeline/fixture", "pipeline/client", "pipeline/database", "pipeline/redisserver", "pipeline/event")},
	{packages: []string{"sinks/websocket"}, own: contract("pipeline/expr", "pipeline/event", "pipeline/fixture", "pipeline/server"),
		others: []string{"github.com/coder/websocket", "golang.org/x/net/html"}},
	{packages: []string{"sinks"}, own: contract("pipeline/calls", "pipeline/expr", "pipeline/fixture", "pipeline/client", "pipeline/database", "pipeline/redisserver", "pipeline/event", "sinks/lines")},
	{packages: []string{"pipeline/tracing"}, own: []string{"pipeline"}, others: []string{}},
	{packages: []string{"pipeline/trace"}, own: contract("pipeline/engine", "pipeline/client", "pipeline/tracing"), others: []string{otelName, "google.golang.org/protobuf"}},
	{packages: []string{"pipeline/config"}, own: contract("pipeline/client", "pipeline/redact", "pipeline/calls", "pipeline/engine", "pipeline/expr", "pipeline/secretfiles", "pipeline/internal/listen", "pipeline/internal/smallfile")},
	{packages: []string{"pipeline/database"}, own: []string{"pipeline/settings", "pipeline/jsontext", "pipeline/client"}},
	{packages: []string{"pipeline/redisserver"}, own: contract("pipeline/client", "pipeline/secretfiles", "pipeline/tlsfiles"), others: []string{"github.com/redis/go-redis/v9"}},
	{packages: []string{"pipeline/client"}, own: contract("pipeline/event", "pipeline/tracing", "pipeline/tlsfiles", "pipeline/secretfiles")},
	{packages: []string{"pipeline/expr"}, own: contract("pipeline/event", "pipeline/textformat")},
	{packages: []string{"pipeline/fixture"}, own: contract("pipeline/event")},
	{packages: []string{"pipeline/internal/heldtest"}, own: []string{"pipeline"}, others: []string{}},
	{packages: []string{"pipeline/pipelinetest"}, own: contract("pipeline/engine", "pipeline/event")},
	{packages: []string{"pipeline/server"}, own: contract("pipeline/tlsfiles", "pipeline/secretfiles", "pipeline/internal/listen"), others: []string{}},
	{packages: []string{"pipeline/admin"}, own: contract("pipeline/engine", "pipeline/event", "pipeline/server", "pipeline/internal/listen")},
	{packages: []string{"pipeline/top"}, own: []string{"pipeline/event"}, others: []string{"charm.land/bubbletea/v2", "github.com/clipperhouse/displaywidth"}},
	{packages: []string{"pipeline/deadletter"}, own: contract("pipeline/fixture", "pipeline/expr", "pipeline/event"), others: []string{}},
	{packages: []string{"pipeline/metrics"}, own: contract("pipeline/engine", "pipeline/event"), others: []string{"github.com/prometheus/client_golang", "github.com/prometheus/client_model", "github.com/prometheus/common", "google.golang.org/protobuf"}},
	{packages: []string{"pipeline/dashboards"}, own: []string{"pipeline/event", "pipeline/metrics", "pipeline/dashboards"}},
	{packages: []string{"pipeline/tlsfiles"}, own: []string{"pipeline/internal/smallfile"}, others: []string{}},
	{packages: []string{"pipeline/secretfiles"}, own: contract("pipeline/internal/smallfile"), others: []string{}},
	{packages: []string{"pipeline/kafka"}, own: []string{"pipeline/event", "pipeline/tlsfiles", "pipeline/kafka/recordbatch"}, others: []string{kafkaGo}},
	{packages: []string{"pipeline/event"}, others: []string{zero}},
	{packages: []string{"pipeline"}, own: []string{"pipeline/event", "pipeline/jsontext", "pipeline/internal/inside"}, others: []string{zero, "github.com/tidwall/gjson"}},
}

// covers says whether a rule is about the package, or about one that it is part of.
func (r importRule) covers(pkg string) bool {
	for _, p := range r.packages {
		if ok, _ := path.Match(p, pkg); ok {
			return true
		}
		if p != "pipeline" && strings.HasPrefix(pkg, p+"/") {
			return true
		}
	}
	return false
}

// allows says whether pkg may import imp, both without the module.
func (r importRule) allows(pkg, imp string) bool {
	for _, o := range r.own {
		if o == "*" || imp == o || o != "pipeline" && o != "pipeline/kafka" && strings.HasPrefix(imp, o+"/") {
			return true
		}
	}
	return strings.HasPrefix(imp, pkg+"/") && pkg != "pipeline" && pkg != "pipeline/kafka"
}

// wrongImport says what is wrong with an import of a package, "" when nothing is.
func wrongImport(pkg, imp string) string {
	pkg = strings.TrimPrefix(pkg, module+"/")
	i := slices.IndexFunc(importRules, func(r importRule) bool { return r.covers(pkg) })
	if i < 0 {
		return "no rule covers the package: add it to docs/architecture.md and to importRules"
	}
	rule := importRules[i]
	own, isOwn := strings.CutPrefix(imp, module+"/")
	first, _, _ := strings.Cut(imp, "/")
	switch {
	case imp == conc+"/stream":
		return "conc/stream stays out: docs/decisions/0030-no-conc-stream.md"
	case under(imp, kafkaGo) && !under(pkg, "pipeline/kafka"):
		return "kafka-go stays in pipeline/kafka"
	case under(imp, franz) && pkg != "pipeline/kafka/kafkatest" && pkg != "pipeline/cli":
		return "franz-go is for kafkatest, tests, and the dev and demo commands"
	case under(imp, otelName) && !under(pkg, "pipeline/trace"):
		return "OpenTelemetry stays in pipeline/trace"
	case isOwn && !rule.allows(pkg, own):
		return "the import direction of docs/architecture.md does not have it"
	case !isOwn && strings.Contains(first, ".") && rule.others != nil &&
		!slices.ContainsFunc(rule.others, func(o string) bool { return under(imp, o) }):
		return "the package takes none but these modules: " + strings.Join(rule.others, ", ")
	}
	return ""
}

func under(imp, root string) bool { return imp == root || strings.HasPrefix(imp, root+"/") }

func TestImportDirection(t *testing.T) {
	oneGoroutine(t)
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Standard", "./...")
	cmd.Dir = repo
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing the packages: %v", err)
	}
	n := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; n++ {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, imp := range p.Imports {
			if why := wrongImport(p.ImportPath, imp); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imp, why)
			}
		}
	}
	if n < 5 {
		t.Errorf("only %d packages were listed", n)
	}
}

func TestTheImportRulesBite(t *testing.T) {
	for _, c := range []struct {
		pkg, imp string
		ok       bool
	}{
		{"pipeline", module + "/pipeline/event", true},
		{"pipeline", module + "/pipeline/expr", false},
		{"pipeline", module + "/pipeline/kafka", false},
		{"pipeline", conc + "/pool", false},
		{"pipeline", module + "/pipeline/engine", false},
		{"pipeline/engine", conc + "/pool", true},
		{"pipeline/engine", module + "/pipeline/internal/inside", true},
		{"pipeline/engine", module + "/pipeline/engine/internal/crew", true},
		{"pipeline/engine/internal/crew", conc + "/pool", true},
		{"pipeline/engine/internal/crew", module + "/pipeline", false},
		{"pipeline/source/replay", module + "/pipeline/internal/inside", false},
		{"pipeline/source/replay", module + "/pipeline/kafka", false},
		{"pipeline/source/kafka", module + "/pipeline/kafka", true},
		{"stages", module + "/pipeline/engine", false},
		{"pipeline", "golang.org/x/sync/errgroup", false},
		{"pipeline", "net/http", true},
		{"pipeline/event", module + "/pipeline", false},
		{"pipeline/config", module + "/pipeline/catalog", false},
		{"pipeline/catalog", module + "/stages/scrape", true},
		{"stages", module + "/pipeline/config", false},
		{"stages/scrape", module + "/pipeline/client", true},
		{"sinks", module + "/stages", false},
		{"sinks", kafkaGo, false},
		{"sinks/kafka", kafkaGo, false},
		{"sinks/kafka", module + "/pipeline/kafka", true},
		{"sinks/http", module + "/pipeline/kafka", false},
		{"sinks/file", module + "/sinks/lines", true},
		{"pipeline/source/kafka", module + "/pipeline/kafka/kafkatest", false},
		{"pipeline/kafka", module + "/pipeline", false},
		{"pipeline/kafka", module + "/pipeline/kafka/connect", false},
		{"pipeline/kafka/connect", module + "/pipeline", true},
		{"pipeline/kafka", kafkaGo + "/sasl/scram", true},
		{"pipeline/kafka", "github.com/klauspost/compress/zstd", false},
		{"pipeline/kafka/recordbatch", module + "/pipeline/kafka", false},
		{"pipeline/kafka", franz + "/pkg/kgo", false},
		{"pipeline/kafka/kafkatest", franz + "/pkg/kfake", true},
		{"pipeline/cli", module + "/pipeline/kafka/kafkatest", true},
		{"cmd/penstock", conc + "/stream", false},
		{"pipeline/textformat", module + "/pipeline", false},
		{"pipeline/textformat", "github.com/klauspost/compress/gzip", true},
		{"pipeline/textformat", "golang.org/x/text/encoding/htmlindex", true},
		{"pipeline/textformat", "github.com/tidwall/gjson", false},
		{"pipeline/fixture", module + "/pipeline/textformat", false},
		{"pipeline/util", "fmt", false},
	} {
		if why := wrongImport(module+"/"+c.pkg, c.imp); (why == "") != c.ok {
			t.Errorf("%s imports %s: %q", c.pkg, c.imp, why)
		}
	}
}

// fileRules hold where one file is meant, not its package: who may import a package,
// by the file's path.
var fileRules = []struct {
	imp   string
	where func(file string) bool
}{
	{module + "/pipeline/kafka", func(f string) bool {
		return slices.ContainsFunc([]string{"pipeline/kafka/", "pipeline/source/kafka/", "sinks/kafka/", "pipeline/cli/", "cmd/"},
			func(folder string) bool { return strings.HasPrefix(f, folder) })
	}},
	{module + "/pipeline/kafka/kafkatest", isDevFile},
	{module + "/pipeline/internal/inside", func(f string) bool {
		return f == "pipeline/record_inside.go" || f == "pipeline/admit.go" || strings.HasPrefix(f, "pipeline/engine/")
	}},
	{module + "/pipeline/internal/cputime", func(string) bool { return false }}, // for benchmarks
	{module + "/sinks/internal/sinktest", func(string) bool { return false }},   // for tests
	{"github.com/prometheus/prometheus", func(string) bool { return false }},    // its parser is for tests
	{franz, func(f string) bool { return isDevFile(f) || strings.HasPrefix(f, "pipeline/kafka/kafkatest/") }},
}

func isDevFile(f string) bool {
	return slices.Contains([]string{"pipeline/cli/dev.go", "pipeline/cli/demo.go", "pipeline/cli/demo_check.go"}, f)
}

func TestImportsOfFiles(t *testing.T) {
	oneGoroutine(t)
	for file := range goFiles(t) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, imp := range importsOf(t, file) {
			for _, rule := range fileRules {
				exact := strings.HasPrefix(rule.imp, module)
				if (imp == rule.imp || !exact && under(imp, rule.imp)) && !rule.where(file) {
					t.Errorf("%s imports %s: that is for other files", file, imp)
				}
			}
		}
	}
}

// goFiles gives the Go files of the repository, as slash paths from its root.
func goFiles(t *testing.T) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		err := filepath.WalkDir(repo, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && p != repo && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"out", "bin", "dist"}, d.Name())) {
				return fs.SkipDir
			}
			rel, err := filepath.Rel(repo, p)
			if err == nil && strings.HasSuffix(p, ".go") && !yield(filepath.ToSlash(rel)) {
				return fs.SkipAll
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func importsOf(t *testing.T, file string) (imports []string) {
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(repo, file), nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range f.Imports {
		imp, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		imports = append(imports, imp)
	}
	return imports
}

func TestTopLevel(t *testing.T) {
	allowed := strings.Fields("cmd pipeline stages sinks testdata go.mod go.sum Makefile README.md LICENSE CHANGELOG.md docs deploy bin dist out coverage.out")
	entries, err := os.ReadDir(repo)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		built := strings.HasSuffix(name, ".test") || strings.HasSuffix(name, ".prof")
		if !slices.Contains(allowed, name) && !strings.HasPrefix(name, ".") && !built {
			t.Errorf("%s stands at the top level, which is fixed: TestTopLevel has what may", name)
		}
	}
}

// TestEveryPackageIsInTheTable: docs/architecture.md says of each package what it is for. Parts of
// the engine, stages and sinks stand there together, as a folder.
func TestEveryPackageIsInTheTable(t *testing.T) {
	oneGoroutine(t)
	text, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## Where things are")
	named := map[string]bool{}
	for line := range strings.Lines(table) {
		if first, _, ok := strings.Cut(strings.TrimPrefix(line, "|"), "|"); ok && strings.HasPrefix(line, "|") {
			for i, part := range strings.Split(first, "`") {
				named[part] = i%2 == 1 || named[part]
			}
		}
	}
	list, err := exec.Command("go", "list", "-C", "../..", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	together := regexp.MustCompile(`^(pipeline/engine/internal|stages|sinks)/[^/]+$`)
	for p := range strings.FieldsSeq(string(list)) {
		p = strings.TrimPrefix(p, "github.com/penstockio/penstock/")
		if !named[p] && !(together.MatchString(p) && named[path.Dir(p)]) {
			t.Errorf("%s is not in the table of docs/architecture.md", p)
		}
	}
}

// TestTheContractFitsOnAPage: who opens the library sees it whole.
func TestTheContractFitsOnAPage(t *testing.T) {
	oneGoroutine(t)
	text, err := exec.Command("go", "doc", "-C", "../..", "./pipeline").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if n := strings.Count(string(text), "\n"); n > 66 {
		t.Errorf("go doc ./pipeline has %d lines, want at most 66", n)
	}
}

// TestPackagesNameTheirLicence: the file with the package's comment begins with it.
func TestPackagesNameTheirLicence(t *testing.T) {
	oneGoroutine(t)
	comment := regexp.MustCompile(`(?m)^// (Package|Command) [a-z]`)
	err := filepath.WalkDir(repo, func(at string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && at != repo):
			return fs.SkipDir
		case filepath.Ext(at) != ".go":
			return nil
		}
		text, err := os.ReadFile(at)
		if err != nil {
			return err
		}
		head, _, _ := strings.Cut(string(text), "\npackage ")
		if comment.MatchString(head) && !strings.HasPrefix(head, "// SPDX-License-Identifier: Apache-2.0\n") {
			t.Errorf("%s has the comment of a package and does not begin with its licence", at)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
