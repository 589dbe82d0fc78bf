package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
)

// TestPipelineFileReference keeps the reference page current: -update rewrites it.
func TestPipelineFileReference(t *testing.T) {
	path := filepath.Join(repo, "docs", "reference", "pipeline-file.md")
	want := pipelineFileReference()
	if *updateCases {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not current: go test ./pipeline/cli -run PipelineFileReference -update", path)
	}
}

const pipelineFileHead = `# The pipeline file

Generated from the catalog and the structs that a file is read into; ` + "`go test ./pipeline/cli -run PipelineFileReference -update`" + `
rewrites it. ` + "`penstock list NAME`" + ` prints one component, ` + "`penstock config schema`" + ` the JSON Schema for editors, and
` + "`penstock config show FILE`" + ` a file with every default filled in.

- ` + "`${NAME}`, `${NAME:-default}`, `${NAME:?why}` and `${file:/path}`" + ` are put in after the YAML has been parsed; ` + "`$${`" + ` is a
  literal. What a variable holds stays within the quotes of the string
  of an expression that it stands in. ` + "`--set path=value`" + ` overrides one setting. Paths are relative to the file.
- Secrets print as ` + "`***`" + `, wherever they stand: a variable or a parameter that is a part of one setting of the kind secret, and its
  default, is a secret in all others (from four bytes on), and so is what ` + "`${file:…}`" + ` holds. None may stand in a key, a name or a schema.
- Durations: ` + "`500ms`, `10s`, `1m30s`. Sizes: `64KiB`, `256MiB`. Rates: `100/s`, `30/m`, `1/10s`. Shares: `20%`, `0.2`" + `.
- An **expression** reads the record's fields, ` + "`meta.topic` and its like, and `header(\"name\")`" + `; a **condition** is one that is true or
  false; a **template** is text with ` + "`{EXPRESSION}`" + ` parts. [Expressions](expressions.md) has the language and every function. What is
  missing is nil; nil orders against nothing and is false in a condition. A field whose name is no identifier is
  ` + "`$env[\"flight number\"]`" + `, and ` + "`$env`" + ` alone is the whole value. Quote an expression in YAML when it begins with ` + "`!`, `#`" + `
  or a quote, or holds ` + "`: ` or ` #`" + `.
- A **field path** leads to a field: ` + "`user.id`" + ` is id within user, ` + "`items[0]`" + ` the first element, ` + "`items[-1]`" + ` the last,
  ` + "`items[*].sku`" + ` the sku of each, ` + "`prices.*`" + ` every member. A backslash takes the meaning from the character behind it: ` + "`user\\.id`" + `
  is the field that is called user.id (within double quotes YAML wants two). What can lead to nothing as it is written, like
  ` + "`$.id`" + `, ` + "`user->id`" + ` or ` + "`items.0`" + `, is an error that says what to write. Where one place is taken, ` + "`[*]`" + ` and ` + "`*`" + ` are errors.
  Columns of a CSV file are names.
- Setting a field makes parents that are missing or null as objects, and never elements; a record in which something else
  stands in the way is rejected with ` + "`no_path`" + `. Every byte that an edit is not about stays as it came. In an expression
  ` + "`user.id`" + ` is id within user, and ` + "`$env[\"user.id\"]`" + ` the field that is called user.id. Upper and lower case count, in
  ` + "`header(\"name\")`" + ` too; ` + "`redact`" + ` alone takes headers in either.
- What a field is read of must be a JSON object: a value that is another (an array, a number, null) rejects the record with
  ` + "`not_object`" + `, and one that is no JSON with ` + "`invalid_json`" + `, wherever the field is read: in a condition, a key, a template. What
  reads no field, because it is about ` + "`meta` or `header`" + ` alone or is decided before it comes to one, takes every value. A
  tombstone (no value) has no fields: all are nil, and the stages that edit pass it on; ` + "`map`" + ` edits its key, time and headers.
- Of a name that stands twice in an object the first counts, in expressions and in every stage; ` + "`redact`" + ` redacts all of
  them. What is set stands once.
- Text that is not UTF-8 is passed on byte for byte, and compared so; in expressions a byte that belongs to no character
  counts as one, and ` + "`upper` and `lower`" + ` put U+FFFD in its place. ` + "`redact`" + ` of fields rejects such a value with ` + "`invalid_json`" + `.
- Every mistake of a file is reported at once by ` + "`penstock check`" + `, at line and column; what is right and hardly means what was
  meant is a warning, which fails with ` + "`--strict`" + ` alone. A text in a value has quotes of its own: ` + "`country: '\"DE\"'`" + `.
`

