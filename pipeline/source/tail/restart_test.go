package tail

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// TestStopInTheMiddle stops a pipeline again and again while a step has records of a batch under way: what had not begun
// comes in the next run, nothing comes twice, and no line is torn.
func TestStopInTheMiddle(t *testing.T) {
	for _, as := range []string{"value", "fixture"} {
		t.Run(as, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.s.As = as
				r.step = pipeline.StageFunc(func(ctx context.Context, _ *pipeline.Record) error {
					time.Sleep(100 * time.Millisecond)
					return nil
				})
				var want []string
				for i := range 300 {
					line := fmt.Sprintf(`{"n":%d,"x":"%s"}`, i, strings.Repeat("x", i%50))
					want = append(want, line)
					if as == "fixture" {
						line = fmt.Sprintf(`{"topic":"elsewhere","partition":9,"offset":1,"payload":%q}`, line)
					}
					r.add("a.log", line+"\n"+strings.Repeat("\n", i%3))
				}
				for runs := 0; len(r.sink.Values()) < len(want); runs++ {
					if runs > 50 {
						r.Fatalf("%d of %d came", len(r.sink.Values()), len(want))
					}
					r.start()
					r.pass(time.Duration(runs%7) * 50 * time.Millisecond)
					r.stop()
				}
				var got []string
				for _, rec := range r.sink.Records() {
					got = append(got, string(rec.Value()))
					if !strings.HasSuffix(rec.Position.Topic, "/a.log") || rec.Position.Partition != 0 {
						r.Errorf("a record at %v", rec.Position)
					}
				}
				if !slices.Equal(got, want) {
					r.Errorf("there came\n%s", strings.Join(got, "\n"))
				}
			})
		})
	}
}

// position reads the position file.
func (r *rig) position() (p storedPosition) {
	r.Helper()
	text, err := os.ReadFile(r.at("position"))
	r.must(err)
	r.must(json.Unmarshal(text, &p))
	return p
}

// TestCrash: with the position of some time before, lines since then come again, and at the same positions.
func TestCrash(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.add("a.log", "1\n2\n")
		r.start()
		before, err := os.ReadFile(r.at("position"))
		r.must(err)
		r.add("a.log", "3\n4\n")
		r.add("b.log", "5\n")
		r.pass(5 * time.Second)
		r.stop()
		r.must(os.WriteFile(r.at("position"), before, 0o600))
		r.add("a.log", "6\n")
		r.start()
		r.pass(time.Second)
		r.came("a.log/0@0 1", "a.log/0@2 2", "a.log/0@4 3", "a.log/0@6 4", "a.log/0@4 3", "a.log/0@6 4", "a.log/0@8 6", "b.log/1@0 5", "b.log/1@0 5")
	})
}

// TestWhileNobodyLooked: what happens to files between two runs.
func TestWhileNobodyLooked(t *testing.T) {
	old := []string{"a.log/0@0 1", "a.log/0@2 2"}
	for name, c := range map[string]struct {
		happens func(r *rig)
		comes   []string
		says    string
	}{
		"it grows":   {func(r *rig) { r.add("a.log", "3\n") }, []string{"a.log/0@4 3"}, ""},
		"is renamed": {func(r *rig) { r.add("a.log", "3\n"); r.rename("a.log", "a.log.1"); r.add("a.log", "4\n") }, []string{"a.log/0@4 3", "a.log/1@0 4"}, ""},
		"is renamed twice": {func(r *rig) {
			r.add("a.log", "3\n")
			r.rename("a.log", "a.log.1")
			r.add("a.log", "4\n")
			r.rename("a.log.1", "a.log.2")
			r.rename("a.log", "a.log.1")
			r.add("a.log", "5\n")
		}, []string{"a.log/0@4 3", "a.log/1@0 5"}, ""},
		"is deleted":           {func(r *rig) { r.must(os.Remove(r.at("a.log"))) }, nil, "a file that was followed is gone"},
		"is cut":               {func(r *rig) { r.must(os.Truncate(r.at("a.log"), 0)) }, nil, "cut or written anew"},
		"is written anew":      {func(r *rig) { r.must(os.WriteFile(r.at("a.log"), []byte("9\n8\n7\n"), 0o600)) }, []string{"a.log/1@0 9", "a.log/1@2 8", "a.log/1@4 7"}, "cut or written anew"},
		"ends as before":       {func(r *rig) { r.must(os.WriteFile(r.at("a.log"), []byte("9\n2\n7\n"), 0o600)) }, []string{"a.log/1@0 9", "a.log/1@2 2", "a.log/1@4 7"}, "cut or written anew"},
		"its inode is another": {func(r *rig) { r.must(os.Remove(r.at("a.log"))); r.add("b.log", "3\n") }, []string{"b.log/1@0 3"}, ""},
		"the numbers of devices change": {func(r *rig) {
			p := r.position()
			p.Files[0].Device++
			text, err := json.Marshal(p)
			r.must(err)
			r.must(os.WriteFile(r.at("position"), text, 0o600))
			r.add("a.log", "3\n")
		}, []string{"a.log/0@4 3"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.add("a.log", "1\n2\n")
				r.start()
				r.stop()
				c.happens(r)
				r.start()
				r.pass(time.Minute)
				r.came(append(slices.Clone(old), c.comes...)...)
				r.says(c.says)
				r.stop()
				r.start()
				r.pass(time.Minute)
				r.came(append(slices.Clone(old), c.comes...)...)
			})
		})
	}
}

