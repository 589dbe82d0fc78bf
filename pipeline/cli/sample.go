package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
)

// sampleFlags are those of check --sample.
type sampleFlags struct {
	files   []string
	form    inputForm
	records int
}

const (
	maxSampled = 1_000_000 // records of which a sample is taken
	maxParts   = 20_000    // records that are looked at behind a step that splits
)

// readSample reads the files, and takes so many of their records as evenly as one pass allows:
// it keeps every k-th, and doubles k when it has twice as many as it needs.
func readSample(in io.Reader, f sampleFlags) (records []*pipeline.Record, read int, err error) {
	every := 1
	err = f.form.eachRecord(in, f.files, func(rec *pipeline.Record) error {
		if read%every == 0 {
			records = append(records, rec)
		}
		if read++; len(records) == 2*f.records {
			records = everySecond(records)
			every *= 2
		}
		if read == maxSampled {
			return io.EOF
		}
		return nil
	})
	return evenly(records, f.records), read, err
}

func everySecond(records []*pipeline.Record) []*pipeline.Record {
	kept := records[:0]
	for i := 0; i < len(records); i += 2 {
		kept = append(kept, records[i])
	}
	clear(records[len(kept):])
	return kept
}

// evenly gives n of the records.
func evenly(records []*pipeline.Record, n int) []*pipeline.Record {
	if len(records) <= n {
		return records
	}
	some := make([]*pipeline.Record, n)
	for i := range some {
		some[i] = records[i*len(records)/n]
	}
	return some
}

// A sampler takes a sample through a pipeline.
type sampler struct {
	trial    *trial
	file     *config.Pipeline
	result   *sample
	problems config.Problems

	unknown       []guessed       // places that a step which was not called may set
	unset         []jsontext.Path // places that a step sets, and set in none of the records
	unknownBehind string          // the step behind which anything may stand anywhere; "": none
	stuck         string          // the step whose records stand in for those behind it; "": none
}

// A guessed is a place that a step may set.
type guessed struct {
	path jsontext.Path
	step string
}

// runSample takes the sample through the pipeline. The problems are warnings.
func runSample(ctx context.Context, in io.Reader, p *config.Pipeline, f sampleFlags) (*sample, config.Problems, error) {
	records, read, err := readSample(in, f)
	if err != nil {
		return nil, nil, err
	}
	if len(records) == 0 {
		return nil, nil, usagef("--sample %s: there is no record in it", strings.Join(f.files, ", "))
	}
	t, err := newTrial(p)
	if err != nil {
		return nil, nil, err
	}
	defer t.close()
	s := &sampler{trial: t, file: p, result: &sample{Records: len(records), Read: read, Steps: []sampledStep{}, Sinks: []sampledSink{}}}
	if p.Order.Key != nil {
		order := struct {
			Key *expr.Expr `yaml:"key"`
		}{p.Order.Key}
		part, _ := s.judge(p.Mentions("order", &order), records)
		s.result.Order = &part
	}
	for i := range p.Stages {
		records = s.step(ctx, i, records)
	}
	for i := range p.Sinks {
		s.sink(i, records)
	}
	return s.result, s.problems, nil
}

// warnRejected warns of a step that rejects all that reaches it, where nothing has said why.
func (s *sampler) warnRejected(i int, r sampledStep) {
	reasons, all := slices.Sorted(maps.Keys(r.Rejected)), 0
	for _, n := range r.Rejected {
		all += n
	}
	if r.In == 0 || all < r.In {
		return
	}
	text := fmt.Sprintf("rejects all %s: %s", counted(r.In, "record"), strings.Join(reasons, ", "))
	if first, ok := r.Errors[reasons[0]]; ok {
		text += "; the first at " + first
	}
	s.problems = append(s.problems, s.file.WarningAt(fmt.Sprintf("stages[%d].%s", i, r.Kind), r.Kind+": "+text))
}

