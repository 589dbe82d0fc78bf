package admin

import (
	"cmp"
	"fmt"
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
	Holds        []Hold `json:"holds"`
}

// A Hold is an engine.Hold, as the answer has it. What is not known is left out.
type Hold struct {
	Lane         string `json:"lane"` // topic/partition, or a file
	Topic        string `json:"topic"`
	Partition    int32  `json:"partition"`
	Offset       int64  `json:"offset"`              // of the record that holds the mark
	WaitsFor     string `json:"waits_for,omitempty"` // the record that it waits for, as topic/partition@offset; what follows is that one's
	Where        string `json:"where"`               // the step or sink; commit: it is done
	Kind         string `json:"kind,omitempty"`
	Host         string `json:"host,omitempty"`
	State        string `json:"state"`
	Cause        string `json:"cause"`
	For          string `json:"for,omitempty"`
	SinceMs      int64  `json:"since_ms"`
	Attempt      int    `json:"attempt"`            // begun, the one under way included
	Attempts     int    `json:"attempts,omitempty"` // the most; 0: without end
	ErrorType    string `json:"error_type,omitempty"`
	ErrorMessage string `json:"error_message,omitempty"`
	AgeMs        int64  `json:"age_ms"` // since the record was made
	Behind       int64  `json:"behind"` // records that its mark cannot pass either
	Says         string `json:"says"`   // all of it in a line, for people; its wording may change
}

func holdOf(h engine.Hold) Hold {
	out := Hold{
		Lane: h.Lane, Topic: h.Topic, Partition: h.Partition, Offset: h.Offset, Where: h.Where, Kind: h.Kind, Host: h.Host,
		State: h.State, Cause: string(h.Cause), For: h.For, SinceMs: h.Since.Milliseconds(), Attempt: h.Attempt, Attempts: h.Attempts,
		ErrorType: h.ErrorType, ErrorMessage: h.ErrorMessage, AgeMs: h.Age.Milliseconds(), Behind: h.Behind, Says: h.String(),
	}
	if h.Root != h.Position {
		out.WaitsFor = h.Root.String()
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

// An inFlightJSON is a pipeline in the answer of /api/v1/inflight.
type inFlightJSON struct {
	Pipeline string           `json:"pipeline"`
	InFlight int              `json:"inflight"` // all of them
	Records  []recordInFlight `json:"records"`  // those that were asked for, oldest first
	LeftOff  int              `json:"left_off,omitempty"`
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

// inFlightMost is how many records of a pipeline an answer has when the request does not say.
const inFlightMost = 1000

// inFlight answers /api/v1/inflight.
func (s *Server) inFlight() http.Handler {
	if s.options.InFlight == nil {
		return nil
	}
	return shows(func(r *http.Request) (any, error) {
		asked, err := parameters(r, "pipeline", "older_than", "limit")
		if err != nil {
			return nil, err
		}
		older, err := time.ParseDuration(cmp.Or(asked["older_than"], "0"))
		if err != nil || older < 0 {
			return nil, fmt.Errorf("older_than is a time like 30s, not %q", asked["older_than"])
		}
		most, err := strconv.Atoi(cmp.Or(asked["limit"], strconv.Itoa(inFlightMost)))
		if err != nil || most < 1 {
			return nil, fmt.Errorf("limit is a number from 1 on, not %q", asked["limit"])
		}
		out := []inFlightJSON{}
		var names []string
		for _, p := range s.options.InFlight() {
			names = append(names, p.Pipeline)
			if name, one := asked["pipeline"]; !one || name == p.Pipeline {
				out = append(out, inFlightOf(p, older, most))
			}
		}
		return struct {
			Pipelines []inFlightJSON `json:"pipelines"`
		}{out}, unknownPipeline(asked, names)
	})
}

func inFlightOf(p PipelineInFlight, older time.Duration, most int) inFlightJSON {
	out := inFlightJSON{Pipeline: p.Pipeline, InFlight: len(p.Records), Records: []recordInFlight{}}
	records := slices.DeleteFunc(p.Records, func(r engine.InFlight) bool { return r.Age < older })
	slices.SortFunc(records, func(a, b engine.InFlight) int {
		return cmp.Or(cmp.Compare(b.Age, a.Age), cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.Offset, b.Offset))
	})
	if len(records) > most {
		records, out.LeftOff = records[:most], len(records)-most
	}
	for _, r := range records {
		out.Records = append(out.Records, recordInFlight{
			Lane: r.Lane, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Where: r.Where, State: r.State,
			For: r.For, HeldMs: r.Held.Milliseconds(), Attempt: r.Attempt, AgeMs: r.Age.Milliseconds(),
		})
	}
	return out
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
