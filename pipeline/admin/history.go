package admin

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/penstockio/penstock/pipeline/engine"
)

// The last hour is kept in memory, a point every ten seconds: what a person who has been called looks for first is
// when it began, and a process without a dashboard has nobody else who knows.

const (
	historyEvery  = 10 * time.Second
	historyPoints = 360
	mostParts     = 256 // steps and sinks whose figures are kept, each some 15 KiB; those beyond have none
)

// A figureSeries is one figure over time: its name, and how it is had of two snapshots. NaN: it is not known.
type figureSeries[S any] struct {
	name string
	of   func(now, was *S, seconds float64) float64
}

// perSecond makes a rate of a total. A part that has begun anew has counted from 0.
func perSecond[S any](name string, total func(*S) int64) figureSeries[S] {
	return figureSeries[S]{name, func(now, was *S, seconds float64) float64 {
		return max(0, float64(total(now)-total(was))/seconds)
	}}
}

func share[S any](name string, which func(*S) time.Duration, all func(*S) time.Duration) figureSeries[S] {
	return figureSeries[S]{name, func(now, was *S, _ float64) float64 {
		whole := float64(all(now) - all(was))
		if whole <= 0 {
			return math.NaN()
		}
		return min(1, max(0, float64(which(now)-which(was))/whole))
	}}
}

// percentile is of the last stats interval; without values it is not known.
func percentile[S any](name string, of func(*S) (engine.Latency, float64)) figureSeries[S] {
	return figureSeries[S]{name, func(now, _ *S, _ float64) float64 {
		if l, v := of(now); l.Count > 0 {
			return v
		}
		return math.NaN()
	}}
}

var pipelineSeries = []figureSeries[engine.Snapshot]{
	perSecond("rate_in", func(s *engine.Snapshot) int64 { return s.In }),
	perSecond("rate_out", func(s *engine.Snapshot) int64 { return s.Out }),
	perSecond("rate_rejected", func(s *engine.Snapshot) int64 { return s.Rejected }),
	perSecond("rate_errors", func(s *engine.Snapshot) int64 { return s.Errors }),
	{"inflight", func(s, _ *engine.Snapshot, _ float64) float64 { return float64(s.InFlight) }},
	{"lag", func(s, _ *engine.Snapshot, _ float64) float64 {
		if sum, _ := s.Source.Lag(); sum >= 0 {
			return float64(sum)
		}
		return math.NaN()
	}},
	{"lag_age_ms", func(s, _ *engine.Snapshot, _ float64) float64 {
		most := math.NaN()
		for _, p := range s.Source.Partitions {
			if age := p.LagAge(s.At); age >= 0 {
				most = math.Max(orZero(most), float64(age.Milliseconds()))
			}
		}
		return most
	}},
	percentile("e2e_p50_ms", func(s *engine.Snapshot) (engine.Latency, float64) { return s.Latency, s.Latency.P50 }),
	percentile("e2e_p95_ms", func(s *engine.Snapshot) (engine.Latency, float64) { return s.Latency, s.Latency.P95 }),
	percentile("e2e_p99_ms", func(s *engine.Snapshot) (engine.Latency, float64) { return s.Latency, s.Latency.P99 }),
	{"backpressure", func(s, _ *engine.Snapshot, _ float64) float64 {
		return map[string]float64{"low": 1, "high": 2}[s.Backpressure]
	}},
}

func workTime(s *engine.StepSnapshot) time.Duration { return s.Busy + s.Idle + s.Blocked }

var stepSeries = []figureSeries[engine.StepSnapshot]{
	perSecond("rate_in", func(s *engine.StepSnapshot) int64 { return s.In }),
	perSecond("rate_out", func(s *engine.StepSnapshot) int64 { return s.Out }),
	perSecond("rate_errors", func(s *engine.StepSnapshot) int64 { return s.Errors }),
	{"fill", func(s, _ *engine.StepSnapshot, _ float64) float64 {
		if s.QueueCap <= 0 {
			return math.NaN()
		}
		return min(1, float64(s.QueueLen)/float64(s.QueueCap))
	}},
	share("busy", func(s *engine.StepSnapshot) time.Duration { return s.Busy }, workTime),
	share("idle", func(s *engine.StepSnapshot) time.Duration { return s.Idle }, workTime),
	share("blocked", func(s *engine.StepSnapshot) time.Duration { return s.Blocked }, workTime),
	percentile("lat_p50_ms", func(s *engine.StepSnapshot) (engine.Latency, float64) { return s.Latency, s.Latency.P50 }),
	percentile("lat_p95_ms", func(s *engine.StepSnapshot) (engine.Latency, float64) { return s.Latency, s.Latency.P95 }),
	percentile("lat_p99_ms", func(s *engine.StepSnapshot) (engine.Latency, float64) { return s.Latency, s.Latency.P99 }),
}

