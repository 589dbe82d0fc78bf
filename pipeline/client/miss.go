package client

import "fmt"

// OnMiss says what a look-up without a result does to its record.
type OnMiss string

// What a miss does.
const (
	MissNull   OnMiss = "null"   // the field becomes null
	MissReject OnMiss = "reject" // the record is rejected, with ReasonNoMatch
	MissFilter OnMiss = "filter" // the record is filtered
)

// ReasonNoMatch is the reason of a record that was rejected because its look-up has
// no result.
const ReasonNoMatch = "no_match" // the look-up found nothing, and on_miss is reject

// Validate refuses any other word.
func (m OnMiss) Validate() error {
	switch m {
	case MissNull, MissReject, MissFilter:
		return nil
	}
	return fmt.Errorf("%q is none: write null, reject or filter", string(m))
}
