package config_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
)

// notText is what YAML 1.1 reads as something else than the text that it is: a boolean, a
// null, a number in any base, a time. Editors, linters and template engines that do so
// are common.
var notText = regexp.MustCompile(`^(` +
	`y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF` +
	`|~|null|Null|NULL|=|<<|` +
	`|[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?` +
	`|[-+]?([0-9][0-9_]*)?\.[0-9_]*([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)` +
	`|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?` + `)$`)

// No name that the file format gives, and no value that it lists, means another thing to a
// program that reads YAML 1.1.
func TestFormatHasNoWordOfYAML11(t *testing.T) {
	text, err := config.Schema(catalog.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	var schema any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	keys, values := 0, 0
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case []any:
			for i, x := range v {
				walk(fmt.Sprintf("%s[%d]", at, i), x)
			}
		case map[string]any:
			if properties, ok := v["properties"].(map[string]any); ok {
				for key := range properties {
					keys++
					if notText.MatchString(key) {
						t.Errorf("%s: the key %s is no text to YAML 1.1", at, key)
					}
				}
			}
			if enum, ok := v["enum"].([]any); ok {
				for _, value := range enum {
					values++
					word, _ := value.(string)
					if word == "null" && slices.Contains(enum, nil) {
						continue // means the same as text and as null
					}
					if value == false || word == "off" && slices.Contains(enum, any(false)) {
						continue // so do these
					}
					if value != nil && notText.MatchString(word) {
						t.Errorf("%s: the value %s is no text to YAML 1.1", at, word)
					}
				}
			}
			for key, x := range v {
				walk(at+"."+key, x)
			}
		}
	}
	walk("", schema)
	if keys < 100 || values < 30 {
		t.Errorf("%d keys and %d values were found in the schema: it is built otherwise than this test thinks", keys, values)
	}
	for _, k := range catalog.Kinds() {
		if notText.MatchString(k.Name) {
			t.Errorf("the %s %s is no text to YAML 1.1", k.Section, k.Name)
		}
	}
}

// Texts that are something else to YAML 1.1 are shown in quotes, keys too.
func TestShowIsTextToYAML11(t *testing.T) {
	p := mustLoad(t, loader(), filepath.Join(testdata, "yaml11.good.yaml")).Pipelines[0]
	shown, err := p.Show()
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(shown, &doc); err != nil {
		t.Fatal(err)
	}
	quoted := 0
	var walk func(n *yaml.Node, key bool)
	walk = func(n *yaml.Node, key bool) {
		if n.Kind == yaml.ScalarNode && (key || n.Tag == "!!str") && notText.MatchString(n.Value) {
			quoted++
			if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0 {
				t.Errorf("line %d: %s stands without quotes", n.Line, n.Value)
			}
		}
		for i, c := range n.Content {
			walk(c, n.Kind == yaml.MappingNode && i%2 == 0)
		}
	}
	walk(&doc, false)
	if quoted < 20 {
		t.Errorf("%d such texts in\n%s", quoted, shown)
	}
	dir := put(t, map[string]string{"a.yaml": string(shown)})
	again := mustLoad(t, loader(), filepath.Join(dir, "a.yaml")).Pipelines[0]
	for i := range again.Stages {
		if p.Stages[i].Workers == 0 {
			again.Stages[i].Workers = 0 // the number shown is this machine's
		}
	}
	if got, want := fmt.Sprintf("%+v", plain(again)), fmt.Sprintf("%+v", plain(p)); got != want {
		t.Errorf("shown means\n%s\nwant\n%s", got, want)
	}
}
