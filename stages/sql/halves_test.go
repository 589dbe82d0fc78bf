package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

// A fussy database refuses a query with any of some values in it.
type fussy struct {
	dialect // of which nothing else is used
	bad     string
	err     error
	asked   int
	cancel  context.CancelFunc
}

type badValue struct{}

func (badValue) Error() string { return "a value" }

func (d *fussy) ask(_ context.Context, _ *dbsql.DB, looks []*look) error {
	if d.asked++; d.cancel != nil {
		d.cancel()
	}
	for _, l := range looks {
		if strings.Contains(d.bad, string(l.args[0])) {
			return d.err
		}
	}
	for _, l := range looks {
		if _, err := l.row(func(out []byte) ([]byte, error) { return append(out, l.args[0]...), nil }); err != nil {
			return err
		}
	}
	return nil
}

func (d *fussy) fault(err error) fault {
	switch err.Error() {
	case "the connection was lost":
		return ofAll
	case "too long":
		return ofTime
	}
	return ofOne
}

func (d *fussy) classify(err error) (permanent bool, text string, known bool) {
	return errors.As(err, new(badValue)), "", true
}

// The value that makes a query fail is found, and no other look-up fails for it.
func TestBadValueFailsAlone(t *testing.T) {
	transient := errors.New("the connection was lost")
	for name, tt := range map[string]struct {
		n            int
		bad          string
		err          error
		asked, fails int
	}{
		"none":           {64, "", badValue{}, 1, 0},
		"one":            {64, "(17)", badValue{}, 13, 1},
		"one of one":     {1, "(0)", badValue{}, 1, 1},
		"the last":       {5, "(4)", badValue{}, 7, 1},
		"two":            {8, "(0)(7)", badValue{}, 11, 2},
		"all":            {4, "(0)(1)(2)(3)", badValue{}, 7, 4},
		"not together":   {4, "(0)(1)", errNotTogether, 5, 2},
		"of all":         {64, "(17)", transient, 1, 64},
		"of no class":    {64, "(17)", errors.New("UX001"), 13, 1},
		"too long alone": {1, "(0)", errors.New("too long"), 1, 1},
		"given up":       {64, "(17)", badValue{}, 1, 64},
		"reject of ours": {2, "(1)", pipeline.Reject("sql", errors.New("x")), 3, 1},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		d := &fussy{bad: tt.bad, err: tt.err}
		if name == "given up" {
			d.cancel = cancel
		}
		st := &Stage{dialect: d, settings: Default()}
		var looks []*look
		for i := range tt.n {
			l := askFor(fmt.Sprintf("(%d)", i))
			l.settings = &st.settings
			looks = append(looks, l)
		}
		st.ask(ctx, looks)
		fails := 0
		for _, l := range looks {
			switch {
			case l.err != nil:
				fails++
			case string(l.result.json) != string(l.args[0]):
				t.Errorf("%s: %s has %s", name, l.args[0], l.result.json)
			}
		}
		if fails != tt.fails || d.asked != tt.asked {
			t.Errorf("%s: %d failed after %d queries, want %d after %d", name, fails, d.asked, tt.fails, tt.asked)
		}
	}
}

// A query for several that takes too long, or is ended for that from here, says nothing of any of them: each is to be
// asked for again. One alone is its own.
func TestTooLongForSeveral(t *testing.T) {
	late, cancel := context.WithCancelCause(t.Context())
	cancel(errLate)
	for name, tt := range map[string]struct {
		ctx   context.Context
		n     int
		err   error
		again int
	}{
		"several":         {t.Context(), 8, errors.New("too long"), 8},
		"one":             {t.Context(), 1, errors.New("too long"), 0},
		"ended from here": {late, 8, context.Canceled, 8},
	} {
		st := &Stage{dialect: &fussy{bad: "(0)", err: tt.err}, settings: Default()}
		var looks []*look
		for i := range tt.n {
			looks = append(looks, askFor(fmt.Sprintf("(%d)", i)))
			looks[i].settings = &st.settings
		}
		once, again := st.ask(tt.ctx, looks), 0
		for _, l := range looks {
			if l.again {
				again++
			} else if l.err == nil {
				t.Errorf("%s: %s has no error", name, l.args[0])
			}
		}
		if again != tt.again || once {
			t.Errorf("%s: %d to be asked for again, once %v", name, again, once)
		}
	}
}
