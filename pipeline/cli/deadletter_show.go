package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/fixture"
)

func newDeadLetterShow(g *globals) *cobra.Command {
	var (
		f      letterFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "show FILE [POSITION]",
		Short: "Show dead letters whole: the record, why it was rejected, and its value as the step got it",
		Long: `Show dead letters of the pipeline of FILE whole, their values too: the record as it came, why it was rejected, and its value as the step got
it where the steps before had changed that. POSITION is the first column of dead-letter ls, or where the record was read, as
logs have it: topic/partition@offset; of a file the line alone will do. Without it the first letter that the flags choose is shown, or as many as --limit says.`,
		Example: `  penstock dead-letter show late-flights.yaml 15
  penstock dead-letter show late-flights.yaml flights/3@4711`,
		Args: takes(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			position := ""
			if len(args) > 1 {
				position = args[1]
			}
			return showLetters(ctx, g, &f, asJSON, args[0], position)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a letter and line, the record as a fixture")
	return cmd
}

// atPosition says whether a letter is meant by what was typed: its own place, or its record's.
func atPosition(l *deadletter.Letter, typed string) bool {
	return typed == "" || l.At.String() == typed || l.Record.Position.String() == typed ||
		strconv.FormatInt(l.At.Offset, 10) == typed
}

// checkPosition refuses what is no position.
func checkPosition(typed string) error {
	at := typed
	if i := strings.LastIndexByte(typed, '@'); i >= 0 {
		at = typed[i+1:]
	}
	if _, err := strconv.ParseInt(at, 10, 64); err != nil && typed != "" {
		return usagef("%s is no position: write topic/partition@offset, as in the first column of dead-letter ls, or the line of a file", typed)
	}
	return nil
}

func showLetters(ctx context.Context, g *globals, f *letterFlags, asJSON bool, file, position string) error {
	if err := checkPosition(position); err != nil {
		return err
	}
	box, filter, done, err := openChosen(ctx, g, f, file)
	if err != nil {
		return err
	}
	defer box.log.Close()
	limit := f.limit
	if limit == 0 && position == "" {
		limit = 1
	}
	shown := int64(0)
	n, err := box.each(ctx, filter, 0, func(l *deadletter.Letter) error {
		if !atPosition(l, position) {
			return nil
		}
		if limit > 0 && shown == limit {
			return errEnough
		}
		shown++
		if asJSON {
			return showJSON(g.out, l, box.state(l, done))
		}
		return showLetter(g.out, l, box.state(l, done), shown > 1)
	})
	if err != nil {
		return err
	}
	box.report(g, n)
	switch {
	case shown > 0:
		return nil
	case position != "":
		return &exitError{exitExpectation, fmt.Errorf("showing a dead letter: there is none at %s that the flags choose; penstock dead-letter ls lists them", position)}
	}
	return &exitError{exitExpectation, errors.New("showing a dead letter: there is none that the flags choose")}
}

// A shownLetter is a letter with all there is, as --json prints it.
type shownLetter struct {
	listedLetter
	Pipeline  string          `json:"pipeline"`
	Detail    string          `json:"detail,omitempty"`
	Failures  int             `json:"failures,omitempty"`
	Record    json.RawMessage `json:"record"`               // a fixture line
	StepValue json.RawMessage `json:"step_value,omitempty"` // a fixture line with the value as the step got it
}

func showJSON(w io.Writer, l *deadletter.Letter, replayed *bool) error {
	s := shownLetter{listedLetter: listedOf(l, replayed), Pipeline: l.Pipeline, Detail: l.Detail, Failures: l.Failures}
	s.Record = fixture.Append(nil, &l.Record, "")
	if l.Changed {
		changed := l.Record.Clone()
		changed.SetValue(l.StepValue)
		s.StepValue = fixture.Append(nil, changed, l.Step)
	}
	return writeJSONLine(w, s)
}

func showLetter(w io.Writer, l *deadletter.Letter, replayed *bool, another bool) error {
	var b strings.Builder
	if another {
		b.WriteByte('\n')
	}
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%-12s%s\n", name, visible(text))
		}
	}
	line("letter", l.At.String())
	line("pipeline", l.Pipeline)
	line("rejected", letterTime(l))
	line("by", l.Step)
	line("reason", l.Reason)
	line("error", l.Error)
	line("detail", l.Detail)
	tried := counted(l.Attempts, "attempt")
	if l.Replays > 0 {
		tried += ", replayed " + counted(l.Replays, "time") + " before"
	}
	switch {
	case replayed == nil:
		tried += "; whether this letter was sent back is not known"
	case *replayed:
		tried += "; this letter was sent back"
	}
	line("tried", tried)
	if l.Failures > 1 {
		line("parts", fmt.Sprintf("%d of its parts failed", l.Failures))
	}
	line("redacted", strings.Join(l.Redacted, ", "))
	line("record", l.Record.Position.String())
	if l.Record.Time != pipeline.NoTime {
		line("time", time.UnixMilli(l.Record.Time).UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	if key := l.Record.Key(); key != nil {
		line("key", printable(key))
	}
	for _, h := range l.Record.Headers() {
		line("header", h.Name+": "+printable(h.Value))
	}
	line("value", printable(l.Record.Value()))
	if l.Changed {
		line("at the step", printable(l.StepValue))
	}
	return onlyError(io.WriteString(w, b.String()))
}
