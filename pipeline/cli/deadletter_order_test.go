//go:build unix

package cli

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/penstockio/penstock/pipeline/deadletter"
	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// TestReplayKeepsTheOrderOfKeys has letters as a split writes them, the odd records before the even ones, those of a key in
// several partitions, and rejected in the same milliseconds: the records of each key go back as they were read, in one replay
// and in several with a limit.
func TestReplayKeepsTheOrderOfKeys(t *testing.T) {
	for _, limit := range []int{0, 70} {
		t.Run(fmt.Sprint("limit ", limit), func(t *testing.T) {
			c := kafkatest.Start(t)
			in, dead, name := c.Topic(t, 2), c.Topic(t, 3), strings.ToLower(c.Group(t))
			file := filepath.Join(t.TempDir(), "p.yaml")
			text := fmt.Sprintf("pipeline: %s\nsource:\n  kafka: {brokers: [%s], topics: [%s]}\nsinks:\n  - stdout: {}\ndead_letter:\n  kafka: {topic: %s}\nlog: {format: json}\n",
				name, c.Addrs()[0], in, dead)
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			const all = 400
			var recs []*kgo.Record
			for _, odd := range []int{1, 0} {
				for n := odd; n < all; n += 2 {
					rec := &kgo.Record{Key: fmt.Append(nil, "k", n/2%5), Value: fmt.Appendf(nil, `{"n":%d}`, n), Partition: rand.Int32N(3)}
					for _, h := range [][2]string{{deadletter.Pipeline, name}, {deadletter.Step, "s"}, {deadletter.Reason, "permanent"},
						{deadletter.Topic, in}, {deadletter.Partition, fmt.Sprint(n / 2 % 2)}, {deadletter.Offset, fmt.Sprint(n)}} {
						rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
					}
					recs = append(recs, rec)
				}
			}
			c.Produce(t, dead, recs...)
			for sent := 0; sent < all; {
				next := all
				args := []string{"dead-letter", "replay", file}
				if limit > 0 {
					next = min(limit, all-sent)
					args = append(args, "--limit", fmt.Sprint(limit))
				}
				for _, c := range []struct{ flag, want string }{{"--dry-run", "%d letters would go"}, {"--dry-run=false", "%[1]d of %[1]d letters replayed"}} {
					code, out, log := penstock(t, append(args, c.flag)...)
					if code != exitDone || !strings.HasPrefix(out, fmt.Sprintf(c.want, next)) || strings.Contains(out, "behind a later record") ||
						!strings.Contains(out, fmt.Sprintf("\n  %-8d s (permanent)\n", next)) {
						t.Fatalf("%s after %d: %d\n%s%s", c.flag, sent, code, out, log)
					}
				}
				sent += next
			}
			last, came := map[string]int64{}, 0
			for _, rec := range c.Consume(t, in) {
				came++
				k := fmt.Sprint(rec.Partition, " ", string(rec.Key))
				n := gjson.GetBytes(rec.Value, "n").Int()
				if before, ok := last[k]; ok && n < before {
					t.Fatalf("record %d of %s came behind %d", n, k, before)
				}
				last[k] = n
			}
			if came != all || len(last) != 10 {
				t.Errorf("%d came, of %d keys", came, len(last))
			}
		})
	}
}

// TestReplayTellsOfLettersThatStandTooFarApart has the first letter of a key behind more than a replay looks ahead: the dry run
// and the replay say so. The budget of the process is far less than what is looked ahead, which holds nothing up.
func TestReplayTellsOfLettersThatStandTooFarApart(t *testing.T) {
	a := newFirstHeld(t)
	close(a.release)
	f := newLetterFile(t, a.URL, 0)
	text, err := os.ReadFile(f.yaml)
	if err == nil {
		err = os.WriteFile(f.yaml, []byte(strings.Replace(string(text), "stdout: {}", "file: {path: out.jsonl}", 1)+"limits: {in_flight_bytes: 4MiB}\n"), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	long := fmt.Sprintf(`,"long":"%s"}`, strings.Repeat("x", 1<<20))
	for range 40 {
		n := f.written + 1
		f.appendText(strings.Replace(f.line(), fmt.Sprintf(`{"n":%d}`, n), fmt.Sprintf(`{"n":%d`, n)+long, 1))
	}
	f.written = -1
	f.add(1)
	if out, log := f.run(exitDone, "replay", "--dry-run"); !strings.HasPrefix(out, "41 letters would go") || !strings.Contains(out, "\n1 would go behind a later record of their key: ") {
		t.Errorf("the dry run says\n%s%s", out, log)
	}
	if out, log := f.run(exitDone, "replay", "--to", "step"); !strings.HasPrefix(out, "41 of 41 letters replayed") || !strings.Contains(out, "\n1 were sent behind a later record of their key: ") {
		t.Errorf("the replay says\n%s%s", out, log)
	}
}