const includeReference = `
## Files that are included

What several pipelines share stands in a file of its own. An item of ` + "`stages` or `sinks`" + ` may be a list from another file:

` + "```yaml" + `
stages:
  - include: common/clean.yaml
    with: {field: mail}
` + "```" + `

and any block of settings may take what it does not say itself from one. What stands beside ` + "`include`" + ` wins, name by name at the top
of the block: a ` + "`tls:`" + ` of one's own replaces an included one as a whole, and may include a file itself.

` + "```yaml" + `
source:
  kafka:
    include: common/cluster.yaml
    topics: [orders]
` + "```" + `

The file holds the bare list or the bare block. One that takes parameters names each under ` + "`parameters`" + `, and has the list
below ` + "`stages:` or `sinks:`, a block below `settings:`" + `:

` + "```yaml" + `
parameters:
  field: {doc: the field that is cleaned}   # no default: it must be given
  least: {default: 1}
stages:
  - filter: len(${field}) >= ${least}
  - map: {set: {"${field}": "lower(trim(${field}))"}}
` + "```" + `

- In the file ` + "`${field}`" + ` is the parameter, also in keys; other names are variables of the environment. It is put in after the YAML has
  been parsed. Where it is all that stands there, with quotes or without, it is what was given, a number, a text, a list
  or a mapping; within a text only a scalar can stand. A parameter that the file does not use is an error, and so is one that it does not have.
  In a default, ` + "`${NAME}`" + ` is a variable of the environment: parameters do not count there.
- A name of a file is relative to the file in which it is written: in the included file to its folder; one that is given by ` + "`with`" + `
  as a whole to the folder of the file that gives it: ` + "`${f}`" + ` alone is beside the giver, ` + "`./${f}`" + ` beside the included
  file. Files are on this machine; included files may include others, 16 deep, 500 in all, none itself. An anchor of YAML ends
  with its file.
- An error points into the included file and says from where it was included. ` + "`penstock config show`" + ` shows the whole, with the file that
  each setting is from; names of steps, ` + "`--set`" + ` and the hash go by the whole.
- A folder of pipelines is read without the folders in it: keep files to include in one of those.
`

const depthReference = `
## How deep JSON may be nested

A value may be nested 10,000 deep: a deeper one is read by no stage, and rejected with ` + "`invalid_json`" + `, or ` + "`not_parsed`" + ` where it is
what ` + "`parse`" + ` reads. Where a stage goes down into it by itself less is allowed: 1,000 for what ` + "`redact`" + ` goes through (` + "`invalid_json`" + `), for
what ` + "`validate`" + ` validates (` + "`schema`" + `) and for what an expression builds or goes through (` + "`expression`" + `), and 512 for an answer that the
stage ` + "`http`" + ` takes in (` + "`bad_answer`" + `).
`

