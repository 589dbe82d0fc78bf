package kafkatest_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// dump says what the members wait for.
func (w *world) dump() {
	for _, m := range w.members {
		if m.ending {
			continue
		}
		flight := m.p.InFlight()
		w.t.Logf("%s: %+v; %d in flight: %.1000s", m.name, m.source.Report(), len(flight), fmt.Sprintf("%+v", flight))
	}
	info := w.cluster.Fake().GroupInfo(group)
	w.t.Logf("group: %+v", info)
}

// tale is what the members have logged of their source, and the commits, in order.
func (w *world) tale() string {
	type line struct {
		at   time.Duration
		text string
	}
	var all []line
	for _, m := range w.members {
		lines, times := m.log.lines()
		for i, text := range lines {
			if bytes.Contains(text, []byte(`stats"`)) {
				continue
			}
			all = append(all, line{times[i], m.name + " " + brief(text)})
		}
	}
	for _, m := range w.ref.marks {
		all = append(all, line{m.at, fmt.Sprintf("commit of %v: %d", m.lane, m.offset)})
	}
	slices.SortStableFunc(all, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	var b strings.Builder
	for _, l := range all[:min(len(all), 600)] {
		fmt.Fprintf(&b, "%12v %s\n", l.at.Round(time.Millisecond), l.text)
	}
	return b.String()
}

// brief leaves out of a line what says little here.
func brief(line []byte) string {
	m := map[string]any{}
	if json.Unmarshal(line, &m) != nil {
		return string(line)
	}
	var b strings.Builder
	fmt.Fprint(&b, m["level"], " ", m["event_name"], ":")
	for _, k := range slices.Sorted(maps.Keys(m)) {
		switch k {
		case "level", "event_name", "timestamp", "service_name", "service_version", "service_instance_id", "pipeline", "event_kind", "consumer_group", "member_id", "severity", "time", "schema", "v", "event_id":
		default:
			fmt.Fprintf(&b, " %s=%.200v", k, m[k])
		}
	}
	return b.String()
}
