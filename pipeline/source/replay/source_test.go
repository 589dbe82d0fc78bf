package replay

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/engine"
	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/pipelinetest"
	"github.com/penstockio/penstock/pipeline/settings"
)

// files writes files and gives their paths.
func files(t *testing.T, nameAndText ...string) (paths []settings.Path) {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(nameAndText); i += 2 {
		path := filepath.Join(dir, nameAndText[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(nameAndText[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, settings.Path(path))
	}
	return paths
}

func replay(t *testing.T, s Settings, o Options) *Source {
	t.Helper()
	r, err := New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// run moves everything into memory.
func run(t *testing.T, r *Source) (*pipelinetest.Memory, error) {
	t.Helper()
	sink := new(pipelinetest.Memory)
	p, err := engine.New(engine.Options{
		Name: "p", Source: r, Sinks: []engine.Output{{Name: "m", Kind: "memory", Sink: sink}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return sink, p.Run(t.Context())
}

func TestReplayConforms(t *testing.T) {
	pipelinetest.Source(t, func(t *testing.T) pipelinetest.SourceUnderTest {
		lanes := map[string][]string{"none": nil, "a/one": {`{"one":1}`}, "b/one": {"2"}}
		for i := range 2000 {
			lanes["long"] = append(lanes["long"], fmt.Sprintf(`{"long":%d}`, i))
		}
		for i := range 20 {
			lanes["wide"] = append(lanes["wide"], fmt.Sprintf(`{"wide":%d,"x":"%s"}`, i, strings.Repeat("x", 100<<10)))
		}
		var named []string
		for _, name := range []string{"long", "none", "wide", "a/one", "b/one"} {
			named = append(named, name, strings.Join(lanes[name], "\n\n")+"\n")
		}
		s := Settings{Files: files(t, named...), As: "value"}
		// Two files are called one, so that all names have their folder.
		root := filepath.Base(filepath.Dir(string(s.Files[0])))
		for _, name := range []string{"long", "none", "wide"} {
			lanes[root+"/"+name] = lanes[name]
			delete(lanes, name)
		}
		return pipelinetest.SourceUnderTest{
			New:   func() (pipeline.Source, error) { return New(s, Options{Count: true}) },
			Lanes: lanes,
		}
	})
}

func TestReplayFixture(t *testing.T) {
	const text = `{"topic":"flights","partition":3,"offset":900,"ts":5,"key":"k","headers":["h","v"],"payload_json":{"a":1}}
{"payload":null}

{"topic":"flights","partition":1,"offset":7,"payload":"x"}
`
	r := replay(t, Settings{Files: files(t, "in.jsonl", text)}, Options{Count: true})
	sink, err := run(t, r)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, rec := range sink.Records() {
		got = append(got, fmt.Sprintf("%v key=%q %q time=%d headers=%d tombstone=%v", rec.Position, rec.Key(), rec.Value(), rec.Time, len(rec.Headers()), rec.Tombstone()))
	}
	want := []string{
		`flights/3@900 key="k" "{\"a\":1}" time=5 headers=1 tombstone=false`,
		fmt.Sprintf(`in.jsonl/0@2 key="" "" time=%d headers=0 tombstone=true`, int64(pipeline.NoTime)),
		fmt.Sprintf(`flights/1@7 key="" "x" time=%d headers=0 tombstone=false`, int64(pipeline.NoTime)),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
	if done, expected := r.Progress(); done != 3 || expected != 3 {
		t.Errorf("%d of %d", done, expected)
	}
	rep := r.Report()
	if rep.Connected || len(rep.Partitions) != 1 {
		t.Fatalf("report %+v", rep)
	}
	if p := rep.Partitions[0]; p.Topic != "in.jsonl" || p.Committed != 5 || p.Fetched != 5 || p.HighWatermark != 5 {
		t.Errorf("report %+v", p)
	}
}

func TestReplayBadLine(t *testing.T) {
	text := strings.Repeat(`{"payload":"x"}`+"\n", 300) + "{\"payload\"\n"
	s := Settings{Files: files(t, "in.jsonl", text, "next.jsonl", `{"payload":"never"}`)}
	sink, err := run(t, replay(t, s, Options{}))
	want := "replaying: " + string(s.Files[0]) + ":301: reading a fixture line: not valid JSON at column"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if n := len(sink.Values()); n != 300 {
		t.Errorf("%d records before the bad line", n)
	}
}

func TestReplayKey(t *testing.T) {
	var key expr.Expr
	if err := key.UnmarshalText([]byte("origin")); err != nil {
		t.Fatal(err)
	}
	s := Settings{Files: files(t, "in.jsonl", `{"origin":"DTW"}`+"\n"+`{"x":1}`), As: "value", Key: &key}
	sink, err := run(t, replay(t, s, Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if recs := sink.Records(); string(recs[0].Key()) != "DTW" || recs[1].Key() != nil {
		t.Errorf("keys %q %q", recs[0].Key(), recs[1].Key())
	}
	s.Files = files(t, "in.jsonl", `{"origin":`)
	if _, err := run(t, replay(t, s, Options{})); err == nil || !strings.Contains(err.Error(), "in.jsonl:1: making the key: ") {
		t.Errorf("got %v", err)
	}
}

func TestReplayMissingFile(t *testing.T) {
	s := Settings{Files: append(files(t, "in.jsonl", ""), "/nonexistent/fixture.jsonl")}
	var env *pipeline.EnvironmentError
	if _, err := run(t, replay(t, s, Options{})); !errors.As(err, &env) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := replay(t, s, Options{}).Ping(t.Context()); !errors.As(err, &env) {
		t.Errorf("ping: %v", err)
	}
	s.Files = []settings.Path{settings.Path(t.TempDir())}
	if err := replay(t, s, Options{}).Ping(t.Context()); !errors.As(err, &env) {
		t.Errorf("a folder: %v", err)
	}
}

// The records come as fast as they were recorded, times the speed.
func TestReplaySpeed(t *testing.T) {
	const text = `{"ts":1000,"payload":"a"}
{"ts":3000,"payload":"b"}
{"payload":"no time: at once"}
{"ts":2000,"payload":"earlier: at once"}
{"ts":11000,"payload":"c"}
{"ts":11000,"payload":"d"}
`
	for speed, want := range map[float64]time.Duration{1: 10 * time.Second, 10: time.Second, 0: 0} {
		s := Settings{Files: files(t, "in.jsonl", text)}
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			var at []time.Duration
			sink := &pipelinetest.Memory{Fail: func(*pipeline.Record) error {
				at = append(at, time.Since(begun))
				return nil
			}}
			p, err := engine.New(engine.Options{
				Name: "p", Source: replay(t, s, Options{Speed: speed}), Sinks: []engine.Output{{Name: "m", Kind: "memory", Sink: sink}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			fifth := want / 5
			if all := []time.Duration{0, fifth, fifth, fifth, want, want}; !reflect.DeepEqual(at, all) {
				t.Errorf("speed %v: records at %v, want %v", speed, at, all)
			}
		})
	}
}

// Waiting for a record that is due in an hour ends with the context.
func TestReplaySpeedEnds(t *testing.T) {
	s := Settings{Files: files(t, "in.jsonl", `{"ts":0,"payload":"a"}`+"\n"+`{"ts":3600000,"payload":"b"}`)}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun := time.Now()
		sink := new(pipelinetest.Memory)
		p, err := engine.New(engine.Options{
			Name: "p", Source: replay(t, s, Options{Speed: 1}), Sinks: []engine.Output{{Name: "m", Kind: "memory", Sink: sink}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(ctx); err != nil || len(sink.Values()) != 1 || time.Since(begun) > 2*time.Minute {
			t.Errorf("%v after %v: %q", err, time.Since(begun), sink.Values())
		}
	})
}

func TestReplaySettings(t *testing.T) {
	var key expr.Expr
	for _, c := range []struct {
		s    Settings
		want string
	}{
		{Settings{}, "files: no file to replay"},
		{Settings{Files: []settings.Path{"a", "b", "a"}}, "files: a stands twice"},
		{Settings{Files: []settings.Path{"a"}, As: "json"}, `as: "json" is neither`},
		{Settings{Files: []settings.Path{"a"}, Key: &key}, "key: a fixture line carries its own key"},
	} {
		if _, err := New(c.s, Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	if _, err := New(Settings{Files: []settings.Path{"a"}}, Options{Speed: -1}); err == nil {
		t.Error("a negative speed")
	}
}

func TestShortNames(t *testing.T) {
	for _, c := range []struct{ paths, want []string }{
		{[]string{"/a/b.jsonl"}, []string{"b.jsonl"}},
		{[]string{"/a/b", "/a/c"}, []string{"b", "c"}},
		{[]string{"/a/x/b", "/a/y/b"}, []string{"x/b", "y/b"}},
		{[]string{"b", "/b"}, []string{"b", "/b"}},
	} {
		var paths []settings.Path
		for _, p := range c.paths {
			paths = append(paths, settings.Path(p))
		}
		if got := shortNames(paths); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: got %v", c.paths, got)
		}
	}
}
