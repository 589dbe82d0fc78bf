// SPDX-License-Identifier: Apache-2.0

// Package deadletter is the format of dead letters: the headers that say why a record was rejected,
// where it was read and how often it was tried.
//
// The engine writes them. Whoever wants to look at rejected records, or to try them again, reads them
// with Read. The format is public: docs/public.md lists the headers, and how they may change.
package deadletter

import (
	"strconv"
	"strings"

	"github.com/penstockio/penstock/pipeline"
)

// Prefix begins the name of each header that penstock itself writes.
const Prefix = "penstock-"

// The headers of a dead letter, behind those that the record came with.
const (
	Pipeline  = "penstock-pipeline"  // the pipeline that rejected it; the first of them
	Step      = "penstock-step"      // the step or sink that rejected it
	Reason    = "penstock-reason"    // see the Reason constants of package pipeline
	Error     = "penstock-error"     // the message, at most 1 KiB; no value of the record
	Detail    = "penstock-detail"    // what the server said that refused it, which may quote the record; missing when it said nothing, and where letters are redacted
	Attempts  = "penstock-attempts"  // how often it was tried, in all its lives
	Topic     = "penstock-topic"     // where it was read
	Partition = "penstock-partition" //
	Offset    = "penstock-offset"    //
	Time      = "penstock-time"      // when it was rejected, RFC 3339 with ms, UTC
	Timestamp = "penstock-timestamp" // the record's own time as it came, in ms since 1970; missing when it had none
	Failures  = "penstock-failures"  // parts of a split that failed, when more than one

	// Value is the record's value as the step got it, when the steps before had changed it: with it
	// the record can go on at that step. It is missing when it would be longer than MaxValue, of
	// records that were split, when the step had begun to change it before it failed, and when what
	// is to be redacted may be in it.
	Value = "penstock-value"
	// Key is the key that the record came with, redacted as that is, where the sink of the letters gives them another;
	// null where the record had none. Missing: it is the letter's own.
	Key = "penstock-key"
	// Redacted is what was taken out before the letter was written: "fields", "headers", "key",
	// "value", with commas. Such a record can be looked at, and is not itself any more.
	Redacted = "penstock-redacted"
	// Replays is how often the record had been replayed from the dead letters when it was rejected;
	// missing: never.
	Replays = "penstock-replays"
)

// Replayed is the one header that a record keeps on its way back from the dead letters: how often it
// has been replayed, and how often it had been tried by then, as "2 10". The engine takes it off when
// it reads the record, before any step, expression or sink can see it, and counts on from there when
// the record is rejected again. One that cannot be read is taken off, too, and counts as none.
const Replayed = "penstock-replayed"

// A History is what Replayed says of a record.
type History struct {
	Replays  int // how often it has been replayed
	Attempts int // how often it had been tried by then
}

// ReadHistory reads the value of Replayed. One that cannot be read gives none.
func ReadHistory(value []byte) History {
	first, second, _ := strings.Cut(string(value), " ")
	replays, err := strconv.ParseUint(first, 10, 31)
	attempts, err2 := strconv.ParseUint(second, 10, 31)
	if err != nil || err2 != nil {
		return History{}
	}
	return History{int(replays), int(attempts)}
}

// String gives the value of Replayed.
func (h History) String() string { return strconv.Itoa(h.Replays) + " " + strconv.Itoa(h.Attempts) }

// Contents are the parts of a record that go into its dead letter, and the message about it. The slices
// are the record's: whoever redacts them puts others in their place, and changes no byte of these.
type Contents struct {
	Key, Value []byte            // as they came
	Headers    []pipeline.Header // those that the record came with
	Got        []byte            // for the header Value: the value as the step got it, nil for a tombstone
	HasGot     bool              // the letter has the header Value
	Error      string            // for the header Error; it is cut to its length afterwards
	Redacted   []string          // for the header Redacted: what was taken out
}

// What may stand in the header Redacted, in this order.
const (
	RedactedFields  = "fields"
	RedactedHeaders = "headers"
	RedactedKey     = "key"
	RedactedValue   = "value" // it could not be redacted, and was left out as a whole
)

// MaxValue is how many bytes Value has at most. A letter has to fit where its record fitted: a topic
// that takes 1 MiB refuses one that holds two such values, and a dead letter that cannot be written
// stops the pipeline.
const MaxValue = 64 << 10

// IsHeader says whether a header has a name as penstock's own have. Whether it is the letter's own is
// told by where it stands, see Split.
func IsHeader(name string) bool { return strings.HasPrefix(name, Prefix) }

// Split tells the headers that a record came with from the letter's own. These begin with the last
// Pipeline, which is written first of them. What stands in front of it is the record's, whatever its
// name: the record may have been a dead letter of another pipeline. What somebody has put behind is
// the record's where its name is none of penstock's. Replayed is the record's nowhere. Both slices are
// new, the values are the same. own is empty when the record is no dead letter.
func Split(headers []pipeline.Header) (came, own []pipeline.Header) {
	first := len(headers)
	for i, h := range headers {
		if h.Name == Pipeline {
			first = i
		}
	}
	came = make([]pipeline.Header, 0, len(headers))
	for i, h := range headers {
		switch {
		case h.Name == Replayed:
		case i >= first && IsHeader(h.Name):
			own = append(own, h)
		default:
			came = append(came, h)
		}
	}
	return came, own
}

// Without gives the headers that the record came with, as Split does.
func Without(headers []pipeline.Header) []pipeline.Header {
	came, _ := Split(headers)
	return came
}
