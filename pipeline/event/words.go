package event

import (
	"cmp"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// message gives the message of an event that was emitted without one.
func (p *plan) message(v reflect.Value, step string) string {
	switch ev := v.Interface().(type) {
	case PipelineStats:
		return fmt.Sprintf("%s: %d in (%s), %d out (%s)%s, %d in flight%s%s", ev.State, ev.RecordsInTotal, rate(ev.RateIn),
			ev.RecordsOutTotal, rate(ev.RateOut), outcomes(ev.CreatedTotal, ev.FilteredTotal, ev.RejectedTotal, ev.AbandonedTotal),
			ev.Inflight, p99(ev.E2EP99Ms), lag(ev.LagSum, ev.LagUnit))
	case StepStats:
		return fmt.Sprintf("%s: %d in (%s), %d out%s, queue %d/%d, busy %.0f %%, blocked %.0f %%%s", cmp.Or(ev.Step, step),
			ev.RecordsInTotal, rate(ev.RateIn), ev.RecordsOutTotal, outcomes(ev.CreatedTotal, ev.FilteredTotal, ev.RejectedTotal, ev.AbandonedTotal),
			ev.QueueLen, ev.QueueCap, 100*ev.BusyRatio, 100*ev.BlockedRatio, p99(ev.LatP99Ms))
	case SinkStats:
		return fmt.Sprintf("%s: %d in, %d out%s; in %s %d writes%s", cmp.Or(ev.Sink, step), ev.RecordsInTotal, ev.RecordsOutTotal,
			outcomes(0, ev.FilteredTotal, ev.RejectedTotal, ev.AbandonedTotal), ms(float64(ev.IntervalMs)), ev.Batches, p99(ev.WriteP99Ms))
	case ErrorStats:
		return fmt.Sprintf("%s: %d errors %s, %d in total: %s", cmp.Or(ev.Step, step), ev.Count, token(ev.ErrorType), ev.CountTotal, ev.SampleMessage)
	case SourcePartitionStats:
		return fmt.Sprintf("%s/%d: committed %d, fetched %d%s%s", ev.Topic, ev.Partition, ev.OffsetCommitted, ev.OffsetFetched, lag(ev.Lag, ev.LagUnit), heldBack(ev.LagHeld))
	case LogSuppressed:
		of := ""
		if ev.Step != "" {
			of = " of " + ev.Step
		}
		switch ev.Reason {
		case reasonFull:
			return fmt.Sprintf("%d lines %s (%s) not printed: the log was not read fast enough; records unaffected, counters exact",
				ev.Count, ev.SuppressedEvent, ev.SuppressedLevel)
		case reasonWrite:
			return fmt.Sprintf("%d lines %s (%s) not printed: the log could not be written; records unaffected, counters exact",
				ev.Count, ev.SuppressedEvent, ev.SuppressedLevel)
		}
		return fmt.Sprintf("%d more %s%s (%s) not printed; records unaffected, counters exact", ev.Count, ev.SuppressedEvent, of, token(ev.ErrorType))
	case CommandDone:
		return ev.words()
	case PipelinePaused:
		return fmt.Sprintf("paused for %s: %d of the last %d records were rejected", ms(float64(ev.PauseMs)), ev.Rejected, ev.Of)
	case ReplayProgress:
		return fmt.Sprintf("%s: %d records (%s)", ev.Fixture, ev.RecordsDone, rate(ev.RateIn))
	case ProcessStopped:
		if ev.ErrorMessage != "" {
			return p.def.Says + ": " + ev.ErrorMessage
		}
	}
	return p.def.Says
}

// outcomes lists those of the figures that are not zero.
func outcomes(created, filtered, rejected, abandoned int64) string {
	var b strings.Builder
	for _, c := range []struct {
		n    int64
		name string
	}{{created, "created"}, {filtered, "filtered"}, {rejected, "rejected"}, {abandoned, "abandoned"}} {
		if c.n != 0 {
			fmt.Fprintf(&b, ", %d %s", c.n, c.name)
		}
	}
	return b.String()
}

// lag says how far behind a source is; unit is "" of records.
func lag(n int64, unit string) string {
	if n <= 0 {
		return ""
	}
	if unit != "" {
		unit = " " + unit
	}
	return fmt.Sprintf(", lag %d%s", n, unit)
}

func heldBack(n int64) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(", %d of them held back by open transactions", n)
}

// p99 is empty when the figure is not known.
func p99(f float64) string {
	if !isNumber(f) {
		return ""
	}
	return ", p99 " + ms(f)
}

func ms(f float64) string {
	if !isNumber(f) || f < 0 {
		return "unknown"
	}
	d := time.Duration(f * float64(time.Millisecond))
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

func rate(f float64) string {
	if !isNumber(f) {
		return "unknown"
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + "/s"
}
