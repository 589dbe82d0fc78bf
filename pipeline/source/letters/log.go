// SPDX-License-Identifier: Apache-2.0

// Package letters reads dead letters back: from a topic or a fixture file, as a source whose records
// are those that were rejected, and which remembers what was replayed.
package letters

import (
	"context"
	"errors"
	"io"

	"github.com/penstockio/penstock/pipeline"
)

// A Progress is what is done with, by partition; a file is partition 0, and its lines are the
// offsets.
type Progress map[int32]*Done

// Of gives the set of a partition, which it adds if it is not there.
func (p Progress) Of(partition int32) *Done {
	d := p[partition]
	if d == nil {
		d = new(Done)
		p[partition] = d
	}
	return d
}

// Has says whether a letter is done with.
func (p Progress) Has(at pipeline.Position) bool {
	d := p[at.Partition]
	return d != nil && d.Has(at.Offset)
}

// add notes that a letter is done with.
func (p Progress) add(at pipeline.Position) { p.Of(at.Partition).Add(at.Offset, at.Offset+1) }

// clone gives a copy.
func (p Progress) clone() Progress {
	c := make(Progress, len(p))
	for partition, d := range p {
		c[partition] = d.Clone()
	}
	return c
}

// ErrTaken says that somebody else has stored progress since it was loaded.
var ErrTaken = errors.New("another replay of these dead letters is under way, or its position was changed by hand: it has moved since this replay read it")

// ErrBegunAnew says that the log is another one than the one that was read. What was replayed of that
// last is not remembered, so that nothing of the new one counts as replayed.
var ErrBegunAnew = errors.New("these dead letters were deleted and begun anew, or changed by hand, while they were replayed: what was sent last is not remembered; replay again, for those that have come since")

// A ScatteredError says that what was replayed cannot be remembered: it is scattered over too many
// letters that were not.
type ScatteredError struct{ Partition string }

func (e *ScatteredError) Error() string {
	return "what was replayed of " + e.Partition + " is scattered over so many letters that were not that a group's offset cannot hold it; replay those between them too, or move them away"
}

// A Log is where dead letters are. It is used by one goroutine at a time, but that Load, Save and
// Fits may be called beside Next.
type Log interface {
	// Name is what people call it: the topic, or the file.
	Name() string
	// Ping says whether it can be read. The error is one of the environment.
	Ping(ctx context.Context) error
	// Open looks where the log ends now, and goes to the first letter that is not in done. It may
	// leave out those that are. It adds to done what is gone from the log. Opened again, it still ends
	// where it did.
	Open(ctx context.Context, done Progress) error
	// Next gives the next record and where it stands, in bytes that stay; io.EOF at the end that
	// Open has seen. Records of several partitions come in the order of their times.
	Next(ctx context.Context) (*pipeline.Record, pipeline.Position, error)
	// Left is at most how many letters are still to come, those that are done included.
	Left() int64
	// Load gives what was stored. It is empty for another log of the same name. A *ChangedError says that the
	// log is the same and has lost letters since, so that nothing is known.
	Load(ctx context.Context) (Progress, error)
	// Save stores it durably. The first Save takes the log for this process until Close: the error is a *HeldError
	// when another has it. It is ErrTaken when what is stored is not what this Log has
	// loaded or saved last, and ErrBegunAnew when the log is not the one that was loaded.
	Save(ctx context.Context, done Progress) error
	// Fits gives an error when Save could not store what is done of a partition. It is asked with each
	// letter.
	Fits(partition int32, done *Done) error
	// PositionName is what people call the place where progress is stored.
	PositionName() string
	// Close releases what it holds.
	Close() error
}

// Each opens a log at its beginning and calls yield for each record in it, with where it stands. It
// ends at io.EOF from yield.
func Each(ctx context.Context, log Log, yield func(rec *pipeline.Record, at pipeline.Position) error) error {
	if err := log.Open(ctx, Progress{}); err != nil {
		return err
	}
	for {
		rec, at, err := log.Next(ctx)
		if err == nil {
			err = yield(rec, at)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
