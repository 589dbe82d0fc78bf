package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/admin"
)

// This file has what the commands that steer a running process have in common.

// A steering is one of these commands, as it was typed.
type steering struct {
	g        *globals
	where    endpointFlags
	pipeline string // of --pipeline
	asJSON   bool
}

// add adds the flags that all of them have; ofPipeline says that it is for a pipeline of the process, not for all of it.
func (s *steering) add(cmd *cobra.Command, ofPipeline bool) {
	s.where.add(cmd)
	cmd.Flags().BoolVar(&s.asJSON, "json", false, "a line of JSON for each thing that was changed")
	if ofPipeline {
		cmd.Flags().StringVar(&s.pipeline, "pipeline", "", "which pipeline of the process; default: those of the files, or the only one that there is")
	}
}

const steersWhom = `
The process is asked over its admin endpoint, which has to allow it (admin.commands): that of the file, or of --addr; without either ` + defaultEndpoint + `.
It answers when it is done, and the log says who has asked (command.done).`

// do has a command done by the process.
func (s *steering) do(ctx context.Context, files []string, c admin.Command) error {
	e, err := s.where.openFor(s.g, files, true)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	c.By = whoAsks()
	return s.one(ctx, e, c, string(c.Verb))
}

// doEach has a command done for each of the pipelines that are meant.
func (s *steering) doEach(ctx context.Context, files []string, c admin.Command) error {
	e, err := s.where.openFor(s.g, files, true)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	names, err := s.pipelines(ctx, e)
	if err != nil {
		return err
	}
	c.By = whoAsks()
	for _, name := range names {
		c.Pipeline = name
		if err = errors.Join(err, s.one(ctx, e, c, name)); ctx.Err() != nil {
			break
		}
	}
	return err
}

// pipelines gives those that are meant: that of --pipeline, those of the files, or the only one that the process runs.
func (s *steering) pipelines(ctx context.Context, e *endpoint) ([]string, error) {
	if s.pipeline != "" {
		return []string{s.pipeline}, nil
	}
	var all statusAnswer
	if err := e.ofPipelines(ctx, "/api/v1/stats", &all); err != nil {
		return nil, err
	}
	var running []string
	for _, p := range all.Pipelines {
		if len(e.named) == 0 || slices.Contains(e.named, p.Pipeline) {
			running = append(running, p.Pipeline)
		}
	}
	if gone := slices.DeleteFunc(slices.Clone(e.named), func(name string) bool { return slices.Contains(running, name) }); len(gone) > 0 {
		return nil, &exitError{exitEnvironment, fmt.Errorf("the process that listens at %s does not run %s, and nothing was done: leave its file out, or give the --addr of its process",
			e.address, visible(strings.Join(gone, ", ")))}
	}
	if len(e.named) == 0 && len(running) > 1 {
		for i := range running {
			running[i] = visible(running[i])
		}
		return nil, usagef("the process runs %s: say which by --pipeline, or by its file", strings.Join(running, ", "))
	}
	return running, nil
}

// one gives one command, and prints what it has changed.
func (s *steering) one(ctx context.Context, e *endpoint, c admin.Command, of string) error {
	done, err := e.client.Steer(ctx, c)
	var answer *admin.AnswerError
	switch {
	case errors.As(err, &answer):
		return commandError(answer)
	case err != nil:
		return err
	}
	if s.asJSON {
		text, err := json.Marshal(struct {
			Command  admin.Verb `json:"command"`
			Pipeline string     `json:"pipeline,omitempty"`
			admin.Done
		}{c.Verb, c.Pipeline, done})
		if err != nil {
			return fmt.Errorf("writing what was changed: %w", err)
		}
		return onlyError(fmt.Fprintf(s.g.out, "%s\n", text))
	}
	return onlyError(fmt.Fprintf(s.g.out, "%s: %s\n", visible(of+steeredPart(c)), visible(changed(c, done))))
}

// steeredPart names what of a pipeline or a process a command is for; a key is not shown.
func steeredPart(c admin.Command) string {
	if c.Record != nil {
		return " " + c.Record.String()
	}
	if of := c.Lane + c.Step + c.Rate; of != "" { // a command has one of them at most
		return " " + of
	}
	return ""
}

// changed says in words what a command has done.
func changed(c admin.Command, done admin.Done) string {
	text := "done"
	switch {
	case done.Is != "" && done.Was == done.Is:
		text = "it was " + done.Is + " already"
	case done.Is != "" && done.Was != "":
		text = done.Is + " (it was " + done.Was + ")"
	case done.Is != "":
		text = done.Is
	}
	if c.For > 0 {
		text += fmt.Sprintf(" for %v", c.For)
	}
	return text
}

// commandError gives what a process answers its exit code: 2 where the command is wrong, 3 without the right to it, 1 where it is refused or has
// failed.
func commandError(e *admin.AnswerError) error {
	switch e.Status {
	case 401:
		return &exitError{exitEnvironment, fmt.Errorf("%w; --token-file gives one", e)}
	case 403:
		return &exitError{exitEnvironment, e}
	case 400, 404, 405, 413, 415:
		return usagef("%w", e)
	}
	return &exitError{exitFailed, e}
}

// whoAsks is what is said of who asks: user@machine.
func whoAsks() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' { // it goes into a header
			return '?'
		}
		return r
	}, name)
}
