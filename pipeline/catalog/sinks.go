package catalog

import (
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/sinks"
)

func sinkKinds() config.Kinds {
	return config.Kinds{
		{
			Section: config.SinkSection, Name: "stdout",
			Doc:       "writes one line a record to standard output",
			Example:   "stdout: {as: value}",
			Settings:  settings(zero[sinks.StdoutSettings]),
			Guarantee: "once the reader of the pipe has the line; order of each lane kept",
			Build: build(func(s sinks.StdoutSettings, env config.Env) (*sinks.Stdout, error) {
				if env.DeadLetter {
					s.As = "fixture"
				}
				return sinks.NewStdout(s, env.Stdout, env.Name)
			}),
		},
	}
}
