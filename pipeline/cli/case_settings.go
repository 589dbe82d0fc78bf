package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
)

// caseSettings are what a case.yaml may say.
type caseSettings struct {
	Pipeline string            `yaml:"pipeline" doc:"pipeline file, such as the one in production, in place of a pipeline.yaml here; relative to the folder, of an archive to that in which it lies"`
	Set      []string          `yaml:"set" doc:"settings to override, path=value each, as with --set"`
	Env      map[string]string `yaml:"env" doc:"variables for the pipeline file, in place of those of the process"`
	Compare  string            `yaml:"compare" enum:"bytes|json" doc:"bytes (default): a value is equal byte for byte; json: by meaning, whatever the order of members, the white space and the way in which a number is written"`
	Key      *expr.Expr        `yaml:"key" doc:"expression that gives the key of a record of input.values"`
}

// file gives the path of a file of the case: its own, or that at the top of its archive; "":
// neither is there.
func (c *testCase) file(name string) string {
	name = filepath.FromSlash(name)
	if own := filepath.Join(c.dir, name); isFile(own) {
		return own
	}
	if c.archive != nil {
		if shared := filepath.Join(c.root, name); isFile(shared) {
			return shared
		}
	}
	return ""
}

// readSettings reads case.yaml, where there is one, and finds the pipeline file.
func (c *testCase) readSettings() error {
	c.settings = caseSettings{}
	c.pipeline = c.file(pipelineFile)
	file := c.file(settingsFile)
	if file != "" {
		var err error
		loader := config.Loader{Kinds: c.kinds, Env: c.env}
		if c.side, err = loader.LoadBeside(file, "a case", &c.settings); err != nil {
			return c.invalid(err)
		}
	}
	if name := c.settings.Pipeline; name != "" {
		if beside := filepath.Join(filepath.Dir(file), pipelineFile); isFile(beside) {
			return c.problemAt("pipeline", "the case names a pipeline file, and has a "+pipelineFile+" beside", "keep one of them")
		}
		if !filepath.IsAbs(name) {
			name = filepath.Join(c.home(), filepath.FromSlash(name))
		}
		if !isFile(name) {
			return c.problemAt("pipeline", "there is no file "+name, "the path is relative to "+c.home())
		}
		c.pipeline = name
	}
	if c.pipeline == "" {
		return fmt.Errorf("there is no pipeline: write %s, or pipeline: FILE in %s", pipelineFile, settingsFile)
	}
	return nil
}

// home is the folder that paths in a case.yaml are relative to.
func (c *testCase) home() string {
	if c.archive != nil {
		return filepath.Dir(c.archive.file)
	}
	return c.dir
}

// problemAt makes an error at a value of case.yaml.
func (c *testCase) problemAt(path, text, suggestion string) error {
	p := c.side.Move(config.Problem{Severity: config.SeverityError, Text: text, Suggestion: suggestion, Column: 1}, path)
	return c.invalid(&config.InvalidError{Problems: config.Problems{p}})
}

// invalid shows all problems of a file, each where it stands: in the archive, or in case.yaml
// where it says what is set.
func (c *testCase) invalid(err error) error {
	var invalid *config.InvalidError
	if !errors.As(err, &invalid) {
		return err
	}
	var b strings.Builder
	for _, p := range invalid.Problems {
		if p.File == "--set" && p.Line > 0 && p.Line <= len(c.settings.Set) {
			p = c.side.Move(p, fmt.Sprintf("set[%d]", p.Line-1))
		}
		if c.archive != nil {
			p = c.archive.move(p, c.root)
		}
		b.WriteString(p.Detail())
	}
	return errors.New(strings.TrimRight(b.String(), "\n"))
}

// env gives a case's variables: HTTP, HTTP_HOST and REDIS, those that it sets, and those of the process.
func (c *testCase) env(name string) (string, bool) {
	switch name {
	case "HTTP":
		return c.answers.base, true
	case "HTTP_HOST":
		return strings.TrimPrefix(c.answers.base, "http://"), true
	case "REDIS":
		return c.redis.address, true
	}
	if v, ok := c.settings.Env[name]; ok {
		return v, true
	}
	return os.LookupEnv(name)
}

// input gives the file that is read, and how.
func (c *testCase) input() (path settings.Path, as string, err error) {
	lines, values := c.file(inputLines), c.file(inputValues)
	if lines != "" && values != "" && filepath.Dir(lines) != filepath.Dir(values) { // the nearer one counts
		if filepath.Dir(lines) == filepath.Clean(c.dir) {
			values = ""
		} else {
			lines = ""
		}
	}
	switch {
	case lines != "" && values != "":
		return "", "", fmt.Errorf("there are %s and %s: keep one of them", inputLines, inputValues)
	case values != "":
		return settings.Path(values), "value", nil
	case lines == "":
		return "", "", fmt.Errorf("there is no input: write %s, or %s with one value a line%s", inputLines, inputValues, c.likeInput())
	case c.settings.Key != nil:
		return "", "", c.problemAt("key", "key is for "+inputValues+": fixture lines have keys of their own", "remove it, or rename "+inputLines)
	}
	return settings.Path(lines), "fixture", nil
}

// likeInput says what was likely meant, where a case without an input has a file that is called
// nearly so.
func (c *testCase) likeInput() string {
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return ""
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	p := partsOf(names)
	p.shown = ""
	return p.hint()
}
