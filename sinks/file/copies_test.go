package filesink

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/event"
)

// copyPath is the variable that makes the test binary a pipeline into a file sink with
// that path, told by standard input what to do; copyIdle is the sink's idleAfter.
const (
	copyPath = "PENSTOCK_TEST_FILE_COPY"
	copyIdle = copyPath + "_IDLE"
)

// orders is a source that does what its lines say: "put LANE FROM N" reads N records of
// the partition from that offset, "end LANE" gives it up and says "ended LANE". What is
// committed it says as "committed LANE NEXT".
type orders struct {
	lines  *bufio.Scanner
	out    io.Writer
	engine pipeline.Feed
	lanes  map[int]pipeline.Lane
}

func (o *orders) Open(_ context.Context, e pipeline.Feed) error { o.engine = e; return nil }

func (o *orders) Read(ctx context.Context) (*pipeline.Batch, error) {
	for o.lines.Scan() {
		var what string
		var lane, from, n int
		if k, err := fmt.Sscan(o.lines.Text(), &what, &lane, &from, &n); err != nil && k < 2 {
			return nil, err
		}
		l := o.lanes[lane]
		if what == "end" {
			delete(o.lanes, lane)
			if _, err := l.End(ctx); err != nil {
				return nil, err
			}
			fmt.Fprintln(o.out, "ended", lane)
			continue
		}
		if l == nil {
			var err error
			if l, _, err = o.engine.Lane(ctx, fmt.Sprint("t/", lane), int64(from)); err != nil {
				return nil, err
			}
			o.lanes[lane] = l
		}
		recs := make([]pipeline.Record, n)
		for i := range recs {
			at := pipeline.Position{Topic: "t", Partition: int32(lane), Offset: int64(from + i)}
			recs[i].Init(at, nil, fmt.Appendf(nil, `{"lane":%d,"n":%d}`, lane, from+i), nil, pipeline.NoTime)
		}
		return &pipeline.Batch{Lane: l, Fill: pipeline.Records(recs), Next: int64(from + n)}, nil
	}
	return nil, io.EOF
}

func (o *orders) Commit(_ context.Context, marks []pipeline.Mark) error {
	for _, m := range marks {
		fmt.Fprintln(o.out, "committed", strings.TrimPrefix(m.Lane.Name(), "t/"), m.Next)
	}
	return nil
}

func (o *orders) Close(context.Context) error { return nil }

// runCopy is the process: its events go to standard output too.
func runCopy(path string) error {
	if text := os.Getenv(copyIdle); text != "" {
		var err error
		if idleAfter, err = time.ParseDuration(text); err != nil {
			return err
		}
	}
	s := Defaults()
	if err := s.Path.UnmarshalText([]byte(path)); err != nil {
		return err
	}
	f, err := New(s)
	if err != nil {
		return err
	}
	p, err := engine.New(engine.Options{
		Name: "p", Source: &orders{lines: bufio.NewScanner(os.Stdin), out: os.Stdout, lanes: map[int]pipeline.Lane{}},
		Sinks:       []engine.Output{{Name: "files", Sink: f, Retry: engine.Retry{Backoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond}}},
		CommitEvery: 5 * time.Millisecond, StalledAfter: 20 * time.Millisecond,
		Events: event.New(os.Stdout, event.Options{}),
	})
	if err != nil {
		return err
	}
	err = p.Run(context.Background())
	fmt.Println("retries", p.Snapshot().Sinks[0].Retries)
	return err
}

// A copyProcess is such a process at work.
type copyProcess struct {
	t    *testing.T
	name string
	in   io.WriteCloser
	out  *bufio.Scanner
	cmd  *exec.Cmd
}

func startCopy(t *testing.T, name, path string, idle time.Duration) *copyProcess {
	t.Helper()
	c := &copyProcess{t: t, name: name, cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), copyPath+"="+path, copyIdle+"="+idle.String())
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.cmd.ProcessState == nil {
			_ = c.cmd.Process.Kill()
			_ = c.cmd.Wait()
		}
	})
	return c
}

func (c *copyProcess) tell(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.in, format+"\n", args...); err != nil {
		c.t.Fatalf("%s: %v", c.name, err)
	}
}

