package sinks

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
)

// A gate is a writer that can be shut.
type gate struct {
	mu    sync.Mutex
	text  bytes.Buffer
	stuck chan struct{} // not nil: shut; closed by who finds it so
	open  chan struct{}
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	stuck, open := g.stuck, g.open
	g.mu.Unlock()
	if stuck != nil {
		close(stuck)
		<-open
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(p)
}

func (g *gate) shut() (<-chan struct{}, func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stuck, g.open = make(chan struct{}), make(chan struct{})
	open := g.open
	return g.stuck, func() {
		g.mu.Lock()
		g.stuck = nil
		g.mu.Unlock()
		close(open)
	}
}

func split(text []byte) [][]byte {
	return bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
}

func TestStdoutConforms(t *testing.T) {
	pipelinetest.Sink(t, func(t *testing.T) pipelinetest.SinkUnderTest {
		g := new(gate)
		s, err := NewStdout(StdoutSettings{}, g, "")
		if err != nil {
			t.Fatal(err)
		}
		return pipelinetest.SinkUnderTest{
			Sink: s,
			Stored: func() ([][]byte, error) {
				g.mu.Lock()
				defer g.mu.Unlock()
				return split(bytes.Clone(g.text.Bytes())), nil
			},
			Reject: []byte("two\nlines"),
			Hang:   g.shut,
		}
	})
}

func TestFileConforms(t *testing.T) {
	pipelinetest.Sink(t, func(t *testing.T) pipelinetest.SinkUnderTest {
		dir := t.TempDir()
		s := DefaultFile()
		if err := s.Path.UnmarshalText([]byte(filepath.Join(dir, "deep/{meta.topic}.jsonl"))); err != nil {
			t.Fatal(err)
		}
		f, err := NewFile(s)
		if err != nil {
			t.Fatal(err)
		}
		return pipelinetest.SinkUnderTest{
			Sink: f,
			Stored: func() ([][]byte, error) {
				text, err := os.ReadFile(filepath.Join(dir, "deep/kit.jsonl"))
				if os.IsNotExist(err) {
					return nil, nil
				}
				return split(text), err
			},
			Reject: []byte("two\nlines"),
			Fail: func() func() {
				real := syncFile
				syncFile = func(*os.File) error { return io.ErrUnexpectedEOF }
				return func() { syncFile = real }
			},
		}
	})
}

func TestFilePathOfARecord(t *testing.T) {
	dir := t.TempDir()
	s := DefaultFile()
	if err := s.Path.UnmarshalText([]byte(filepath.Join(dir, "out/x-{a}.jsonl"))); err != nil {
		t.Fatal(err)
	}
	f, err := NewFile(s)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close(t.Context()) }()
	got := failures(t, f.Write(t.Context(), recs(`{"a":"1"}`, `{"a":"../../2"}`, `{}`, `{"a":""}`, `x`, `{"a":"1","b":0}`)))
	if len(got) != 3 || got[2] == "" || got[3] == "" || got[4] != "invalid_json" {
		t.Errorf("failures %v", got)
	}
	same(t, content(t, dir, "x-1.jsonl"), "{\"a\":\"1\"}\n{\"a\":\"1\",\"b\":0}\n")
	names, err := filepath.Glob(filepath.Join(dir, "out/*"))
	if err != nil || len(names) != 2 {
		t.Errorf("files %v, %v", names, err)
	}
	var static expr.Template
	if err := static.UnmarshalText([]byte(filepath.Join(dir, "out"))); err != nil {
		t.Fatal(err)
	}
	g, err := NewFile(FileSettings{Path: static})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Ping(t.Context()); err == nil {
		t.Error("a folder of the file's name is no problem")
	}
}

func content(t *testing.T, dir, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "out", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
