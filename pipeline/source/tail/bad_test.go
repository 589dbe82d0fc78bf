package tail

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/settings"
)

// TestBadLineStops: a bad line ends the source behind those in front of it, and the next run begins with it.
func TestBadLineStops(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for name, c := range map[string]struct {
		set  func(s *Settings)
		bad  string
		says string
	}{
		"too long":             {func(s *Settings) { s.MaxLine = 1 << 10 }, long, "at byte 6: the line is longer than max_line, which is 1KiB; raise it; or set on_bad_line: skip"},
		"longer than any read": {func(s *Settings) { s.MaxLine = 1 << 20 }, strings.Repeat(long, 1000), "at byte 6: the line is longer than max_line, which is 1MiB"},
		"no key":               {func(s *Settings) { s.Key = keyed(t, "a") }, `{"a":`, "at byte 6: making the key: "},
		"no fixture":           {func(s *Settings) { s.As = "fixture" }, `{"payload":`, "at byte 6: reading a fixture line: "},
		"no text":              {func(s *Settings) { s.As = "fixture" }, "{\"payload\":\"\xff\"}", "at byte 6: reading a line: it is not valid UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				line := func(n int) string { return fmt.Sprintf("{%d}\n", n) }
				c.set(&r.s)
				if r.s.As == "fixture" {
					line = func(n int) string { return fmt.Sprintf("{\"payload\":\"%d\"}\n", n) }
				}
				if r.s.Key != nil {
					line = func(n int) string { return fmt.Sprintf("{\"a\":%d}\n", n) }
				}
				at := strings.Replace(c.says, "byte 6", fmt.Sprint("byte ", len(line(1)+line(2))), 1)
				r.add("a.log", line(1)+line(2)+c.bad+"\n"+line(3))
				for range 2 {
					r.start()
					r.fails(at)
				}
				if n := len(r.sink.Values()); n != 2 {
					r.Errorf("%d records came: %q", n, r.lines())
				}
				r.says(`"event_name":"source.corrupt"`, `"policy":"stop"`)
				r.s.OnBadLine = "skip"
				r.start()
				r.pass(time.Minute)
				if n := len(r.sink.Values()); n != 3 {
					r.Errorf("%d records came: %q", n, r.lines())
				}
				from := len(line(1) + line(2))
				r.says(fmt.Sprintf(`"offset_from":%d,"offset_to":%d,`, from, from+len(c.bad)+1))
			})
		})
	}
}

// TestBadLinesSkipped: lines that stand together are told of together, and a line without an end that is too long is
// skipped when its end has come, whatever is looked at meanwhile.
func TestBadLinesSkipped(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.s.MaxLine, r.s.OnBadLine = 1<<10, "skip"
		long := strings.Repeat("x", 2000) + "\n"
		r.add("a.log", "1\n"+long+long+"2\n"+long+"3\n"+strings.Repeat("y", 9<<20))
		r.start()
		r.came("a.log/0@0 1", "a.log/0@4004 2", "a.log/0@6007 3")
		if n := strings.Count(r.log.String(), "source.corrupt"); n != 2 {
			r.Errorf("%d events", n)
		}
		r.says(`"offset_from":2,"offset_to":4004,"reason":"too_large","policy":"skip"`)
		r.stop()
		r.start()
		r.add("a.log", strings.Repeat("y", 100)+"\n4\n")
		r.pass(time.Minute)
		r.came("a.log/0@0 1", "a.log/0@4004 2", "a.log/0@6007 3", fmt.Sprintf("a.log/0@%d 4", 6009+9<<20+101))
		r.says(fmt.Sprintf(`"offset_from":6009,"offset_to":%d,"reason":"too_large"`, 6009+9<<20+101))
		r.add("a.log", strings.Repeat("z", 5000))
		r.pass(time.Second)
		r.must(os.Rename(r.at("a.log"), r.at("old")))
		r.pass(2 * time.Minute)
		r.says(`"reason":"too_large"`, "read to its end")
	})
}

