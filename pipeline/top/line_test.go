package top

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

const aLine = `{"timestamp":"2026-11-20T12:00:00.000Z","level":"info","event_name":"pipeline.stats","service_instance_id":"a","pipeline":"orders","message":"x","interval_ms":1000,"records_in_total":5}`

func TestPrefixesAreLeftOut(t *testing.T) {
	asText, _ := json.Marshal(aLine + "\n")
	for name, line := range map[string]string{
		"plain":              aLine,
		"kubectl --prefix":   "[pod/orders-7c9f/penstock] " + aLine,
		"kubectl timestamps": "2026-11-20T12:00:00.123456789Z " + aLine,
		"CRI":                "2026-11-20T12:00:00.123456789Z stderr F " + aLine,
		"journald":           "Nov 20 12:00:00 host penstock[1234]: " + aLine,
		"docker json-file":   `{"log":` + string(asText) + `,"stream":"stderr","time":"2026-11-20T12:00:00.1Z"}`,
		"journalctl -o json": `{"__CURSOR":"s=1","MESSAGE":` + string(asText) + `,"PRIORITY":"6"}`,
		"compose":            "penstock-1  | " + aLine,
		"labels in front":    `2026-11-20 {app="x"} ` + aLine,
		"an object in front": `{"labels":"x"} ` + aLine,
		"white space":        "  \t" + aLine + "  \r",
		"prefix in docker":   `{"log":` + strconv.Quote("x: "+aLine) + `}`,
	} {
		v := read(t, line+"\n").View(all())
		if len(v.Pipelines) != 1 || v.Pipelines[0].In != 5 {
			t.Errorf("%s: the line is not found in %s", name, line)
		}
	}
	for _, line := range []string{
		"", "\n", "{", "{}", `{"`, "null", "[1,2]", `{"event_name":"pipeline.stats"}`, `{"a":1}`, "INFO something", `{"log":"{\"log\":\"x\"}"}`,
		strings.Replace(aLine, "2026-11-20T12:00:00.000Z", "yesterday", 1), strings.TrimSuffix(aLine, "}"),
		strings.Replace(aLine, `"records_in_total":5`, `"records_in_total":"five"`, 1), strings.Replace(aLine, `:5}`, `:1e400}`, 1),
	} {
		if v := read(t, line+"\n").View(all()); len(v.Pipelines) != 0 {
			t.Errorf("%s gives a pipeline", line)
		}
	}
}

// hostile names and texts, in JSON.
var hostile = []string{
	"\x1b[2J\x1b]0;title\x07", "\u009b31m", "a\nb\rc\td", "\u202eabc\u202c", "\u200b\u200d\ufeff", "a\x00b", strings.Repeat("e\u0301\u0302\u0303", 30) + strings.Repeat("\u0301", 500),
	"\ufffd\u2028\u2029", "\x7f\x08\x08", "\x1bP+q544e\x1b\\", strings.Repeat("x", 3000),
}

func TestTextsOfOthersCannotDisturbATerminal(t *testing.T) {
	l := newTestLog("i\x1b[0m")
	l.started()
	for _, h := range hostile {
		quoted, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		l.stats("orders", 100, 60)
		q := string(quoted)
		l.line("step.stats", "orders", `"step":`+q+`,"step_kind":`+q+`,"interval_ms":1000`)
		l.line("sink.stats", "orders", `"sink":`+q+`,"sink_kind":`+q+`,"interval_ms":1000`)
		l.line("source.partition.stats", "orders", `"topic":`+q+`,"partition":1`)
		l.line("error.stats", "orders", `"step":`+q+`,"error_type":`+q+`,"count":1,"count_total":1,"sample_message":`+q+`,"sample_topic":`+q)
		l.line("step.stalled", "orders", `"step":`+q+`,"topic":`+q+`,"cause":`+q)
		l.line("source.disconnected", "orders", `"broker":`+q+`,"error_type":"x","error_message":`+q)
		l.line("pipeline.stats", strings.ReplaceAll(h, "\x00", ""), `"interval_ms":1000,"state":`+q+`,"bottleneck_step":`+q+`,"config_hash":`+q)
		l.line("process.stopping", "", `"reason":`+q)
		l.line("log", "", `"a":`+q)
	}
	s := NewStore("app\x1b[31m.log", 0)
	for line := range strings.Lines(l.String()) {
		NewLog(s).Line([]byte(line))
	}
	m := NewModel(s, Options{FromLog: true, Color: true})
	harmless := func(what, text string) {
		text = strings.NewReplacer("\x1b[0m", "", "\n", "").Replace(text)
		for st := range codes {
			for _, c := range codes[st] {
				if c != "" {
					text = strings.ReplaceAll(text, c, "")
				}
			}
		}
		for _, r := range text {
			if !strconv.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r) {
				t.Errorf("%s has the character %q", what, r)
				return
			}
		}
	}
	for range len(m.view.Pipelines) {
		for _, tab := range tabNames {
			press(t, m, string(rune(tab.tab)))
			harmless(tab.name, m.View().Content)
			harmless(tab.name+" as a picture", strings.Map(noLineEnd, m.Screen().SVG("x")))
			for y := range strings.Lines(m.Screen().Text()) {
				if n := widthOf(strings.TrimSuffix(y, "\n")); n > leastWidth {
					t.Errorf("a line of %s has %d columns: %q", tab.name, n, y)
				}
			}
		}
		press(t, m, "tab")
	}
	m.width, m.height = 200, 50
	m.fresh()
	harmless("a large screen", m.View().Content)
	m.options.ASCII = true
	m.fresh()
	if content := m.View().Content; strings.ContainsFunc(content, func(r rune) bool { return r > 0x7f }) {
		t.Errorf("a screen of ASCII has other characters: %q", content)
	}
	var table strings.Builder
	if err := WriteTable(&table, s.View(all())); err != nil {
		t.Fatal(err)
	}
	harmless("the table", table.String())
}

