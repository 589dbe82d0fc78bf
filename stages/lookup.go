package stages

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/jsontext"
	"github.com/penstockio/penstock/pipeline/settings"
)

// LookupSettings are the settings of a Lookup.
type LookupSettings struct {
	Table   TableSettings        `yaml:"table" required:"true" doc:"the table: a file held in memory; a change counts within 2 s of the last write to the file, also when no record comes; a file without rows, or one that cannot be used, leaves the table as it is, with one warning"`
	Match   expr.Expr            `yaml:"match" required:"true" doc:"expression that gives the key to look for; a number is looked for as it is written"`
	Into    settings.FieldPath   `yaml:"into" required:"true" doc:"field that takes the row, as an object"`
	Columns []settings.FieldPath `yaml:"columns" doc:"columns of the row that are put in, or of jsonl fields at any depth, each at its path; left out: all"`
	OnMiss  OnMiss               `yaml:"on_miss" enum:"null|reject|filter" doc:"what a key that is not in the table does: null as the row, or reject or filter the record"`
}

// TableSettings say where the table is.
type TableSettings struct {
	File     settings.Path      `yaml:"file" required:"true" doc:"file with the rows"`
	Key      settings.FieldPath `yaml:"key" required:"true" doc:"column (of jsonl a field at any depth) by which rows are found; each value stands once"`
	Format   string             `yaml:"format" enum:"csv|jsonl" doc:"csv: a header line, then rows, all values text; jsonl: an object a line; left out: by the file's ending"`
	MaxBytes settings.Size      `yaml:"max_bytes" min:"1B" doc:"largest file that is taken into memory"`
}

// DefaultLookup gives the settings of a Lookup before a file is read.
func DefaultLookup() LookupSettings {
	return LookupSettings{OnMiss: MissNull, Table: TableSettings{MaxBytes: 256 << 20}}
}

// Validate implements the check of settings.
func (s *LookupSettings) Validate() error {
	var errs []error
	wrong := func(field string, err error) {
		if err != nil {
			errs = append(errs, &settings.FieldError{Field: field, Err: err})
		}
	}
	if s.Into == "" {
		wrong("into", errors.New("name the field that takes the row"))
	} else {
		_, err := s.Into.Place()
		wrong("into", err)
	}
	if s.Table.File == "" {
		wrong("table.file", errors.New("no file"))
	} else if _, err := s.Table.format(); err != nil {
		wrong("table.format", err)
	}
	if s.Table.Key == "" {
		wrong("table.key", errors.New("name the column by which rows are found"))
	} else {
		_, err := s.Table.column(s.Table.Key)
		wrong("table.key", err)
	}
	for i, c := range s.Columns {
		steps, err := s.Table.column(c)
		if slices.ContainsFunc(steps, func(s jsontext.Step) bool { return s.Kind == jsontext.Indexed }) {
			err = fmt.Errorf("%q is an element of an array, which cannot stand at its place without the others: name the array", c)
		}
		wrong(listed("columns", i), err)
	}
	wrong("on_miss", s.OnMiss.Validate())
	return errors.Join(errs...)
}

// column takes the path of a column apart: of a csv table that is its name.
func (s *TableSettings) column(path settings.FieldPath) (jsontext.Path, error) {
	steps, err := path.Place()
	if format, _ := s.format(); err != nil || format != "csv" || len(steps) == 1 {
		return steps, err
	}
	return nil, fmt.Errorf("%q is a path, and a row of a csv file has columns, with nothing within: a column that is called so is written '%s'",
		path, jsontext.Path{{Name: string(path)}})
}

// columns takes the paths of the columns that are put in apart, and gives them with that of the key.
func (s *LookupSettings) columns() (key jsontext.Path, columns []jsontext.Path, err error) {
	for i, c := range s.Columns {
		path, err := s.Table.column(c)
		if err != nil {
			return nil, nil, &settings.FieldError{Field: listed("columns", i), Err: err}
		}
		columns = append(columns, path)
	}
	if key, err = s.Table.column(s.Table.Key); err != nil {
		err = &settings.FieldError{Field: "table.key", Err: err}
	}
	return key, columns, err
}

// Check reads the table, to find out whether it is good.
func (s *LookupSettings) Check() error {
	_, err := readTable(*s)
	return err
}

// Empty says whether the table is good and has no rows, so that no key is found in it.
func (s *LookupSettings) Empty() bool {
	const header = 64 << 10 // a larger file is not read again: it is more than a header
	info, err := os.Stat(string(s.Table.File))
	if err != nil || info.Size() > header {
		return false
	}
	t, err := readTable(*s)
	return err == nil && len(t.rows) == 0
}

// A Lookup puts the row of a table into a record. The table is a file held in memory,
// and watched from Attach to Close: a change is in force within two seconds of the last
// write, and the time that reading the file takes, whether records come or not. A file
// that has become empty or broken changes nothing but the log.
//
// A key that is not in the table, or is nil, gives null, or rejects the record with no_match, or
// filters it. Tombstones pass unchanged; a value that is no object is rejected with not_object
// when a field would be read or set, and with no_path when something else stands in the way of into.
type Lookup struct {
	s    LookupSettings
	into jsontext.Path
	read func(LookupSettings) (*table, error)

	rows         atomic.Pointer[table]
	hits, misses atomic.Int64

	stop func() // ends the watch; nil: it has not begun
	done chan struct{}
}

// NewLookup makes a Lookup and reads its table.
func NewLookup(s LookupSettings) (*Lookup, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if s.Match.IsZero() {
		return nil, &settings.FieldError{Field: "match", Err: errors.New("no expression")}
	}
	t, err := readTable(s)
	if err != nil {
		return nil, err
	}
	into, err := s.Into.Place()
	if err != nil {
		return nil, err
	}
	l := &Lookup{s: s, into: into, read: readTable}
	l.rows.Store(t)
	return l, nil
}

// Attach implements pipeline.Attacher. It begins to watch the file; Close ends that.
func (l *Lookup) Attach(e *event.Emitter) {
	ctx, stop := context.WithCancel(context.Background())
	l.stop, l.done = stop, make(chan struct{})
	w := newTableWatch(l, e)
	go func() {
		defer close(l.done)
		w.run(ctx)
	}()
}

// closeWait is how long Close waits for a look that is under way: a file system that
// hangs must not hold up the end of the pipeline.
const closeWait = time.Second

// Close implements io.Closer.
func (l *Lookup) Close() error {
	if l.stop == nil {
		return nil
	}
	l.stop()
	late := time.NewTimer(closeWait)
	defer late.Stop()
	select {
	case <-l.done:
	case <-late.C:
	}
	return nil
}

// Report implements pipeline.Reporter.
func (l *Lookup) Report() pipeline.Report {
	return pipeline.Report{CacheHits: l.hits.Load(), CacheMisses: l.misses.Load()}
}

var errNoMatch = pipeline.Reject(ReasonNoMatch, errors.New("looking up: the key is not in the table"))

// Process implements pipeline.Stage.
func (l *Lookup) Process(_ context.Context, rec *pipeline.Record) error {
	if rec.Tombstone() {
		return nil
	}
	key, err := l.s.Match.Bytes(rec)
	if err != nil {
		return err
	}
	row, ok := l.rows.Load().rows[string(key)]
	if ok && key != nil {
		l.hits.Add(1)
		return rec.SetRawAt(l.into, row)
	}
	l.misses.Add(1)
	switch l.s.OnMiss {
	case MissReject:
		return errNoMatch
	case MissFilter:
		return pipeline.Filtered
	}
	return rec.SetRawAt(l.into, []byte("null"))
}