// TestLongLines: lines up to the longest that is taken come whole, however they are cut by reads.
func TestLongLines(t *testing.T) {
	inBubble(t, func(r *rig) {
		var want []string
		at := 0
		for i, n := range []int{chunkBytes - 1, chunkBytes, chunkBytes + 1, 1<<20 - 1, 1 << 20, 3, 2 * chunkBytes} {
			end := []string{"\n", "\r\n"}[i%2]
			line := strings.Repeat(string(rune('a'+i)), n)
			r.add("a.log", line+end)
			want = append(want, fmt.Sprintf("a.log/0@%d %s", at, line))
			at += n + len(end)
		}
		r.start()
		r.pass(time.Minute)
		if got := r.lines(); strings.Join(got, "") != strings.Join(want, "") {
			r.Errorf("%d lines came, or others", len(got))
		}
	})
}

// TestPositionIsRefused: a position that is not this pipeline's is left alone.
func TestPositionIsRefused(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.add("a.log", "1\n")
		r.start()
		other, err := New(r.s, Options{Pipeline: "p"})
		r.must(err)
		if err := other.Open(r.Context(), nil); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("another pipeline follows files with it (process %d on ", os.Getpid())) {
			r.Errorf("the second: %v", err)
		}
		r.stop()
		text, err := os.ReadFile(r.at("position"))
		r.must(err)
		for given, want := range map[string]string{
			strings.Replace(string(text), `"pipeline": "p"`, `"pipeline": "q"`, 1): `belongs to the pipeline "q", and this one is "p"`,
			strings.Replace(string(text), `"version": 1`, `"version": 2`, 1):       "has version 2, and this program reads up to 1",
			"":            "is not what a source that follows files has written",
			"{}":          "is not what a source that follows files has written",
			"not written": "is not what a source that follows files has written",
		} {
			r.must(os.WriteFile(r.at("position"), []byte(given), 0o600))
			r.start()
			r.fails(want)
			if now, err := os.ReadFile(r.at("position")); err != nil || string(now) != given {
				r.Errorf("%s: it was changed: %v\n%s", want, err, now)
			}
			if _, err := os.Stat(r.at("position.lock")); err == nil {
				r.Errorf("%s: the lock is there", want)
			}
		}
		r.s.Position = settings.Path(r.at("none/position"))
		r.start()
		r.fails("its folder is not there; make it")
	})
}

// TestPositionOfVersion1 reads the form that is written down: one that was stored by any version of this program is understood.
func TestPositionOfVersion1(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.add("a.log", "1\n2\n")
		at, ok := lookAt(r.at("a.log"))
		if !ok {
			r.Fatal("it is not there")
		}
		r.must(os.WriteFile(r.at("position"), fmt.Appendf(nil, `{"version":1,"pipeline":"p","next":7,"files":[{"name":%q,"number":3,"path":%q,"device":%d,"inode":%d,
			"offset":2,"head_bytes":2,"head_sha256":%q,"check":{"at":2,"bytes":2,"sha256":%q}}],"later":true}`,
			filepath.ToSlash(at.path), at.path, at.id.Device, at.id.Inode, sum([]byte("1\n")), sum([]byte("1\n"))), 0o600))
		r.add("b.log", "3\n")
		r.start()
		r.came("a.log/3@2 2", "b.log/7@0 3")
	})
}

// TestLag: what is not committed of a file counts in bytes.
func TestLag(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.step = pipeline.StageFunc(func(context.Context, *pipeline.Record) error {
			time.Sleep(10 * time.Second)
			return nil
		})
		r.add("a.log", "1\n")
		r.start()
		if lag := r.lag(); lag["a.log/0"] != 2 {
			r.Errorf("lag %v", lag)
		}
		r.add("a.log", "12345\nhalf")
		r.pass(time.Second)
		if lag := r.lag(); lag["a.log/0"] != 8 {
			r.Errorf("lag %v", lag)
		}
		r.pass(time.Minute)
		if lag := r.lag(); lag["a.log/0"] != 0 {
			r.Errorf("lag %v", lag)
		}
	})
}
