package engine

import (
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// This file is what a place, a step or a sink, says of itself to those who look from outside.

// A load is how a place has spent its time since the start.
type load struct {
	busy, all time.Duration // of all its workers
	blocked   time.Duration
	heldTime  time.Duration // while it held lanes back, in share of the lanes
}

// A holdup is the record that a place has had longest without progress.
type holdup struct {
	age     time.Duration
	at      pipeline.Position
	lane    string
	attempt int
	err     error
}
