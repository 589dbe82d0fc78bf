package tail

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/penstockio/penstock/pipeline/expr"
	"github.com/penstockio/penstock/pipeline/settings"
)

// TestFollow: lines are handed over when their end is there, whatever they end with.
func TestFollow(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.add("a.log", "\ufeffone\r\n\n  \ntwo\nthr")
		r.start()
		r.came("a.log/0@0 one", "a.log/0@12 two")
		if lag := r.lag()["a.log/0"]; lag != 0 {
			r.Errorf("half a line counts as a lag of %d", lag)
		}
		for _, c := range "ee" {
			r.add("a.log", string(c))
			r.pass(time.Second)
		}
		r.came("a.log/0@0 one", "a.log/0@12 two")
		r.add("a.log", "\nfour\n")
		r.pass(time.Second)
		r.came("a.log/0@0 one", "a.log/0@12 two", "a.log/0@16 three", "a.log/0@22 four")
	})
}

// TestFollowNew: files that come later are found, but none that is left out.
func TestFollowNew(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.s.Files = []settings.Path{settings.Path(r.at("*")), settings.Path(r.at("*.log"))}
		r.s.Exclude = []string{"*.tmp"}
		r.start()
		r.came()
		r.add("b.log", "b1\n")
		r.add("b.log.1.gz", "no line\n")
		r.add("b.log.2.ZST", "no line\n")
		r.add("b.tmp", "left out\n")
		r.must(os.Mkdir(r.at("folder.log"), 0o700))
		r.must(os.Symlink(r.at("b.log"), r.at("link.log")))
		r.pass(2 * time.Second)
		r.came("b.log/0@0 b1")
		r.add("a.log", "a1\n")
		r.pass(2 * time.Second)
		r.came("a.log/1@0 a1", "b.log/0@0 b1")
		r.says("following a file that has come")
	})
}

// TestFromEnd: what is there at the very first start is passed over, but half a line is not torn; what comes while nobody
// looks is read.
func TestFromEnd(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.s.From = "end"
		r.add("a.log", "old\nha")
		r.add("b.log", strings.Repeat("x", 100<<10))
		r.add("c.log", strings.Repeat("x", 100<<10)+"\n"+strings.Repeat("y", 100<<10))
		r.start()
		r.came()
		r.add("a.log", "lf\n")
		r.pass(time.Second)
		r.came("a.log/0@4 half")
		r.stop()
		r.add("a.log", "later\n")
		r.add("d.log", "new\n")
		r.add("b.log", "\n")
		r.add("c.log", "\n")
		r.start()
		r.came("a.log/0@4 half", "a.log/0@9 later", "b.log/1@0 "+strings.Repeat("x", 100<<10), "c.log/2@102401 "+strings.Repeat("y", 100<<10), "d.log/3@0 new")
	})
}

// TestRename: a file that was renamed is read to its end, a last line without an end included, and the one in its place from
// its start.
func TestRename(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.add("a.log", "1\n2\n")
		r.start()
		old, err := os.OpenFile(r.at("a.log"), os.O_WRONLY|os.O_APPEND, 0)
		r.must(err)
		r.must(os.Rename(r.at("a.log"), r.at("a.log.1")))
		r.add("a.log", "4\n")
		_, err = old.WriteString("3\n") // whoever writes has not noticed yet
		r.must(err)
		r.pass(2 * time.Second)
		r.came("a.log/0@0 1", "a.log/0@2 2", "a.log/0@4 3", "a.log/1@0 4")
		r.pass(20 * time.Second)
		_, err = old.WriteString("late\nla")
		r.must(err)
		r.pass(20 * time.Second)
		_, err = old.WriteString("st") // its end never comes
		r.must(err)
		r.must(old.Close())
		r.pass(20 * time.Second)
		if n := len(r.src.Report().Partitions); n != 2 {
			r.Errorf("%d files while it lingers", n)
		}
		r.pass(20 * time.Second)
		want := []string{"a.log/0@0 1", "a.log/0@2 2", "a.log/0@4 3", "a.log/0@6 late", "a.log/0@11 last", "a.log/1@0 4"}
		r.came(want...)
		r.says("read to its end")
		if n := len(r.src.Report().Partitions); n != 1 {
			r.Errorf("%d files when it is read to its end", n)
		}
		r.stop()
		r.start()
		r.came(want...)
	})
}

