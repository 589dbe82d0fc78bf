//go:build unix

package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
	"github.com/penstockio/penstock/pipeline/settings"
)

// fifo makes a FIFO and gives its path.
func fifo(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// write opens a file, a FIFO among them, writes text into it, and closes it.
func write(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Error(err)
		return
	}
	if _, err := f.WriteString(text); err != nil && !errors.Is(err, syscall.EPIPE) {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// A FIFO is opened once, by the read: looking whether it is there opens and closes nothing,
// which would end its writer.
func TestReplayFIFO(t *testing.T) {
	path := fifo(t)
	r := replay(t, Settings{Files: []settings.Path{settings.Path(path)}, As: "value"}, Options{Count: true})
	if err := r.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	go write(t, path, "1\n2\n\n3")
	sink, err := run(t, r)
	if got := sink.Values(); err != nil || strings.Join(asText(got), " ") != "1 2 3" {
		t.Errorf("%v: %q", err, got)
	}
	if done, expected := r.Progress(); done != 3 || expected != -1 {
		t.Errorf("%d of %d records: how many there are is not known before the end", done, expected)
	}
	if p := r.Report().Partitions[0]; p.Committed != 5 || p.HighWatermark != -1 {
		t.Errorf("report %+v", p)
	}
}

func asText(values [][]byte) (text []string) {
	for _, v := range values {
		text = append(text, string(v))
	}
	return text
}

// A file that can be read once keeps all from being counted, wherever it stands.
func TestReplayCountsNoStream(t *testing.T) {
	for _, at := range []int{0, 1, 2} {
		path := fifo(t)
		s := Settings{Files: slices.Insert(files(t, "a", "1\n2\n", "b", "3\n"), at, settings.Path(path)), As: "value"}
		r := replay(t, s, Options{Count: true})
		go write(t, path, "9\n")
		if _, err := run(t, r); err != nil {
			t.Fatal(err)
		}
		if done, expected := r.Progress(); done != 4 || expected != -1 {
			t.Errorf("at %d: %d of %d", at, done, expected)
		}
	}
}

// A FIFO that nobody writes does not keep the pipeline from ending.
func TestReplayFIFOWithoutWriter(t *testing.T) {
	path := fifo(t)
	ctx, cancel := context.WithCancel(t.Context())
	sink := &pipelinetest.Memory{Fail: func(*pipeline.Record) error { cancel(); return nil }}
	s := Settings{Files: append(files(t, "a", "1\n"), settings.Path(path)), As: "value"}
	p, err := engine.New(engine.Options{
		Name: "p", Source: replay(t, s, Options{}), Sinks: []engine.Output{{Name: "m", Kind: "memory", Sink: sink}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(ctx); err != nil || len(sink.Values()) != 1 {
		t.Errorf("%v: %q", err, sink.Values())
	}
	// The goroutine that still opens it, or has not come so far, ends with a writer: one that
	// stays.
	if lastWriter, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
}

var lastWriter *os.File

// A bad disk gives text, and then an error.
type badDisk struct{ io.Reader }

func (f badDisk) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF {
		err = syscall.EIO
	}
	return n, err
}

func (badDisk) Close() error { return nil }

// A read that fails hands over what came before it, and says which line it was in.
func TestReplayStreamFails(t *testing.T) {
	for text, want := range map[string]string{
		"1\n2\n": "1 2", "1\n2\nhalf": "1 2", "": "", strings.Repeat("1\n", 1000): strings.TrimSpace(strings.Repeat("1 ", 1000)),
	} {
		path := fifo(t)
		r := replay(t, Settings{Files: []settings.Path{settings.Path(path)}, As: "value"}, Options{})
		sink := new(pipelinetest.Memory)
		p, err := engine.New(engine.Options{
			Name: "p", Source: &broken{r, text}, Sinks: []engine.Output{{Name: "m", Kind: "memory", Sink: sink}},
		})
		if err != nil {
			t.Fatal(err)
		}
		err = p.Run(t.Context())
		line := fmt.Sprintf("replaying: %s:%d: reading a line: input/output error", path, strings.Count(text, "\n")+1)
		if got := strings.Join(asText(sink.Values()), " "); got != want || err == nil || !strings.Contains(err.Error(), line) || !errors.Is(err, syscall.EIO) {
			t.Errorf("%.20q: %v, %q", text, err, got)
		}
	}
}

// broken puts a bad disk in place of the file that a source has opened.
type broken struct {
	*Source
	text string
}

func (b *broken) Open(ctx context.Context, e pipeline.Feed) error {
	err := b.Source.Open(ctx, e)
	b.files[0].f.(*stream).open = func() (io.ReadCloser, error) { return badDisk{strings.NewReader(b.text)}, nil }
	return err
}

// One that cannot be opened is the environment's fault, when its turn has come.
func TestReplayStreamOpens(t *testing.T) {
	path := fifo(t)
	r := replay(t, Settings{Files: []settings.Path{settings.Path(path)}}, Options{})
	sink := new(pipelinetest.Memory)
	p, err := engine.New(engine.Options{
		Name: "p", Source: &removed{r, path}, Sinks: []engine.Output{{Name: "m", Kind: "memory", Sink: sink}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var env *pipeline.EnvironmentError
	if err := p.Run(t.Context()); !errors.As(err, &env) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// removed removes a file between Open and the first Read.
type removed struct {
	*Source
	path string
}

func (r *removed) Open(ctx context.Context, e pipeline.Feed) error {
	return errors.Join(r.Source.Open(ctx, e), os.Remove(r.path))
}

// losing ends the lane behind the first batch.
type losing struct {
	*Source
	committed bool
	batches   int
}

func (l *losing) Read(ctx context.Context) (*pipeline.Batch, error) {
	if l.batches++; l.batches == 2 {
		end, cancel := context.WithCancel(ctx)
		if !l.committed {
			cancel()
		}
		_, err := l.files[0].lane.End(end)
		cancel()
		if err != nil {
			return nil, err
		}
	}
	return l.Source.Read(ctx)
}

// A lane that is opened again goes on where the reading is, when all before it has its
// outcome; else it says that what came before cannot be read again.
func TestReplayStreamIsReadOnce(t *testing.T) {
	for committed, want := range map[bool]string{true: "", false: "can be read once: store it in a file"} {
		path := fifo(t)
		go write(t, path, strings.Repeat("1\n", 1000))
		r := replay(t, Settings{Files: []settings.Path{settings.Path(path)}, As: "value"}, Options{})
		sink := new(pipelinetest.Memory)
		p, err := engine.New(engine.Options{
			Name: "p", Source: &losing{Source: r, committed: committed}, Sinks: []engine.Output{{Name: "m", Kind: "memory", Sink: sink}},
		})
		if err != nil {
			t.Fatal(err)
		}
		err = p.Run(t.Context())
		switch {
		case committed && (err != nil || len(sink.Values()) != 1000):
			t.Errorf("%v: %d records", err, len(sink.Values()))
		case !committed && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// One process has one standard input, whatever it is called.
func TestReplayStandardInputTwice(t *testing.T) {
	for _, other := range []settings.Path{"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"} {
		_, err := New(Settings{Files: []settings.Path{"a", "-", other}}, Options{})
		if err == nil || err.Error() != "files[2]: standard input stands twice: it can be read once" {
			t.Errorf("%s: %v", other, err)
		}
	}
	s := Settings{Files: []settings.Path{"a", "/dev/stdin"}}
	if got := s.StandardInput(); got != "files[1]" {
		t.Errorf("got %q", got)
	}
	s.Files = s.Files[:1]
	if got := s.StandardInput(); got != "" {
		t.Errorf("got %q", got)
	}
}

// A pipe is read about as fast as a file: what is measured is the reading alone, and the
// file of the same run is the limit.
func BenchmarkReplayStream(b *testing.B) {
	text := strings.Repeat(`{"origin":"DTW","destination":"LAS","delay":66,"text":"`+strings.Repeat("x", 100)+"\"}\n", 20_000)
	path := filepath.Join(b.TempDir(), "in.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	for _, kind := range []string{"file", "pipe"} {
		b.Run(kind, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				from := path
				if kind == "pipe" {
					from = fifo(b)
					go write(b, from, text)
				}
				r, err := New(Settings{Files: []settings.Path{settings.Path(from)}, As: "value"}, Options{})
				if err != nil {
					b.Fatal(err)
				}
				sink := &pipelinetest.Memory{}
				p, err := engine.New(engine.Options{Name: "p", Source: r, Sinks: []engine.Output{{Name: "m", Kind: "memory", Sink: sink}}})
				if err != nil {
					b.Fatal(err)
				}
				if err := p.Run(b.Context()); err != nil || len(sink.Records()) != 20_000 {
					b.Fatal(err, len(sink.Records()))
				}
			}
		})
	}
}
