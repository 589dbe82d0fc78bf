//go:build unix

package filesink

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/sinks/internal/sinktest"
)

// marked marks a write of the bytes behind from, and says whether the file system keeps the
// mark.
func marked(t *testing.T, dir, file string, from, length int) bool {
	t.Helper()
	g, err := os.OpenFile(filepath.Join(dir, "out", file), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	markWrite(g, int64(from), int64(length))
	_, _, ok := markedWrite(g)
	return ok
}

// What a crash has torn off a write of ours is cut off; what somebody else has left without
// a line end is kept, and gets one.
func TestFileMendsTheLastLine(t *testing.T) {
	const fixture = `{"topic":"t","partition":0,"offset":1,"key":"a","payload":"new"}` + "\n"
	for _, c := range []struct{ name, as, before, after string }{
		{"whole", "", "{\"a\":1}\n", "{\"a\":1}\n"},
		{"empty", "", "", ""},
		{"torn", "", "{\"a\":1}\n{\"a\":", "{\"a\":1}\n"},
		{"torn first line", "", "{\"a\":", ""},
		{"torn array", "", "[1,2]\n[1,2", "[1,2]\n"},
		{"torn in a character", "", "{\"a\":\"\xc3", ""},
		{"torn behind white space", "", "1\n  {\"a\":\"\\u00", "1\n"},
		{"torn across blocks", "", "12\n{\"x\":\"" + strings.Repeat("x", 200<<10), "12\n"},
		{"whole but for its end", "", "{\"a\":1}\n{\"a\":2}", "{\"a\":1}\n{\"a\":2}\n"},
		{"whole with a carriage return", "", "{\"a\":1}\r\n{\"a\":2}\r", "{\"a\":1}\r\n{\"a\":2}\r\n"},
		{"text", "", "one\ntwo", "one\ntwo\n"},
		{"text alone", "", "one", "one\n"},
		{"text with a carriage return", "", "one\r\ntwo", "one\r\ntwo\n"},
		{"text in brackets", "", "one\n[INFO] started", "one\n[INFO] started\n"},
		{"text in braces", "", "{one} two", "{one} two\n"},
		{"a time in brackets", "", "[2026-11-20] started", "[2026-11-20] started\n"},
		{"text across blocks", "", "12\n" + strings.Repeat("x", 200<<10), "12\n" + strings.Repeat("x", 200<<10) + "\n"},
		{"a number", "", "12\n34", "12\n34\n"},
		{"a text of JSON", "", "\"a", "\"a\n"},
		{"blanks", "", "12\n  ", "12\n  \n"},
		{"latin", "", "caf\xe9", "caf\xe9\n"},
		{"zeros after a power cut", "", "12\n\x00\x00\x00", "12\n"},
		{"nothing but zeros", "", "\x00\x00\x00", ""},
		{"torn before zeros", "", "12\n{\"a\":\x00\x00", "12\n"},
		{"whole before zeros", "", "12\n{\"a\":1}\x00\x00", "12\n{\"a\":1}\n"},
		{"text before zeros", "", "12\none\x00\x00", "12\none\n"},
		{"fixture torn", "fixture", fixture + `{"topic":"t","part`, fixture},
		{"fixture torn early", "fixture", fixture + `{"to`, fixture},
		{"fixture whole but for its end", "fixture", strings.TrimSpace(fixture), fixture},
		{"fixture behind torn JSON of others", "fixture", `{"a":`, "{\"a\":\n"},
		{"fixture behind text", "fixture", "one", "one\n"},
		{"fixture behind zeros", "fixture", fixture + "\x00", fixture},
	} {
		t.Run(c.name, func(t *testing.T) {
			line := "new\n"
			if c.as == "fixture" {
				line = fixture
			}
			dir := t.TempDir()
			put(t, dir, "a", c.before)
			if len(c.after) < len(strings.TrimRight(c.before, "\x00")) { // torn: it was being written
				marked(t, dir, "a", len(c.after), 1<<20)
			}
			f := keyed(t, dir, Settings{As: c.as})
			if err := f.Write(t.Context(), []*pipeline.Record{to("a", 1, "new")}); err != nil {
				t.Fatal(err)
			}
			same(t, content(t, dir, "a"), c.after+line)
		})
	}
}

// What another program is in the middle of writing is its own, also when it looks like a
// part of ours: the mark says that no write of ours was there. Only where there are no
// marks it is taken for ours.
func TestFileKeepsHalfALineOfOthers(t *testing.T) {
	for name, c := range map[string]struct{ as, before string }{
		"object": {"", "{\"a\":1}\n{\"a\":"}, "array": {"", "[1,"}, "fixture": {"fixture", `{"topic":"t","part`},
		"a mark of an earlier write": {"", "{\"a\":1}\n{\"a\":"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, "a", c.before)
			marks := marked(t, dir, "a", 0, 0)
			if name == "a mark of an earlier write" {
				marked(t, dir, "a", 0, len(c.before)-1)
			}
			f := keyed(t, dir, Settings{As: c.as})
			if err := f.Write(t.Context(), []*pipeline.Record{to("a", 1, "new")}); err != nil {
				t.Fatal(err)
			}
			if kept := strings.HasPrefix(content(t, dir, "a"), c.before+"\n"); kept != marks {
				t.Errorf("kept: %v, and the file system keeps marks: %v\n%s", kept, marks, content(t, dir, "a"))
			}
		})
	}
}

