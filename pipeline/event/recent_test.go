package event

import (
	"fmt"
	"strings"
	"testing"
)

func texts(lines []RecentLine) string {
	var all []string
	for _, l := range lines {
		all = append(all, fmt.Sprint(l.Number, l.Text))
	}
	return strings.Join(all, " ")
}

func TestRecentKeepsTheLast(t *testing.T) {
	r := NewRecent(3, 100)
	if lines, missed, more := r.After(0, 10); len(lines) != 0 || missed != 0 || more == nil {
		t.Errorf("before the first line: %v %d %v", lines, missed, more)
	}
	for i := range 5 {
		r.add(Free, "info", "", fmt.Appendf(nil, "%c\n", 'a'+i))
	}
	for _, tt := range []struct {
		after  uint64
		most   int
		want   string
		missed uint64
	}{
		{0, 10, "3c 4d 5e", 2}, {1, 10, "3c 4d 5e", 1}, {2, 10, "3c 4d 5e", 0}, {3, 10, "4d 5e", 0}, {2, 2, "3c 4d", 0}, {5, 10, "", 0},
	} {
		lines, missed, more := r.After(tt.after, tt.most)
		if texts(lines) != tt.want || missed != tt.missed || (more != nil) != (tt.want == "") {
			t.Errorf("after %d: %s, %d missed, %v", tt.after, texts(lines), missed, more)
		}
	}
	_, _, more := r.After(5, 10)
	r.add("step.stats", "info", "", []byte("figures"))
	select {
	case <-more:
		t.Error("events of figures are kept")
	default:
	}
	r.add(Free, "info", "", []byte("f"))
	<-more
	if r.Last() != 6 {
		t.Error(r.Last())
	}
}

func TestRecentBoundsBytes(t *testing.T) {
	r := NewRecent(100, 10)
	r.add(Free, "info", "", []byte("aaaa"))
	r.add(Free, "info", "", []byte("bbbb"))
	r.add(Free, "info", "", []byte("cccc"))
	if lines, missed, _ := r.After(0, 10); texts(lines) != "2bbbb 3cccc" || missed != 1 {
		t.Errorf("%s, %d missed", texts(lines), missed)
	}
	r.add(Free, "info", "", []byte("longer than all that may be kept"))
	if lines, missed, more := r.After(1, 10); len(lines) != 0 || missed != 3 || more != nil {
		t.Errorf("%s, %d missed, %v", texts(lines), missed, more)
	}
	if lines, missed, more := r.After(4, 10); len(lines) != 0 || missed != 0 || more == nil {
		t.Errorf("behind it: %s, %d missed, %v", texts(lines), missed, more)
	}
}

// TestRecentIsJSON: also when the log itself is for people, and whatever stands in a line.
func TestRecentIsJSON(t *testing.T) {
	r := NewRecent(10, 1<<20)
	var people strings.Builder
	e := New(&people, Options{Console: true, Recent: r, Instance: "i"})
	e.Pipeline("p").Log().Warn().Str("k", "<v>").Msg("one\ntwo")
	e.Emit(ProcessReady{StartupMs: 3}, "")
	lines, _, _ := r.After(0, 10)
	if len(lines) != 2 || lines[0].Level != "warn" || lines[0].Pipeline != "p" || e.Recent() != r || e.Instance() != "i" {
		t.Fatalf("%+v", lines)
	}
	for i, want := range []string{`"message":"one\ntwo","k":"<v>"}`, `"startup_ms":3}`} {
		if text := lines[i].Text; !strings.HasPrefix(text, `{"timestamp":"`) || !strings.HasSuffix(text, want) {
			t.Errorf("%s", text)
		}
	}
	if text := people.String(); strings.Contains(text, "{") || strings.Count(text, "\n") != 2 {
		t.Errorf("what people read: %s", text)
	}
}

func TestAtLeast(t *testing.T) {
	if !AtLeast("error", "warn") || AtLeast("info", "warn") || !AtLeast("warn", "warn") || AtLeast("debug", "info") {
		t.Error("levels are ordered otherwise")
	}
}
