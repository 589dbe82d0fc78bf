//go:build unix && !aix && !solaris

package filesink

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
)

// of makes a record of a partition for a file.
func of(partition int32, file string, offset int64) *pipeline.Record {
	r := to(file, offset, fmt.Sprintf(`{"lane":%d,"n":%d}`, partition, offset))
	r.Partition = partition
	return r
}

// free says whether another process may write the file now.
func free(t *testing.T, other *Sink, file string) bool {
	t.Helper()
	err := other.Write(t.Context(), []*pipeline.Record{to(file, 0, "free")})
	if err != nil && !strings.Contains(err.Error(), "another process") {
		t.Fatal(err)
	}
	if err == nil {
		other.LaneEnded("t", 0)
	}
	return err == nil
}

// A file is given up with the last of the lanes that have written it.
func TestFileIsGivenUpWithItsLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		dir := t.TempDir()
		f, other := keyed(t, dir, Settings{}), keyed(t, dir, Settings{})
		if err := f.Write(t.Context(), []*pipeline.Record{of(1, "one", 1), of(1, "both", 2)}); err != nil {
			t.Fatal(err)
		}
		if err := f.Write(t.Context(), []*pipeline.Record{of(2, "both", 1), of(2, "two", 2)}); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			ended          int32 // 0: none
			one, both, two bool
		}{{0, false, false, false}, {1, true, false, false}, {9, true, false, false}, {2, true, true, true}} {
			if step.ended > 0 {
				f.LaneEnded("t", step.ended)
			}
			f.LaneEnded("u", 2) // of another topic
			if one, both, two := free(t, other, "one"), free(t, other, "both"), free(t, other, "two"); one != step.one || both != step.both || two != step.two {
				t.Errorf("with the end of %d: free %v %v %v, want %+v", step.ended, one, both, two, step)
			}
		}
		if f.timer != nil && len(f.files) > 0 {
			t.Errorf("%d files are left", len(f.files))
		}
		// A lane that comes back goes on.
		if err := f.Write(t.Context(), []*pipeline.Record{of(1, "both", 3)}); err != nil {
			t.Fatal(err)
		}
		if got := content(t, dir, "both"); !strings.HasSuffix(got, "free\n{\"lane\":1,\"n\":3}\n") {
			t.Errorf("got %q", got)
		}
	})
}

// A file that nothing is written to is given up after a while, one that is written stays,
// and no timer runs when none is open.
func TestFileIsGivenUpWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f, other := keyed(t, dir, Settings{}), keyed(t, dir, Settings{})
		write := func(file string, n int64) {
			t.Helper()
			if err := f.Write(t.Context(), []*pipeline.Record{of(1, file, n)}); err != nil {
				t.Fatal(err)
			}
		}
		write("idle", 0)
		for n := range int64(8) {
			write("busy", n)
			time.Sleep(idleAfter / 4)
			synctest.Wait() // what is due at this moment is done
			if got, want := free(t, other, "idle"), n >= 3; got != want {
				t.Errorf("after %d quarters: free %v, want %v", n+1, got, want)
			}
			if free(t, other, "busy") {
				t.Errorf("after %d quarters the other has the file that is written", n+1)
			}
		}
		time.Sleep(idleAfter)
		synctest.Wait()
		if !free(t, other, "busy") || len(f.files) != 0 || len(f.idle) != 0 || f.timer != nil {
			t.Errorf("%d files, %d idle, timer %v", len(f.files), len(f.idle), f.timer)
		}
		write("idle", 1)
		if !strings.HasSuffix(content(t, dir, "idle"), "free\n{\"lane\":1,\"n\":1}\n") {
			t.Errorf("got %q", content(t, dir, "idle"))
		}
		if err := f.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if f.timer != nil {
			t.Error("a timer runs after Close")
		}
	})
}
