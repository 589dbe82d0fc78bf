package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/deadletter"
)

// listFlags are the flags of dead-letter ls.
type listFlags struct {
	letterFlags
	by      string
	asJSON  bool
	waiting bool
}

// letterGroups are what --by takes.
var letterGroups = []string{"reason", "step", "hour"}

func newDeadLetterList(g *globals) *cobra.Command {
	f := &listFlags{}
	cmd := &cobra.Command{
		Use:   "ls FILE",
		Short: "List dead letters, or count them",
		Long: `List the dead letters of the pipeline of FILE, one a line, the oldest first: where the letter stands, when it was rejected, by which step or
sink, why, how often it was tried, whether it was replayed (? when lines were taken out of the file since, so that it is not known), where the
record was read, and the error. Values are shown by dead-letter show alone. With --by they are counted. Letters of other pipelines in the same
place are left out.`,
		Example: `  penstock dead-letter ls late-flights.yaml --by reason
  penstock dead-letter ls late-flights.yaml --step weather --since 2h --where 'origin == "FRA"'`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			return listLetters(ctx, g, f, args[0])
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.by, "by", "", "count by reason, step or hour, in place of listing")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "one JSON object a letter or count and line")
	cmd.Flags().BoolVar(&f.waiting, "waiting", false, "only letters that no replay has sent back")
	return cmd
}

// A listedLetter is one letter, as --json prints it.
type listedLetter struct {
	Letter    string   `json:"letter"` // where it stands
	Time      string   `json:"time,omitempty"`
	Step      string   `json:"step"`
	Reason    string   `json:"reason"`
	Attempts  int      `json:"attempts"`
	Replays   int      `json:"replays"`
	Replayed  *bool    `json:"replayed,omitempty"` // missing: it is not known
	Topic     string   `json:"topic"`
	Partition int32    `json:"partition"`
	Offset    int64    `json:"offset"`
	Redacted  []string `json:"redacted,omitempty"`
	Error     string   `json:"error,omitempty"`
}

func listedOf(l *deadletter.Letter, replayed *bool) listedLetter {
	at := l.Record.Position
	return listedLetter{
		Letter: l.At.String(), Time: letterTime(l), Step: l.Step, Reason: l.Reason, Attempts: l.Attempts, Replays: l.Replays,
		Replayed: replayed, Topic: at.Topic, Partition: at.Partition, Offset: at.Offset, Redacted: l.Redacted, Error: l.Error,
	}
}

// letterTime is when a letter was written, "" when it does not say.
func letterTime(l *deadletter.Letter) string {
	if l.Time.IsZero() {
		return ""
	}
	return l.Time.UTC().Format("2006-01-02T15:04:05.000Z")
}

// A letterGroup is a count of --by.
type letterGroup struct {
	By    string `json:"by"`
	Value string `json:"value"`
	Count int64  `json:"letters"`
	First string `json:"first,omitempty"`
	Last  string `json:"last,omitempty"`
}

func listLetters(ctx context.Context, g *globals, f *listFlags, file string) error {
	if f.by != "" && !slices.Contains(letterGroups, f.by) {
		return usagef("--by %s: it is reason, step or hour", f.by)
	}
	box, filter, done, err := openChosen(ctx, g, &f.letterFlags, file)
	if err != nil {
		return err
	}
	defer box.log.Close()
	if f.waiting && box.unsure != nil {
		return box.unsure
	}
	p := &letterPrinter{w: g.out, flags: f, groups: map[string]*letterGroup{}}
	limit := f.limit
	if f.waiting {
		limit = 0 // of those that wait
	}
	n, err := box.each(ctx, filter, limit, func(l *deadletter.Letter) error { return p.add(l, box.state(l, done)) })
	if err != nil {
		return err
	}
	if err := p.end(); err != nil {
		return err
	}
	box.report(g, n)
	return nil
}

// A letterPrinter prints letters, or counts them.
type letterPrinter struct {
	w      io.Writer
	flags  *listFlags
	table  *tabwriter.Writer
	lines  int64
	groups map[string]*letterGroup
}

// tableBlock is how many lines of a table are laid out together: all would have to be held until
// the last is read.
const tableBlock = 500

func (p *letterPrinter) add(l *deadletter.Letter, replayed *bool) error {
	if p.flags.waiting && *replayed {
		return nil
	}
	if p.flags.limit > 0 && p.lines == p.flags.limit {
		return errEnough
	}
	p.lines++
	switch {
	case p.flags.by != "":
		p.count(l)
		return nil
	case p.flags.asJSON:
		return writeJSONLine(p.w, listedOf(l, replayed))
	}
	if p.table == nil {
		p.table = tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(p.table, "LETTER\tREJECTED\tSTEP\tREASON\tATTEMPTS\tREPLAYED\tRECORD\tERROR")
	}
	state := "?"
	switch {
	case replayed == nil:
	case *replayed:
		state = "yes"
	default:
		state = "-"
	}
	fmt.Fprintf(p.table, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", inACell(l.At.String()), letterTime(l), inACell(l.Step), inACell(l.Reason), l.Attempts, state,
		inACell(l.Record.Position.String()), inACell(l.Error))
	if p.lines%tableBlock == 0 {
		return p.table.Flush()
	}
	return nil
}

func (p *letterPrinter) count(l *deadletter.Letter) {
	value := l.Reason
	switch p.flags.by {
	case "step":
		value = l.Step
	case "hour":
		value = "unknown"
		if !l.Time.IsZero() {
			value = l.Time.UTC().Truncate(time.Hour).Format("2006-01-02T15:04Z")
		}
	}
	c := p.groups[value]
	if c == nil {
		c = &letterGroup{By: p.flags.by, Value: value}
		p.groups[value] = c
	}
	c.Count++
	if at := letterTime(l); at != "" {
		if c.First == "" || at < c.First {
			c.First = at
		}
		c.Last = max(c.Last, at)
	}
}

func (p *letterPrinter) end() error {
	if p.flags.by == "" {
		if p.table == nil {
			return nil
		}
		return p.table.Flush()
	}
	all := make([]*letterGroup, 0, len(p.groups))
	for _, c := range p.groups {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *letterGroup) int {
		if p.flags.by == "hour" {
			return cmp.Compare(a.Value, b.Value)
		}
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
	})
	if p.flags.asJSON {
		for _, c := range all {
			if err := writeJSONLine(p.w, c); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "LETTERS\t%s\tFIRST\tLAST\n", map[string]string{"reason": "REASON", "step": "STEP", "hour": "HOUR"}[p.flags.by])
	for _, c := range all {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\n", c.Count, inACell(c.Value), c.First, c.Last)
	}
	return t.Flush()
}