func (s *sampler) mentionsOfStep(i int) []config.Mention {
	c := s.file.Stages[i].Component
	return s.file.Mentions(fmt.Sprintf("stages[%d].%s", i, c.Kind.Name), c.Settings)
}

func (s *sampler) mentionsOfSink(i int) []config.Mention {
	at := fmt.Sprintf("sinks[%d]", i)
	c := s.file.Sinks[i].Component
	return append(s.file.Mentions(at, &s.file.Sinks[i].SinkSettings), s.file.Mentions(at+"."+c.Kind.Name, c.Settings)...)
}

// step judges step i by the records that reach it, and gives what goes on.
func (s *sampler) step(ctx context.Context, i int, records []*pipeline.Record) []*pipeline.Record {
	stage := &s.file.Stages[i]
	mentions, said := s.mentionsOfStep(i), len(s.problems)
	r := sampledStep{Name: stage.Name, Kind: stage.Kind.Name, Called: !stage.Kind.Waits || stage.Kind.Computes, In: len(records), Rejected: map[string]int{}, Errors: map[string]string{}}
	r.sampledPart, r.DependsOn = s.judge(mentions, records)
	if r.DependsOn == "" {
		r.DependsOn = s.unknownBehind
	}
	var out []*pipeline.Record
	for _, rec := range records {
		if !r.Called {
			out = append(out, rec)
			continue
		}
		o := s.trial.step(ctx, i, rec)
		switch {
		case (o.filtered || o.reason != "") && r.DependsOn != "": // by what is not there in the sample alone
			o.out = []*pipeline.Record{rec}
		case o.filtered:
			r.Filtered++
			continue
		case o.reason != "":
			if r.Rejected[o.reason]++; r.Rejected[o.reason] == 1 && o.reason != pipeline.ReasonExpression { // whose place says more
				first, _, _ := strings.Cut(o.err.Error(), "\n")
				r.Errors[o.reason] = rec.Position.String() + ": " + first
			}
			continue
		}
		r.Passed++
		if r.Out += len(o.out); len(out) < maxParts {
			out = append(out, o.out...)
		}
	}
	if !r.Called {
		r.Passed, r.Out = r.In, r.In
	}
	if len(s.problems) == said {
		s.warnRejected(i, r)
	}
	stuck := (len(s.problems) > said || s.stuck != "") && r.In > 0 && len(out) == 0
	r.unjudged = s.unknownBehind != ""
	if r.JudgedBy = s.stuck; s.stuck != "" { // none of these records comes so far
		r.In, r.Passed, r.Out, r.Filtered, r.Rejected, r.Errors = 0, 0, 0, 0, nil, nil
	}
	s.result.Steps = append(s.result.Steps, r)
	if stuck {
		s.passStuck(i, mentions)
		return records
	}
	s.forget(i, r, mentions)
	s.noteUnset(mentions, out)
	return out
}

// leavesFields are kinds that set nothing but what they name.
var leavesFields = map[string]bool{"dedupe": true, "filter": true, "map": true, "redact": true, "validate": true}

// passStuck notes that the records of a step go on as they came, though it lets none pass, when that
// looks like a slip in it: one misspelt name shall not hide those behind it. What the step would
// have set is not known: the places that it names for that, what it would have parsed in its
// place, or everything.
func (s *sampler) passStuck(i int, mentions []config.Mention) {
	stage := &s.file.Stages[i]
	s.stuck = cmp.Or(s.stuck, stage.Name)
	splits := s.trial.options.Steps[i].Splitter != nil
	guesses := len(s.unknown)
	for _, m := range mentions {
		if m.Role == config.Writes {
			s.unknown = append(s.unknown, guessed{m.Path, stage.Name})
		}
	}
	if len(s.unknown) == guesses && !splits && !leavesFields[stage.Kind.Name] {
		for _, m := range mentions {
			if m.Role == config.Reads {
				s.unknown = append(s.unknown, guessed{m.Path, stage.Name})
			}
		}
	}
	if replacesAll(mentions) || len(s.unknown) == guesses && !leavesFields[stage.Kind.Name] {
		s.unknownBehind = cmp.Or(s.unknownBehind, stage.Name)
	}
}

