package event

import (
	"strings"
	"testing"
)

const goodStats = `{"timestamp":"2026-11-20T11:00:15.005Z","level":"info","event_name":"replay.progress","schema_version":"1.1",` +
	`"service_name":"penstock","service_instance_id":"h-1","message":"m","fixture":"f","records_done":1,"rate_in":1.000}`

func TestValidate(t *testing.T) {
	if err := Validate([]byte(goodStats + "\n")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to, want string }{
		{`"replay.progress"`, `"replay.progressed"`, "there is no such event"},
		{`"fixture"`, `"fixtures"`, "no key fixtures"},
		{`"fixture":"f","records_done":1`, `"fixtures":"f"`, `validating an event "replay.progress": records_done is missing; the event has no key fixtures`}, // of two faults one line
		{`"records_done":1,`, ``, "records_done is missing"},
		{`"records_done":1`, `"records_done":1.5`, "records_done is no integer"},
		{`"records_done":1`, `"records_done":"1"`, "records_done is no integer"},
		{`1.000`, `1.0`, "three decimals"},
		{`1.000`, `1`, "three decimals"},
		{`1.000`, `"NaN"`, "rate_in is NaN as text"},
		{`1.000`, `null`, "rate_in is null"},
		{`"fixture":"f"`, `"fixture":"f","fixture":"f"`, "twice"},
		{`"fixture":"f"`, `"fixture":["f"]`, "flat"},
		{`"fixture":"f"`, `"fixture":""`, "fixture is empty"},
		{`"fixture":"f"`, `"fixture":"f","host":"a"`, "host is an object in ECS"},
		{`"fixture":"f"`, "\"fixture\":\"f\xff\"", "invalid UTF-8"},
		{`"message":"m",`, ``, "message is missing"},
		{`"info"`, `"warn"`, "the contract says"},
		{`11:00:15.005Z`, `11:00:15Z`, "RFC 3339"},
		{`11:00:15.005Z`, `11:00:15.005+01:00`, "RFC 3339"},
		{`"1.1"`, `"2.0"`, "schema_version"},
		{`"1.1"`, `"1.01"`, "schema_version"},
		{`"1.1"`, `"1.-1"`, "schema_version"},
		{`"1.1"`, `"1.99"`, "newer than"},
		{`}`, `} x`, "follows the object"},
		{`}`, ``, "does not end"},
		{`{`, `[`, "no JSON object"},
	} {
		bad := strings.Replace(goodStats, c.from, c.to, 1)
		err := Validate([]byte(bad))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", bad, err, c.want)
		}
	}
}

// TestValidateKnowsSinceWhenAValueIs: a value that came after its key is none in a line of an older version.
func TestValidateKnowsSinceWhenAValueIs(t *testing.T) {
	var b strings.Builder
	New(&b, Options{}).Emit(PipelineStats{State: "paused"}, "")
	if err := Validate([]byte(b.String())); err != nil {
		t.Errorf("%v: %s", err, b.String())
	}
	err := Validate([]byte(strings.Replace(b.String(), `"1.1"`, `"1.0"`, 1)))
	if err == nil || !strings.Contains(err.Error(), `state "paused" came with schema 1.1`) {
		t.Errorf("as a line of 1.0: %v", err)
	}
}

// TestValidateReadsOlderLines: within the major part of the schema, a line is held to the version that it names.
func TestValidateReadsOlderLines(t *testing.T) {
	if err := Validate([]byte(strings.Replace(goodStats, `"1.1"`, `"1.0"`, 1))); err != nil {
		t.Error(err)
	}
	var b strings.Builder
	New(&b, Options{}).Emit(PipelinePaused{Reason: "dead_letter_budget", Rejected: 101, Of: 1000, PauseMs: 60000}, "")
	if err := Validate([]byte(b.String())); err != nil {
		t.Error(err)
	}
	err := Validate([]byte(strings.Replace(b.String(), `"1.1"`, `"1.0"`, 1)))
	if err == nil || !strings.Contains(err.Error(), "rejected came with schema 1.1") {
		t.Errorf("an event of 1.1 in a line of 1.0: %v", err)
	}
}

func TestValidateChecksTheBalance(t *testing.T) {
	var b strings.Builder
	e := New(&b, Options{}).Pipeline("p")
	for _, c := range []struct {
		ev   any
		want string
	}{
		{StepStats{Step: "s", StepKind: "filter", RecordsInTotal: 10, CreatedTotal: 2, RecordsOutTotal: 5, FilteredTotal: 3, RejectedTotal: 1, AbandonedTotal: 1, Inflight: 2}, ""},
		{StepStats{Step: "s", StepKind: "filter", RecordsInTotal: 10, RecordsOutTotal: 9}, "do not balance"},
		{SinkStats{Sink: "s", SinkKind: "file", RecordsInTotal: 10, RecordsOutTotal: 9, Inflight: 1}, ""},
		{SinkStats{Sink: "s", SinkKind: "file", RecordsInTotal: 10, RecordsOutTotal: 9}, "do not balance"},
		{PipelineStats{State: "running", RecordsInTotal: 1, Inflight: 2}, "do not balance"},
		{PipelineStats{State: "on fire"}, "not one of"},
		{StepStats{Step: "s", StepKind: "filter", BusyRatio: 0.5, IdleRatio: 0.2, BlockedRatio: 0.2}, "not to 1"},
		{StepStats{Step: "s", StepKind: "filter", BusyRatio: 0.334, IdleRatio: 0.333, BlockedRatio: 0.333}, ""},
		{StepStats{Step: "s", StepKind: "filter", BusyRatio: 1.5, IdleRatio: -0.5}, "not within"},
	} {
		b.Reset()
		e.Emit(c.ev, "")
		err := Validate([]byte(b.String()))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.ev, err, c.want)
		}
	}
}

func FuzzValidate(f *testing.F) {
	f.Add([]byte(goodStats))
	f.Add([]byte(`{"a":{}}`))
	f.Fuzz(func(_ *testing.T, line []byte) { _ = Validate(line) })
}
