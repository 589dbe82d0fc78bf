package admin

import (
	"net/http"

	"github.com/penstockio/penstock/pipeline/engine"
)

// The answers that show one side of the snapshots: the same figures under the same names as in
// the events.

// ofPipelines is what an answer says of each pipeline.
type ofPipelines[T any] struct {
	Pipelines []T `json:"pipelines"`
}

func eachPipeline[T any](all []engine.Snapshot, of func(*engine.Snapshot) T) ofPipelines[T] {
	out := ofPipelines[T]{make([]T, 0, len(all))}
	for i := range all {
		out.Pipelines = append(out.Pipelines, of(&all[i]))
	}
	return out
}

// figures makes the handler of a path that answers with a view of the snapshots: of all, or of the pipeline that the request names.
func (s *Server) figures(view func([]engine.Snapshot) any) http.Handler {
	return shows(func(r *http.Request) (any, error) {
		only, err := parameters(r, "pipeline")
		if err != nil {
			return nil, err
		}
		all := s.options.Snapshots()
		shown := make([]engine.Snapshot, 0, len(all))
		var names []string
		for i := range all {
			names = append(names, all[i].Pipeline)
			if name, one := only["pipeline"]; !one || name == all[i].Pipeline {
				shown = append(shown, all[i])
			}
		}
		if err := unknownPipeline(only, names); err != nil {
			return nil, err
		}
		return view(shown), nil
	})
}

// partitionsJSON is a pipeline in the answer of /api/v1/partitions.
type partitionsJSON struct {
	Pipeline   string    `json:"pipeline"`
	Connected  bool      `json:"connected"`
	Generation int64     `json:"generation,omitempty"`
	Partitions []*object `json:"partitions"`
}

func partitionsOf(all []engine.Snapshot) any {
	return eachPipeline(all, func(s *engine.Snapshot) partitionsJSON {
		return partitionsJSON{s.Pipeline, s.Source.Connected, s.Source.Generation, partitionObjects(s)}
	})
}

func partitionObjects(s *engine.Snapshot) []*object {
	all := make([]*object, 0, len(s.Source.Partitions))
	for _, r := range s.Source.Partitions {
		all = append(all, objectOf(engine.PartitionFigures, &engine.PartitionSnapshot{PartitionReport: r, At: s.At}))
	}
	return all
}

// errorsJSON is a pipeline in the answer of /api/v1/errors.
type errorsJSON struct {
	Pipeline string      `json:"pipeline"`
	Errors   []errorJSON `json:"errors"`
}

// An errorJSON is the errors of one type of a step or sink, as error.stats has them.
type errorJSON struct {
	Step            string `json:"step"`
	ErrorType       string `json:"error_type"`
	CountTotal      int64  `json:"count_total"`
	SampleMessage   string `json:"sample_message"`
	SampleTopic     string `json:"sample_topic"`
	SamplePartition int32  `json:"sample_partition"`
	SampleOffset    int64  `json:"sample_offset"`
	SampleTime      string `json:"sample_time"`
}

func errorsOf(all []engine.Snapshot) any {
	return eachPipeline(all, func(s *engine.Snapshot) errorsJSON {
		out := errorsJSON{Pipeline: s.Pipeline, Errors: []errorJSON{}}
		add := func(name string, errs []engine.ErrorCount) {
			for _, e := range errs {
				out.Errors = append(out.Errors, errorJSON{
					Step: name, ErrorType: e.Type, CountTotal: e.Total, SampleMessage: e.Message, SampleTopic: e.Position.Topic,
					SamplePartition: e.Position.Partition, SampleOffset: e.Position.Offset, SampleTime: stamp(e.At),
				})
			}
		}
		for _, st := range s.Steps {
			add(st.Name, st.ErrorsByType)
		}
		for _, si := range s.Sinks {
			add(si.Name, si.ErrorsByType)
		}
		if s.DeadLetter != nil {
			add(s.DeadLetter.Name, s.DeadLetter.ErrorsByType)
		}
		return out
	})
}

// config answers /api/v1/config.
func (s *Server) config() http.Handler {
	if s.options.Files == nil {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		files, err := s.options.Files()
		if err != nil {
			refuse(w, http.StatusInternalServerError, err.Error())
			return
		}
		answer(w, http.StatusOK, ofPipelines[File]{files})
	})
}

// version gives what /version answers.
func (o *Options) version() Version {
	v := o.Version
	if o.Hash != nil {
		v.ConfigHash = o.Hash()
	}
	return v
}
