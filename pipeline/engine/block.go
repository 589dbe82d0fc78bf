package engine

import "github.com/penstockio/penstock/pipeline"

// blockRecords are the places of a block. They are few, so that a lane with one record
// under way holds little (24 KiB), and a block stays in the nearest cache. With half of
// them the outcome of a whole batch costs a seventh more, since it counts in every block
// (BenchmarkP15).
const blockRecords = 128

// A block is where records stand, with their tracks, from when they are made until they
// have their outcome. Its places are given out one after another, to one lane, and used
// again when all records in it are done: the block that came free last is the next one
// to be filled, while it is warm in the cache (BenchmarkP1).
//
// Until then a place goes on pointing to the bytes of its record, also when that one is done.
// So a block is full too when its records have as many bytes as a chunk may have: large records
// would otherwise keep 128 times their size from the collector.
type block struct {
	*cells
	next   *block // under way: where its last piece goes on; free: the next of those that came free together
	refs   int    // pieces with records in it, and one more while the lane fills it; guarded by the lane
	used   int    // places given out; the filler's, like the fields below
	bytes  int64  // bytes that its records came with
	had    int    // places given out whose records came with extras of an earlier use
	extras int    // places with extras that have been charged
}

// cells are the records and tracks of a block. They are an object of their own, so that the
// counts of blocks stand close together: a write that ends counts down dozens of them, and
// would fetch each from another page (BenchmarkP15).
type cells struct {
	recs   [blockRecords]pipeline.Record
	tracks [blockRecords]track
}

const (
	blockSize = blockRecords * placeSize
	// heavyBlock is how many bytes the records of a block may have for it to go on pointing to
	// them when it is free. A heavier one is cleared at once.
	heavyBlock = 128 << 10
)

// giveOut gives out n places, whose records have been made with bytes in all. It says how many
// bytes of extras are to be charged: those that have stayed with places since they were used
// last, as nobody looks at each when they are made.
func (b *block) giveOut(n int, bytes int64) (grown int64) {
	b.had += records.WithExtras(b.recs[b.used : b.used+n])
	b.used += n
	b.bytes += bytes
	if b.had > b.extras {
		grown = int64(b.had-b.extras) * records.ExtrasSize
		b.extras = b.had
	}
	return grown
}

// size is what the block takes of the budget.
func (b *block) size() int64 { return blockSize + int64(b.extras)*records.ExtrasSize }

// reset has the places given out from the first one again. What they hold is overwritten.
func (b *block) reset() { b.next, b.used, b.bytes, b.had = nil, 0, 0, 0 }

// tidy clears the places of a free block, so that they keep no bytes from the collector.
func (b *block) tidy() {
	for i := range b.recs {
		records.Clear(&b.recs[i])
	}
	clear(b.tracks[:])
}
