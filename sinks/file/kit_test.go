package filesink

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
	"github.com/penstockio/penstock/sinks/internal/sinktest"
)

func TestFileConforms(t *testing.T) {
	pipelinetest.Sink(t, func(t *testing.T) pipelinetest.SinkUnderTest {
		dir := t.TempDir()
		s := Defaults()
		if err := s.Path.UnmarshalText([]byte(filepath.Join(dir, "deep/{meta.topic}.jsonl"))); err != nil {
			t.Fatal(err)
		}
		f, err := New(s)
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
	s := Defaults()
	if err := s.Path.UnmarshalText([]byte(filepath.Join(dir, "out/x-{a}.jsonl"))); err != nil {
		t.Fatal(err)
	}
	f, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close(t.Context()) }()
	got := sinktest.Failures(t, f.Write(t.Context(), recs(`{"a":"1"}`, `{"a":"../../2"}`, `{}`, `{"a":""}`, `x`, `{"a":"1","b":0}`)))
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
	g, err := New(Settings{Path: static})
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
