package http

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

func remembering(file string) func(*Settings) {
	return func(s *Settings) {
		s.Idempotency = &Idempotency{Keep: time.Hour, Size: 100_000, File: settings.Path(file)}
	}
}

// TestOnceForEachKey: a key is answered as it was first, its records come once, and another body is refused.
func TestOnceForEachKey(t *testing.T) {
	r := newRig(t, remembering("")).start()
	r.post("[1,2]", "Idempotency-Key", "a").want(t, 200, `{"records":2}`)
	a := r.post("[1,2]", "Idempotency-Key", `"a"`)
	a.want(t, 200, `{"records":2}`)
	if a.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("header %v", a.header)
	}
	r.post("[1,3]", "Idempotency-Key", "a").want(t, 422, `"key_reused"`)
	r.post("[1,2]", "Idempotency-Key", "a", "Content-Type", "text/plain").want(t, 422)
	r.post("[1,2]", "Idempotency-Key", "b").want(t, 200)
	r.post("[1,2]").want(t, 200)
	for _, key := range []string{"", strings.Repeat("k", 256), "a\tb"} {
		r.post("5", "Idempotency-Key", key).want(t, 400, `"idempotency_key"`)
	}
	if got := r.values(); !slices.Equal(got, []string{"1", "2", "1", "2", "1", "2"}) {
		t.Errorf("got %q", got)
	}
}

// TestTheSecondWaitsForTheFirst: requests of one key that come together are one.
func TestTheSecondWaitsForTheFirst(t *testing.T) {
	r := newRig(t, remembering(""))
	g := r.gated()
	r.start()
	var all []<-chan answer
	for range 5 {
		all = append(all, r.later("1", "Idempotency-Key", "a"))
	}
	waitFor(t, "all wait", func() bool { return r.src.Report().RequestsWaiting == 5 })
	r.post("2", "Idempotency-Key", "a").want(t, 422)
	close(g.open)
	first := 0
	for _, got := range all {
		a := soon(t, got)
		a.want(t, 200, `{"records":1}`)
		if a.header.Get("Idempotent-Replayed") == "" {
			first++
		}
	}
	if first != 1 || len(r.values()) != 1 {
		t.Errorf("%d are the first, stored %q", first, r.values())
	}
}

// TestWhatCameToNothingLeavesNoKey: a refused request may come again under its key, with another body too.
func TestWhatCameToNothingLeavesNoKey(t *testing.T) {
	r := newRig(t, func(s *Settings) {
		remembering("")(s)
		s.Rate, s.Burst = &settings.Rate{N: 20, Per: time.Second}, 1
	}).start()
	r.post("0").want(t, 200)
	r.post("1", "Idempotency-Key", "a").want(t, 429)
	r.post("{", "Idempotency-Key", "a").want(t, 429)
	waitFor(t, "it is taken", func() bool { return r.post("2", "Idempotency-Key", "a").status == 200 })
	if got := r.values(); !slices.Equal(got, []string{"0", "2"}) {
		t.Errorf("got %q", got)
	}
}

// TestKeysAreForgotten: after their time, and the oldest when there are too many.
func TestKeysAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(Idempotency{Keep: time.Minute, Size: 3})
		held := int64(0)
		m.account = func(n int64) { held += n }
		first := func(key string) bool {
			e, first := m.begin(key, [32]byte{})
			if first {
				m.end(e, result{At: time.Now().UnixMilli()})
			}
			return first
		}
		for i, c := range []struct {
			key   string
			after time.Duration
			first bool
		}{
			{"a", 0, true}, {"b", 30 * time.Second, true}, {"a", 29 * time.Second, false},
			{"a", 2 * time.Second, true}, {"b", 0, false}, {"c", 0, true},
			{"d", 0, true}, // b is the oldest of four
			{"b", 0, true}, {"d", 0, false}, {"c", 0, false}, {"a", 0, true},
		} {
			time.Sleep(c.after)
			if got := first(c.key); got != c.first {
				t.Errorf("%d: %s is the first: %v", i, c.key, got)
			}
		}
		if held != 3*(1+perKey) || len(m.entries) != 3 {
			t.Errorf("%d bytes are held for %d keys", held, len(m.entries))
		}
	})
}

// TestKeysOverARestart: what was answered is known to the next process, also when a crash has torn the last line.
func TestKeysOverARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.jsonl")
	stored := 0
	for life := range 4 {
		r := newRig(t, remembering(file)).start()
		for i := range life {
			r.post(fmt.Sprint(i), "Idempotency-Key", fmt.Sprint("k", i)).want(t, 200, `{"records":1}`)
		}
		if n := len(r.values()); n > 0 {
			t.Errorf("life %d: %d records came again", life, n)
		}
		r.post(fmt.Sprint(life), "Idempotency-Key", fmt.Sprint("k", life)).want(t, 200)
		stored += len(r.values())
		if err := r.end(); err != nil {
			t.Error(err)
		}
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(`{"key":"torn","hash":"00`); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	if stored != 4 {
		t.Errorf("%d records were stored", stored)
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st, err)
	}
}