// TestRenameWithinThePattern: a file that was renamed and is still among those that are followed is the same.
func TestRenameWithinThePattern(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.s.Files = []settings.Path{settings.Path(r.at("a.log*"))}
		r.add("a.log", "1\n")
		r.start()
		for i := range 3 {
			r.must(os.Rename(r.at("a.log"), r.at(fmt.Sprintf("a.log.%d", i))))
			r.add("a.log", fmt.Sprintf("in %d\n", i+1))
			r.pass(time.Minute)
			r.add(fmt.Sprintf("a.log.%d", i), "more\n")
			r.pass(time.Minute)
		}
		r.came("a.log/0@0 1", "a.log/0@2 more", "a.log/1@0 in 1", "a.log/1@5 more", "a.log/2@0 in 2", "a.log/2@5 more", "a.log/3@0 in 3")
	})
}

// TestDelete: a file that was deleted is read to its end as long as it is open, and one of its name is another.
func TestDelete(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.add("a.log", "1\n")
		r.start()
		old, err := os.OpenFile(r.at("a.log"), os.O_WRONLY|os.O_APPEND, 0)
		r.must(err)
		r.must(os.Remove(r.at("a.log")))
		_, err = old.WriteString("2\n")
		r.must(err)
		r.pass(5 * time.Second)
		r.add("a.log", "3\n")
		r.pass(5 * time.Second)
		_, err = old.WriteString("4\n")
		r.must(err)
		r.must(old.Close())
		r.pass(time.Minute)
		want := []string{"a.log/0@0 1", "a.log/0@2 2", "a.log/0@4 4", "a.log/1@0 3"}
		r.came(want...)
		r.must(os.Remove(r.at("a.log")))
		r.pass(time.Minute)
		r.stop()
		r.add("a.log", "5\n")
		r.start()
		r.came(append(want, "a.log/2@0 5")...)
	})
}

// TestCut: a file that is cut begins anew as another one, and what was seen and not read is told of.
func TestCut(t *testing.T) {
	for name, fresh := range map[string]string{
		"shorter": "n1\n", "as long": "n1\nn2\nn3\n", "longer": "n1\nn2\nn3\nn4\nn5\n",
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.add("a.log", "o1\no2\no3\n")
				r.start()
				r.must(os.Truncate(r.at("a.log"), 0))
				r.must(os.WriteFile(r.at("a.log"), []byte(fresh), 0o600))
				r.must(os.Chtimes(r.at("a.log"), time.Now(), time.Now()))
				r.pass(time.Minute)
				want := []string{"a.log/0@0 o1", "a.log/0@3 o2", "a.log/0@6 o3"}
				for i, line := range strings.Fields(fresh) {
					want = append(want, fmt.Sprintf("a.log/1@%d %s", 3*i, line))
				}
				r.came(want...)
				r.says("cut or written anew")
				r.stop()
				r.add("a.log", "last\n")
				r.start()
				r.came(append(want, fmt.Sprintf("a.log/1@%d last", len(fresh)))...)
			})
		})
	}
}

// TestCutWithHalfALine: the half that was seen cannot come any more.
func TestCutWithHalfALine(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.add("a.log", "o1\nhalf")
		r.start()
		r.must(os.Truncate(r.at("a.log"), 0))
		r.add("a.log", "n\n")
		r.pass(time.Second)
		r.came("a.log/0@0 o1", "a.log/1@0 n")
		r.says(`"event_name":"source.gap"`, `"offset_from":3,"offset_to":7,"reason":"cut"`)
	})
}

