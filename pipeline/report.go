package pipeline

import "time"

// A Reporter adds figures to the snapshots of its step, sink or source. Report may be called at any time between creation and the
// end of the process, from several goroutines at once, and beside all other methods. It does not wait, neither for a call nor for a
// lock that is held during one: the stats events, the metrics and the health of the process wait for it.
type Reporter interface {
	Report() Report
}

// A Report is what a component knows of itself. A zero field is left out.
type Report struct {
	CacheHits, CacheMisses int64 // since the start; a miss is a call that was made
	CacheStale             int64 // of the hits, with an answer that was out of date
	CallsJoined            int64 // calls that were not made because an equal one was under way
	OpenCircuits           int64 // hosts that are left alone now because they fail
	Serves                 bool  // of a sink: clients connect to it, and the next two say how many
	Clients                int64 // that are connected now
	ClientsDropped         int64 // since the start, because they were too slow, or did not answer
	Partitions             []PartitionReport
	Generation             int64 // of a group member
	InBytes                bool  // of a source of files: offsets of Partitions, and so their lag, count bytes, not records
	Connected              bool  // of a source: the group is joined and its cluster answers, or the files are open
	// Away says, of a source that is not Connected, what does not answer, and with which error, without secrets and
	// values of records. "": it is connected, or not known.
	Away      string
	AwaySince time.Time // when that was seen first; zero with Away ""
	// Of a source that others call: its answers since the start by status, like "200"; how many of these were refusals, by their
	// reason; and how many requests wait now for the outcome of their records. Answers is nil where nobody calls.
	Answers, Refusals map[string]int64
	RequestsWaiting   int64
}

// A PartitionReport is the state of one partition that a source reads. Offsets
// that are not known are -1.
type PartitionReport struct {
	Topic         string
	Partition     int32
	Generation    int64
	Committed     int64     // the last committed offset
	Fetched       int64     // the next offset to fetch
	HighWatermark int64     // the end of what all replicas have
	Held          int64     // records before it that open transactions hold back from a committed reader
	Oldest        time.Time // of the first record that is not committed, if known; the engine fills in what a source leaves out
	CommittedAt   time.Time
	Read          int64     // offsets from where this process began to read it to Fetched; may be left out. It counts until something is committed
	BeganAt       time.Time // when this process began to read it; may be left out
	Paused        bool      // no more of it is read for now, since too much of it waits at a step or a sink, or by command; the engine says it
	InBytes       bool      // offsets, and so the lag, count bytes; the engine says it, from the Report
	Commanded     bool      // a command has paused it, or its pipeline; the engine says that too
}

// first is the first offset that is not committed: while nothing has been committed, the one
// at which reading began, as far as the source says it.
func (p PartitionReport) first() int64 {
	if p.Committed < 0 && p.Fetched >= 0 {
		return max(p.Fetched-max(p.Read, 0), 0)
	}
	return p.Committed
}

// Lag is the number of records, or of bytes where InBytes is set, from the committed offset to the high watermark, those
// that open transactions hold back included; while nothing has been committed, from
// where reading began, or from the next to fetch when the source does not say where that
// was. -1: not known.
func (p PartitionReport) Lag() int64 {
	from := p.first()
	if p.HighWatermark < 0 || from < 0 {
		return -1
	}
	return max(p.HighWatermark-from, 0)
}

// Uncommitted is the number of records, or of bytes where InBytes is set, that were fetched and are not committed. -1: not known.
func (p PartitionReport) Uncommitted() int64 {
	if p.Fetched < 0 || p.Committed < 0 && p.Read <= 0 && p.BeganAt.IsZero() {
		return -1
	}
	return max(p.Fetched-p.first(), 0)
}

// CommitAge is how long ago the partition was committed last; before this process has done
// that, how long it has read it. -1: not known.
func (p PartitionReport) CommitAge(now time.Time) time.Duration {
	since := p.CommittedAt
	if since.IsZero() {
		since = p.BeganAt
	}
	if since.IsZero() {
		return -1
	}
	return max(now.Sub(since), 0)
}

// LagAge is how old the first record is that is not committed, by its own time: 0 when there
// is none, -1 when that is not known.
func (p PartitionReport) LagAge(now time.Time) time.Duration {
	switch {
	case p.Committed >= 0 && p.Lag() == 0: // without a commit Lag may count only what is not read yet
		return 0
	case p.Oldest.IsZero():
		return -1
	}
	return max(now.Sub(p.Oldest), 0)
}

// Lag sums what is known of the lag of the partitions, and gives the largest. -1: of no
// partition is it known. A member of a group that has no partitions lags by 0.
func (r Report) Lag() (sum, most int64) {
	if len(r.Partitions) == 0 && r.Connected {
		return 0, 0
	}
	sum, most = -1, -1
	for _, p := range r.Partitions {
		if l := p.Lag(); l >= 0 {
			sum, most = max(sum, 0)+l, max(most, l)
		}
	}
	return sum, most
}