// hear waits for a line that holds all the texts.
func (c *copyProcess) hear(texts ...string) string {
	c.t.Helper()
	var heard []string
	for c.out.Scan() {
		line := c.out.Text()
		heard = append(heard, line)
		if !strings.Contains(line, texts[0]) {
			continue
		}
		for _, text := range texts {
			if !strings.Contains(line, text) {
				c.t.Fatalf("%s: %q is not in %s", c.name, text, line)
			}
		}
		return line
	}
	c.t.Fatalf("%s has ended without saying %q:\n%s", c.name, texts, strings.Join(heard, "\n"))
	return ""
}

// finish ends the process and gives how often it has tried a write again.
func (c *copyProcess) finish() (retries int) {
	c.t.Helper()
	if err := c.in.Close(); err != nil {
		c.t.Fatal(err)
	}
	if _, err := fmt.Sscanf(c.hear("retries "), "retries %d", &retries); err != nil {
		c.t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Fatalf("%s: %v", c.name, err)
	}
	return retries
}

// whole checks that a file has the records of each lane from 0 on, each once and in
// order.
func whole(t *testing.T, file string, want map[int]int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := map[int]int{}
	for line := range strings.Lines(string(text)) {
		var is struct{ Lane, N int }
		if err := json.Unmarshal([]byte(line), &is); err != nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("%s: line %q: %v", filepath.Base(file), line, err)
		}
		if is.N != got[is.Lane] {
			t.Fatalf("%s: lane %d: %d, where %d belongs", filepath.Base(file), is.Lane, is.N, got[is.Lane])
		}
		got[is.Lane]++
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", filepath.Base(file), got, want)
	}
}

// A partition moves from one process to another and back: the new owner writes its file
// at the first try, while the old one lives and writes others, and everything is there.
func TestFileOfAPartitionThatMoves(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/{meta.partition}.jsonl"
	a, b := startCopy(t, "a", path, time.Hour), startCopy(t, "b", path, time.Hour)
	a.tell("put 1 0 10")
	a.hear("committed 1 10")
	owner, next, offset := a, b, 0
	for range 6 {
		owner.tell("put 0 %d 25", offset)
		offset += 25
		owner.hear(fmt.Sprint("committed 0 ", offset))
		owner.tell("end 0")
		owner.hear("ended 0")
		owner, next = next, owner
	}
	b.tell("put 2 0 10")
	b.hear("committed 2 10")
	if n, m := a.finish(), b.finish(); n != 0 || m != 0 {
		t.Errorf("%d and %d writes were tried again", n, m)
	}
	whole(t, dir+"/0.jsonl", map[int]int{0: 150})
	whole(t, dir+"/1.jsonl", map[int]int{1: 10})
	whole(t, dir+"/2.jsonl", map[int]int{2: 10})
}

// Who gets a partition before its old owner has let go of it tries again, says why, and
// goes on when the lane has ended.
func TestFileThatAnotherProcessHas(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/all.jsonl"
	a, b := startCopy(t, "a", path, time.Hour), startCopy(t, "b", path, time.Hour)
	a.tell("put 0 0 10")
	a.hear("committed 0 10")
	a.tell("put 1 0 10")
	a.hear("committed 1 10")
	b.tell("put 0 10 10")
	b.hear(`"sink.stalled"`, path, "another process")
	a.tell("end 0")
	a.hear("ended 0")
	a.tell("put 1 10 10") // the file is still one of its lanes'
	a.hear("committed 1 20")
	a.tell("end 1")
	a.hear("ended 1")
	b.hear("committed 0 20")
	if n, m := a.finish(), b.finish(); n != 0 || m == 0 {
		t.Errorf("%d and %d writes were tried again", n, m)
	}
	whole(t, path, map[int]int{0: 20, 1: 20})
}

// Two processes whose lanes go into one file write it in turns, as each is idle.
func TestFileThatTwoProcessesShare(t *testing.T) {
	path := t.TempDir() + "/all.jsonl"
	a, b := startCopy(t, "a", path, 20*time.Millisecond), startCopy(t, "b", path, 20*time.Millisecond)
	for n := 0; n < 100; n += 20 {
		a.tell("put 0 %d 20", n)
		b.tell("put 1 %d 20", n)
		a.hear(fmt.Sprint("committed 0 ", n+20))
		b.hear(fmt.Sprint("committed 1 ", n+20))
	}
	a.finish()
	b.finish()
	whole(t, path, map[int]int{0: 100, 1: 100})
}