// TestManyFiles: with one file open at a time all are followed, through renames too.
func TestManyFiles(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.s.MaxOpen = 1
		var want []string
		for i := range 9 {
			r.add(fmt.Sprintf("%d.log", i), "1\n")
		}
		r.start()
		for i := range 9 {
			r.add(fmt.Sprintf("%d.log", i), "2\n")
			r.must(os.Rename(r.at(fmt.Sprintf("%d.log", i)), r.at(fmt.Sprintf("%d.old", i))))
			r.add(fmt.Sprintf("%d.log", i), "3\n")
		}
		r.pass(10 * time.Second)
		for i := range 9 {
			r.add(fmt.Sprintf("%d.old", i), "4\n")
		}
		r.pass(time.Minute)
		for i := range 9 {
			want = append(want, fmt.Sprintf("%d.log/%d@0 1", i, i), fmt.Sprintf("%d.log/%d@2 2", i, i), fmt.Sprintf("%d.log/%d@4 4", i, i), fmt.Sprintf("%d.log/%d@0 3", i, i+9))
		}
		if r.src.opened.Len() > 1 {
			r.Errorf("%d files are open", r.src.opened.Len())
		}
		r.stop()
		r.came(sorted(want)...)
	})
}

// TestGone: of a file that went while it was not open nothing can be read, and that is told.
func TestGone(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.s.MaxOpen = 1
		r.add("a.log", "1\nhalf")
		r.add("b.log", "1\n")
		r.start()
		r.must(os.Remove(r.at("a.log")))
		r.pass(time.Minute)
		r.came("a.log/0@0 1", "b.log/1@0 1")
		r.says(`"event_name":"source.gap"`, `"offset_from":2,"offset_to":6,"reason":"gone"`)
	})
}

func keyed(t *testing.T, text string) *expr.Expr {
	t.Helper()
	var key expr.Expr
	if err := key.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return &key
}

// TestLinks: where a name is a symbolic link, as for the logs of containers, what it leads to is renamed in its own folder.
func TestLinks(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.must(os.MkdirAll(r.at("pods/7"), 0o700))
		r.s.MaxOpen = 1
		r.add("other.log", "0\n")
		r.add("pods/7/0", "1\n")
		r.must(os.Symlink(r.at("pods/7/0"), r.at("web.log")))
		r.start()
		r.rename("pods/7/0", "pods/7/0.old")
		r.add("pods/7/0.old", "2\n")
		r.add("pods/7/0", "3\n")
		r.pass(5 * time.Second)
		r.came("other.log/0@0 0", "web.log/1@0 1", "web.log/1@2 2", "web.log/2@0 3")
		r.stop()
		r.add("pods/7/0.old", "4\n")
		r.add("pods/7/0", "5\n")
		r.rename("pods/7/0", "pods/7/0.older")
		r.add("pods/7/0", "6\n")
		r.start()
		r.came("other.log/0@0 0", "web.log/1@0 1", "web.log/1@2 2", "web.log/1@4 4", "web.log/2@0 3", "web.log/2@2 5", "web.log/3@0 6")
		r.must(os.Remove(r.at("web.log")))
		r.add("pods/7/0", "7\n")
		r.pass(time.Minute)
		r.came("other.log/0@0 0", "web.log/1@0 1", "web.log/1@2 2", "web.log/1@4 4", "web.log/2@0 3", "web.log/2@2 5", "web.log/3@0 6", "web.log/3@2 7")
	})
}

// TestLineInPieces: a line that is written in many pieces is read once when its end has come.
func TestLineInPieces(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.add("a.log", "1\n")
		r.start()
		for range 500 {
			r.add("a.log", strings.Repeat("x", 1999)+"\r")
			r.pass(20 * time.Millisecond)
		}
		taken := r.src.taken
		r.add("a.log", "\n2\n")
		r.pass(time.Second)
		r.came("a.log/0@0 1", "a.log/0@2 "+strings.Repeat(strings.Repeat("x", 1999)+"\r", 499)+strings.Repeat("x", 1999), "a.log/0@1000003 2")
		if taken > 10_000 {
			r.Errorf("%d bytes were taken for a line without an end", taken)
		}
	})
}
