package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/catalog"
	"github.com/penstockio/penstock/pipeline/config"
	kafkasource "github.com/penstockio/penstock/pipeline/source/kafka"
	kafkasink "github.com/penstockio/penstock/sinks/kafka"
)

// environmentOf has the variable V alone.
func environmentOf(value string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if name == "V" {
			return value, true
		}
		return "", false
	}
}

// One variable, a file or a flag holds a list of addresses or topics, wherever one is
// taken.
func TestOneTextHoldsAList(t *testing.T) {
	const file = `pipeline: p
source:
  kafka: {brokers: FORM, topics: TOPICS}
sinks:
  - kafka: {topic: out, brokers: FORM}
dead_letter:
  kafka: {topic: dead, brokers: FORM}
`
	for value, want := range map[string][]string{
		"a:1":                   {"a:1"},
		"a:1,b:2":               {"a:1", "b:2"},
		" a:1 , b:2\t":          {"a:1", "b:2"},
		"[::1]:9092,b":          {"[::1]:9092", "b"},
		"kafka_1:9,10.0.0.1:10": {"kafka_1:9", "10.0.0.1:10"},
		"a:1,\n  b:2,\n  c:3":   {"a:1", "b:2", "c:3"},
	} {
		for _, form := range []string{`"${V}"`, `["${V}"]`, `"${file:list}"`, `["${file:list}"]`} {
			dir := put(t, map[string]string{
				"list":   value + "\n",
				"p.yaml": strings.NewReplacer("FORM", form, "TOPICS", `"${T:-x, y}"`).Replace(file),
			})
			l := &config.Loader{Kinds: catalog.Kinds(), Env: environmentOf(value)}
			p := mustLoad(t, l, dir).Pipelines[0]
			src := p.Source.Settings.(*kafkasource.Settings)
			for _, got := range [][]string{
				src.Brokers, p.Sinks[0].Settings.(*kafkasink.Settings).Brokers, p.DeadLetter.Settings.(*kafkasink.Settings).Brokers,
			} {
				if !slices.Equal(got, want) {
					t.Errorf("%q as %s: %q", value, form, got)
				}
			}
			if !slices.Equal(src.Topics, []string{"x", "y"}) {
				t.Errorf("topics: %q", src.Topics)
			}
		}
	}
}

// An entry that is wrong is told by its number, and never by what the variable holds.
func TestAWrongEntryOfAVariable(t *testing.T) {
	const file = "pipeline: p\nsource:\n  kafka:\n    brokers: FORM\n    topics: [a]\nsinks:\n  - stdout: {}\n"
	for value, want := range map[string]string{
		"good:1,host:70000":       `kafka: brokers[1]: "RAW" has a port that is no number from 1 to 65535: write host:port`,
		"kafka://write:1":         `kafka: brokers[0]: "RAW" is more than an address, which has no scheme: write host:port, and tls and sasl beside brokers`,
		"good:1,SASL_SSL://h:2":   `kafka: brokers[1]: "RAW" is more than an address, which has no scheme: write host:port, and tls and sasl beside brokers`,
		"good:1,":                 `kafka: brokers[1]: an address is empty: write host:port`,
		"good:1 other:2":          `kafka: brokers[0]: "RAW" is more than one address, and these are parted by commas: write host:port`,
		"good:1\nother:2":         `kafka: brokers[0]: "RAW" is more than one address, and these are parted by commas: write host:port`,
		"user:hush-hush@host:1":   `kafka: brokers[0]: an address has no user and no password in it: write host:port, and sasl for these`,
		"::1":                     `kafka: brokers[0]: "RAW" has no brackets, so that its port cannot be told: write host:port, and an IPv6 address like [2001:db8::7]:9092`,
		"good:1,good:1":           `kafka: brokers[1]: "RAW" stands twice`,
		"good:0":                  `kafka: brokers[0]: "RAW" has a port that is no number from 1 to 65535: write host:port`,
		"":                        `brokers is empty: RAW gives nothing`,
		" \t":                     `brokers is empty: RAW gives nothing`,
		"port:port,stands,commas": `kafka: brokers[0]: "RAW" has a port that is no number from 1 to 65535: write host:port`,
	} {
		for _, form := range []string{"${V}", `"${V}"`, `["${V}"]`, "${file:list}"} {
			dir := put(t, map[string]string{"list": value + "\n", "p.yaml": strings.Replace(file, "FORM", form, 1)})
			l := &config.Loader{Kinds: catalog.Kinds(), Env: environmentOf(value)}
			_, err := l.Load(dir)
			raw := strings.Trim(form, `[]"`)
			got, _, _ := strings.Cut(found(dir, err), "\n")
			place, text, _ := strings.Cut(got, ": ")
			expect := strings.ReplaceAll(want, "RAW", raw)
			if form[0] == '[' && strings.HasPrefix(want, "brokers is empty") {
				expect = `kafka: brokers[0]: an address is empty: write host:port`
			}
			if !strings.HasPrefix(place, "p.yaml:4:1") || text != expect {
				t.Errorf("%q as %s:\n%s\n%s", value, form, got, expect)
			}
		}
	}
}

// The advice for a list that a text cannot stand for can be followed.
func TestAVariableWhereAListIsWanted(t *testing.T) {
	dir := put(t, map[string]string{"p.yaml": named("p") + "stages:\n  - map:\n      remove: ${V}\n"})
	l := &config.Loader{Kinds: catalog.Kinds(), Env: func(string) (string, bool) { return "delay", true }}
	_, err := l.Load(dir)
	if got := found(dir, err); !strings.Contains(got, "remove takes a list, not a text") || !strings.Contains(detail(err), `write remove: ['${V}']; each entry stands by itself`) {
		t.Error(got, detail(err))
	}
	dir = put(t, map[string]string{"p.yaml": named("p") + "stages:\n  - map:\n      remove: ['${V}']\n"})
	mustLoad(t, l, dir)
}

// What a file holds stays a secret in the parts too.
func TestAListFromAFileIsHidden(t *testing.T) {
	dir := put(t, map[string]string{
		"list":   "hidden-1:9092,hidden-2:9092\n",
		"p.yaml": "pipeline: p\nsource:\n  kafka: {brokers: \"${file:list}\", topics: [t]}\nsinks:\n  - stdout: {}\n",
	})
	text, err := mustLoad(t, loader(), dir).Pipelines[0].Show()
	if err != nil || strings.Contains(string(text), "hidden") {
		t.Errorf("%v\n%s", err, text)
	}
}
