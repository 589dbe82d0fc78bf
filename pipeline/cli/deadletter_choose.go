package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/config"
	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/source/letters"
	"github.com/penstockio/penstock/stages"
)

// Why a letter is refused that the flags choose. They are the words of the summary.
const (
	refusedRedacted  = "redacted"            // parts of the record were taken out
	refusedNoValue   = "value_redacted"      // the whole value was taken out: sent back, the record would be a tombstone
	refusedReplays   = "max_replays"         // it has been replayed so often
	refusedTopic     = "other_topic"         // the pipeline does not read the topic it came from
	refusedPartition = "no_partition"        // the topic has no such partition any more
	refusedStep      = "unknown_step"        // the file has no such step or sink
	refusedValue     = "no_step_value"       // steps before may have changed the value, and the letter does not have it
	refusedRest      = "key_headers_or_time" // steps before change what a letter does not have
	refusedSteps     = "no_step_before"      // the letter has the value as steps before made it, and the file has none that gives it
)

// A letterChooser decides about letters, and counts.
type letterChooser struct {
	box        *letterBox
	filter     *deadletter.Filter
	maxReplays int
	redacted   bool
	// place says where a letter goes on, or why it does not.
	place func(*deadletter.Letter) (t letterTarget, refused string)

	mu      sync.Mutex
	count   letterCount
	unasked int64            // that the filter does not choose
	refused map[string]int64 // by why
	chosen  map[string]int64 // by step and reason
}

func (c *letterChooser) choose(rec *pipeline.Record, at pipeline.Position) (letters.Choice, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, err := deadletter.Read(rec, at)
	if err != nil {
		c.count.none, c.count.notOne = c.count.none+1, err
		return letters.Choice{Verdict: letters.Pass}, nil
	}
	if l.Pipeline != c.box.file.Name {
		c.count.foreign++
		return letters.Choice{Verdict: letters.Pass}, nil
	}
	ok, err := c.filter.Match(l)
	if err != nil {
		c.count.failed, c.count.failure = c.count.failed+1, err
	}
	if !ok {
		c.unasked++
		return letters.Choice{Verdict: letters.Leave}, nil
	}
	t, why := c.judge(l)
	if why != "" {
		c.refused[why]++
		return letters.Choice{Verdict: letters.Leave}, nil
	}
	c.chosen[stepAndReason(l)]++
	// The engine takes the header off, and counts on from it; on the way back to a topic it is put on
	// behind the engine (again).
	key, value, headers := l.Record.Original()
	l.Record.Init(l.Record.Position, key, value, append(slices.Clone(headers), l.Again()), l.Record.Time)
	t.letter = l
	return letters.Choice{Verdict: letters.Replay, Letter: l, Target: t}, nil
}

// judge says where a letter goes on, or why it does not.
func (c *letterChooser) judge(l *deadletter.Letter) (letterTarget, string) {
	switch {
	case slices.Contains(l.Redacted, deadletter.RedactedValue): // whatever --redacted says
		return letterTarget{}, refusedNoValue
	case l.Redacted != nil && !c.redacted:
		return letterTarget{}, refusedRedacted
	case l.Replays >= c.maxReplays:
		return letterTarget{}, refusedReplays
	}
	return c.place(l)
}

func stepAndReason(l *deadletter.Letter) string { return l.Step + " (" + l.Reason + ")" }

// turnedDown notes that a letter that was sent back was not taken.
func (c *letterChooser) turnedDown(l *deadletter.Letter, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused[reason]++
	c.unchoose(l)
}

// unchosen takes back that a letter was chosen that --limit leaves out.
func (c *letterChooser) unchosen(l *deadletter.Letter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unchoose(l)
}

// unchoose takes back that a letter was chosen. The caller has c.mu, or nobody else has c.
func (c *letterChooser) unchoose(l *deadletter.Letter) {
	if c.chosen[stepAndReason(l)]--; c.chosen[stepAndReason(l)] == 0 {
		delete(c.chosen, stepAndReason(l))
	}
}

// refusals gives how many letters were refused.
func (c *letterChooser) refusals() (n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, some := range c.refused {
		n += some
	}
	return n
}

// printCounts writes counts by name, the largest first.
func printCounts(w io.Writer, counts map[string]int64) {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for _, name := range names {
		fmt.Fprintf(w, "  %-8d %s\n", counts[name], visible(name))
	}
}

// toTopics places letters at the topics they came from.
func (b *letterBox) toTopics(partitions map[string]int32) func(*deadletter.Letter) (letterTarget, string) {
	return func(l *deadletter.Letter) (letterTarget, string) {
		n, ok := partitions[l.Record.Topic]
		switch {
		case !ok:
			return letterTarget{}, refusedTopic
		case l.Record.Partition < 0 || l.Record.Partition >= n:
			return letterTarget{}, refusedPartition
		}
		return letterTarget{}, ""
	}
}

// toFirst places letters at the first step.
func toFirst(*deadletter.Letter) (letterTarget, string) { return letterTarget{}, "" }

// toStep places letters at the step, or the sink, that rejected them.
func (b *letterBox) toStep(l *deadletter.Letter) (letterTarget, string) {
	stages, sinks := b.file.Stages, b.file.Sinks
	step := slices.IndexFunc(stages, func(s config.Stage) bool { return s.Name == l.Step })
	sink := slices.ContainsFunc(sinks, func(s config.Sink) bool { return s.Name == l.Step }) // names of steps and sinks differ
	t := letterTarget{step: step}
	switch {
	case sink:
		t.step, t.sink = len(stages), l.Step
	case step < 0 && l.Step == "key": // it was rejected before any step: order.key failed
		return letterTarget{}, ""
	case step < 0:
		return t, refusedStep
	}
	if t.step == 0 && l.Changed { // the file has changed since
		return t, refusedSteps
	}
	value := false
	for i := range stages[:t.step] {
		if stages[i].Kind.Name == "split" { // it is not passed over, and nothing is known of how a record was behind it
			return t, refusedValue
		}
		v, rest := changes(&stages[i])
		if rest {
			return t, refusedRest
		}
		value = value || v
	}
	if value && !l.Changed {
		return t, refusedValue
	}
	return t, ""
}

// changes says whether a step may change the value of a record, and whether it may change key,
// headers or time, which letters have as they came. Of components of one's own nobody knows: they
// are taken for one that changes values.
func changes(s *config.Stage) (value, rest bool) {
	switch s.Kind.Name {
	case "filter", "validate", "dedupe":
		return false, false
	case "map":
		if m, ok := s.Settings.(*stages.MapSettings); ok {
			return true, m.Key != nil || m.Time != nil || len(m.SetHeaders) > 0 || len(m.RemoveHeaders) > 0
		}
	case "redact":
		if r, ok := s.Settings.(*stages.RedactSettings); ok {
			return len(r.Fields) > 0, r.Key || len(r.Headers) > 0
		}
	}
	return true, false
}
