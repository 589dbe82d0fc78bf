package redisserver

import (
	"context"

	goredis "github.com/redis/go-redis/v9"
)

// tryTransaction has the server begin and end a transaction of nothing.
func tryTransaction(ctx context.Context, c *goredis.Conn) error {
	pipe := c.Pipeline()
	both := []*goredis.Cmd{pipe.Do(ctx, "multi"), pipe.Do(ctx, "exec")}
	_, err := pipe.Exec(ctx)
	for _, cmd := range both {
		if cmd.Err() == nil {
			continue
		}
		code, m := mean(cmd.Err())
		if code == "" || m.about == AboutNow || code == "NOAUTH" || code == "DENIED" { // it is not about transactions
			return cmd.Err()
		}
		return &noTransactionsError{code}
	}
	return err
}

// A noTransactionsError says that there are none for this user, by the code of the server.
type noTransactionsError struct{ code string }

func (e *noTransactionsError) Error() string {
	return "the server begins no transaction: the user needs the right to MULTI and EXEC (ACL), and a proxy has to pass them on (" + e.code + ")"
}
