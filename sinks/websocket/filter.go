package websocketsink

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/expr"
)

const (
	maxFilter   = 1024   // bytes of a filter's text
	filterSteps = 10_000 // of one evaluation; more than any test of a few fields takes, and a fraction of a millisecond
)

// A filter says which records a client gets. Clients that have given the same text share one, and what it gave for the latest messages: those
// who watch the same page evaluate it once a record.
type filter struct {
	cond   expr.Condition
	text   string
	users  int // under the lock of filters
	share  share
	recent [256]atomic.Uint64 // of the message n at n % 256: n twice, and 1 more when it fits
}

// filters are those in use.
type filters struct {
	mu  sync.Mutex
	all map[string]*filter

	// turns bound how many evaluate at once: half of the processors stay for the pipeline, whatever clients ask for.
	turns turns
}

func newFilters() *filters {
	return &filters{all: map[string]*filter{}, turns: turns{free: max(1, runtime.GOMAXPROCS(0)/2)}}
}

// use gives the filter of a text; "": nil, which takes everything. The error shows where the text is wrong.
func (f *filters) use(text string) (*filter, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	if len(text) > maxFilter {
		return nil, fmt.Errorf("filter: it has %d bytes, and %d are the most", len(text), maxFilter)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	one := f.all[text]
	if one == nil {
		one = &filter{text: text}
		if err := one.cond.UnmarshalText([]byte(text)); err != nil {
			return nil, marked(text, err)
		}
		one.cond.Limit(filterSteps)
		f.all[text] = one
	}
	one.users++
	return one, nil
}

// leave notes that a client does not use the filter any more.
func (f *filters) leave(one *filter) {
	if one == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(f.all, one.text)
	}
}

// known says whether a message is for those who have given the filter, where that has been found out already.
func (one *filter) known(m *message) (fit, ok bool) {
	is := one.recent[m.number%uint64(len(one.recent))].Load()
	return is&1 == 1, is>>1 == m.number
}

// fits finds it out. A message on which the filter fails is not for them. rec is room for its record.
func (one *filter) fits(m *message, rec *pipeline.Record) bool {
	m.record(rec)
	ok, err := one.cond.Condition(rec)
	fit := ok && err == nil
	is := m.number << 1
	if fit {
		is++
	}
	one.recent[m.number%uint64(len(one.recent))].Store(is)
	return fit
}

// marked gives the error of an expression with a mark below the place.
func marked(text string, err error) error {
	var e *expr.Error
	if !errors.As(err, &e) || strings.ContainsAny(text, "\r\n") {
		return fmt.Errorf("filter: %w", err)
	}
	at := min(max(e.Column-1, 0), len(text))
	says := "filter: " + e.Message + "\n  " + text + "\n  " + strings.Repeat(" ", utf8.RuneCountInString(text[:at])) + "^"
	if e.Suggestion != "" {
		says += "\n" + e.Suggestion
	}
	return errors.New(says)
}