// pipelineFileReference writes the page from the catalog.
func pipelineFileReference() []byte {
	var b bytes.Buffer
	b.WriteString(pipelineFileHead)
	heading := func(text, doc string) { fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", text, doc) }

	heading("The file", "What may stand at the top. `limits`, `admin` and `log` belong to the process: with several files they stand in one\nof them or are equal in all. Of `limits.rates` that holds for each name: a step keeps to the rates of all files.")
	settingTable(&b, config.FileSettingList())
	heading("Beside a stage", "What may stand beside the component in an item of `stages`.")
	stage := config.Kind{Section: config.StageSection}
	settingTable(&b, config.StepSettings(&stage))
	b.WriteString("\nIn a step that waits for somebody else also:\n\n")
	waiting := stage
	waiting.Waits = true
	settingTable(&b, added(&stage, &waiting))
	fmt.Fprintf(&b, "\nIn one that can keep the answers that it gets (%s) also:\n\n", strings.Join(answering(), ", "))
	keeping := waiting
	keeping.Answers = true
	settingTable(&b, added(&waiting, &keeping))
	b.WriteString("\nWhat holds calls back, and what shows it, is in [Operations](../operations.md#being-polite-rates-breakers-caches).\n")
	heading("Beside a sink", "What may stand beside the component in an item of `sinks`, and, `name` and `when` excepted, in `dead_letter`.")
	settingTable(&b, config.OutputSettingList(nil))
	b.WriteString("\nIn `dead_letter` also:\n\n")
	settingTable(&b, beyond(config.OutputSettingList(nil), config.DeadLetterSettingList(nil)))
	b.WriteString(depthReference)
	b.WriteString(includeReference)
	for _, section := range []config.Section{config.SourceSection, config.StageSection, config.SinkSection} {
		kinds := catalog.Kinds()
		for i := range kinds {
			if kinds[i].Section == section {
				kindReference(&b, &kinds[i])
			}
		}
	}
	return b.Bytes()
}

// added lists what stands beside a step of kind more, and not beside one of kind less.
func added(less, more *config.Kind) []config.Setting {
	return beyond(config.StepSettings(less), config.StepSettings(more))
}

// beyond gives the settings of the second list that the first does not have.
func beyond(less, more []config.Setting) (list []config.Setting) {
	common := map[string]bool{}
	for _, s := range less {
		common[s.Name] = true
	}
	for _, s := range more {
		if !common[s.Name] {
			list = append(list, s)
		}
	}
	return list
}

// answering names the stages that can keep answers.
func answering() (names []string) {
	for _, k := range catalog.Kinds() {
		if k.Answers {
			names = append(names, "`"+k.Name+"`")
		}
	}
	return names
}

func kindReference(b *bytes.Buffer, k *config.Kind) {
	waits := ""
	if k.Waits {
		waits = " This step waits: it has slots, a window, attempts and a deadline."
	}
	fmt.Fprintf(b, "\n## %s `%s`\n\n%s.%s\n", strings.ToUpper(string(k.Section[:1]))+string(k.Section[1:]), k.Name, capital(k.Doc), waits)
	if k.Guarantee != "" {
		fmt.Fprintf(b, "\nGuarantees: %s.\n", k.Guarantee)
	}
	if k.Short != "" {
		fmt.Fprintf(b, "\n`%s: VALUE` is short for `%s: {%s: VALUE}`.\n", k.Name, k.Name, k.Short)
	}
	fmt.Fprintf(b, "\n```yaml\n%s```\n\n", example(k))
	settingTable(b, k.SettingList())
	if k.PerHost > 0 {
		fmt.Fprintf(b, "\nBeside it `max_per_host` is `%d` when the file does not say.\n", k.PerHost)
	}
	if k.BatchRecords > 0 {
		fmt.Fprintf(b, "\nBeside it `batch.records` is `%d` when the file does not say.\n", k.BatchRecords)
	}
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// settingTable writes settings and those within them as a table.
func settingTable(b *bytes.Buffer, list []config.Setting) {
	if len(list) == 0 {
		b.WriteString("No settings.\n")
		return
	}
	b.WriteString("| Setting | Value | Default | Meaning |\n|---|---|---|---|\n")
	settingRows(b, "", list)
}

func settingRows(b *bytes.Buffer, prefix string, list []config.Setting) {
	cell := strings.NewReplacer("|", `\|`, "\n", " ")
	for _, s := range list {
		what, def := s.Type, ""
		if len(s.Enum) > 0 {
			what = "`" + strings.Join(s.Enum, "`, `") + "`"
		}
		switch {
		case s.Required:
			def = "required"
		case s.Default != nil:
			def = fmt.Sprintf("`%v`", s.Default)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", prefix+s.Name, cell.Replace(what), cell.Replace(def), cell.Replace(s.Doc))
		settingRows(b, prefix+s.Name+".", s.Inner)
	}
}

// TestPipelineFilesInTheDocumentsAreRight checks every whole file that a page shows.
func TestPipelineFilesInTheDocumentsAreRight(t *testing.T) {
	checked := 0
	for _, page := range documents(t) {
		text, err := os.ReadFile(filepath.Join(repo, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range strings.Split(string(text), "```yaml\n")[1:] {
			file, _, _ := strings.Cut(block, "```")
			if !strings.HasPrefix(file, "pipeline: ") {
				continue
			}
			checked++
			name := filepath.Join(t.TempDir(), "pipeline.yaml")
			if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
			loader := config.Loader{Kinds: catalog.Kinds()}
			set, err := loader.Load(name)
			if err != nil {
				t.Errorf("%s shows a file that is not right: %v", page, err)
				continue
			}
			if p := set.Pipelines[0]; p.DeadLetter != nil && len(p.Stages) == 0 {
				t.Errorf("%s shows dead letters of a file that has no stage which could reject a record", page)
			}
		}
	}
	if checked == 0 {
		t.Error("no page shows a pipeline file")
	}
}