// TestTheKeyFileIsOfOne: another process or pipeline is told so, and a file of something else is left alone.
func TestTheKeyFileIsOfOne(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "keys.jsonl")
	f := newKeyFile(file, newMemory(Idempotency{}))
	if err := f.open(func(*entry, bool) {}); err != nil {
		t.Fatal(err)
	}
	var env *pipeline.EnvironmentError
	if err := newKeyFile(file, newMemory(Idempotency{})).open(nil); !errors.As(err, &env) || !strings.Contains(err.Error(), file+": another has it (process ") {
		t.Errorf("a second one: %v", err)
	}
	if err := f.close(); err != nil {
		t.Error(err)
	}
	other := filepath.Join(dir, "other")
	for _, text := range []string{"a file of mine\n", "x", `{"penstock":"idempotency keys","version":2}` + "\n", strings.Repeat("x", mostLine+10)} {
		if err := os.WriteFile(other, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := newKeyFile(other, newMemory(Idempotency{})).open(func(*entry, bool) {}); !errors.As(err, &env) || !strings.Contains(err.Error(), "it is no file of Idempotency-Keys") {
			t.Errorf("%.20q: %v", text, err)
		}
		if got, err := os.ReadFile(other); err != nil || string(got) != text {
			t.Errorf("the file is another one: %.20q %v", got, err)
		}
	}
	r := newRig(t, remembering(filepath.Join(dir, "none", "keys.jsonl")))
	if err := r.src.Ping(t.Context()); !errors.As(err, &env) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// TestTheKeyFileDoesNotGrowForEver: what was forgotten goes out of it, while many append at once.
func TestTheKeyFileDoesNotGrowForEver(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.jsonl")
	settings := Idempotency{Keep: time.Hour, Size: 10, File: settings.Path(file)}
	m := newMemory(settings)
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	answer := func(key string) {
		e, _ := m.begin(key, [32]byte{})
		m.end(e, result{At: time.Now().UnixMilli(), Records: 1})
		if err := m.store(e); err != nil {
			t.Error(err)
		}
	}
	for g := range 50 {
		all.Go(func() {
			for i := range 200 {
				answer(fmt.Sprintf("%d-%d", g, i))
			}
		})
	}
	all.Wait() // the order of those that come at once may be another in the file
	for i := range settings.Size {
		answer(fmt.Sprint("last-", i))
	}
	last := slices.Clone(m.done)
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if n := strings.Count(string(text), "\n"); err != nil || n > 2*fewLines {
		t.Errorf("the file has %d lines: %v", n, err)
	}
	again := newMemory(settings)
	if err := again.open(); err != nil {
		t.Fatal(err)
	}
	for _, e := range last {
		if again.entries[e.key] == nil {
			t.Errorf("%s is forgotten", e.key)
		}
	}
	if err := again.close(); err != nil {
		t.Error(err)
	}
}

// TestAKeyThatCannotBeStored: its request is not answered as if it were, and later it is stored when it comes again.
func TestAKeyThatCannotBeStored(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.jsonl")
	r := newRig(t, remembering(file)).start()
	f := r.src.memory.file
	whole := f.file
	broken, err := os.Open(file) // for reading alone
	if err != nil {
		t.Fatal(err)
	}
	f.file, f.name = broken, filepath.Join(t.TempDir(), "none", "keys.jsonl")
	r.post("1", "Idempotency-Key", "a").want(t, 503, `"key_file"`, `"maybe"`)
	r.post("1", "Idempotency-Key", "a").want(t, 503, `"key_file"`)
	_ = whole.Close()
	f.name = file
	r.post("1", "Idempotency-Key", "a").want(t, 200)
	if got := r.values(); len(got) != 1 {
		t.Errorf("stored %q", got)
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), `"key":"a"`) {
		t.Errorf("%v: %s", err, text)
	}
}

// TestTheLastLineOfAKeyCounts: a key that was forgotten and used again stands in the file twice, and the next process knows its last answer, also when
// it remembers more keys.
func TestTheLastLineOfAKeyCounts(t *testing.T) {
	i := Idempotency{Keep: time.Hour, Size: 1, File: settings.Path(filepath.Join(t.TempDir(), "keys.jsonl"))}
	m := newMemory(i)
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	for n, key := range []string{"a", "b", "a"} {
		e, first := m.begin(key, [32]byte{byte(n)})
		if !first {
			t.Fatalf("%s is remembered", key)
		}
		m.end(e, result{At: time.Now().UnixMilli(), Records: n})
	}
	if err := m.close(); err != nil {
		t.Fatal(err)
	}
	i.Size = 10
	again, held := newMemory(i), int64(0)
	again.account = func(n int64) { held += n }
	if err := again.open(); err != nil {
		t.Fatal(err)
	}
	if e, first := again.begin("a", [32]byte{2}); first || e.hash[0] != 2 || e.result.Records != 2 {
		t.Errorf("first %v: %+v", first, e)
	}
	again.keep = -time.Hour
	again.begin("c", [32]byte{})
	if held != 0 || len(again.entries) != 1 {
		t.Errorf("%d bytes are held, and %d keys", held, len(again.entries))
	}
	if err := again.close(); err != nil {
		t.Error(err)
	}
}
