package redissink

import (
	"context"
	"errors"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/redisserver"
)

// The bounds of a transaction. The server does nothing else while it carries one out.
const (
	maxCommands = 1000
	maxBytes    = 4 << 20
)

// A write is the work of one Write.
type write struct {
	sink   *Sink
	list   []*command // in the order of the records
	failed []pipeline.Failure

	suspects []suspect
	there    []*command // whose entries may be there already
	passed   bool       // something has been stored
}

// A suspect is a command that was refused, by an error that may be about it or about all.
type suspect struct {
	command *command
	err     error // transient
	cause   error // of the server
}

func (w *write) fail(c *command, err error) {
	w.failed = append(w.failed, pipeline.Failure{Index: c.index, Err: err})
}

// store sends all commands, in order, and stops at what keeps one from being stored now.
func (w *write) store(ctx context.Context) {
	stopped := false
	for list := w.list; len(list) > 0; {
		n, size := 0, 0
		for n < len(list) && n < maxCommands && (n == 0 || size+list[n].size <= maxBytes) {
			size += list[n].size
			n++
		}
		if stopped {
			for _, c := range list[:n] {
				w.fail(c, client.ErrHeldBack)
			}
		} else {
			stopped = !w.part(ctx, list[:n])
		}
		list = list[n:]
	}
	for _, s := range w.suspects {
		if !w.passed {
			w.fail(s.command, s.err)
			continue
		}
		w.fail(s.command, w.sink.reject("the server refuses the record, and took others: "+redisserver.Meaning(s.cause), redisserver.Said(s.cause)))
	}
}

// part stores commands in one transaction, and those that the server does not take into it left out in another. It gives false
// when some have to wait.
func (w *write) part(ctx context.Context, list []*command) (goOn bool) {
	for len(list) > 0 {
		var answers []error
		err := w.sink.limiter.Do(ctx, w.sink.server.Host(), func(ctx context.Context) error {
			var err error
			answers, err = w.sink.transaction(ctx, list)
			if err != nil && !refusedOne(answers) {
				_, err = redisserver.Explain(ctx, w.sink.what(), cause(answers, err))
				return err
			}
			return nil
		})
		switch {
		case err == nil && carriedOut(answers):
			goOn = w.judge(ctx, list, answers)
			return w.stored(ctx) && goOn
		case err == nil:
			if list = w.without(ctx, list, answers); list == nil {
				_ = w.stored(ctx)
				return false
			}
		default:
			for _, c := range list {
				w.fail(c, err)
			}
			_ = w.stored(ctx)
			return false
		}
	}
	return w.stored(ctx)
}

// transaction sends commands as one transaction, and gives the answer to each; the error is one of those, or of all.
func (k *Sink) transaction(ctx context.Context, list []*command) (answers []error, err error) {
	err = k.server.Do(ctx, answersOf(list), func(ctx context.Context, c *goredis.Client) error {
		pipe := c.TxPipeline()
		cmds := make([]*goredis.Cmd, len(list))
		for i, c := range list {
			cmds[i] = goredis.NewCmd(ctx, c.args...)
			_ = pipe.Process(ctx, cmds[i]) // its error is that of Exec
		}
		_, err := pipe.Exec(ctx)
		answers = make([]error, len(list))
		for i, cmd := range cmds {
			if answers[i] = cmd.Err(); answers[i] == nil && cmd.Val() == nil {
				answers[i] = errNoAnswer // each of the commands is answered by something
			}
		}
		if err != nil && !carriedOut(answers) {
			// The library may have stopped reading in the midst of the answers.
			return redisserver.Spoiled(err)
		}
		return err
	})
	if redisserver.NotSent(err) {
		answers = nil
	}
	return answers, err
}

var errNoAnswer = errors.New("the command has no answer")

// aborted is the code of the commands of a transaction that the server has not begun.
const aborted = "EXECABORT"

// carriedOut says whether the server has begun the transaction: then it has carried out all of it, and each command has an answer of
// its own. One in which each is refused for itself counts as carried out: that is the same.
func carriedOut(answers []error) bool {
	refused := len(answers) > 0
	for _, err := range answers {
		if err == nil {
			return true
		}
		code := redisserver.Code(err)
		refused = refused && code != "" && code != aborted && (redisserver.Of(err) == redisserver.AboutRecord || hasLater(err))
	}
	return refused
}

// hasLater says whether an entry is refused because the stream has one with a later ID, or with the same.
func hasLater(err error) bool { return strings.Contains(redisserver.Said(err), "equal or smaller") }

// refusedOne says whether the server has refused a command for itself.
func refusedOne(answers []error) bool {
	for _, err := range answers {
		if code := redisserver.Code(err); err == nil || code != "" && code != aborted && (redisserver.Of(err) == redisserver.AboutRecord || redisserver.Of(err) == redisserver.AboutAny) {
			return true
		}
	}
	return false
}

// cause gives the error by which a transaction was not carried out: that of the first command that the server does not take now, of
// which err says no more than that it has not begun.
func cause(answers []error, err error) error {
	for _, a := range answers {
		if code := redisserver.Code(a); code != "" && code != aborted {
			return a
		}
	}
	return err
}

// without takes those off the list for which the server has not begun the transaction. nil: all have to wait.
func (w *write) without(ctx context.Context, list []*command, answers []error) (rest []*command) {
	rest = make([]*command, 0, len(list))
	for i, c := range list {
		code := redisserver.Code(answers[i])
		if code == "" || code == aborted {
			rest = append(rest, c)
			continue
		}
		if of, err := redisserver.Explain(ctx, w.sink.what(), answers[i]); of == redisserver.AboutNow || of == redisserver.AboutSetup {
			for _, c := range list {
				w.fail(c, err)
			}
			return nil
		}
	}
	for i, c := range list {
		if code := redisserver.Code(answers[i]); code != "" && code != aborted {
			w.refuse(ctx, c, answers[i])
		}
	}
	return rest
}

// refuse settles what becomes of a command that the server refuses for itself.
func (w *write) refuse(ctx context.Context, c *command, cause error) {
	of, err := redisserver.Explain(ctx, w.sink.what(), cause)
	switch {
	case c.id != "" && hasLater(cause):
		w.there = append(w.there, c)
	case of == redisserver.AboutAny:
		w.suspects = append(w.suspects, suspect{c, err, cause})
	default:
		w.fail(c, err)
	}
}

// judge settles what becomes of the commands of a transaction that was carried out. It gives false when some have to
// wait: with them wait those behind them of the same key, which are sent again in order.
func (w *write) judge(ctx context.Context, list []*command, answers []error) (goOn bool) {
	waiting := map[string]bool{}
	for i, c := range list {
		of := redisserver.Of(answers[i])
		switch {
		case waiting[c.key]:
			w.fail(c, client.ErrHeldBack)
		case answers[i] == nil:
			w.passed = true
		case of == redisserver.AboutRecord, of == redisserver.AboutAny:
			w.refuse(ctx, c, answers[i])
		default:
			_, err := redisserver.Explain(ctx, w.sink.what(), answers[i])
			w.fail(c, err)
			waiting[c.key] = true
		}
	}
	return len(waiting) == 0
}
