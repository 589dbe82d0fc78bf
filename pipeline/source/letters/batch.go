package letters

import "github.com/penstockio/penstock/pipeline"

// This file puts letters together to batches, and says when they are no longer under way.

// BatchRecords is how many letters a batch holds at most.
const BatchRecords = 256

const (
	batchBytes       = 256 << 10
	batchLooked      = 4096 // records that a batch says of that they were looked at
	batchesPerSecond = 10   // with a rate: letters are handed over in so many portions
)

// An entry is a record of the log with what was decided about it.
type entry struct {
	at     pipeline.Position
	choice Choice
}

// A flight is a letter under way.
type flight struct {
	at     pipeline.Position // of the letter
	target any
	ended  bool // the source was told how
	kept   bool // it went nowhere, and is not done with
}

// handed is a batch that was handed over.
type handed struct {
	next   int64               // of the lane, behind it
	sent   []*flight           // the letters in it
	passed []pipeline.Position // what is done with without being sent
}

// A building is a batch that is being put together.
type building struct {
	s       *Source
	records []pipeline.Record
	size    int64
	looked  int64
	sent    []*flight
	passed  []pipeline.Position
	flights map[pipeline.Position]*flight
}

func (b *building) full() bool {
	return len(b.records) >= b.s.most || b.size >= batchBytes || b.looked >= batchLooked
}

// add takes an entry in. An error says that it could not be remembered, and then it is not in.
func (b *building) add(e *entry) error {
	if e.choice.Verdict != Leave {
		b.s.planned.add(e.at)
		if err := b.s.o.Log.Fits(e.at.Partition, b.s.planned.Of(e.at.Partition)); err != nil {
			return err
		}
	}
	b.looked++
	switch e.choice.Verdict {
	case Pass:
		b.passed = append(b.passed, e.at)
	case Replay:
		rec := e.choice.Letter.Record
		b.records = append(b.records, rec)
		b.size += int64(rec.Size())
		f := &flight{at: e.at, target: e.choice.Target}
		b.sent, b.flights[rec.Position] = append(b.sent, f), f
		b.s.mu.Lock()
		b.s.under[rec.Position] = f
		b.s.mu.Unlock()
	}
	return nil
}

// batch hands the batch over.
func (b *building) batch() *pipeline.Batch {
	s := b.s
	s.next += b.looked
	s.mu.Lock()
	s.batches = append(s.batches, handed{s.next, b.sent, b.passed})
	s.mu.Unlock()
	out := &pipeline.Batch{Lane: s.lane, Next: s.next, Opaque: true}
	flights := b.flights
	if len(b.records) > 0 {
		out.Fill = pipeline.Records(b.records)
		out.Size = b.size
		out.Sending = func(pos pipeline.Position) { s.sending(flights[pos]) }
		out.Ended = func(pos pipeline.Position, err error) { s.end(flights[pos], err) }
		out.Free = func() {
			s.mu.Lock()
			for pos, f := range flights {
				if s.under[pos] == f { // else it is sent again
					delete(s.under, pos)
				}
			}
			s.mu.Unlock()
			s.changed()
		}
	}
	return out
}
