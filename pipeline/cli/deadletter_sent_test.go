//go:build unix

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/event"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A sentBack is a pipeline of which nothing runs, and the topics that its letters go from and to.
type sentBack struct {
	t                    *testing.T
	c                    *kafkatest.Cluster
	in, dead, name, file string
	letters              int64
}

// newSentBack writes the file. behind is what stands in it behind the source.
func newSentBack(t *testing.T, behind string) *sentBack {
	c := kafkatest.Start(t)
	s := &sentBack{t: t, c: c, in: c.Topic(t, 1), dead: c.Topic(t, 1), name: strings.ToLower(c.Group(t)), file: filepath.Join(t.TempDir(), "sent.yaml")}
	text := fmt.Sprintf("pipeline: %s\nsource:\n  kafka: {brokers: [%s], topics: [%s]}\n%sdead_letter:\n  kafka: {topic: %s}\nlog: {format: json, stats_every: 1s}\n",
		s.name, c.Addrs()[0], s.in, behind, s.dead)
	if err := os.WriteFile(s.file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// replaceInFile puts a name in the place of another.
func (s *sentBack) replaceInFile(was, is string) {
	text, err := os.ReadFile(s.file)
	if err == nil {
		err = os.WriteFile(s.file, []byte(strings.ReplaceAll(string(text), was, is)), 0o644)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// letter writes a letter of a pipeline with more headers, as name and value in turn.
func (s *sentBack) letter(pipeline, step string, value []byte, more ...string) {
	s.letters++
	rec := &kgo.Record{Key: []byte("k"), Value: value}
	all := append([]string{deadletter.Pipeline, pipeline, deadletter.Step, step, deadletter.Reason, "permanent", deadletter.Topic, s.in,
		deadletter.Partition, "0", deadletter.Offset, fmt.Sprint(s.letters)}, more...)
	for i := 0; i < len(all); i += 2 {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: all[i], Value: []byte(all[i+1])})
	}
	s.c.Produce(s.t, s.dead, rec)
}

// replay replays and gives what standard output and the log have.
func (s *sentBack) replay(want int, flags ...string) (out, log string) {
	s.t.Helper()
	code, out, log := penstock(s.t, append([]string{"dead-letter", "replay", s.file}, flags...)...)
	if code != want {
		s.t.Fatalf("replay %v ended with %d, not %d\n%s%s", flags, code, want, out, log)
	}
	return out, log
}

// TestReplayMakesNoTombstones has letters whose value was taken out as a whole: they never go back,
// since a record without a value deletes its key. One that was a tombstone as it came does.
func TestReplayMakesNoTombstones(t *testing.T) {
	s := newSentBack(t, "stages:\n  - filter: 'true'\n    name: s\nsinks:\n  - stdout: {}\n")
	s.letter(s.name, "s", nil, deadletter.Redacted, "value")
	s.letter(s.name, "s", nil, deadletter.Redacted, "headers,key,value")
	s.letter(s.name, "s", nil, deadletter.Redacted, "headers")
	for _, flags := range [][]string{{"--redacted", "--dry-run"}, {"--redacted", "--to", "step", "--dry-run"}, {"--redacted"}} {
		code, out, log := penstock(t, append([]string{"dead-letter", "replay", s.file}, flags...)...)
		if code == exitUsage || !strings.HasPrefix(out, "1 ") || !strings.Contains(out, "2 refused\n  2        value_redacted\n") {
			t.Errorf("%v: exit code %d\n%s%s", flags, code, out, log)
		}
	}
	sent := s.c.Consume(t, s.in)
	if len(sent) != 1 || sent[0].Value != nil || header(sent[0], deadletter.Replayed) != "1 1" {
		t.Errorf("%d records went back: %v", len(sent), sent)
	}
}

// TestReplayIsNoDaemonInTheLog has the log of a replay say nothing that dashboards and alerts take
// for the daemon's: no start, no end, no figures, and never its pipeline. Letters that are rejected
// again still name the pipeline.
func TestReplayIsNoDaemonInTheLog(t *testing.T) {
	s := newSentBack(t, "admin: {listen: 127.0.0.1:0}\nstages:\n  - filter: n + 1 > 0\n    name: s\nsinks:\n  - stdout: {}\n")
	s.letter(s.name, "s", []byte(`{"n":"text"}`))
	for _, c := range []struct {
		code  int
		flags []string
		lines []string
	}{
		{exitDone, nil, []string{"replay.finished"}},
		{exitExpectation, []string{"--again", "--to", "step"}, []string{"record.rejected", "replay.finished"}},
	} {
		_, log := s.replay(c.code, c.flags...)
		seen := map[string]bool{}
		for line := range strings.Lines(log) {
			name := gjson.Get(line, "event_name").String()
			seen[name] = true
			if pipeline := gjson.Get(line, "pipeline"); strings.HasPrefix(name, "process.") || strings.HasSuffix(name, ".stats") ||
				pipeline.Exists() && pipeline.String() != s.name+".dead-letter" || name != event.Free && !pipeline.Exists() {
				t.Errorf("%v: the log has %s", c.flags, line)
			}
		}
		for _, want := range c.lines {
			if !seen[want] {
				t.Errorf("%v: the log has no %s\n%s", c.flags, want, log)
			}
		}
	}
	letters := s.c.Consume(t, s.dead)
	if len(letters) != 2 || header(letters[1], deadletter.Pipeline) != s.name {
		t.Errorf("%d letters, the last of %q", len(letters), header(letters[len(letters)-1], deadletter.Pipeline))
	}
}

// TestReplaySaysWhoGetsRecordsAgain has a dry run and a replay say whether others than what rejected
// the records get them a second time: who else reads the topic, and the sinks that have had them.
func TestReplaySaysWhoGetsRecordsAgain(t *testing.T) {
	const readers, sinks = "every other reader of the topic gets them again; --to step", "1 of them were rejected by a sink: the other sinks get them again; --to step"
	one, two := "sinks:\n  - stdout: {}\n    name: a\n", "sinks:\n  - stdout: {}\n    name: a\n  - stdout: {}\n    name: b\n"
	for _, c := range []struct {
		file            string
		flags           []string
		readers, others bool
	}{
		{two, nil, true, true},
		{one, nil, true, false},
		{two, []string{"--step", "s"}, true, false},
		{two, []string{"--to", "step"}, false, false},
		{two, []string{"--until", "2000-01-01T00:00:00Z"}, false, false},
	} {
		s := newSentBack(t, "stages:\n  - filter: 'true'\n    name: s\n"+c.file)
		now := time.Now().UTC().Format(time.RFC3339)
		s.letter(s.name, "s", []byte(`{}`), deadletter.Time, now)
		s.letter(s.name, "a", []byte(`{}`), deadletter.Time, now)
		for _, flags := range [][]string{append(c.flags, "--dry-run"), c.flags} {
			out, _ := s.replay(exitDone, flags...)
			if strings.Contains(out, readers) != c.readers || strings.Contains(out, sinks) != c.others {
				t.Errorf("%v says\n%s", flags, out)
			}
		}
	}
}

// TestDryRunCountsItsOwnLetters has letters of two pipelines in a topic: of those that were replayed a
// dry run counts the pipeline's alone.
func TestDryRunCountsItsOwnLetters(t *testing.T) {
	s := newSentBack(t, "sinks:\n  - stdout: {}\n")
	for i := range 14 {
		of := s.name
		if i%2 == 1 || i < 2 {
			of = "another"
		}
		s.letter(of, "s", []byte(`{}`))
	}
	if out, _ := s.replay(exitDone); !strings.HasPrefix(out, "6 of 6 letters replayed") {
		t.Fatal(out)
	}
	s.letter(s.name, "s", []byte(`{}`))
	if out, _ := s.replay(exitDone, "--dry-run"); !strings.HasPrefix(out, "1 letter would go") || !strings.Contains(out, "\n6 were replayed already\n") {
		t.Errorf("the dry run says\n%s", out)
	}
}

// TestMisspeltNamesOfLetters has a step and a reason misspelt: that is no choice of nothing. What the file does not
// know and a letter has is right: a step that is gone, a reason of a stage of one's own.
func TestMisspeltNamesOfLetters(t *testing.T) {
	oneGoroutine(t)
	s := newSentBack(t, "stages:\n  - filter: 'true'\n    name: weather\nsinks:\n  - stdout: {}\n    name: done\n")
	s.letter(s.name, "gone", []byte(`{}`), deadletter.Reason, "of_my_own")
	s.letter("another", "theirs", []byte(`{}`))
	for _, command := range []string{"ls", "show", "replay --dry-run", "replay"} {
		for _, c := range []struct{ flags, says string }{
			{"--step wether", "has no such step or sink, and no dead letter names it; did you mean weather?"},
			{"--step gone,theirs", "--step theirs: " + s.file + " has no such step or sink, and no dead letter names it; it has weather, done"},
			{"--reason atempts", "there is no such reason, and no dead letter gives it; did you mean attempts?"},
			{"--reason xyz", "--by reason shows those that they give"},
		} {
			args := append(append([]string{"dead-letter"}, strings.Fields(command)...), s.file)
			code, out, log := penstock(t, append(args, strings.Fields(c.flags)...)...)
			if code != exitUsage || !strings.Contains(log, c.says) || out != "" {
				t.Errorf("%s %s ended with %d\n%s%s", command, c.flags, code, out, log)
			}
		}
	}
	for _, flags := range []string{"--step gone", "--reason of_my_own", "--step gone,weather,done --reason attempts,of_my_own"} {
		if code, out, log := penstock(t, append([]string{"dead-letter", "ls", s.file}, strings.Fields(flags)...)...); code != exitDone || strings.Count(out, "gone") != 1 {
			t.Errorf("%s ended with %d\n%s%s", flags, code, out, log)
		}
	}
	if out, _ := s.replay(exitDone, "--step", "weather"); !strings.HasPrefix(out, "0 of 0 letters") {
		t.Errorf("a step that rejected nothing: %s", out)
	}
}

// TestDryRunEndsAsTheReplayWould has a letter that is refused: both end with the same code.
func TestDryRunEndsAsTheReplayWould(t *testing.T) {
	s := newSentBack(t, "sinks:\n  - stdout: {}\n")
	s.letter(s.name, "s", []byte(`{}`), deadletter.Redacted, "key")
	for _, flags := range [][]string{{"--dry-run"}, nil} {
		if out, _ := s.replay(exitExpectation, flags...); !strings.Contains(out, "1 refused\n  1        redacted\n") {
			t.Errorf("%v says\n%s", flags, out)
		}
	}
}
