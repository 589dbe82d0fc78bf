package tail

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// slowly is a step that takes its time for each record.
func slowly(d time.Duration) pipeline.Stage {
	return pipeline.StageFunc(func(ctx context.Context, _ *pipeline.Record) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// TestCutUnderWay: what was read of a file before it was cut is delivered, beside what stands in it since.
func TestCutUnderWay(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.step = slowly(time.Second)
		var want []string
		for i := range 30 {
			r.add("a.log", fmt.Sprintf("%02d\n", i))
			want = append(want, fmt.Sprintf("a.log/0@%d %02d", 3*i, i))
		}
		r.start()
		for i := range 3 {
			r.must(os.Truncate(r.at("a.log"), 0))
			r.add("a.log", fmt.Sprintf("n%d\n", i))
			r.pass(2 * time.Second)
			want = append(want, fmt.Sprintf("a.log/%d@0 n%d", i+1, i))
		}
		r.pass(time.Minute)
		r.came(want...)
		if n := len(r.src.dead); n != 0 {
			r.Errorf("%d lanes are not finished", n)
		}
		if strings.Contains(r.log.String(), "source.gap") {
			r.Errorf("nothing was lost, and yet\n%s", r.shortLog())
		}
	})
}

// TestCutBehind: what had been seen of a file and not read when it was cut is told of, byte by byte.
func TestCutBehind(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.records = 4
		r.step = slowly(5 * time.Second)
		line := strings.Repeat("x", 999) + "\n"
		r.add("a.log", strings.Repeat(line, 5000))
		r.start()
		r.pass(time.Minute)
		read := r.src.Report().Partitions[0].Fetched
		if read == 0 || read == 5_000_000 {
			r.Fatalf("%d bytes were read", read)
		}
		r.must(os.Truncate(r.at("a.log"), 0))
		r.pass(time.Minute)
		r.says(fmt.Sprintf(`"partition":0,"offset_from":%d,"offset_to":5000000,"reason":"cut","policy":"skip"`, read))
	})
}

// TestRest: a file of which nothing comes for long takes no lane, and is followed on.
func TestRest(t *testing.T) {
	inBubble(t, func(r *rig) {
		for i := range 3 {
			r.add("a.log", fmt.Sprintf("%d\n", i))
			if i == 0 {
				r.start()
			}
			r.pass(time.Minute)
			if !r.src.Report().InBytes {
				t.Error("lag is of bytes, and is not said to be")
			}
			if n := len(r.src.Report().Partitions); n != 1 {
				r.Errorf("%d partitions while it grows", n)
			}
			r.pass(10 * time.Minute)
			if n, m := len(r.src.Report().Partitions), r.src.opened.Len(); n != 0 || m != 0 {
				r.Errorf("%d partitions and %d open files while it rests", n, m)
			}
		}
		r.must(os.Remove(r.at("a.log")))
		r.pass(10 * time.Minute)
		r.came("a.log/0@0 0", "a.log/0@2 1", "a.log/0@4 2")
		if n := len(r.position().Files); n != 0 {
			r.Errorf("%d files in the position", n)
		}
	})
}

// TestDiskOfThePosition: files that come are not read before it is stored that they are followed, and a commit that fails
// is tried again.
func TestDiskOfThePosition(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.add("a.log", "1\n")
		r.start()
		r.must(os.Mkdir(r.at("position.new"), 0o700)) // in the way of the next one
		r.add("a.log", "2\n")
		r.add("b.log", "3\n")
		r.pass(time.Minute)
		r.came("a.log/0@0 1", "a.log/0@2 2")
		r.says("commit.failed", "files that have come are not read before it is stored")
		r.must(os.Remove(r.at("position.new")))
		r.pass(time.Minute)
		r.came("a.log/0@0 1", "a.log/0@2 2", "b.log/1@0 3")
		if p := r.position(); len(p.Files) != 2 || p.Files[0].Offset != 4 || p.Files[1].Offset != 2 {
			r.Errorf("the position is %+v", p)
		}
	})
}
