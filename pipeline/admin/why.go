package admin

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline/engine"
)

// PipelineHolds are what keeps the marks of a pipeline where they are.
type PipelineHolds struct {
	Pipeline     string
	State        string // as in a Snapshot
	Err          error  // with which the pipeline has ended; nil: it has not, or well
	Disconnected bool   // its source is not connected
	Away         string // why, as in a pipeline.Report; "": not known
	AwaySince    time.Time
	Holds        []engine.Hold
}

// PipelineInFlight are the records of a pipeline without an outcome.
type PipelineInFlight struct {
	Pipeline string
	Records  []engine.InFlight
}

// A Why is the answer of /api/v1/why.
type Why struct {
	Pipelines []PipelineWhy `json:"pipelines"`
}

// A PipelineWhy says for each lane of a pipeline with records that are not committed what keeps its mark from
// moving, those whose records have been there longest first.
type PipelineWhy struct {
	Pipeline     string `json:"pipeline"`
	State        string `json:"state"`
	Error        string `json:"error,omitempty"`        // with which it has ended
	Disconnected bool   `json:"disconnected,omitempty"` // nothing is read: the source is not connected
	Away         string `json:"away,omitempty"`         // what does not answer, and its error
	AwaySince    string `json:"away_since,omitempty"`   // RFC 3339, milliseconds, UTC
	Holds        []Hold `json:"holds"`
}

// A Hold is an engine.Hold, as the answer has it. What is not known is left out.
//
// Reason for its size: what is known of a record has a key each.
type Hold struct {
	Lane         string `json:"lane"` // topic/partition, or a file
	Topic        string `json:"topic"`
	Partition    int32  `json:"partition"`
	Offset       int64  `json:"offset"`               // of the record that holds the mark
	WaitsFor     string `json:"waits_for,omitempty"`  // the record that it waits for, as topic/partition@offset; what follows is that one's
	EqualCall    bool   `json:"equal_call,omitempty"` // it waits for that one because their calls are equal
	Where        string `json:"where"`                // the step or sink; commit: it is done
	Kind         string `json:"kind,omitempty"`
	Host         string `json:"host,omitempty"`
	State        string `json:"state"`
	Cause        string `json:"cause"`
	For          string `json:"for,omitempty"`
	SinceMs      int64  `json:"since_ms"`           // where batch is there, the least that it is
	Until        string `json:"until,omitempty"`    // when a limit lets it ask again, or a write that failed is tried again; RFC 3339, UTC
	Batch        int    `json:"batch,omitempty"`    // how many records a worker took at once, where it is not known since when it has this one
	BatchMs      int64  `json:"batch_ms,omitempty"` // and how long ago
	Attempt      int    `json:"attempt"`            // begun, the one under way included
	Attempts     int    `json:"attempts,omitempty"` // the most; 0: without end
	ErrorType    string `json:"error_type,omitempty"`
	ErrorMessage string `json:"error_message,omitempty"`
	AgeMs        int64  `json:"age_ms"`                // since the record was made
	Behind       int64  `json:"behind"`                // records that its mark cannot pass either
	BehindUnit   string `json:"behind_unit,omitempty"` // bytes: behind counts them, from offset on; of files that are followed, where else it counts offsets
	Says         string `json:"says"`                  // all of it in a line, for people; its wording may change
}

func holdOf(h engine.Hold) Hold {
	out := Hold{
		Lane: h.Lane, Topic: h.Topic, Partition: h.Partition, Offset: h.Offset, Where: h.Where, Kind: h.Kind, Host: h.Host,
		State: h.State, Cause: string(h.Cause), For: h.For, SinceMs: h.Since.Milliseconds(), Attempt: h.Attempt, Attempts: h.Attempts,
		ErrorType: h.ErrorType, ErrorMessage: h.ErrorMessage, AgeMs: h.Age.Milliseconds(), Behind: h.Behind, Says: h.String(),
	}
	out.EqualCall, out.Batch, out.BatchMs = h.Joins, h.Batch, h.BatchSince.Milliseconds()
	if h.Root != h.Position {
		out.WaitsFor = h.Root.String()
	}
	if h.InBytes {
		out.BehindUnit = "bytes"
	}
	if !h.Until.IsZero() {
		out.Until = h.Until.UTC().Format(time.RFC3339)
	}
	return out
}

// why answers /api/v1/why.
func (s *Server) why() http.Handler {
	if s.options.Holds == nil {
		return nil
	}
	return shows(func(r *http.Request) (any, error) {
		only, err := parameters(r, "pipeline")
		if err != nil {
			return nil, err
		}
		out := Why{Pipelines: []PipelineWhy{}}
		var names []string
		for _, p := range s.options.Holds() {
			names = append(names, p.Pipeline)
			if name, one := only["pipeline"]; one && name != p.Pipeline {
				continue
			}
			one := PipelineWhy{Pipeline: p.Pipeline, State: p.State, Disconnected: p.Disconnected, Holds: []Hold{}}
			if p.Disconnected {
				one.Away, one.AwaySince = p.Away, stamp(p.AwaySince)
			}
			if p.Err != nil {
				one.Error = p.Err.Error()
			}
			for _, h := range p.Holds {
				one.Holds = append(one.Holds, holdOf(h))
			}
			out.Pipelines = append(out.Pipelines, one)
		}
		return out, unknownPipeline(only, names)
	})
}

