package filesink

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/sinks/internal/sinktest"
)

// childFolder is the variable that makes the test binary write files until it is
// killed.
const childFolder = "PENSTOCK_TEST_FILE_CHILD"

// writeUntilKilled writes batch after batch of long lines, from the first one that it
// is told, and says on standard output which have been acknowledged.
func writeUntilKilled(dir string) error {
	var first int
	if _, err := fmt.Sscan(os.Getenv(childFolder+"_FIRST"), &first); err != nil {
		return err
	}
	f, err := newSink(Defaults(), dir+"/", func(r *pipeline.Record) (string, error) {
		return fmt.Sprintf("%s/%d.jsonl", dir, r.Offset%3), nil
	})
	if err != nil {
		return err
	}
	for n := first; ; n += 30 {
		var recs []*pipeline.Record
		for i := n; i < n+30; i++ {
			recs = append(recs, sinktest.Record(int64(i), killLine(i, os.Getenv(childFolder+"_TEXT") != "")))
		}
		if err := f.Write(context.Background(), recs); err != nil {
			return err
		}
		fmt.Println(n + 30)
	}
}

// killLine is a long line, as JSON or as text.
func killLine(n int, text bool) string {
	x := strings.Repeat("x", 40<<10)
	if text {
		return fmt.Sprintf("%d %s.", n, x)
	}
	return fmt.Sprintf(`{"n":%d,"x":"%s"}`, n, x)
}

// kill -9 at any moment, again and again: no acknowledged line is missing, no line is
// torn, each file is in order. Torn text stays where the file system keeps no marks.
func TestFileSurvivesKills(t *testing.T) {
	t.Run("JSON", func(t *testing.T) { surviveKills(t, "") })
	t.Run("text", func(t *testing.T) { surviveKills(t, "yes") })
}

func surviveKills(t *testing.T, text string) {
	dir := t.TempDir()
	acked := 0
	for round := range 6 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childFolder+"="+dir, fmt.Sprintf("%s_FIRST=%d", childFolder, acked), childFolder+"_TEXT="+text)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		child.Stderr = os.Stderr
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for i := 0; i <= round && lines.Scan(); i++ {
			if _, err := fmt.Sscan(lines.Text(), &acked); err != nil {
				t.Fatal(err)
			}
		}
		before := size(dir)
		for size(dir) == before { // the next write is under way then
			runtime.Gosched()
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what was acknowledged before it died
			if _, err := fmt.Sscan(lines.Text(), &acked); err != nil {
				t.Fatal(err)
			}
		}
		if err := child.Wait(); err == nil || child.ProcessState.Exited() {
			t.Fatalf("the child ended by itself: %v", err)
		}
	}
	if acked < 21*30 {
		t.Fatalf("only %d records were acknowledged", acked)
	}
	// One more writer mends what the last kill has torn.
	s := Defaults()
	f, err := newSink(s, dir+"/", func(r *pipeline.Record) (string, error) { return fmt.Sprintf("%s/%d.jsonl", dir, r.Offset%3), nil })
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := f.Write(t.Context(), []*pipeline.Record{sinktest.Record(int64(i), killLine(-1, text != ""))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		intact(t, filepath.Join(dir, fmt.Sprintf("%d.jsonl", i)), i, acked, text != "")
	}
}

// size is how long the first file is, -1 when it is not there.
func size(dir string) int64 {
	info, err := os.Stat(filepath.Join(dir, "0.jsonl"))
	if err != nil {
		return -1
	}
	return info.Size()
}

// intact checks that the file holds first, first+3, … below end, each line whole.
func intact(t *testing.T, file string, first, end int, asText bool) {
	t.Helper()
	g, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	markWrite(g, 0, 0)
	_, _, marks := markedWrite(g)
	_ = g.Close() // it was only read
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	next, repeated := first, 0
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		var is struct{ N int }
		if _, err := fmt.Sscan(strings.TrimPrefix(line, `{"n":`), &is.N); err != nil || line != killLine(is.N, asText) {
			if asText && !marks && strings.HasPrefix(killLine(is.N, true), line) {
				continue
			}
			t.Fatalf("%s:%d: a torn line of %d bytes: %v", file, i+1, len(line), err)
		}
		switch {
		case is.N == next:
			next += 3
		case is.N >= 0 && is.N < next:
			repeated++
		case is.N >= 0:
			t.Fatalf("%s:%d: %d, where %d belongs", file, i+1, is.N, next)
		}
	}
	if next < end {
		t.Errorf("%s: acknowledged up to %d, stored up to %d", file, end, next)
	}
	t.Logf("%s: %d lines again", filepath.Base(file), repeated)
}
