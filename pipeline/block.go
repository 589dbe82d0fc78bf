package pipeline

import "sync/atomic"

// blockRecords are the places of a block. They are few, so that a lane with one record
// under way holds little, and several blocks serve one chunk.
const blockRecords = 64

// A block is where records stand, with their tracks, from when they are made until they
// have their outcome. Its places are given out one after another, to one lane, and used
// again when all records in it are done: the block that came free last is the next one
// to be filled, while it is warm in the cache (BenchmarkP1).
type block struct {
	recs   [blockRecords]Record
	tracks [blockRecords]track
	used   int          // places given out; the filler's
	refs   atomic.Int32 // pieces that have records in it, and one while the lane fills it
	extras int64        // bytes of the extras that its places have, as charged
}

const blockSize = blockRecords * placeSize

// retire makes the places of a block, of which nobody has a record any more, ready for
// others, and says how many bytes of extras it has come to hold. It lets go of what the
// records point to: a batch's bytes are used for another one, or free.
func (b *block) retire() (grown int64) {
	for i := range b.recs[:b.used] {
		if r := &b.recs[i]; r.clear() {
			grown += extrasSize
		}
	}
	clear(b.tracks[:b.used])
	b.used = 0
	b.extras += grown
	return grown
}