var sinkSeries = []figureSeries[engine.SinkSnapshot]{
	perSecond("rate_in", func(s *engine.SinkSnapshot) int64 { return s.In }),
	perSecond("rate_out", func(s *engine.SinkSnapshot) int64 { return s.Out }),
	perSecond("rate_errors", func(s *engine.SinkSnapshot) int64 { return s.Errors }),
	{"inflight", func(s, _ *engine.SinkSnapshot, _ float64) float64 { return float64(s.InFlight) }},
	percentile("write_p50_ms", func(s *engine.SinkSnapshot) (engine.Latency, float64) { return s.Write, s.Write.P50 }),
	percentile("write_p99_ms", func(s *engine.SinkSnapshot) (engine.Latency, float64) { return s.Write, s.Write.P99 }),
}

func orZero(f float64) float64 {
	if math.IsNaN(f) {
		return 0
	}
	return f
}

// A partKey names what has a history: the pipeline itself, when the role is "".
type partKey struct{ pipeline, role, name string }

// A partHistory is the figures of one part, one list for each series, as long as that of the times.
type partHistory struct {
	names  []string
	values [][]float32
	absent int // points in a row at which the part was not there
}

// A history is the last hour of all pipelines.
type history struct {
	mu    sync.Mutex
	at    []int64 // milliseconds since 1970
	parts map[partKey]*partHistory
	order []partKey // as they came
	was   map[string]engine.Snapshot
	wasAt time.Time
}

func newHistory() *history { return &history{parts: map[partKey]*partHistory{}} }

// note adds a point. The first look adds none: a rate needs two.
func (h *history) note(all []engine.Snapshot, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	seconds := now.Sub(h.wasAt).Seconds()
	if was := h.was; was != nil && seconds > 0 {
		h.at = append(h.at, now.UnixMilli())
		for i := range all {
			if before, known := was[all[i].Pipeline]; known {
				h.notePipeline(&all[i], &before, seconds)
			}
		}
		h.close()
	}
	h.was, h.wasAt = make(map[string]engine.Snapshot, len(all)), now
	for _, s := range all {
		h.was[s.Pipeline] = s
	}
}

func (h *history) notePipeline(now, was *engine.Snapshot, seconds float64) {
	addPoint(h, partKey{now.Pipeline, "", ""}, pipelineSeries, now, was, seconds)
	addParts(h, now.Pipeline, "step", stepSeries, now.Steps, was.Steps, func(s *engine.StepSnapshot) string { return s.Name }, seconds)
	addParts(h, now.Pipeline, "sink", sinkSeries, now.Sinks, was.Sinks, func(s *engine.SinkSnapshot) string { return s.Name }, seconds)
	if now.DeadLetter != nil && was.DeadLetter != nil {
		addPoint(h, partKey{now.Pipeline, "dead_letter", now.DeadLetter.Name}, sinkSeries, now.DeadLetter, was.DeadLetter, seconds)
	}
}

// addParts adds the figures of those parts that were there at the look before, which are told apart by their names.
func addParts[S any](h *history, pipeline, role string, series []figureSeries[S], now, was []S, name func(*S) string, seconds float64) {
	before := make(map[string]*S, len(was))
	for i := range was {
		before[name(&was[i])] = &was[i]
	}
	for i := range now {
		if b := before[name(&now[i])]; b != nil {
			addPoint(h, partKey{pipeline, role, name(b)}, series, &now[i], b, seconds)
		}
	}
}