func (r *rig) rename(from, to string) {
	r.Helper()
	r.must(os.Rename(r.at(from), r.at(to)))
}

// TestRenamedOverManyRuns: a file that was renamed is read to its end however often the pipeline is stopped meanwhile, and
// however often it is renamed.
func TestRenamedOverManyRuns(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.step = pipeline.StageFunc(func(context.Context, *pipeline.Record) error {
			time.Sleep(time.Second)
			return nil
		})
		var want []string
		for i := range 60 {
			r.add("a.log", fmt.Sprintf("%02d\n", i))
			want = append(want, fmt.Sprintf("a.log/0@%d %02d", 3*i, i))
		}
		r.start()
		r.stop()
		for i := range 5 {
			r.rename(map[bool]string{true: "a.log", false: fmt.Sprint("a.old.", i-1)}[i == 0], fmt.Sprint("a.old.", i))
			r.start()
			r.pass(2 * time.Second)
			r.stop()
		}
		r.start()
		r.pass(2 * time.Minute)
		r.came(want...)
		if n := len(r.position().Files); n != 0 {
			r.Errorf("%d files are in the position", n)
		}
	})
}

// TestNotFollowedForAWhile: a file that the settings leave out for some runs goes on where it was.
func TestNotFollowedForAWhile(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.add("a.log", "1\n")
		r.add("b.log", "2\n")
		r.start()
		r.stop()
		r.s.Exclude = []string{"b.*"}
		for range 2 {
			r.start()
			r.pass(time.Minute)
			r.stop()
		}
		r.add("b.log", "3\n")
		r.s.Exclude = nil
		r.start()
		r.came("a.log/0@0 1", "b.log/1@0 2", "b.log/1@2 3")
	})
}

// TestCrashInTheMiddle goes on from each position that was on disk while a batch was under way: no line is skipped, and none
// is torn.
func TestCrashInTheMiddle(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.step = pipeline.StageFunc(func(context.Context, *pipeline.Record) error {
			time.Sleep(100 * time.Millisecond)
			return nil
		})
		var want []string
		at := 0
		for i := range 60 {
			line := fmt.Sprintf("%d %s", i, strings.Repeat("x", i%9))
			r.add("a.log", line+"\n")
			want = append(want, fmt.Sprintf("a.log/0@%d %s", at, line))
			at += len(line) + 1
		}
		var kept [][]byte
		r.start()
		for range 20 {
			text, err := os.ReadFile(r.at("position"))
			r.must(err)
			kept = append(kept, text)
			r.pass(70 * time.Millisecond)
		}
		r.stop()
		offsets := map[int64]bool{}
		for _, text := range kept {
			r.must(os.WriteFile(r.at("position"), text, 0o600))
			offsets[r.position().Files[0].Offset] = true
			before := len(r.lines())
			r.start()
			r.pass(time.Minute)
			r.stop()
			if got := r.lines()[before:]; len(got) > 60 || !slices.Equal(got, want[60-len(got):]) {
				r.Errorf("from\n%s there came\n%s", text, strings.Join(got, "\n"))
			}
		}
		if len(offsets) < 5 {
			r.Errorf("only the offsets %v were on disk", offsets)
		}
	})
}