type recordInFlight struct {
	Lane      string `json:"lane"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Where     string `json:"where"`
	State     string `json:"state"`
	For       string `json:"for,omitempty"`
	HeldMs    int64  `json:"held_ms,omitempty"`
	Attempt   int    `json:"attempt"`
	AgeMs     int64  `json:"age_ms"`
}

const (
	inFlightUsual = 1000   // records of a pipeline in an answer when the request does not say
	inFlightMost  = 10_000 // that a request may ask for
)

// inFlight answers /api/v1/inflight, one request at a time: each has a list of everything in flight, and may
// be read slowly.
func (s *Server) inFlight() http.Handler {
	if s.options.InFlight == nil {
		return nil
	}
	turn := make(chan struct{}, 1)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, older, most, err := inFlightAsked(r)
		if err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		default:
			busy(w, "another such request is being answered")
			return
		}
		all := s.options.InFlight()
		var names []string
		for _, p := range all {
			names = append(names, p.Pipeline)
		}
		if err := unknownPipeline(asked, names); err != nil {
			refuse(w, http.StatusNotFound, err.Error())
			return
		}
		begin(w, http.StatusOK)
		writeInFlight(w, all, asked["pipeline"], older, most)
	})
}

// inFlightAsked reads the parameters of a request for what is in flight.
func inFlightAsked(r *http.Request) (asked map[string]string, older time.Duration, most int, err error) {
	asked, err = parameters(r, "pipeline", "older_than", "limit")
	if err != nil {
		return nil, 0, 0, err
	}
	older, err = time.ParseDuration(cmp.Or(asked["older_than"], "0"))
	if err != nil || older < 0 {
		return nil, 0, 0, fmt.Errorf("older_than is a time like 30s, not %q", asked["older_than"])
	}
	most, err = strconv.Atoi(cmp.Or(asked["limit"], strconv.Itoa(inFlightUsual)))
	if err != nil || most < 1 || most > inFlightMost {
		return nil, 0, 0, fmt.Errorf("limit is a number from 1 to %d, not %q", inFlightMost, asked["limit"])
	}
	return asked, older, most, nil
}

// writeInFlight writes the answer record by record, so that it is never in memory as a whole: a list of
// pipelines, each with the number of all its records in flight, those that were asked for, oldest first, and how many
// were left off. It ends early when the caller has gone.
func writeInFlight(w io.Writer, all []PipelineInFlight, only string, older time.Duration, most int) {
	out := bufio.NewWriter(w)
	between := ""
	_, _ = out.WriteString(`{"pipelines":[`)
	for _, p := range all {
		if only != "" && only != p.Pipeline {
			continue
		}
		name, _ := json.Marshal(p.Pipeline) // a text always has a form
		_, _ = fmt.Fprintf(out, `%s{"pipeline":%s,"inflight":%d,"records":[`, between, name, len(p.Records))
		between = ","
		records := slices.DeleteFunc(p.Records, func(r engine.InFlight) bool { return r.Age < older })
		slices.SortStableFunc(records, engine.OldestFirst)
		for i, r := range records[:min(most, len(records))] {
			if i > 0 {
				_ = out.WriteByte(',')
			}
			text, _ := json.Marshal(recordInFlight{
				Lane: r.Lane, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Where: r.Where, State: r.State,
				For: r.For, HeldMs: r.Held.Milliseconds(), Attempt: r.Attempt, AgeMs: r.Age.Milliseconds(),
			})
			if _, err := out.Write(text); err != nil {
				return
			}
		}
		_ = out.WriteByte(']')
		if left := len(records) - most; left > 0 {
			_, _ = fmt.Fprintf(out, `,"left_off":%d`, left)
		}
		_ = out.WriteByte('}')
	}
	_, _ = out.WriteString("]}\n")
	_ = out.Flush()
}

// A notFoundError is of a request for something that is not there.
type notFoundError struct{ error }

// unknownPipeline is the error of a request for a pipeline that the process does not run, whatever names it has. An empty list
// would say that nothing waits.
func unknownPipeline(asked map[string]string, names []string) error {
	name, one := asked["pipeline"]
	if !one || slices.Contains(names, name) {
		return nil
	}
	return notFoundError{fmt.Errorf("there is no pipeline %q here: there is %s", name, strings.Join(names, ", "))}
}

// parameters reads those of a request, each at most once. One that is not known is an error: a request that misspells
// it would be answered with everything.
func parameters(r *http.Request, known ...string) (map[string]string, error) {
	got := map[string]string{}
	for name, values := range r.URL.Query() {
		switch {
		case !slices.Contains(known, name):
			return nil, fmt.Errorf("there is no parameter %q here: there is %s", name, strings.Join(known, ", "))
		case len(values) > 1:
			return nil, fmt.Errorf("the parameter %s comes twice", name)
		}
		got[name] = values[0]
	}
	return got, nil
}
