package redis

import (
	"context"
	"encoding/base64"
	"errors"
	"unicode/utf8"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/redisserver"
)

// errNoText says that what was found is no text that JSON can hold.
var errNoText = errors.New("no UTF-8")

// around is how much more an answer takes than what is in it: lengths, ends of lines, and what the server says of itself when a
// connection is made.
const around = 16 << 10

// ask asks for all looks in one pipeline of commands, and sets the answer or the err of each. When together they have more to
// read than one may, they are asked for by halves, so that the one that is too large fails alone.
func (s *Stage) ask(ctx context.Context, looks []*look) {
	read := make([]func(*look) error, len(looks))
	err := s.server.Do(ctx, int64(s.settings.MaxBytes)+around*int64(len(looks)), func(ctx context.Context, c *goredis.Client) error {
		pipe := c.Pipeline()
		for i, l := range looks {
			read[i] = s.command(ctx, pipe, l)
		}
		_, err := pipe.Exec(ctx)
		return err
	})
	if half := len(looks) / 2; half > 0 && errors.Is(err, redisserver.ErrTooLarge) && ctx.Err() == nil {
		s.ask(ctx, looks[:half])
		s.ask(ctx, looks[half:])
		return
	}
	answered := err == nil || redisserver.Said(err) != "" && !redisserver.NotSent(err) // then each has an answer, or an error of its own
	for i, l := range looks {
		if l.err = err; answered {
			l.err = read[i](l)
		}
	}
}

// command adds the command of a look-up to the pipeline, and gives what reads its answer.
func (s *Stage) command(ctx context.Context, pipe goredis.Pipeliner, l *look) (read func(*look) error) {
	switch s.settings.Command {
	case "mget":
		cmd := pipe.MGet(ctx, l.args...)
		return func(l *look) error { return s.list(l, cmd) }
	case "hgetall":
		// Not HGetAll of the library, whose map has no order: equal hashes would make other texts each time.
		cmd := goredis.NewSliceCmd(ctx, "hgetall", l.args[0])
		_ = pipe.Process(ctx, cmd) // its error is that of Exec
		return func(l *look) error { return s.object(l, cmd) }
	}
	cmd := pipe.Get(ctx, l.args[0])
	if s.settings.Command == "hget" {
		cmd = pipe.HGet(ctx, l.args[0], l.args[1])
	}
	return func(l *look) error {
		text, err := cmd.Bytes()
		if errors.Is(err, goredis.Nil) {
			l.answer.json = []byte("null")
			return nil
		}
		if err == nil {
			l.answer.found = true
			l.answer.json, err = s.append(nil, text)
		}
		return s.fits(l, err)
	}
}

// list reads the answer of mget.
func (s *Stage) list(l *look, cmd *goredis.SliceCmd) error {
	values, err := cmd.Result()
	if err != nil {
		return err
	}
	out := []byte{'['}
	for i, v := range values {
		if i > 0 {
			out = append(out, ',')
		}
		text, there := v.(string)
		if !there {
			out = append(out, "null"...)
			continue
		}
		l.answer.found = true
		if out, err = s.append(out, []byte(text)); err != nil {
			return err
		}
	}
	l.answer.json = append(out, ']')
	return s.fits(l, nil)
}

// object reads the answer of hgetall: names and values in turn.
func (s *Stage) object(l *look, cmd *goredis.SliceCmd) error {
	values, err := cmd.Result()
	if err != nil {
		return err
	}
	if len(values) < 2 {
		l.answer.json = []byte("null")
		return nil
	}
	l.answer.found = true
	out := []byte{'{'}
	for i := 0; i+1 < len(values); i += 2 {
		name, _ := values[i].(string)
		text, _ := values[i+1].(string)
		if !utf8.ValidString(name) {
			return errNoText
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(jsontext.AppendString(out, name), ':')
		if out, err = s.append(out, []byte(text)); err != nil {
			return err
		}
	}
	l.answer.json = append(out, '}')
	return s.fits(l, nil)
}

// append appends a value as JSON.
func (s *Stage) append(out, text []byte) ([]byte, error) {
	switch {
	case s.settings.As == "base64":
		out = append(out, '"')
		return append(base64.StdEncoding.AppendEncode(out, text), '"'), nil
	case !utf8.Valid(text):
		return out, errNoText
	case s.settings.As == "json" && jsontext.Valid(text):
		return append(out, text...), nil
	}
	return jsontext.AppendString(out, string(text)), nil
}

// fits refuses an answer that is too large by itself, which together with others was read.
func (s *Stage) fits(l *look, err error) error {
	if err == nil && len(l.answer.json) > int(s.settings.MaxBytes) {
		return redisserver.ErrTooLarge
	}
	return err
}
