package event

import "github.com/rs/zerolog"

// SetLevel changes the lowest level of free lines, of this emitter and of all that share its writer,
// and gives what it was. Loggers that Log has given, and those made of them, follow at once.
func (e *Emitter) SetLevel(l zerolog.Level) (was zerolog.Level) {
	if e == nil {
		return zerolog.Disabled
	}
	return zerolog.Level(e.out.level.Swap(int32(l)))
}

// Level gives the lowest level of free lines.
func (e *Emitter) Level() zerolog.Level {
	if e == nil {
		return zerolog.Disabled
	}
	return zerolog.Level(e.out.level.Load())
}

// Sample implements zerolog.Sampler: it says whether lines of a level are written. A logger asks before
// it makes a line, and its copies ask the same output, which the level in a logger does not do.
func (o *output) Sample(l zerolog.Level) bool { return l >= zerolog.Level(o.level.Load()) }
