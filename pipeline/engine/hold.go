package engine

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// A Cause is what a record waits for. The set is closed.
type Cause string

// What a record may wait for.
const (
	CauseSlot        Cause = "slot"         // a free worker of the step
	CauseCall        Cause = "call"         // the stage, which has it in hand
	CauseRetry       Cause = "retry"        // its next attempt
	CauseRate        Cause = "rate"         // a rate
	CauseBreaker     Cause = "breaker"      // a host that is left alone because it fails
	CauseHost        Cause = "host"         // a host that has asked to wait, or whose places are all taken
	CauseRetryBudget Cause = "retry_budget" // the share of the calls that may be repeated ones
	CauseEqualCall   Cause = "equal_call"   // the answer to an equal call
	CauseTurn        Cause = "turn"         // an earlier record of its lane or key
	CauseQueue       Cause = "queue"        // what is before it in front of a step or sink
	CauseSink        Cause = "sink"         // a write, which is under way or is tried again
	CauseDeadLetter  Cause = "dead_letter"  // the write of its dead letter
	CauseCommit      Cause = "commit"       // the commit: it is done
	CauseTransaction Cause = "transaction"  // the transaction in which it may be written, or which commits it
	CauseLimit       Cause = "limit"        // another limit
)

// commitPlace is where a record is that waits for the commit alone.
const commitPlace = "commit"

// A Hold says what keeps the mark of a lane where it is: which record, and what that one waits for.
// It quotes nothing of records but their positions.
type Hold struct {
	Lane string
	pipeline.Position
	// Root is the record that is waited for: Position itself, or the one that it waits for, directly or by way
	// of others. What follows is Root's.
	Root pipeline.Position

	Where string // name of the step or sink; "commit" of a record that is done
	Kind  string // of the step or sink; "": not known
	Host  string // that is called, or written to; "": none, or it is not known
	State string // as of an InFlight, or committing
	Cause Cause
	For   string // what that is, for people: "rate api of api.example"; "": Cause says it all
	// Since is how long it has been waiting for that. Of a write that is tried again it is how long there has been no progress; where
	// Batch is not 0, how long it has been seen to be at work: it may have been for longer.
	Since time.Duration
	Until time.Time // when a limit lets it ask again, or a write that failed is tried again; zero: not known, or neither
	Joins bool      // Position waits for Root because the call for that one is equal to its own

	// Batch is of a record at work in a step that computes, where it is not known since when its worker has been at it: how many records
	// the worker took at once. BatchSince is how long ago that was. 0: it is known, or it is no such record.
	Batch      int
	BatchSince time.Duration

	Attempt      int    // how many attempts have begun, the one under way included
	Attempts     int    // the most that there may be; 0: without end
	ErrorType    string // of the last attempt that failed; "": none has
	ErrorMessage string

	Age time.Duration // since Position was made a record; in Where commit since it was done
	// Behind is how many records of the lane stand behind Position, so that its mark cannot pass them either. In Where commit, and of a
	// lane without a record under way, they are counted by offsets: gaps count as records.
	Behind int64
	// InBytes: Behind counts bytes, from Position to where the source has read: its offsets count them. Only where else it would count offsets.
	InBytes bool

	offsets int64 // from Position to where the source has read, until it is known what they count; 0: Behind was not counted by them
}

// String says it in one line. How long the record has been in flight comes first, where it is a second more than it has waited for
// what it waits for now: that time begins anew with each attempt, and with each look at a host that fails.
func (h Hold) String() string {
	var b strings.Builder
	b.WriteString(h.Position.String())
	if h.Age-h.Since >= time.Second {
		fmt.Fprintf(&b, " (in flight for %s)", span(h.Age))
	}
	if h.Root != h.Position {
		b.WriteString(" waits for ")
		if h.Joins {
			b.WriteString("the equal call of ")
		}
		b.WriteString(h.Root.String())
	}
	fmt.Fprintf(&b, ": %s", h.Why())
	switch {
	case h.Behind > 0 && h.InBytes:
		fmt.Fprintf(&b, "; %d bytes behind it", h.Behind)
	case h.Behind == 1:
		b.WriteString("; 1 record behind it")
	case h.Behind > 1:
		fmt.Fprintf(&b, "; %d records behind it", h.Behind)
	}
	return b.String()
}

// Why says where the record is and what it waits for, without naming it.
func (h Hold) Why() string {
	place := h.Where
	if h.Host != "" {
		place += ", host " + h.Host
	}
	return place + ": " + h.waits()
}

func (h Hold) waits() string {
	since := span(h.Since)
	switch h.Cause {
	case CauseCall:
		if h.Attempts == 1 {
			return h.inWork()
		}
		return "attempt " + h.attempt() + " has been under way for " + since + h.failed("; the one before failed with ")
	case CauseRetry:
		return "attempt " + h.attempt() + h.failed(" fails with ") + "; has waited " + since + " for its next attempt"
	case CauseSink, CauseDeadLetter:
		return h.write(since)
	case CauseCommit:
		return "is done and has waited " + since + " for the commit" + h.failed("; attempt "+h.attempt()+" fails with ")
	}
	text := "has waited " + since + " for " + cmp.Or(h.For, causeTexts[h.Cause])
	if !h.Until.IsZero() {
		text += ", until " + h.Until.UTC().Format(time.TimeOnly) + "Z"
	}
	switch {
	case h.Where == commitPlace:
		return "is done and " + text
	case h.ErrorType == "":
	case h.Attempt > 0:
		text += "; attempt " + h.attempt() + h.failed(" failed with ")
	default: // the host has asked to wait, or is left alone: that is no attempt
		text += h.failed("; the call before failed with ") + ", which does not count as an attempt"
	}
	return text
}

func (h Hold) write(since string) string {
	what := "a write"
	if h.Cause == CauseDeadLetter {
		what = "the write of its dead letter"
	}
	switch {
	case h.ErrorType != "":
		text := "attempt " + h.attempt() + " of " + what + h.failed(" fails with ") + "; no progress for " + since
		if !h.Until.IsZero() {
			text += "; is tried again at " + h.Until.UTC().Format(time.TimeOnly) + "Z"
		}
		return text
	case h.Attempt == 0:
		return "has waited " + since + " for " + what
	}
	return what + " has been under way for " + since
}

// causeTexts are what a record waits for where nothing more is known.
var causeTexts = map[Cause]string{
	CauseSlot: "a free worker", CauseRate: "a rate", CauseBreaker: "a host that fails", CauseHost: "the host",
	CauseRetryBudget: "the retry budget", CauseEqualCall: "an equal call", CauseTurn: "its turn",
	CauseQueue: "its turn in the queue", CauseTransaction: "the transaction", CauseLimit: "a limit",
}

func (h Hold) attempt() string {
	if h.Attempts > 0 {
		return fmt.Sprintf("%d of %d", h.Attempt, h.Attempts)
	}
	return fmt.Sprint(h.Attempt)
}

// failed says how the last attempt failed, behind some words; "": none has.
func (h Hold) failed(words string) string {
	if h.ErrorType == "" {
		return ""
	}
	text := words + h.ErrorType
	if h.ErrorMessage != "" {
		text += " (" + clip(h.ErrorMessage, maxSample) + ")"
	}
	return text
}

// span is a time for people: 4.2 s, 3 min 5 s.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
}