func noLineEnd(r rune) rune {
	if r == '\n' {
		return -1
	}
	return r
}

func TestLongLinesAreLeftOut(t *testing.T) {
	huge := `{"timestamp":"2026-11-20T12:00:00Z","event_name":"pipeline.stats","pipeline":"` + strings.Repeat("x", 2*maxLine) + `"}`
	s := NewStore("test", 0)
	l := NewLog(s)
	if err := l.ReadFrom(t.Context(), strings.NewReader(huge+"\n"+aLine+"\n"+huge)); err != nil {
		t.Fatal(err)
	}
	if c := l.Count(); c.Lines != 3 || c.Long != 2 || c.Events != 1 {
		t.Errorf("%+v, want 3 lines, 2 of them long, 1 event", c)
	}
}

func TestMemoryHasABound(t *testing.T) {
	s := NewStore("test", 0)
	log := NewLog(s)
	l := newTestLog("a")
	for i := range 2 * mostSteps {
		l.line("step.stats", "orders", `"step":"s`+strconv.Itoa(i)+`","step_kind":"map","interval_ms":1000`)
	}
	for i := range 2 * mostPipelines {
		l.line("pipeline.stats", "p"+strconv.Itoa(i), `"interval_ms":1000,"state":"running"`)
	}
	for i := range 2 * mostInstances {
		l.id = "i" + strconv.Itoa(i)
		l.started()
	}
	for line := range strings.Lines(l.String()) {
		log.Line([]byte(line))
	}
	if n := len(s.instances); n != mostInstances {
		t.Errorf("%d instances", n)
	}
	in := s.instances[0]
	if len(in.pipelines) != mostPipelines || len(in.pipelines[0].steps) != mostSteps {
		t.Errorf("%d pipelines, %d steps", len(in.pipelines), len(in.pipelines[0].steps))
	}
	if v := s.View(all()); v.LeftOut == 0 {
		t.Error("nothing says that something is left out")
	}
}

func FuzzLine(f *testing.F) {
	f.Add([]byte(aLine))
	f.Add([]byte(`{"log":"` + strings.ReplaceAll(aLine, `"`, `\"`) + `"}`))
	f.Add([]byte(`{"timestamp":"2026-11-20T12:00:00Z","event_name":"step.stats","pipeline":"a","step":"b","lat_p50_ms":1e308,"records_in_total":-9223372036854775808}`))
	f.Add([]byte(`{"timestamp":"0001-01-01T00:00:00Z","event_name":"source.revoked","pipeline":"a","partition_list":"a:1-99999999999999,-2"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		s := NewStore("fuzz", 0)
		l := NewLog(s)
		l.Line([]byte(aLine))
		l.Line(line)
		l.Line(line)
		m := NewModel(s, Options{FromLog: true})
		for _, k := range "pewlg<>" {
			m.key(string(k))
			m.fresh()
		}
		if strings.ContainsFunc(m.Screen().Text(), func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }) {
			t.Errorf("a character that cannot be printed: %q", m.Screen().Text())
		}
		var b strings.Builder
		if err := WriteJSON(&b, s.View(all())); err != nil {
			t.Error(err)
		}
		if err := WriteTable(&b, s.View(all())); err != nil {
			t.Error(err)
		}
	})
}