// TestAnotherOfTheSameLength: a file that was written anew is known by its beginning, and by what stood where it was read to.
func TestAnotherOfTheSameLength(t *testing.T) {
	text := func(mark string, at int) string {
		lines := strings.Split(strings.Repeat(strings.Repeat("x", 99)+" ", 60), " ")
		lines[at] = mark + lines[at]
		return strings.Join(lines, "\n")
	}
	for name, at := range map[string]int{"another beginning": 0, "another end": 59} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.add("a.log", text("old", at))
				r.start()
				r.stop()
				r.must(os.WriteFile(r.at("a.log"), []byte(text("new", at)), 0o600))
				r.start()
				if got := r.lines(); len(got) != 120 || !strings.HasPrefix(got[60+at], fmt.Sprintf("a.log/1@%d new", 100*at)) {
					r.Errorf("there came\n%s", strings.Join(got, "\n"))
				}
			})
		})
	}
}

// TestLaneEndedAtTheEnd: the engine ends the lane of a file whose end was handed over: what is not done is read again.
func TestLaneEndedAtTheEnd(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.s.Linger = time.Second
		r.step = slowly(time.Second)
		var want []string
		for i := range 30 {
			r.add("a.log", fmt.Sprintf("%02d\n", i))
			want = append(want, fmt.Sprintf("a.log/0@%d %02d", 3*i, i))
		}
		r.start()
		r.rename("a.log", "a.old")
		r.pass(4 * time.Second)
		f := r.src.files[0]
		if !f.ends {
			r.Fatal("it has not ended yet")
		}
		ended, end := context.WithCancel(r.Context())
		end()
		report, err := f.lane.End(ended)
		if err != nil || report.Abandoned == 0 {
			r.Fatalf("%+v, %v", report, err)
		}
		r.pass(time.Minute)
		got := r.lines()
		n := len(got) - len(want) // what was under way comes again
		slices.Sort(got)
		slices.Sort(want)
		if got = slices.Compact(got); n < 1 || n > report.Abandoned || !slices.Equal(got, want) {
			r.Errorf("there came, and %d again\n%s", n, strings.Join(got, "\n"))
		}
		if n := len(r.position().Files); n != 0 {
			r.Errorf("%d files in the position", n)
		}
	})
}

// TestGoneMeanwhile: of a file that goes while nobody looks a warning says that lines were not read only when some were seen that had not been.
func TestGoneMeanwhile(t *testing.T) {
	const warns = "behind this offset"
	for name, c := range map[string]struct {
		before, goes func(r *rig)
		warns        bool
	}{
		"deleted, read to its end":   {nil, func(r *rig) { r.must(os.Remove(r.at("a.log"))) }, false},
		"cut, read to its end":       {nil, func(r *rig) { r.must(os.Truncate(r.at("a.log"), 0)) }, false},
		"deleted, with lines unread": {(*rig).hold, func(r *rig) { r.must(os.Remove(r.at("a.log"))) }, true},
		"cut, with lines unread":     {(*rig).hold, func(r *rig) { r.must(os.Truncate(r.at("a.log"), 0)) }, true},
		"deleted, of an older position": {nil, func(r *rig) {
			p := r.position()
			p.Files[0].Seen = nil
			text, err := json.Marshal(p)
			r.must(err)
			r.must(os.WriteFile(r.at("position"), text, 0o600))
			r.must(os.Remove(r.at("a.log")))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.add("a.log", "1\n2\n3\n")
				if c.before != nil {
					c.before(r)
				}
				r.start()
				r.stop()
				c.goes(r)
				for range 2 {
					r.start()
					r.stop()
				}
				if is := strings.Contains(r.log.String(), warns); is != c.warns {
					r.Errorf("a warning: %v, want %v\n%s", is, c.warns, r.shortLog())
				}
			})
		})
	}
}

// hold has a stop come before most lines have begun.
func (r *rig) hold() {
	r.step = slowly(time.Second)
	r.add("a.log", strings.Repeat("4\n", 100))
}

// TestAnotherBeforeTheFirstCheck: a file is known again also while the mark stands within what was read of it first.
func TestAnotherBeforeTheFirstCheck(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.hold()
		r.start()
		r.stop()
		if p := r.position().Files[0]; p.Offset == 0 || p.Check.At > 0 {
			r.Fatalf("the mark is %d, and a check at %d", p.Offset, p.Check.At)
		}
		before := len(r.lines())
		r.must(os.WriteFile(r.at("a.log"), []byte(strings.Repeat("5\n", 200)), 0o600))
		r.start()
		r.pass(5 * time.Minute)
		if got := r.lines()[before:]; len(got) != 200 || got[0] != "a.log/1@0 5" {
			r.Errorf("there came\n%s", strings.Join(got, "\n"))
		}
	})
}
