package letters

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// store has a reader's position say that lines are done.
func store(t interface{ Fatal(...any) }, name string, lines ...int64) {
	f := NewFile(name, "late")
	done, err := f.Load(context.Background())
	for _, line := range lines {
		done.Of(0).Add(line, line+1)
	}
	if err == nil {
		err = f.Save(context.Background(), done)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestPositionOfAnOlderForm: a position without a last line, or written by hand, is believed as far as the file goes.
func TestPositionOfAnOlderForm(t *testing.T) {
	name := letterFile(t, numbered(6)...)
	store(t, name, 1, 2, 3)
	text, err := os.ReadFile(name + ".late.position")
	if err != nil {
		t.Fatal(err)
	}
	p := string(text)
	from, to := strings.Index(p, `"last_line"`), strings.Index(p, `"replayed"`)
	if from < 0 {
		t.Fatal(p)
	}
	for _, c := range []struct{ text, want string }{
		{p[:from] + p[to:], "1-3"},
		{strings.Replace(p, "1-3", "1-5", 1), "1-5"}, // last_line is of line 3
		{strings.Replace(p, "1-3", "2", 1), "2"},
		{strings.Replace(p[:from]+p[to:], "1-3", "1-7", 1), "changed at 7"},
		{strings.Replace(p, "1-3", "1-7", 1), "changed at 7"},
		{p[:from] + `"last_line":{"line":1,"at":999999,"sha256":""},` + strings.Replace(p[to:], "1-3", "1-5", 1), "changed at 1"},
	} {
		if err := os.WriteFile(name+".late.position", []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		f := NewFile(name, "late")
		done, err := f.Load(t.Context())
		got := fmt.Sprint(err)
		var changed *ChangedError
		if errors.As(err, &changed) {
			got = fmt.Sprintf("changed at %d", changed.Line)
		} else if err == nil {
			got = strings.Join(done.Of(0).Lines(), " ")
			err = f.Save(t.Context(), done)
			if err == nil {
				_, err = NewFile(name, "late").Load(t.Context())
			}
			if err != nil {
				t.Errorf("%s: stored and read again: %v", c.text, err)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if got != c.want {
			t.Errorf("%s: %s, not %s", c.text, got, c.want)
		}
	}
}

// TestLinesTakenOutWhileTheFileIsRead: what is stored from then on would be about other lines.
func TestLinesTakenOutWhileTheFileIsRead(t *testing.T) {
	name := letterFile(t, numbered(6)...)
	f := NewFile(name, "late")
	done, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done.Of(0).Add(1, 4)
	if err := f.Save(t.Context(), done); err != nil {
		t.Fatal(err)
	}
	lines := numbered(8)
	if err := os.WriteFile(name, []byte(strings.Join(slices.Delete(lines, 1, 2), "")), 0o600); err != nil {
		t.Fatal(err)
	}
	done.Of(0).Add(4, 7)
	if err := f.Save(t.Context(), done); !errors.Is(err, ErrBegunAnew) {
		t.Errorf("storing it: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	var changed *ChangedError
	if _, err := NewFile(name, "late").Load(t.Context()); !errors.As(err, &changed) || changed.Line != 3 {
		t.Errorf("the next one: %v", err)
	}
}

// TestLinesTakenOutAgainstModel takes lines out of files with blank lines and lines of all lengths, at random: a line that is
// done is never another one than the one that was.
func TestLinesTakenOutAgainstModel(t *testing.T) {
	dir := t.TempDir()
	files := 0
	rapid.Check(t, func(t *rapid.T) {
		var lines []string
		for i := range rapid.IntRange(1, 30).Draw(t, "lines") {
			line := fmt.Sprintf("%d %s\n", i, strings.Repeat("x", rapid.SampledFrom([]int{0, 1, 5, 70_000}).Draw(t, "length")))
			lines = append(lines, line)
		}
		files++
		name := fmt.Sprintf("%s/%d.jsonl", dir, files)
		write := func() {
			if err := os.WriteFile(name, []byte(strings.Join(lines, "")), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write()
		was := map[int64]string{}
		for range rapid.IntRange(1, 3).Draw(t, "stores") {
			line := int64(rapid.IntRange(1, len(lines)).Draw(t, "done"))
			store(t, name, line)
			was[line] = lines[line-1]
		}
		for range rapid.IntRange(0, 2).Draw(t, "cuts") {
			if len(lines) > 0 {
				at := rapid.IntRange(0, len(lines)-1).Draw(t, "at")
				lines = slices.Delete(lines, at, rapid.IntRange(at+1, len(lines)).Draw(t, "to"))
			}
		}
		for i := range rapid.IntRange(0, 5).Draw(t, "new") {
			lines = append(lines, fmt.Sprintf("new %d\n", i))
		}
		write()
		f := NewFile(name, "late")
		done, err := f.Load(context.Background())
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		var changed *ChangedError
		if errors.As(err, &changed) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range int64(len(lines)) {
			if done.Of(0).Has(i+1) && lines[i] != was[i+1] {
				t.Fatalf("line %d, %.20q, counts as done, which was %.20q", i+1, lines[i], was[i+1])
			}
		}
	})
}
