package top

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
)

// press gives keys to a model through bubbletea's own messages, and its screen.
func press(t *testing.T, m *Model, keys ...string) string {
	t.Helper()
	for _, k := range keys {
		key := tea.KeyPressMsg{Text: k, Code: []rune(k)[0]}
		switch k {
		case "tab":
			key = tea.KeyPressMsg{Code: tea.KeyTab}
		case "shift+tab":
			key = tea.KeyPressMsg{Code: tea.KeyTab, Mod: tea.ModShift}
		case "up":
			key = tea.KeyPressMsg{Code: tea.KeyUp}
		case "down":
			key = tea.KeyPressMsg{Code: tea.KeyDown}
		case "pgup":
			key = tea.KeyPressMsg{Code: tea.KeyPgUp}
		case "pgdown":
			key = tea.KeyPressMsg{Code: tea.KeyPgDown}
		case "home":
			key = tea.KeyPressMsg{Code: tea.KeyHome}
		case "end":
			key = tea.KeyPressMsg{Code: tea.KeyEnd}
		case "space":
			key = tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}
		case "ctrl+c":
			key = tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}
		}
		if _, cmd := m.Update(key); cmd != nil {
			t.Fatalf("the key %q gives a command", k)
		}
	}
	return m.Screen().Text()
}

func has(t *testing.T, screen string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(screen, text) {
			t.Errorf("%q is missing in\n%s", text, screen)
		}
	}
}

func hasNot(t *testing.T, screen string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(screen, text) {
			t.Errorf("%q stands in\n%s", text, screen)
		}
	}
}

func TestKeysOpenTabs(t *testing.T) {
	m := looking(recorded(t), busy, TabErrors, 100, 30)
	has(t, press(t, m, "p"), "▸partitions", "flights/3")
	has(t, press(t, m, "e"), "▸errors", "http_429")
	has(t, press(t, m, "w"), "▸why", "a log does not tell", "penstock why") // in as many lines as it takes
	has(t, press(t, m, "l"), "▸events", "record.rejected")
	has(t, press(t, m, "g", "down", "down"), "▸graphs", "e2e p99", "origin busy")
	has(t, press(t, m, "?"), "any key goes back", "RETRIES FILTERED")
	has(t, press(t, m, "e"), "▸graphs") // the key that ends the help does nothing else
	for _, k := range []tea.KeyPressMsg{{Text: "q", Code: 'q'}, {Code: 'c', Mod: tea.ModCtrl}} {
		if _, cmd := m.Update(k); cmd == nil {
			t.Errorf("the key %s does not quit", k)
		} else if _, quits := cmd().(tea.QuitMsg); !quits {
			t.Errorf("the key %s does not quit", k)
		}
	}
}

func TestKeysMoveInTime(t *testing.T) {
	m := looking(recorded(t), time.Time{}, TabPartitions, 100, 30)
	has(t, m.Screen().Text(), "○ stopped", "total in 80,000")
	has(t, press(t, m, "<"), "107 of 108", "● running")
	has(t, press(t, m, ","), "106 of 108")
	has(t, press(t, m, ">"), "107 of 108")
	has(t, press(t, m, ">", ">", ">"), "○ stopped")
	has(t, press(t, m, "home"), "1 of 108", "total in 14,336")
	has(t, press(t, m, "<"), "1 of 108")
	has(t, press(t, m, "}"), "○ stopped") // the log is shorter than ten minutes
	has(t, press(t, m, "{"), "1 of 108")
	has(t, press(t, m, "end"), "total in 80,000")
}

func TestKeysFreeze(t *testing.T) {
	l := newTestLog("a")
	l.stats("orders", 100, 60)
	s := read(t, l.String())
	m := NewModel(s, Options{Now: func() time.Time { return busy }})
	has(t, press(t, m, "space"), "frozen at 12:00:01Z", "total in 100")
	l.Reset()
	l.stats("orders", 200, 120)
	NewLog(s).Line([]byte(l.String()[:strings.IndexByte(l.String(), '\n')]))
	m.Update(tick{})
	has(t, m.Screen().Text(), "total in 100", "go on")
	has(t, press(t, m, "space"), "total in 200")
	hasNot(t, m.Screen().Text(), "frozen")
}

func TestTicksTakeWhatHasCome(t *testing.T) {
	l := newTestLog("a")
	l.stats("orders", 100, 60)
	s := read(t, l.String())
	m := NewModel(s, Options{Now: func() time.Time { return busy }})
	l.Reset()
	l.stats("orders", 300, 60)
	for line := range strings.Lines(l.String()) {
		NewLog(s).Line([]byte(line))
	}
	if _, cmd := m.Update(tick{}); cmd == nil {
		t.Error("a tick asks for no other one")
	}
	has(t, m.View().Content, "300")
}

