// SPDX-License-Identifier: Apache-2.0

// Package catalog is the one table of every stage, sink and source by name, with its
// settings, and turns a checked file into a pipeline's options.
package catalog

import (
	"slices"

	"github.com/penstockio/penstock/pipeline/config"
)

// Kinds gives the table: sources, stages, sinks, each in the order in which lists show
// them. The slice is the caller's.
func Kinds() config.Kinds { return slices.Concat(sourceKinds(), stageKinds(), sinkKinds()) }

// settingsOf makes the Settings of a config.Kind from a function that gives the defaults.
func settingsOf[T any](defaults func() T) func() any {
	return func() any {
		s := defaults()
		return &s
	}
}

// zero is for settings whose defaults are the zero values.
func zero[T any]() T {
	var s T
	return s
}

// build makes the Build of a config.Kind from a function that takes settings of its own type.
func build[T, C any](b func(s T, env config.Env) (C, error)) func(any, config.Env) (any, error) {
	return func(settings any, env config.Env) (any, error) {
		c, err := b(*settings.(*T), env)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}
