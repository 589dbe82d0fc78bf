package config

import (
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

type plainSettings struct {
	Field string `yaml:"field"`
}

// A row that no file could use is refused with what to do, before a file is read.
func TestRowsThatNoFileCanUse(t *testing.T) {
	stage := func(name string) Kind {
		return StageKind(name, "doc", "x: {}", plainSettings{}, func(plainSettings) (pipeline.Stage, error) { return nil, nil })
	}
	pointer := StageKind("shout", "doc", "x: {}", &plainSettings{}, func(*plainSettings) (pipeline.Stage, error) { return nil, nil })
	text := StageKind("shout", "doc", "x: {}", "", func(string) (pipeline.Stage, error) { return nil, nil })
	for want, k := range map[string]Kind{
		"made by StageKind":                                   {},
		`stage "": a name`:                                    stage(""),
		`"My Stage": a name`:                                  stage("My Stage"),
		`"workers": the name is that of a setting`:            stage("workers"),
		`"include": include takes the stages of another file`: stage("include"),
		`settings are a *config.plainSettings: give a struct`: pointer,
		`settings are a string: give a struct`:                text,
	} {
		if err := k.Usable(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if k := stage("shout_2"); k.Usable() != nil {
		t.Error(k.Usable())
	}
}
