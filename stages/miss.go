package stages

import "github.com/penstockio/penstock/pipeline/client"

// OnMiss says what a look-up without a result does to its record.
type OnMiss = client.OnMiss

// What a miss does.
const (
	MissNull   = client.MissNull
	MissReject = client.MissReject
	MissFilter = client.MissFilter
)

// ReasonNoMatch is the reason of a record that was rejected because its look-up has
// no result.
const ReasonNoMatch = client.ReasonNoMatch
