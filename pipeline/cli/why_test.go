//go:build unix

package cli

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline/admin"
)

// TestWhyOfAProcess: the command names the record that holds a partition, and what it waits for; --json is
// the answer of the endpoint, and a pipeline that has failed says so.
func TestWhyOfAProcess(t *testing.T) {
	h := startHolding(t)
	r := startRun(t, h, "1h")
	r.read(`"event_name":"process.ready"`)
	host := strings.TrimPrefix(h.URL, "http://")
	line := regexp.MustCompile(`^p: (running|draining); 1 partition waits
  flights/3@7: http, host ` + regexp.QuoteMeta(host) + `: attempt 1 of 5 has been under way for [0-9.]+ m?s; 2 records behind it
$`)
	code, out, errs := command(t, "why", "--addr", "unix:"+r.socket)
	if code != exitDone || !line.MatchString(out) || errs != "" {
		t.Errorf("why: %d\n%s%s", code, out, errs)
	}
	code, out, errs = command(t, "why", "--json", "--addr", "unix:"+r.socket)
	var all admin.Why
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != exitDone || len(all.Pipelines) != 1 || len(all.Pipelines[0].Holds) != 1 {
		t.Fatalf("why --json: %d %v\n%s%s", code, err, out, errs)
	}
	got := all.Pipelines[0].Holds[0]
	if got.Topic != "flights" || got.Partition != 3 || got.Offset != 7 || got.Where != "http" || got.Host != host || got.Cause != "call" || got.Attempt != 1 || got.Behind != 2 {
		t.Errorf("why --json has %+v", got)
	}
	if status, body := r.get("/api/v1/inflight?older_than=0s"); status != 200 || strings.Count(body, `"lane"`) != 3 {
		t.Errorf("/api/v1/inflight: %d %s", status, body)
	}
	close(h.answer)
	if code := r.end(); code != exitDone {
		t.Errorf("exit code %d\n%s", code, r.log.String())
	}
}

func TestWhyOfAPipelineThatHasFailed(t *testing.T) {
	f := startFleet(t, map[string]string{"misses": misses})
	f.asked()
	code, out, errs := command(t, "why", "--addr", "unix:"+f.socket)
	for _, want := range []string{"goes-on: ", "; 1 partition waits\n  ", "\nmisses: failed, ", "nowhere.jsonl", "; no record waits\n"} {
		if code != exitDone || !strings.Contains(out, want) {
			t.Errorf("why: %d, no %q in\n%s%s", code, want, out, errs)
		}
	}
	close(f.server.answer)
	f.end()
}

func TestWhySaysWhatToDo(t *testing.T) {
	code, out, errs := command(t, "why", "--addr", "unix:"+filepath.Join(t.TempDir(), "none.sock"))
	if code != exitEnvironment || out != "" || !strings.Contains(errs, "admin: {listen:") {
		t.Errorf("why: %d\n%s%s", code, out, errs)
	}
}

// TestWhyCountsPartitions: one that has a line of its commit too is one.
func TestWhyCountsPartitions(t *testing.T) {
	p := admin.PipelineWhy{State: "running", Holds: []admin.Hold{{Lane: "flights/3", Where: "http"}, {Lane: "flights/3", Where: "commit"}}}
	if got := whyState(p); got != "running; 1 partition waits" {
		t.Errorf("it says %q", got)
	}
	p.Holds = append(p.Holds, admin.Hold{Lane: "flights/4"})
	if got := whyState(p); got != "running; 2 partitions wait, that whose record has been in flight longest first" {
		t.Errorf("it says %q", got)
	}
}

// TestWhyNamesWhatIsAway: who does not answer, and since when, stands behind a source that is not connected.
func TestWhyNamesWhatIsAway(t *testing.T) {
	p := admin.PipelineWhy{
		State: "running", Disconnected: true, Away: "asking broker 127.0.0.1:9092: connection refused", AwaySince: "2026-11-20T01:03:40.250Z",
	}
	const want = "running, and nothing is read: the source is not connected since 2026-11-20 01:03:40Z (asking broker 127.0.0.1:9092: connection refused); no record waits"
	if got := whyState(p); got != want {
		t.Errorf("it says %q", got)
	}
	p.Away, p.AwaySince = "", ""
	if got := whyState(p); got != "running, and nothing is read: the source is not connected; no record waits" {
		t.Errorf("it says %q", got)
	}
}
