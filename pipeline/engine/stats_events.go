package engine

import (
	"fmt"
	"math"
	"reflect"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/penstockio/penstock/pipeline/event"
)

// The events of an interval, made from two snapshots and the tables of figures.

// eventKeys are the fields of the stats events by their keys.
var eventKeys = func() map[reflect.Type]map[string]int {
	all := map[reflect.Type]map[string]int{}
	for _, e := range []any{event.PipelineStats{}, event.StepStats{}, event.SinkStats{}, event.SourcePartitionStats{}} {
		t := reflect.TypeOf(e)
		all[t] = map[string]int{}
		for i := range t.NumField() {
			all[t][t.Field(i).Tag.Get("json")] = i
		}
	}
	return all
}()

// eventOf makes the event E of the snapshots at the end and at the beginning of an interval.
func eventOf[E, S any](figures []Figure[S], now, was *S, interval time.Duration) (e E) {
	v := reflect.ValueOf(&e).Elem()
	keys := eventKeys[v.Type()]
	set := func(key string, value any) {
		i, ok := keys[key]
		if !ok {
			panic(fmt.Sprintf("engine: %T has no key %s", e, key))
		}
		_, canBeUnknown := v.Type().Field(i).Tag.Lookup("unknown")
		setField(v.Field(i), canBeUnknown, value)
	}
	for i := range figures {
		f := &figures[i]
		switch {
		case f.over != nil:
			set(f.Event, f.over(now, was, interval))
		case f.Event != "":
			set(f.Event, f.Value(now))
		}
		if f.During != "" {
			v := f.Value(now)
			if n, ok := v.(int64); ok {
				before, _ := f.Value(was).(int64)
				v = n - before
			}
			set(f.During, v)
		}
	}
	return e
}

// setField sets a field of an event to a figure. nil becomes the value that the event leaves
// out: -1 where the field's tag says so (unknown), NaN in a float, and else the zero value.
func setField(field reflect.Value, canBeUnknown bool, value any) {
	switch x := value.(type) {
	case nil:
		switch {
		case canBeUnknown:
			field.SetInt(-1)
		case field.Kind() == reflect.Float64:
			field.SetFloat(math.NaN())
		}
	case int64:
		field.SetInt(x)
	case float64:
		if field.Kind() == reflect.Int64 { // a percentile of sizes
			field.SetInt(int64(x))
		} else {
			field.SetFloat(x)
		}
	case string:
		field.SetString(x)
	case bool:
		field.SetBool(x)
	default:
		panic(fmt.Sprintf("engine: a figure is a %T", value))
	}
}

func (s *stats) pipelineStats(now, was Snapshot, interval time.Duration) event.PipelineStats {
	e := eventOf[event.PipelineStats](PipelineFigures, &now, &was, interval)
	// These are known from the settings and the process, and are no figures of the pipeline.
	e.ConfigHash, e.Goroutines, e.HeapBytes = s.p.plan().hash, int64(runtime.NumGoroutine()), heapBytes()
	return e
}

func heapBytes() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(sample[0].Value.Uint64())
}

func stepStats(now, was StepSnapshot, interval time.Duration) event.StepStats {
	return eventOf[event.StepStats](StepFigures, &now, &was, interval)
}

func sinkStats(now, was SinkSnapshot, interval time.Duration) event.SinkStats {
	return eventOf[event.SinkStats](SinkFigures, &now, &was, interval)
}

func partitionStats(now PartitionSnapshot) event.SourcePartitionStats {
	return eventOf[event.SourcePartitionStats](PartitionFigures, &now, nil, 0)
}

// partitions emits the state of each partition that the source reads.
func (s *stats) partitions() {
	now := time.Now()
	for _, r := range s.p.sourceFigures().Partitions {
		s.p.events.Emit(partitionStats(PartitionSnapshot{r, now}), "")
	}
}
