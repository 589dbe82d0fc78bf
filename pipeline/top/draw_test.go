package top

import (
	"bytes"
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what the tests find as what they want")

// recorded reads the log of a real run: penstock dev with the pipeline of the demo, eight times its flights, and a weather
// server that is slow and refuses some. The names of the machine and of the build were replaced.
func recorded(t testing.TB) *Store {
	t.Helper()
	file, err := os.Open("testdata/late-flights.log.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	s := NewStore("late-flights.log", 0)
	if err := NewLog(s).ReadFrom(context.Background(), text); err != nil {
		t.Fatal(err)
	}
	s.End(nil)
	return s
}

// busy is a moment of the recorded run at which the weather holds up everything.
var busy = time.Date(2026, 11, 30, 22, 55, 36, 0, time.UTC)

// looking gives the screen of a store at a moment, as if somebody had gone there.
func looking(s *Store, at time.Time, tab Tab, width, height int) *Model {
	m := NewModel(s, Options{FromLog: true, Now: func() time.Time { return busy }})
	m.width, m.height = width, height
	m.of.At, m.look.Tab = at, tab
	m.fresh()
	return m
}

// golden holds a text to a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (-update writes it)", err)
	}
	if got != string(want) {
		t.Errorf("%s is different; -update writes it anew. Now:\n%s", file, got)
	}
}

func TestScreens(t *testing.T) {
	s := recorded(t)
	for _, c := range []struct {
		width, height int
		tab           Tab
	}{
		{80, 24, TabPartitions}, {80, 24, TabErrors}, {80, 24, TabLog}, {120, 40, TabGraphs}, {200, 50, TabErrors}, {200, 50, TabWhy},
		{60, 20, TabPartitions}, {30, 8, TabPartitions}, {19, 4, TabPartitions},
	} {
		m := looking(s, busy, c.tab, c.width, c.height)
		text := m.Screen().Text()
		golden(t, fmt.Sprintf("screen-%dx%d-%c.txt", c.width, c.height, c.tab), text)
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if len(lines) != c.height {
			t.Errorf("%dx%d: %d lines", c.width, c.height, len(lines))
		}
		for i, line := range lines {
			if n := widthOf(line); n > c.width {
				t.Errorf("%dx%d: line %d has %d columns", c.width, c.height, i, n)
			}
		}
	}
	golden(t, "screen-end.txt", looking(s, time.Time{}, TabPartitions, 100, 24).Screen().Text())
	help := looking(s, busy, TabPartitions, 100, 24)
	help.key("?")
	golden(t, "screen-help.txt", help.Screen().Text())
}

func TestTablesAndObjects(t *testing.T) {
	s := recorded(t)
	var table, object bytes.Buffer
	if err := WriteTable(&table, s.View(all())); err != nil {
		t.Fatal(err)
	}
	golden(t, "once.txt", table.String())
	if err := WriteJSON(&object, s.View(ViewOf{At: busy, Instance: All})); err != nil {
		t.Fatal(err)
	}
	golden(t, "object.json", object.String())
}

// picture is that of the documents.
const picture = "../../docs/top.svg"

func TestPictureIsOfTheRecordedRun(t *testing.T) {
	m := looking(recorded(t), busy, TabGraphs, 108, 26)
	m.look.Step = 4
	m.fresh()
	got := m.Screen().SVG("penstock top: the step weather holds up a pipeline, whose figures of the last ten minutes stand beneath")
	if *update {
		if err := os.WriteFile(picture, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what top draws; go test ./pipeline/top -update writes it anew", picture)
	}
}

// TestTheManualHasAllMembers: what --json writes is described, and the order in which columns are left out.
func TestTheManualHasAllMembers(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, manual, _ := strings.Cut(string(text), "## Watching on a terminal")
	manual, _, _ = strings.Cut(manual, "\n## ")
	if order := strings.Join(LeftOut(), " "); !strings.Contains(manual, order) {
		t.Errorf("the manual does not say what is left out: %s", order)
	}
	var members func(reflect.Type)
	members = func(of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range of.NumField() {
			f := of.Field(i)
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && !strings.Contains(manual, "`"+name+"`") {
				t.Errorf("the manual does not have %s of %s", name, of.Name())
			}
			members(f.Type)
		}
	}
	members(reflect.TypeFor[viewJSON]())
}
