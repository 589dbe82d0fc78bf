package kafkasource

import "fmt"

// moves are those that the drawing of a partition's states has.
var moves = map[state][]state{
	opening: {opening, reading, seeking},
	seeking: {seeking, reading},
	reading: {reading, seeking, opening, doubted, mending, atEnd},
	doubted: {reading, seeking, mending},
	mending: {mending, reading, seeking, opening},
	atEnd:   {opening},
}

// init has every test of the package end at a move that the drawing has not.
func init() {
	moved = func(from, to state) {
		for _, s := range moves[from] {
			if s == to {
				return
			}
		}
		panic(fmt.Sprintf("a partition goes from state %d to %d, which the drawing does not have", from, to))
	}
}
