package redissink

import (
	"context"
	"errors"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/redisserver"
)

// stored looks whether the entries of w.there are there, whose IDs the server refuses because the stream has later ones: they were
// stored by a transaction whose answer was lost, or by a process that ended before it said so. The ID alone says nothing: where positions
// begin anew, as in a topic that was made anew, it is that of another record.
func (w *write) stored(ctx context.Context) (goOn bool) {
	list := w.there
	w.there = nil
	return len(list) == 0 || w.look(ctx, list)
}

// look looks for entries. When what is there under their IDs has more to read than entries of theirs would have, they are looked for by
// halves, to find whose it is.
func (w *write) look(ctx context.Context, list []*command) (goOn bool) {
	k := w.sink
	found := make([]*goredis.XMessageSliceCmd, len(list))
	large := false
	err := k.limiter.Do(ctx, k.server.Host(), func(ctx context.Context) error {
		err := k.server.Do(ctx, answersOf(list), func(ctx context.Context, c *goredis.Client) error {
			pipe := c.Pipeline()
			for i, c := range list {
				found[i] = pipe.XRangeN(ctx, c.key, c.id, c.id, 1)
			}
			_, err := pipe.Exec(ctx)
			return err
		})
		if large = errors.Is(err, redisserver.ErrTooLarge) && ctx.Err() == nil; large {
			return nil // an answer as any other
		}
		if err != nil {
			_, err = redisserver.Explain(ctx, k.what(), err)
		}
		return err
	})
	if half := len(list) / 2; large && half > 0 {
		first := w.look(ctx, list[:half])
		return w.look(ctx, list[half:]) && first
	}
	for i, c := range list {
		switch {
		case err != nil:
			if _, permanent := pipeline.IsPermanent(err); permanent { // of another
				err = client.NewError(client.TypeRedis, k.what()+": it is not known whether the entry is there", nil)
			}
			w.fail(c, err)
		case large || len(found[i].Val()) > 0 && !c.isEntry(found[i].Val()[0].Values):
			w.fail(c, k.reject("the stream has another entry with the ID of this record's position: was the topic made anew, do the steps make something else of a record that is read again, or does something else write to the stream?", ""))
		case len(found[i].Val()) > 0:
			w.passed = true
		default:
			w.fail(c, k.reject("the stream has later entries, and none with the ID of this record's position: does something else write to it, or has maxlen taken it out since?", ""))
		}
	}
	return err == nil
}

// isEntry says whether an entry has the fields of the command, and no others.
func (c *command) isEntry(values map[string]any) bool {
	if 2*len(values) != len(c.fields) {
		return false
	}
	for i := 0; i+1 < len(c.fields); i += 2 {
		there, is := values[plainText(c.fields[i])]
		if !is || there != plainText(c.fields[i+1]) {
			return false
		}
	}
	return true
}

func plainText(arg any) string {
	if b, ok := arg.([]byte); ok {
		return string(b)
	}
	s, _ := arg.(string)
	return s
}

// around is how much more the answer to a command may take than what it quotes: lengths, ends of lines, the text of an error.
const around = 4 << 10

// answersOf is how much the answers to commands may have to read. A server that has more to say is none of Redis.
func answersOf(list []*command) int64 {
	n := int64(16 << 10) // what the server says of itself when a connection is made
	for _, c := range list {
		n += around + int64(c.size)
	}
	return n
}
