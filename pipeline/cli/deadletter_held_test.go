//go:build unix

package cli

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/deadletter"
)

// many writes letters with the values 0, 1, …, and gives each a reason.
func (s *sentBack) many(n int, reason func(i int) string) {
	recs := make([]*kgo.Record, n)
	for i := range recs {
		recs[i] = &kgo.Record{Key: []byte("k"), Value: fmt.Append(nil, i)}
		for _, h := range [][2]string{{deadletter.Pipeline, s.name}, {deadletter.Step, "s"}, {deadletter.Reason, reason(i)}, {deadletter.Topic, s.in},
			{deadletter.Partition, "0"}, {deadletter.Offset, fmt.Sprint(i)}} {
			recs[i].Headers = append(recs[i].Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
		}
	}
	s.c.Produce(s.t, s.dead, recs...)
}

// TestSecondReplayOfATopic starts replays of a topic while one is under way: they send nothing, with --again too, and the first
// one goes on.
func TestSecondReplayOfATopic(t *testing.T) {
	s := newSentBack(t, "sinks:\n  - stdout: {}\n")
	const all = 300
	s.many(all, func(int) string { return "permanent" })
	first := startCommand(t, nil, nil, "dead-letter", "replay", s.file, "--again", "--rate", "50/s")
	read := make(chan struct{})
	go func() { defer close(read); first.follow("\x00") }()
	s.c.ConsumeN(t, s.in, 10)
	for _, flags := range [][]string{nil, {"--again"}} {
		out, log := s.replay(exitFailed, flags...)
		if want := fmt.Sprintf("is under way (process %d on ", first.command.Process.Pid); !strings.Contains(log, want) || out != "no letter was looked at, and none was sent\n" {
			t.Errorf("%v: no %q in\n%s%s", flags, want, out, log)
		}
	}
	s.replay(exitDone, "--dry-run")
	<-read
	if code := first.end(); code != exitDone {
		t.Errorf("the first ended with %d\n%s", code, first.log.String())
	}
	told := 0
	for line := range strings.Lines(first.log.String()) {
		if gjson.Get(line, "event_name").String() != "replay.progress" {
			continue
		}
		told++
		if n := gjson.Get(line, "records_expected").Int(); n < all-1 || n > all+1 { // one may be counted just then
			t.Errorf("with a rate it expects %d: %s", n, line)
		}
	}
	if told == 0 {
		t.Error("it has not said how far it is")
	}
	if n := len(s.c.Consume(t, s.in)); n != all {
		t.Errorf("%d records went back, not %d", n, all)
	}
}

// TestDryRunOfScatteredLetters chooses more single letters than can be remembered: the dry run says where the replay would
// end, and the replay ends there.
func TestDryRunOfScatteredLetters(t *testing.T) {
	s := newSentBack(t, "sinks:\n  - stdout: {}\n")
	s.many(6000, func(i int) string { return []string{"permanent", "attempts", "attempts"}[i%3] })
	const says = "is scattered over so many letters that were not that a group's offset cannot hold it"
	out, log := s.replay(exitFailed, "--reason", "permanent", "--dry-run")
	if !strings.Contains(log, "the replay would end here: what was replayed of "+s.dead+"/0 "+says) || !strings.Contains(out, "records of "+s.dead+" read\n") {
		t.Fatalf("the dry run says\n%s%s", out, log)
	}
	n := strings.Fields(out)[0]
	if !strings.Contains(out, "  "+n+" ") {
		t.Errorf("%s letters would go, and are not as many by reason\n%s", n, out)
	}
	out, log = s.replay(exitFailed, "--reason", "permanent")
	left := regexp.MustCompile(`\nended before all were sent: ` + n + ` sent, [1-9]\d* left; the same command ends there again, until those between`)
	if !strings.HasPrefix(out, n+" of ") || !left.MatchString(out) || !strings.Contains(log, says) || fmt.Sprint(len(s.c.Consume(t, s.in))) != n {
		t.Errorf("of %s letters the replay says\n%s%s", n, out, log)
	}
}