// Text is torn when it is what was being written, which the mark says, and that is there
// where the file system keeps it. Elsewhere it stays.
func TestFileMendsTextByItsMark(t *testing.T) {
	for _, c := range []struct {
		name, before string
		from, length int
		torn         int // bytes that are cut off
	}{
		{"the first line of the write", "12\nplai", 3, 20, 4},
		{"a later one", "12\none\ntwo\nplai", 3, 20, 4},
		{"a number", "12\n34", 3, 20, 2},
		{"across blocks", "12\n" + strings.Repeat("x", 200<<10), 3, 300 << 10, 200 << 10},
		{"behind the write", "12\nplain\nforeign", 3, 6, 0},
		{"before the write", "foreign", 8, 20, 0},
		{"longer than the write", "12\nforeign", 3, 6, 0},
		{"before zeros", "12\nplai\x00\x00", 3, 20, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, "a", c.before)
			want := c.before[:len(c.before)-c.torn]
			if !marked(t, dir, "a", c.from, c.length) || c.torn == 0 {
				want = strings.TrimRight(c.before, "\x00") + "\n"
			}
			f := keyed(t, dir, Settings{})
			if err := f.Write(t.Context(), []*pipeline.Record{to("a", 1, "new")}); err != nil {
				t.Fatal(err)
			}
			same(t, content(t, dir, "a"), want+"new\n")
		})
	}
}

// Every write leaves its mark, also behind a failed one, and in a file that was renamed.
func TestFileMarksItsWrites(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a", "old\n")
	if !marked(t, dir, "a", 0, 0) {
		t.Log("this file system keeps no marks: the next lines say so, and nothing more")
	}
	f := keyed(t, dir, Settings{})
	for i, want := range []string{"4 8", "8 12"} {
		if err := f.Write(t.Context(), []*pipeline.Record{to("a", int64(i), "new")}); err != nil {
			t.Fatal(err)
		}
		g, err := os.Open(filepath.Join(dir, "out", "a"))
		if err != nil {
			t.Fatal(err)
		}
		from, end, ok := markedWrite(g)
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(from, " ", end); ok != marked(t, dir, "a", int(from), int(end-from)) || ok && got != want {
			t.Errorf("mark %s, %v, want %s", got, ok, want)
		}
	}
}

