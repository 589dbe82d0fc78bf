package catalog

import (
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/source"
)

func sourceKinds() config.Kinds {
	return config.Kinds{
		{
			Section: config.SourceSection, Name: "replay",
			Doc:       "reads fixture files, one after another, and ends",
			Example:   "replay: {files: [flights.jsonl], as: value, key: origin}",
			Settings:  settings(zero[source.ReplaySettings]),
			Guarantee: "finite; every run begins at the first line",
			Build: build(func(s source.ReplaySettings, _ config.Env) (*source.Replay, error) {
				return source.NewReplay(s, source.ReplayOptions{})
			}),
		},
	}
}
