package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockio/penstock/pipeline/admin"
)

func newStatus(g *globals) *cobra.Command {
	var (
		where  endpointFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "status [FILE|DIR...]",
		Short: "Show how the pipelines of a running process do",
		Long: `Show for each pipeline of a running process its state, how many records it has read, passed on, filtered and rejected since
its start, how many it reads in a second on average, what is in flight, how far behind it is, and which step or sink holds it up.
The process is asked over its admin endpoint: that of the file, or of --addr; without either ` + defaultEndpoint + `.`,
		Example: `  penstock status late-flights.yaml
  penstock status --addr unix:/run/penstock/admin.sock --json`,
		Args: takes(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := where.open(g, args)
			if err != nil {
				return err
			}
			if asJSON {
				var all json.RawMessage
				if err := e.get(cmd.Context(), "/api/v1/stats", &all); err != nil {
					return err
				}
				return onlyError(fmt.Fprintf(g.out, "%s\n", all))
			}
			return e.showStatus(cmd.Context(), g.out)
		},
	}
	where.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer of /api/v1/stats as it comes")
	return cmd
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
	Source       struct {
		Lag *int64 `json:"lag_sum"` // nil: not known, or the source has none
	} `json:"source"`
}

// showStatus prints a table, and beneath it what is wrong.
func (e *endpoint) showStatus(ctx context.Context, w io.Writer) error {
	var all statusAnswer
	if err := e.get(ctx, "/api/v1/stats", &all); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "PIPELINE\tSTATE\tUP\tIN\tPER SECOND\tOUT\tFILTERED\tREJECTED\tIN FLIGHT\tLAG\tBOTTLENECK\t")
	for _, p := range all.Pipelines {
		lag := "-"
		if p.Source.Lag != nil {
			lag = fmt.Sprint(*p.Source.Lag)
		}
		up, rate := p.pace()
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t\n",
			p.Pipeline, p.State, up, p.In, rate, p.Out, p.Filtered, p.Rejected, p.InFlight, lag, p.bottleneck())
	}
	err := t.Flush()
	for _, p := range all.Pipelines {
		if p.Error != "" {
			err = errors.Join(err, onlyError(fmt.Fprintf(w, "%s: %s\n", p.Pipeline, p.Error)))
		}
	}
	for _, probe := range []struct{ path, not string }{{"/livez", "not live"}, {"/readyz", "not ready"}} {
		why, probed := e.probe(ctx, probe.path)
		if err = errors.Join(err, probed); why != "" {
			err = errors.Join(err, onlyError(fmt.Fprintf(w, "%s: %s\n", probe.not, why)))
		}
	}
	if n := all.Log.Dropped; n > 0 {
		err = errors.Join(err, onlyError(fmt.Fprintf(w, "%s of the log dropped, since nobody took them\n", counted(int(n), "line"))))
	}
	return err
}

// pace gives how long the pipeline has run, and how many records it has read in a second.
func (p *pipelineStatus) pace() (up, rate string) {
	if p.Started.IsZero() {
		return "-", "-"
	}
	d := p.Timestamp.Sub(p.Started)
	if d <= 0 {
		return "0s", "-"
	}
	return d.Round(time.Second).String(), fmt.Sprintf("%.1f", float64(p.In)/d.Seconds())
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