// addPoint adds the figures of one part. One that is new was not there at the points before.
func addPoint[S any](h *history, key partKey, series []figureSeries[S], now, was *S, seconds float64) {
	p := h.parts[key]
	if p == nil {
		if key.role != "" && len(h.parts) >= mostParts {
			return
		}
		p = &partHistory{values: make([][]float32, len(series))}
		for _, s := range series {
			p.names = append(p.names, s.name)
		}
		h.parts[key], h.order = p, append(h.order, key)
	}
	p.absent = 0
	for i, s := range series {
		p.values[i] = append(unknownUntil(p.values[i], len(h.at)-1), float32(s.of(now, was, seconds)))
	}
}

func unknownUntil(values []float32, n int) []float32 {
	for len(values) < n {
		values = append(values, float32(math.NaN()))
	}
	return values
}

// close ends a point: what was not there has no figures at it, what has had none for an hour is forgotten, and so
// is the point of an hour ago.
func (h *history) close() {
	over := max(0, len(h.at)-historyPoints)
	kept := h.order[:0]
	for _, key := range h.order {
		p := h.parts[key]
		if len(p.values[0]) < len(h.at) {
			p.absent++
		}
		if p.absent >= historyPoints {
			delete(h.parts, key)
			continue
		}
		kept = append(kept, key)
		for i, v := range p.values {
			v = unknownUntil(v, len(h.at))
			p.values[i] = append(v[:0], v[over:]...)
		}
	}
	h.order, h.at = kept, append(h.at[:0], h.at[over:]...)
}

// follow adds a point every ten seconds until quit is closed. A look that does not return holds up nobody else.
func (h *history) follow(snapshots func() []engine.Snapshot, quit <-chan struct{}) {
	h.note(snapshots(), time.Now())
	tick := time.NewTicker(historyEvery)
	defer tick.Stop()
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
			h.note(snapshots(), time.Now())
		}
	}
}

// appendJSON appends what is known of a pipeline behind a time.
func (h *history) appendJSON(b []byte, names []string, since int64) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	from := len(h.at)
	for from > 0 && h.at[from-1] > since {
		from--
	}
	b = fmt.Appendf(b, `{"every_ms":%d,"at":[`, historyEvery.Milliseconds())
	for i, at := range h.at[from:] {
		b = strconv.AppendInt(comma(b, i), at, 10)
	}
	b = append(b, `],"pipelines":[`...)
	for n, name := range names {
		b = append(strconv.AppendQuote(append(comma(b, n), `{"pipeline":`...), name), `,"parts":[`...)
		i := 0
		for _, key := range h.order {
			if key.pipeline != name {
				continue
			}
			b = h.parts[key].appendJSON(append(comma(b, i), '{'), key, from)
			i++
		}
		b = append(b, `]}`...)
	}
	return append(b, `]}`...)
}

func (p *partHistory) appendJSON(b []byte, key partKey, from int) []byte {
	if key.role != "" {
		b = strconv.AppendQuote(append(b, `"`+key.role+`":`...), key.name)
		b = append(b, ',')
	}
	b = append(b, `"series":{`...)
	for i, name := range p.names {
		b = append(strconv.AppendQuote(comma(b, i), name), `:[`...)
		for k, v := range p.values[i][from:] {
			if b = comma(b, k); math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				b = append(b, "null"...)
				continue
			}
			b = strconv.AppendFloat(b, math.Round(float64(v)*1000)/1000, 'f', -1, 64)
		}
		b = append(b, ']')
	}
	return append(b, `}}`...)
}

func comma(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}

// lastHour answers /api/v1/history.
func (s *Server) lastHour() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, err := parameters(r, "pipeline", "since")
		var since int64
		if text, given := asked["since"]; err == nil && given {
			if since, err = strconv.ParseInt(text, 10, 64); err != nil {
				err = fmt.Errorf("since is a time in milliseconds since 1970, not %q", text)
			}
		}
		names := s.pipelineNames()
		if err == nil {
			err = unknownPipeline(asked, names)
		}
		if err != nil {
			refuseAs(w, err)
			return
		}
		if only, one := asked["pipeline"]; one {
			names = []string{only}
		}
		begin(w, http.StatusOK)
		_, _ = w.Write(append(s.history.appendJSON(nil, names, since), '\n')) // the caller may have gone
	})
}
