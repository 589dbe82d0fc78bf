package top

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestTableIsHarmless: the state, who has paused it, the back pressure and the hash of the file are texts of a log, too.
func TestTableIsHarmless(t *testing.T) {
	for _, h := range append([]string{"\x1b[31mX\x07", "\u009b1m"}, hostile...) {
		quoted, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		q := string(quoted)
		for _, fields := range []string{
			`"state":` + q, `"state":"paused","paused_by":` + q, `"state":"running","backpressure":` + q, `"state":"running","bottleneck_step":` + q, `"state":"running","config_hash":` + q,
		} {
			l := newTestLog("a")
			l.line("pipeline.stats", "orders", `"interval_ms":1000,`+fields)
			var table strings.Builder
			if err := WriteTable(&table, read(t, l.String()).View(all())); err != nil {
				t.Fatal(err)
			}
			if lines := strings.Split(table.String(), "\n"); len(lines) != 5 {
				t.Errorf("%s makes %d lines of it, want 5:\n%q", fields, len(lines), table.String())
			}
			if strings.ContainsFunc(table.String(), func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }) {
				t.Errorf("%s: the table has what disturbs a terminal: %q", fields, table.String())
			}
		}
	}
}

// TestTableSaysWhatIsLeftOut: who reads it would else take it for all.
func TestTableSaysWhatIsLeftOut(t *testing.T) {
	l := newTestLog("a")
	l.stats("orders", 10, 5)
	for i := range 2 * mostErrors {
		l.line("error.stats", "orders", `"step":"map","error_type":"e`+strconv.Itoa(i)+`","count":1,"count_total":1`)
	}
	var table strings.Builder
	if err := WriteTable(&table, read(t, l.String()).View(all())); err != nil {
		t.Fatal(err)
	}
	if want := "1,000 figures found no room and are left out"; !strings.Contains(table.String(), want) {
		t.Errorf("it does not say %q:\n%s", want, table.String())
	}
}

// TestLargeFiguresCanBeRead: no figure is cut, and none runs into the next one.
func TestLargeFiguresCanBeRead(t *testing.T) {
	l := newTestLog("a")
	l.stats("orders", 10, 5)
	l.line("step.stats", "orders", `"step":"big","step_kind":"map","step_index":1,"interval_ms":1000,"records_in_total":1234567890123,"records_out_total":9223372036854775807,`+
		`"rejected_total":12345678901,"workers":123456,"queue_fill_max_ratio":0.5,"queue_len":1234567,"oldest_inflight_ms":9223372036854775807`)
	l.line("source.partition.stats", "orders", `"topic":"orders","partition":1,"lag":123456789012,"lag_age_ms":5000,"offset_committed":123456789012345,"commit_age_ms":100`)
	l.line("error.stats", "orders", `"step":"big","error_type":"http_503_of_a_long_name","count":1,"count_total":123456789012`)
	m := looking(read(t, l.String()), l.at, TabPartitions, 200, 30)
	text := m.Screen().Text()
	for _, want := range []string{" 1.2T ", " 123k ", " 123,456,789,012 ", " 5.0s ", " 123,456,789,012,345 ", " 99999d "} {
		if !strings.Contains(strings.ReplaceAll(text, "\n", " "), want) {
			t.Errorf("%q is not in it:\n%s", want, text)
		}
	}
	if strings.Contains(text, ",…") {
		t.Errorf("a figure is cut:\n%s", text)
	}
	press(t, m, "e")
	if text := m.Screen().Text(); !strings.Contains(text, " 123,456,789,012 ") {
		t.Errorf("the total of errors cannot be read:\n%s", text)
	}
}

// TestManyStepsLeaveRoom: the head says which of them are seen, and what is beneath has its part of a large screen.
func TestManyStepsLeaveRoom(t *testing.T) {
	l := newTestLog("a")
	l.stats("orders", 10, 5)
	for i := range 200 {
		l.line("step.stats", "orders", `"step":"s`+strconv.Itoa(i)+`","step_kind":"map","step_index":`+strconv.Itoa(i+1)+`,"interval_ms":1000`)
	}
	for i := range 100 {
		l.line("source.partition.stats", "orders", `"topic":"orders","partition":`+strconv.Itoa(i))
	}
	s := read(t, l.String())
	if text := looking(s, l.at, TabPartitions, 80, 24).Screen().Text(); !strings.Contains(text, "/202 ") {
		t.Errorf("the head does not say of how many steps these are:\n%s", text)
	}
	if text := looking(s, l.at, TabPartitions, 200, 60).Screen().Text(); strings.Count(text, " orders/") < 12 {
		t.Errorf("partitions have %d lines of 60:\n%s", strings.Count(text, " orders/"), text)
	}
}

// TestASourceThatIsAwayIsSaidOnce: the endpoint does not say in every case why it is not connected.
func TestASourceThatIsAwayIsSaidOnce(t *testing.T) {
	s := NewStore("test", 0)
	l := newTestLog("a")
	l.stats("orders", 10, 5)
	for line := range strings.Lines(l.String()) {
		NewLog(s).Line([]byte(line))
	}
	v := s.View(all())
	for away, want := range map[string]string{
		"the broker b:9092 does not answer": "! the source is not connected: the broker b:9092 does not answer\n",
		notConnected:                        "! the source is not connected\n",
	} {
		v.Pipelines[0].Away = away
		if text := Draw(v, &Looking{Tab: TabPartitions}, 100, 30).Text(); !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
}

// TestNothingHoldsUpWhatHasEnded: the process goes on to say what was last, as when others of its pipelines run.
func TestNothingHoldsUpWhatHasEnded(t *testing.T) {
	for _, state := range []string{"stopped", "failed"} {
		p := &process{started: "2026-11-20T11:00:00Z", in: 100, more: `"state":"` + state + `","backpressure":"high","bottleneck_step":"map",`}
		s := NewStore("x", time.Minute)
		e := NewEndpoint(s, "x:9600", p.get)
		look(t, e, noon)
		look(t, e, noon.Add(time.Second))
		if v := s.View(all()); v.Pipelines[0].Backpressure != "" || v.Pipelines[0].Bottleneck != "" {
			t.Errorf("%s: back pressure %q at %q", state, v.Pipelines[0].Backpressure, v.Pipelines[0].Bottleneck)
		}
	}
}

// TestTheSmallestScreenSaysTheState: what is wrong matters more than when that was.
func TestTheSmallestScreenSaysTheState(t *testing.T) {
	l := newTestLog("a")
	l.stats("orders", 10, 5)
	if text := looking(read(t, l.String()), time.Time{}, TabPartitions, 20, 5).Screen().Text(); !strings.Contains(text, "running") {
		t.Errorf("it does not say the state:\n%s", text)
	} else if !strings.HasSuffix(text, "…\n") {
		t.Errorf("a step is seen through the last line:\n%s", text)
	}
}
