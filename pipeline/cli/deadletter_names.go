package cli

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/source/letters"
)

// This file holds the names that --step and --reason of the commands about dead letters take. A name
// that is misspelt chooses nothing, which looks like an end of the trouble.

// reasonList is the page of reasons, a reason and its sentence a line with a tab between. The test of that page keeps it.
//
//go:embed reasons.txt
var reasonList string

// reasonNames gives the reasons that penstock itself rejects records for.
func reasonNames() (names []string) {
	for line := range strings.Lines(reasonList) {
		names = append(names, nameOf(line))
	}
	return names
}

// completeReasons offers the reasons.
func completeReasons(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	var all []string
	for line := range strings.Lines(reasonList) {
		name, says, _ := strings.Cut(line, "\t")
		all = append(all, offer(name, says))
	}
	return offersOf(typed, all), cobra.ShellCompDirectiveNoFileComp
}

// rejecters gives the names of what can reject a record of a pipeline: its steps and sinks, and the
// expression of order.key.
func rejecters(p *config.Pipeline) (names []string) {
	if p.Order.Key != nil {
		names = append(names, "key")
	}
	for _, s := range p.Stages {
		names = append(names, s.Name)
	}
	for _, s := range p.Sinks {
		names = append(names, s.Name)
	}
	return names
}

// completeRejecter offers what can reject a record of the file among the arguments.
func (g *globals) completeRejecter(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	p := g.pipelineOf(args)
	if p == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	docs := map[string]string{"key": "the expression of order.key"}
	for _, s := range p.Stages {
		docs[s.Name] = s.Kind.Doc
	}
	for _, s := range p.Sinks {
		docs[s.Name] = s.Kind.Doc
	}
	var all []string
	for _, name := range rejecters(p) {
		all = append(all, offer(name, docs[name]))
	}
	return offersOf(typed, all), cobra.ShellCompDirectiveNoFileComp
}

// checkNames refuses a step or a reason that neither the file nor penstock knows and that stands in no
// letter: letters may name steps that the file had once, and stages of one's own have reasons of their own. The
// letters are read for what is not known alone.
func (b *letterBox) checkNames(ctx context.Context, f *letterFlags) error {
	steps, reasons := rejecters(b.file), reasonNames()
	unknownSteps, unknownReasons := without(f.steps, steps), without(f.reasons, reasons)
	if len(unknownSteps)+len(unknownReasons) == 0 {
		return nil
	}
	err := letters.Each(ctx, b.log, func(rec *pipeline.Record, at pipeline.Position) error {
		l, err := deadletter.Read(rec, at)
		if err != nil || l.Pipeline != b.file.Name {
			return nil // it is counted when the letters are read for good
		}
		delete(unknownSteps, l.Step)
		delete(unknownReasons, l.Reason)
		if len(unknownSteps)+len(unknownReasons) == 0 {
			return io.EOF
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(unknownSteps)) {
		return usagef("--step %s: %s has no such step or sink, and no dead letter names it; %s", name, b.file.File, meant(name, steps, "it has "+strings.Join(steps, ", ")))
	}
	for _, name := range slices.Sorted(maps.Keys(unknownReasons)) {
		return usagef("--reason %s: there is no such reason, and no dead letter gives it; %s", name,
			meant(name, reasons, fmt.Sprintf("penstock dead-letter ls %s --by reason shows those that they give", b.file.File)))
	}
	return nil
}

// without gives the names that are not known.
func without(names, known []string) map[string]bool {
	left := map[string]bool{}
	for _, name := range names {
		if !slices.Contains(known, name) {
			left[name] = true
		}
	}
	return left
}

// meant asks for the known name that is most like one, or says something else.
func meant(name string, known []string, otherwise string) string {
	if n := config.Nearest(name, known); n != "" {
		return "did you mean " + n + "?"
	}
	return otherwise
}