// forget notes what cannot be known behind a step that was not called, or that depends on one.
func (s *sampler) forget(i int, r sampledStep, mentions []config.Mention) {
	if r.Called && r.DependsOn == "" || s.unknownBehind != "" {
		return
	}
	step := r.DependsOn
	if !r.Called {
		step = r.Name
	}
	wrote := false
	for _, m := range mentions {
		if m.Role == config.Writes {
			s.unknown = append(s.unknown, guessed{m.Path, step})
			wrote = true
		}
	}
	if s.trial.options.Steps[i].Splitter != nil || replacesAll(mentions) || !r.Called && !wrote {
		s.unknownBehind = step
	}
}

// noteUnset notes what a step may set at other times: parse puts nothing where there is no text.
func (s *sampler) noteUnset(mentions []config.Mention, out []*pipeline.Record) {
	for _, m := range mentions {
		if m.Role != config.Writes {
			continue
		}
		p := newPresence(m.Path, false)
		for _, rec := range out {
			p.add(rec)
		}
		if p.there() == 0 {
			s.unset = append(s.unset, m.Path)
		}
	}
}

// mayHave says whether what stands at path, or around it, is set by a step at other times.
func (s *sampler) mayHave(path jsontext.Path) bool {
	return slices.ContainsFunc(s.unset, func(p jsontext.Path) bool {
		n := min(len(p), len(path))
		return slices.Equal(p[:n], path[:n])
	})
}

// replacesAll says whether a map makes the whole value anew.
func replacesAll(mentions []config.Mention) bool {
	return slices.ContainsFunc(mentions, func(m config.Mention) bool { return m.Role == config.Evaluates && m.Setting == "value" })
}

func (s *sampler) sink(i int, records []*pipeline.Record) {
	sink := &s.file.Sinks[i]
	r := sampledSink{Name: sink.Name, Kind: sink.Kind.Name, In: len(records), Takes: len(records), unjudged: s.unknownBehind != ""}
	all, said := s.mentionsOfSink(i), len(s.problems)
	at := slices.IndexFunc(all, func(m config.Mention) bool { return m.Setting == "when" && m.Value == any(sink.When) })
	if at >= 0 {
		r.sampledPart, r.DependsOn = s.judge(all[at:at+1], records)
		all = slices.Delete(all, at, at+1)
		if r.DependsOn == "" {
			var takes []*pipeline.Record
			for _, rec := range records {
				if ok, err := sink.When.Condition(rec); ok && err == nil {
					takes = append(takes, rec)
				}
			}
			r.Takes = len(takes)
			if r.judgedAll = len(takes) == 0 && len(s.problems) > said; !r.judgedAll { // one slip does not hide the next
				records = takes
			}
		}
	}
	part, _ := s.judge(all, records)
	r.Fields, r.Expressions = append(r.Fields, part.Fields...), append(r.Expressions, part.Expressions...)
	if r.JudgedBy = s.stuck; s.stuck != "" {
		r.In, r.Takes, r.DependsOn = 0, 0, cmp.Or(r.DependsOn, s.unknownBehind)
	}
	s.result.Sinks = append(s.result.Sinks, r)
}

// mayBeSetBy gives the step that may set what stands at path, "" when none does.
func (s *sampler) mayBeSetBy(path jsontext.Path) string {
	if s.unknownBehind != "" {
		return s.unknownBehind
	}
	for _, u := range s.unknown {
		n := min(len(u.path), len(path))
		if slices.Equal(u.path[:n], path[:n]) {
			return u.step
		}
	}
	return ""
}
