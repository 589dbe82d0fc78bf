package top

import (
	"context"
	"strings"
	"testing"
	"time"
)

// readAll makes a store of several inputs, one after the other.
func readAll(t *testing.T, texts ...string) *Store {
	t.Helper()
	s := NewStore("test", 0)
	l := NewLog(s)
	for _, text := range texts {
		if err := l.ReadFrom(context.Background(), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// Whatever is missing of two runs of an id, and wherever the clock was put in between: each has its totals.
func TestRunsOfOneIDKeepTheirTotals(t *testing.T) {
	for name, c := range map[string]struct {
		started, stopped bool // the second has its process.started, the first its process.stopped
		later            time.Duration
		inputs           bool // each is an input of its own
		in, want         int64
	}{
		"the start is missing":                                {stopped: true, later: time.Minute, in: 500, want: 610},
		"the start is missing, in another file":               {stopped: true, later: time.Minute, inputs: true, in: 500, want: 610},
		"the start is missing, the clock put back":            {stopped: true, later: -time.Hour, in: 500, want: 610},
		"the start is missing, the clock put back a second":   {stopped: true, later: -time.Second, in: 500, want: 610},
		"the clock put back":                                  {started: true, stopped: true, later: -time.Hour, in: 500, want: 610},
		"killed, the clock put back":                          {started: true, later: -time.Hour, in: 500, want: 600},
		"killed, the start is missing, the clock put back":    {later: -time.Hour, in: 50, want: 150},
		"killed, the start is missing":                        {later: time.Hour, in: 50, want: 150},
		"killed, the start is missing, into the midst of one": {later: -1500 * time.Millisecond, in: 50, want: 150},
	} {
		t.Run(name, func(t *testing.T) {
			a := newTestLog("one")
			a.started()
			a.stats("orders", 40, 20)
			a.stats("orders", 70, 50)
			a.stats("orders", 100, 60)
			if c.stopped {
				a.stopped(110, 70)
			}
			b := newTestLog("one")
			b.at = a.at.Add(c.later)
			if c.started {
				b.started()
			}
			b.stats("orders", c.in-20, 5)
			b.stats("orders", c.in, 8)
			texts := []string{a.String() + b.String()}
			if c.inputs {
				texts = []string{a.String(), b.String()}
			}
			v := readAll(t, texts...).View(all())
			if len(v.Instances) != 2 || v.Pipelines[0].In != c.want {
				t.Errorf("%d instances, in %d; want 2, %d", len(v.Instances), v.Pipelines[0].In, c.want)
			}
		})
	}
}

func TestASecondEndIsOfAnotherRun(t *testing.T) {
	a := newTestLog("one")
	a.started()
	a.stats("orders", 100, 60)
	a.stopped(110, 70)
	a.stopped(900, 800)
	v := read(t, a.String()).View(all())
	if len(v.Instances) != 2 || v.Instances[0].Totals.In != 110 || v.Instances[1].Totals.In != 900 || v.Pipelines[0].In != 110 {
		t.Errorf("%+v, in %d; want two with 110 and 900, and 110", v.Instances, v.Pipelines[0].In)
	}
}

// A reader that connects again gets lines that it has had.
func TestLinesThatComeAgainAreNoOtherRun(t *testing.T) {
	a := newTestLog("one")
	a.started()
	for i := range int64(10) {
		a.stats("orders", 100+10*i, 60+i)
	}
	a.stopped(200, 70)
	lines := strings.SplitAfter(a.String(), "\n")
	for _, from := range []int{0, 1, 2, 5, 12, 13} {
		for name, text := range map[string]string{
			"behind the end": strings.Join(lines, "") + strings.Join(lines[from:], ""),
			"before it":      strings.Join(lines[:20], "") + strings.Join(lines[from:], ""),
		} {
			v := read(t, text).View(all())
			if len(v.Instances) != 1 || v.Pipelines[0].In != 200 || v.Instances[0].State != "stopped" {
				t.Errorf("from line %d again, %s: %d instances, in %d; want 1, 200", from, name, len(v.Instances), v.Pipelines[0].In)
			}
		}
		if v := readAll(t, a.String(), strings.Join(lines[from:], "")).View(all()); len(v.Instances) != 1 || v.Pipelines[0].In != 200 {
			t.Errorf("from line %d again, in another input: %d instances, in %d; want 1, 200", from, len(v.Instances), v.Pipelines[0].In)
		}
	}
}

func TestAClockThatIsPutBackFreezesNothing(t *testing.T) {
	a := newTestLog("one")
	a.started()
	a.stats("orders", 100, 60)
	a.at = a.at.Add(-time.Hour)
	a.stats("orders", 200, 70)
	a.stats("orders", 300, 80)
	v := read(t, a.String()).View(all())
	if p := v.Pipelines[0]; len(v.Instances) != 1 || p.In != 300 || p.Rate.In != 300.5 || p.Steps[0].In != 300 || p.State != "running" {
		t.Errorf("%d instances, in %d, rate %v, step %d, %s; want 1, 300, 300.5, 300, running", len(v.Instances), p.In, p.Rate.In, p.Steps[0].In, p.State)
	}
	first := a.String()
	a.Reset()
	a.stats("orders", 400, 90)
	if p := readAll(t, first, a.String()).View(all()).Pipelines[0]; p.In != 400 {
		t.Errorf("in the next file: in %d, want 400", p.In)
	}
	a.stopped(450, 95)
	if p := read(t, first+a.String()).View(all()).Pipelines[0]; p.In != 450 || p.State != "stopped" {
		t.Errorf("at the end: in %d, %s, want 450, stopped", p.In, p.State)
	}
}

// Each is judged by its own clock.
func TestAWrongClockSilencesNobodyElse(t *testing.T) {
	total := map[*testLog]int64{}
	interleave := func(n int, logs ...*testLog) string {
		var b strings.Builder
		for range n {
			for _, l := range logs {
				l.Reset()
				total[l]++
				l.stats("orders", 100+total[l], 60)
				b.Write(l.Bytes())
			}
		}
		return b.String()
	}
	states := func(v *View) (out string) {
		for _, in := range v.Instances {
			out += in.ID + " " + in.State + ", "
		}
		return out
	}
	right, other, wrong := newTestLog("right"), newTestLog("other"), newTestLog("wrong")
	wrong.at = wrong.at.Add(24 * time.Hour)
	text := interleave(30, right, other, wrong)
	if got := states(read(t, text).View(all())); got != "right running, other running, wrong running, " {
		t.Errorf("a day ahead: %s", got)
	}
	text += interleave(30, other, wrong)
	if got := states(read(t, text).View(all())); got != "right silent, other running, wrong running, " {
		t.Errorf("and one says nothing more: %s", got)
	}

	right, other = newTestLog("right"), newTestLog("other")
	text = interleave(10, right, other)
	at := other.at
	other.at = at.Add(24 * time.Hour)
	text += interleave(1, other)
	if got := states(read(t, text).View(all())); got != "right running, other running, " {
		t.Errorf("one interval from the future: %s", got)
	}
	other.at = at.Add(time.Second)
	text += interleave(30, right, other)
	v := read(t, text).View(all())
	if got := states(v); got != "right running, other running, " || v.Pipelines[0].In != 281 {
		t.Errorf("and on: %s, in %d, want 281", got, v.Pipelines[0].In)
	}

	one, two := newTestLog("one"), newTestLog("two")
	texts := []string{interleave(60, one), interleave(60, two)}
	if got := states(readAll(t, texts...).View(all())); got != "one running, two running, " {
		t.Errorf("a file for each: %s", got)
	}
}

// What is far ahead of all else takes nothing of the others' past.
func TestALineFromTheFutureForgetsNothing(t *testing.T) {
	s := NewStore("test", time.Minute)
	log := NewLog(s)
	l, other := newTestLog("a"), newTestLog("b")
	for i := range 30 {
		l.stats("orders", int64(i), 0)
	}
	other.at = other.at.Add(24 * time.Hour)
	other.stats("orders", 1, 1)
	if err := log.ReadFrom(t.Context(), strings.NewReader(l.String()+other.String())); err != nil {
		t.Fatal(err)
	}
	l.Reset()
	l.stats("orders", 31, 0)
	log.Line(l.Bytes()[:strings.IndexByte(l.String(), '\n')])
	if n, frames := s.instances[0].pipelines[0].stats.len(), len(s.Frames()); n != 31 || frames != 32 {
		t.Errorf("figures of %d of 31 intervals are kept, and %d of 32 intervals", n, frames)
	}
}
