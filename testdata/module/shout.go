package main

import (
	"context"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
)

type shout struct {
	Field string `yaml:"field" doc:"field to make upper case" required:"true"`
}

func (s shout) Process(_ context.Context, rec *pipeline.Record) error {
	text, err := rec.Text(s.Field)
	if err != nil {
		return err
	}
	return rec.SetString(s.Field, strings.ToUpper(text))
}

var kind = config.StageKind("shout", "makes a field upper case", "shout: {field: city}", shout{},
	func(s shout) (shout, error) { return s, nil })
