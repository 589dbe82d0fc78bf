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
// to be filled, while it is warm in the cache (BenchmarkP1). Until then each of them keeps
// what it has, also when it is done, so that large records fill a block before its places
// are used up: what a chunk of them holds.
type block struct {
	*places
	next   *block // the one in which its last piece goes on; of those that came free together, another
	refs   int    // pieces that have records in it, and one while the lane fills it; guarded by the lane
	used   int    // places given out; the filler's, like
	bytes  int64  // that its records came with
	had    int    // places of these that came with extras
	extras int    // places with extras, as charged
}

// places are what stands in a block. They are an object of their own, so that the counts of
// blocks stand close together: a write that ends counts in dozens of them, and would fetch
// each from another page (BenchmarkP15).
type places struct {
	recs   [blockRecords]pipeline.Record
	tracks [blockRecords]track
}

const (
	blockSize  = blockRecords * placeSize
	heavyBlock = 128 << 10 // bytes of a block's records that are not kept from the collector for a moment longer
)

// fill gives out n places, whose records have been made. It says how many bytes of
// extras the block has come to hold.
func (b *block) fill(n int, bytes int64) (grown int64) {
	for i := b.used; i < b.used+n; i++ {
		if records.HasExtras(&b.recs[i]) {
			b.had++
		}
	}
	b.used += n
	b.bytes += bytes
	if b.had > b.extras {
		grown = int64(b.had-b.extras) * records.ExtrasSize
		b.extras = b.had
	}
	return grown
}

// size is what the block takes.
func (b *block) size() int64 { return blockSize + int64(b.extras)*records.ExtrasSize }

// reset has the places given out from the first one again. What they hold is overwritten.
func (b *block) reset() { b.next, b.used, b.bytes, b.had = nil, 0, 0, 0 }

// tidy lets go of what the records point to, of which nobody has any.
func (b *block) tidy() {
	for i := range b.recs {
		records.Clear(&b.recs[i])
	}
	clear(b.tracks[:])
}
