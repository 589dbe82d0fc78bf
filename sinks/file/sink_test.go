//go:build unix

package filesink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/sinks/internal/sinktest"
	"github.com/penstockio/penstock/sinks/lines"
)

// keyed makes a sink that writes into the file that the record's key names.
func keyed(t *testing.T, dir string, s Settings) *Sink {
	t.Helper()
	f, err := newSink(s, dir+"/out/", func(r *pipeline.Record) (string, error) {
		return dir + "/out/" + string(r.Key()), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return f
}

func to(file string, offset int64, value string) *pipeline.Record {
	var r pipeline.Record
	r.Init(pipeline.Position{Topic: "t", Offset: offset}, []byte(file), []byte(value), nil, pipeline.NoTime)
	return &r
}

func put(t *testing.T, dir, file, text string) {
	t.Helper()
	path := filepath.Join(dir, "out", file)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFileAppends(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a", "{\"old\":1}\n")
	f := keyed(t, dir, Settings{})
	got := sinktest.Failures(t, f.Write(t.Context(), []*pipeline.Record{
		to("a", 1, `{"n": 1}`), to("x/y/b", 2, "{\n\"n\":2}"), to("a", 3, "two\nlines"), to("a", 4, `{"n":4}`),
	}))
	if want := map[int]string{2: lines.ReasonNotOneLine}; !reflect.DeepEqual(got, want) {
		t.Errorf("failures %v, want %v", got, want)
	}
	same(t, content(t, dir, "a"), "{\"old\":1}\n{\"n\": 1}\n{\"n\":4}\n")
	same(t, content(t, dir, "x/y/b"), "{\"n\":2}\n")
	if err := f.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(filepath.Join(dir, "out/x/y/b"))
	if err != nil || info.Mode().Perm()&^0o640 != 0 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestFileStaysInItsFolder(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "folder/x", "")
	for link, target := range map[string]string{"away": t.TempDir(), "up": "..", "file": filepath.Join(dir, "secret"), "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(dir, "out", link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "out", "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := keyed(t, dir, Settings{})
	names := []string{
		"../b", "x/../../b", "/etc/b", "away/b", "up/b", "file", "loop", "folder", "folder/x/y", "pipe", "", ".", "b/", strings.Repeat("n", 300), "nul\x00",
	}
	var recs []*pipeline.Record
	for i, name := range names {
		recs = append(recs, to(name, int64(i), "x"))
	}
	recs = append(recs, to("good", 99, "x"))
	got := sinktest.Failures(t, f.Write(t.Context(), recs))
	for i, name := range names {
		if got[i] != ReasonFileName {
			t.Errorf("%q: %q", name, got[i])
		}
	}
	if len(got) != len(names) {
		t.Errorf("failures %v", got)
	}
	same(t, content(t, dir, "good"), "x\n")
	for _, outside := range []string{"b", "secret"} {
		if _, err := os.Lstat(filepath.Join(dir, outside)); err == nil {
			t.Errorf("%s was written outside", outside)
		}
	}
}

// Two processes on one file would cut each other's lines.
func TestFileHasOneWriter(t *testing.T) {
	dir := t.TempDir()
	f, g := keyed(t, dir, Settings{}), keyed(t, dir, Settings{})
	if err := f.Write(t.Context(), []*pipeline.Record{to("a", 1, "1")}); err != nil {
		t.Fatal(err)
	}
	err := g.Write(t.Context(), []*pipeline.Record{to("a", 2, "2")})
	if got := sinktest.Failures(t, err); len(got) != 1 || got[0] != "" || !strings.Contains(err.Error(), "another process") {
		t.Errorf("failures %v: %v", got, err)
	}
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.Write(t.Context(), []*pipeline.Record{to("a", 2, "2")}); err != nil {
		t.Error(err)
	}
	same(t, content(t, dir, "a"), "1\n2\n")
}

// Many lanes, more files than may be open, each file in order per lane.
func TestFileManyLanesAndFiles(t *testing.T) {
	dir := t.TempDir()
	f := keyed(t, dir, Settings{Open: 3})
	real := syncFile
	defer func() { syncFile = real }()
	syncFile = func(*os.File) error { return nil } // the disk is not what is tested here
	var lanes sync.WaitGroup
	for lane := range 6 {
		lanes.Go(func() {
			for batch := range 10 {
				var recs []*pipeline.Record
				for n := range 20 {
					recs = append(recs, to(fmt.Sprint("f", n%8), int64(batch*20+n), fmt.Sprint(lane, " ", batch*20+n)))
				}
				if err := f.Write(context.Background(), recs); err != nil {
					t.Error(err)
				}
			}
		})
	}
	lanes.Wait()
	if len(f.files) > 3 || len(f.files) != len(f.idle) || len(f.slots) != 0 {
		t.Errorf("%d files known, %d idle, %d slots taken", len(f.files), len(f.idle), len(f.slots))
	}
	total := 0
	for n := range 8 {
		last := map[int]int{}
		for line := range strings.SplitSeq(strings.TrimSpace(content(t, dir, fmt.Sprint("f", n))), "\n") {
			var lane, i int
			if _, err := fmt.Sscan(line, &lane, &i); err != nil || i%20%8 != n {
				t.Fatalf("line %q in file %d", line, n)
			}
			if before, ok := last[lane]; ok && before >= i {
				t.Errorf("lane %d: %d behind %d", lane, i, before)
			}
			last[lane] = i
			total++
		}
	}
	if total != 6*200 {
		t.Errorf("%d lines", total)
	}
}

func TestFileEndedContext(t *testing.T) {
	dir := t.TempDir()
	f := keyed(t, dir, Settings{Open: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Write(ctx, []*pipeline.Record{to("a", 1, "1")}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "out", "a")); err == nil {
		t.Error("something was written")
	}
	// One that waits for a file.
	f.slots <- struct{}{}
	ctx, cancel = context.WithCancel(t.Context())
	result := make(chan error)
	go func() { result <- f.Write(ctx, []*pipeline.Record{to("a", 1, "1")}) }()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-f.slots
}

func TestFileErrorsNameNoRecord(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "secret/x", "")
	f := keyed(t, dir, Settings{})
	err := f.Write(t.Context(), []*pipeline.Record{to("secret", 1, "1")})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestLiteral(t *testing.T) {
	for in, want := range map[string]string{
		"out/a.jsonl": "out/a.jsonl", "out/{a}/b": "out/", "{a}": "", "o{{u}}t/{a}": "o{u}t/", "o{{{a}": "o{", "": "",
	} {
		if got := literal(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestFixtureFile(t *testing.T) {
	dir := t.TempDir()
	f := keyed(t, dir, Settings{As: "fixture"})
	if err := f.Write(t.Context(), []*pipeline.Record{to("a", 1, "x\ny"), tombstoneOf("a", 2)}); err != nil {
		t.Fatal(err)
	}
	want := `{"topic":"t","partition":0,"offset":1,"key":"a","payload":"x\ny"}` + "\n" +
		`{"topic":"t","partition":0,"offset":2,"key":"a","payload":null}` + "\n"
	if got := content(t, dir, "a"); !bytes.Equal([]byte(got), []byte(want)) {
		t.Errorf("got %s", got)
	}
}

func tombstoneOf(file string, offset int64) *pipeline.Record {
	r := sinktest.Tombstone(offset)
	r.SetKey([]byte(file))
	return r
}