func TestKeysGoThroughPipelinesAndInstances(t *testing.T) {
	a, b := newTestLog("one"), newTestLog("two")
	a.stats("orders", 100, 60)
	a.stats("returns", 7, 5)
	b.stats("orders", 1000, 600)
	b.at = b.at.Add(time.Second)
	s := read(t, a.String()+b.String())
	m := NewModel(s, Options{FromLog: true})
	m.width = 120
	m.fresh()
	has(t, m.Screen().Text(), "orders 1/2", "2 instances", "total in 1,100")
	has(t, press(t, m, "tab"), "returns 2/2", "total in 7")
	has(t, press(t, m, "tab"), "orders 1/2")
	has(t, press(t, m, "shift+tab"), "returns 2/2")
	has(t, press(t, m, "tab", "i"), "instance 1/2 one", "total in 100")
	has(t, press(t, m, "i"), "instance 2/2 two", "total in 1,000")
	has(t, press(t, m, "i"), "2 instances", "total in 1,100")
}

// wide makes a log of many steps and partitions, with names of all kinds.
func wide(steps, partitions int) string {
	l := newTestLog("a")
	l.at = l.at.Add(time.Second)
	l.line("pipeline.stats", "orders", `"interval_ms":1000,"state":"running","records_in_total":5,"lag_sum":3`)
	for i := range steps {
		name := fmt.Sprintf("step-%02d", i)
		switch i {
		case 1:
			name = "航班延误航班延误航班延误航班延误航班延误航班延误航班延误"
		case 2:
			name = strings.Repeat("long-", 40)
		case 3:
			name = "e\u0301tape 👩‍🚀"
		}
		l.line("step.stats", "orders", fmt.Sprintf(`"step":%q,"step_kind":"map","step_index":%d,"interval_ms":1000,"records_in_total":5,"rate_in":123456789.000`, name, i))
	}
	for i := range partitions {
		l.line("source.partition.stats", "orders", fmt.Sprintf(`"topic":"orders","partition":%d,"offset_committed":%d,"lag":%d`, i, i, i))
	}
	return l.String()
}

func TestManyStepsAndPartitionsScroll(t *testing.T) {
	m := NewModel(read(t, wide(60, 2000)), Options{FromLog: true})
	has(t, m.Screen().Text(), "STEP 1-14/60", "step-00", "orders/1999", "1-3 of 2,000")
	has(t, press(t, m, "pgdown"), "6-8 of 2,000", "orders/1994")
	has(t, press(t, m, "pgup", "pgup"), "1-3 of 2,000")
	for range 100 {
		m.key("down")
	}
	m.draw()
	has(t, m.Screen().Text(), "STEP 47-60/60", "›step-59")
	for range 3 {
		press(t, m, "up")
	}
	has(t, m.Screen().Text(), "›step-56")
	for range 500 {
		m.key("pgdown")
	}
	m.draw()
	has(t, m.Screen().Text(), "1,998-2,000 of 2,000", "orders/0")
}

func TestNamesOfAllKindsStayInTheirColumns(t *testing.T) {
	m := NewModel(read(t, wide(6, 0)), Options{FromLog: true})
	for _, width := range []int{80, 81, 100, 120, 200, 40, 25} {
		m.Update(tea.WindowSizeMsg{Width: width, Height: 24})
		s := m.Screen()
		lines := strings.Split(s.Text(), "\n")
		rates := -1
		for i, line := range lines {
			if n := widthOf(line); n > width {
				t.Errorf("at %d columns line %d has %d: %s", width, i, n, line)
			}
			at := strings.Index(line, "123.5M")
			if at < 0 {
				continue
			}
			if column := widthOf(line[:at]); rates >= 0 && column != rates {
				t.Errorf("at %d columns the rate stands in column %d and in %d:\n%s", width, rates, column, s.Text())
			} else {
				rates = column
			}
		}
		if rates < 0 {
			t.Errorf("at %d columns there are no rates:\n%s", width, s.Text())
		}
	}
}

func TestNothingYet(t *testing.T) {
	s := NewStore("standard input", 0)
	m := NewModel(s, Options{FromLog: true})
	has(t, m.Screen().Text(), "waiting for figures")
	press(t, m, "p", "e", "w", "l", "g", "tab", "shift+tab", "i", "up", "down", "pgup", "pgdown", "<", ">", "{", "}", "home", "end", "space", "space")
	s.End(nil)
	m.Update(tick{})
	has(t, m.Screen().Text(), "no figures of penstock are in it")
	l := newTestLog("a")
	l.line("pipeline.stats", "orders", `"interval_ms":1000,"state":"running"`)
	has(t, NewModel(read(t, l.String()), Options{FromLog: true}).Screen().Text(), "orders", "no figures of steps yet")
}
