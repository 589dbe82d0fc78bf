package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// deaf is a source whose Commit takes as long as it may.
type deaf struct {
	*memory
	takes time.Duration // 0: it hangs
}

func (d deaf) Commit(ctx context.Context, marks []pipeline.Mark) error {
	if d.takes > 0 {
		pause(ctx, d.takes)
		return d.memory.Commit(ctx, marks)
	}
	<-ctx.Done()
	return ctx.Err()
}

// A commit that hangs or fails is named although an older record waits: the mark stands where it was committed last, before that
// record. One that is in time is not.
func TestWhyNamesACommitBesideAnOlderRecord(t *testing.T) {
	records := func(commit func([]pipeline.Mark) error) *memory {
		return &memory{lanes: 1, records: 20, batch: 5, endless: true, commit: commit}
	}
	const record = "t/0@10: ask: attempt 1 of 5 has been under way for 5.0 s; 9 records behind it"
	for name, tt := range map[string]struct {
		options Options
		want    []string
	}{
		"hangs": {Options{Source: deaf{records(nil), 0}}, []string{
			record, "t/0@0: commit: is done and has waited 4.0 s for the commit; 19 records behind it",
		}},
		"is refused": {Options{Source: records(func([]pipeline.Mark) error { return errors.New("not now") })}, []string{
			record, "t/0@0: commit: is done and has waited 4.0 s for the commit; attempt 4 fails with _other (not now); 19 records behind it",
		}},
		"a transaction hangs": {Options{Source: records(nil), Transactor: &hung{ledger{t: t, next: map[string]int64{}}}}, []string{
			record, "t/0@0: commit: is done and has waited 4.0 s for the transaction; 19 records behind it",
		}},
		"takes a while": {Options{Source: deaf{records(nil), 900 * time.Millisecond}}, []string{record}},
		"is done":       {Options{Source: records(nil)}, []string{record}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := tt.options
				o.Sinks = []Output{{Name: "out", Sink: &collect{}}}
				o.Steps = []Step{{Name: "ask", Workers: 64, Wait: patiently(64), Stage: takesAndHangs(time.Second, 10)}}
				got, all := whatHolds(t, o, 5*time.Second+time.Millisecond)
				if !slices.Equal(got, tt.want) {
					t.Errorf("Why says\n%q, want\n%q", got, tt.want)
				}
				for _, h := range all {
					if h.Lane != "t/0" || h.Root != h.Position {
						t.Errorf("%+v", h)
					}
				}
			})
		})
	}
}

// inBytes is a source whose offsets count bytes.
type inBytes struct{ deaf }

func (inBytes) Report() pipeline.Report { return pipeline.Report{InBytes: true} }

// What is counted by offsets are bytes where these are.
func TestWhyCountsBytesOfFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Source: inBytes{deaf{&memory{lanes: 1, records: 20, batch: 5, endless: true}, 0}}}
		o.Sinks = []Output{{Name: "out", Sink: &collect{}}}
		o.Steps = []Step{{Name: "ask", Workers: 64, Wait: patiently(64), Stage: takesAndHangs(time.Second, 10)}}
		got, _ := whatHolds(t, o, 5*time.Second+time.Millisecond)
		want := []string{
			"t/0@10: ask: attempt 1 of 5 has been under way for 5.0 s; 9 records behind it",
			"t/0@0: commit: is done and has waited 4.0 s for the commit; 20 bytes behind it",
		}
		if !slices.Equal(got, want) {
			t.Errorf("Why says\n%q, want\n%q", got, want)
		}
	})
}

// So it is when the mark stands within its first piece, and goes on there: what is earned is committed from there too.
func TestWhyNamesACommitWithinAPiece(t *testing.T) {
	for name, tt := range map[string]struct {
		takes time.Duration
		after time.Duration
		want  []string
	}{
		"hangs":      {0, 5 * time.Second, []string{"t/0@0: commit: is done and has waited 4.0 s for the commit; 19 records behind it"}},
		"is slow":    {8 * time.Second, 14 * time.Second, []string{"t/0@1: commit: is done and has waited 4.0 s for the commit; 18 records behind it"}},
		"comes late": {100 * time.Millisecond, 5 * time.Second, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stage := does(func(ctx context.Context, r *pipeline.Record) error {
					switch r.Offset {
					case 0:
						pause(ctx, time.Second)
					case 10:
						<-ctx.Done()
					default: // while the first commit is under way, if that takes long
						pause(ctx, 3*time.Second)
					}
					return ctx.Err()
				})
				got, _ := whatHolds(t, Options{
					Source: deaf{&memory{lanes: 1, records: 20, batch: 20, endless: true}, tt.takes}, CommitEvery: time.Second,
					Sinks: []Output{{Name: "out", Sink: &collect{}}}, Steps: []Step{{Name: "ask", Workers: 64, Wait: patiently(64), Stage: stage}},
				}, tt.after+time.Millisecond)
				var commits []string
				for _, line := range got {
					if strings.Contains(line, ": commit: ") {
						commits = append(commits, line)
					}
				}
				if !slices.Equal(commits, tt.want) {
					t.Errorf("Why says\n%q, want a commit\n%q", got, tt.want)
				}
			})
		})
	}
}