// What was written before the sink let the file go is no write that may be torn: whoever
// writes in its place, or takes the last line end away, loses nothing.
func TestFileThatWasEditedInPlace(t *testing.T) {
	for name, c := range map[string]struct{ edit, want string }{
		"a shorter text":        {"note", "note\nnew\n"},
		"without the line end":  {"one\ntwo", "one\ntwo\nnew\n"},
		"the last line shorter": {"one\ntw", "one\ntw\nnew\n"},
		"another line, no end":  {"one\nfew", "one\nfew\nnew\n"},
		"as it was":             {"one\ntwo\n", "one\ntwo\nnew\n"},
		"emptied":               {"", "new\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f := keyed(t, dir, Settings{})
			for i, value := range []string{"one", "two"} {
				if err := f.Write(t.Context(), []*pipeline.Record{to("a", int64(i), value)}); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			put(t, dir, "a", c.edit) // the same file: an editor that writes in place
			if err := keyed(t, dir, Settings{}).Write(t.Context(), []*pipeline.Record{to("a", 2, "new")}); err != nil {
				t.Fatal(err)
			}
			same(t, content(t, dir, "a"), c.want)
		})
	}
}

// Whatever byte a crash cuts a write at, every line is whole afterwards and no record that
// is written again is missing.
func TestFileAfterACrashAtAnyByte(t *testing.T) {
	lines := []string{`{"a":{"b":[1,2]}}`, `[3]`, `{"c":"}"}`, `plain`}
	whole := strings.Join(lines, "\n") + "\n"
	for cut := range len(whole) + 1 {
		dir := t.TempDir()
		put(t, dir, "a", whole[:cut])
		keeps := marked(t, dir, "a", 0, len(whole))
		f := keyed(t, dir, Settings{})
		var recs []*pipeline.Record
		for i, line := range lines {
			recs = append(recs, to("a", int64(i), line))
		}
		if err := f.Write(t.Context(), recs); err != nil {
			t.Fatal(err)
		}
		text := content(t, dir, "a")
		if !strings.HasSuffix(text, whole) {
			t.Errorf("cut at %d: %q does not end in what was written", cut, text)
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
			if (!strings.Contains(whole, line+"\n") || line == "") && (keeps || !strings.HasPrefix("plain", line)) {
				t.Errorf("cut at %d: line %q", cut, line)
			}
		}
	}
}

// Lines of others are kept whenever they come: between two writes, without a line end, and
// behind a write that failed.
func TestFileBesideOtherWriters(t *testing.T) {
	dir := t.TempDir()
	f := keyed(t, dir, Settings{})
	foreign := func(text string) {
		t.Helper()
		g, err := os.OpenFile(filepath.Join(dir, "out", "a"), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write := func(value string) {
		t.Helper()
		if err := f.Write(t.Context(), []*pipeline.Record{to("a", 1, value)}); err != nil {
			t.Fatal(err)
		}
	}
	write("1")
	foreign("whole\n")
	write("2")
	foreign("without an end")
	write("3")
	foreign(`{"half":`)
	write("4")
	same(t, content(t, dir, "a"), "1\nwhole\n2\nwithout an end\n3\n{\"half\":\n4\n")

	if err := os.Truncate(filepath.Join(dir, "out", "a"), 4); err != nil {
		t.Fatal(err)
	}
	write("5")
	same(t, content(t, dir, "a"), "1\nwh\n5\n")
	if err := os.Truncate(filepath.Join(dir, "out", "a"), 0); err != nil {
		t.Fatal(err)
	}
	write("6")
	same(t, content(t, dir, "a"), "6\n")

	// The disk fails behind our line, and the other's line comes before it can be cut off.
	real := syncFile
	syncFile = func(g *os.File) error {
		syncFile = func(*os.File) error { return os.ErrDeadlineExceeded }
		foreign("behind\n")
		return os.ErrDeadlineExceeded
	}
	err := f.Write(t.Context(), []*pipeline.Record{to("a", 7, "7")})
	syncFile = real
	if got := sinktest.Failures(t, err); len(got) != 1 || got[0] != "" {
		t.Errorf("failures %v", got)
	}
	write("7")
	same(t, content(t, dir, "a"), "6\n7\nbehind\n7\n")
}
