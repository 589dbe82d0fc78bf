package engine

import "time"

// This file is what a place, a step or a sink, says of itself to those who look from outside.

// A load is how a step or sink has spent its time since the start.
type load struct {
	busy     time.Duration // in calls, of all its workers
	all      time.Duration // busy, blocked and idle together
	blocked  time.Duration // waiting to hand on what is done
	heldTime time.Duration // while it held lanes back, each counted as its share of all lanes
}

// A holdup is the record that a place has had longest without progress, and for how long. Its zero
// value says that there is none.
type holdup struct {
	age time.Duration
	Hold
}
