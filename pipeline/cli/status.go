package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/admin"
)

func newStatus(g *globals) *cobra.Command {
	var (
		where         endpointFlags
		asJSON, watch bool
		every         time.Duration
	)
	cmd := &cobra.Command{
		Use:   "status [FILE|DIR...]",
		Short: "Show how the pipelines of a running process do",
		Long: `Show for each pipeline of a running process its state, how many records it has read, passed on, filtered and rejected since
its start, how many it reads in a second, what is in flight, how far behind it is, and which step or sink holds it up. The rate is the
average since the start, and with --watch that since the last look. Beneath stands what is wrong: the error with which a pipeline has ended,
a source that is not connected, and each step or sink that makes no progress, with its oldest record and the last error.
The process is asked over its admin endpoint: that of the file, or of --addr; without either ` + defaultEndpoint + `.`,
		Example: `  penstock status late-flights.yaml
  penstock status --addr unix:/run/penstock/admin.sock --json`,
		Args: takes(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if every <= 0 {
				return usagef("--every %v: it is a time like 2s", every)
			}
			e, err := where.open(g, args)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			v := &statusView{endpoint: e, w: g.out}
			show := v.show
			if asJSON {
				show = v.showJSON
			}
			return repeated(ctx, g.out, watch, !asJSON, every, show)
		},
	}
	where.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer of /api/v1/stats as it comes, in one line")
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again and again until interrupted")
	cmd.Flags().DurationVar(&every, "every", 2*time.Second, "interval of --watch")
	return cmd
}

// repeated calls show once, or with watch again and again until ctx ends, with an empty line between two when they are apart.
func repeated(ctx context.Context, w io.Writer, watch, apart bool, every time.Duration, show func(context.Context) error) error {
	for {
		err := show(ctx)
		switch {
		case watch && ctx.Err() != nil:
			return nil
		case err != nil || !watch:
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
		if apart {
			fmt.Fprintln(w)
		}
	}
}

// A statusAnswer is what status reads of /api/v1/stats.
type statusAnswer struct {
	Pipelines []pipelineStatus `json:"pipelines"`
	Log       struct {
		Dropped int64 `json:"dropped_total"`
	} `json:"log"`
}

type pipelineStatus struct {
	Pipeline     string    `json:"pipeline"`
	State        string    `json:"state"`
	Error        string    `json:"error"`
	Started      time.Time `json:"started"`
	Timestamp    time.Time `json:"timestamp"`
	In           int64     `json:"records_in_total"`
	Out          int64     `json:"records_out_total"`
	Filtered     int64     `json:"filtered_total"`
	Rejected     int64     `json:"rejected_total"`
	InFlight     int64     `json:"inflight"`
	Backpressure string    `json:"backpressure"`
	Bottleneck   string    `json:"bottleneck_step"`
	Stalled      []struct {
		Says string `json:"says"`
	} `json:"stalled"`
	Source struct {
		Lag       *int64 `json:"lag_sum"`  // nil: not known, or the source has none
		LagUnit   string `json:"lag_unit"` // "": records
		Away      string `json:"away"`     // what does not answer; "": it is connected, or not known
		AwaySince string `json:"away_since"`
	} `json:"source"`
}

// A statusView prints what a process says of itself, and remembers it for the next time.
type statusView struct {
	*endpoint
	w      io.Writer
	before map[string]pipelineStatus
}

func (v *statusView) showJSON(ctx context.Context) error {
	var all json.RawMessage
	if err := v.ofPipelines(ctx, "/api/v1/stats", &all); err != nil {
		return err
	}
	return onlyError(fmt.Fprintf(v.w, "%s\n", all))
}

// show prints a table, and beneath it what is wrong.
func (v *statusView) show(ctx context.Context) error {
	var all statusAnswer
	if err := v.ofPipelines(ctx, "/api/v1/stats", &all); err != nil {
		return err
	}
	err := v.printTable(all.Pipelines)
	for i := range all.Pipelines {
		p := &all.Pipelines[i]
		for _, wrong := range p.wrong() {
			err = errors.Join(err, onlyError(fmt.Fprintf(v.w, "%s: %s\n", visible(p.Pipeline), onLines(wrong))))
		}
	}
	for _, probe := range []struct{ path, not string }{{"/livez", "not live"}, {"/readyz", "not ready"}} {
		why, probed := v.probe(ctx, probe.path)
		if err = errors.Join(err, probed); why != "" {
			err = errors.Join(err, onlyError(fmt.Fprintf(v.w, "%s: %s\n", probe.not, onLines(why))))
		}
	}
	if n := all.Log.Dropped; n > 0 {
		err = errors.Join(err, onlyError(fmt.Fprintf(v.w, "%s of the log dropped, since nobody took them\n", counted(int(n), "line"))))
	}
	return err
}

func (v *statusView) printTable(all []pipelineStatus) error {
	now := map[string]pipelineStatus{}
	t := tabwriter.NewWriter(v.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "PIPELINE\tSTATE\tUP\tIN\tPER SECOND\tOUT\tFILTERED\tREJECTED\tIN FLIGHT\tLAG\tBOTTLENECK\t")
	for _, p := range all {
		now[p.Pipeline] = p
		lag := "-"
		if p.Source.Lag != nil {
			lag = inACell(strings.TrimSpace(fmt.Sprint(*p.Source.Lag, " ", p.Source.LagUnit)))
		}
		up, rate := p.pace(v.before[p.Pipeline])
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t\n",
			inACell(p.Pipeline), inACell(p.State), up, p.In, rate, p.Out, p.Filtered, p.Rejected, p.InFlight, lag, inACell(p.bottleneck()))
	}
	v.before = now
	return t.Flush()
}

// pace gives how long the pipeline has run, and how many records it has read in a second since before,
// or since its start when before is none of this run.
func (p *pipelineStatus) pace(before pipelineStatus) (up, rate string) {
	if p.Started.IsZero() {
		return "-", "-"
	}
	from, in := p.Started, p.In
	if before.Started.Equal(p.Started) {
		from, in = before.Timestamp, p.In-before.In
	}
	rate = "-"
	if d := p.Timestamp.Sub(from); d > 0 {
		rate = fmt.Sprintf("%.1f", float64(in)/d.Seconds())
	}
	return max(p.Timestamp.Sub(p.Started), 0).Round(time.Second).String(), rate
}

// wrong says what is wrong with a pipeline: with which error it has ended; else what its source does not hear from, and
// which steps and sinks make no progress.
func (p *pipelineStatus) wrong() (lines []string) {
	if p.Error != "" {
		return []string{p.Error}
	}
	if p.State != "stopped" && p.Source.Away != "" {
		lines = append(lines, "the source is not connected"+whyAway(p.Source.Away, p.Source.AwaySince))
	}
	for _, s := range p.Stalled {
		lines = append(lines, "stalled: "+s.Says)
	}
	return lines
}

func (p *pipelineStatus) bottleneck() string {
	switch {
	case p.Bottleneck == "":
		return "-"
	case p.Backpressure == "high":
		return p.Bottleneck + " (high)"
	}
	return p.Bottleneck
}

// probe gives why a probe fails, "" when it does not.
func (e *endpoint) probe(ctx context.Context, path string) (why string, err error) {
	var said struct{ Reason string }
	err = e.get(ctx, path, &said)
	var answer *admin.AnswerError
	if errors.As(err, &answer) && answer.Status == 503 {
		return answer.Why, nil
	}
	return "", err
}
