//go:build unix

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// Posters are clients that post records to a daemon which is stopped and started again meanwhile, each request under a key of its own
// and again until it is answered.
type posters struct {
	t        *testing.T
	url      string
	clients  int
	each     int               // records that each of them posts
	life     atomic.Int64      // of the daemon
	answered atomic.Int64      // records
	statuses [600]atomic.Int64 // answers
	mu       sync.Mutex
	broken   map[string]map[int64]bool // lives in which a request got no answer, by its key
}

// run posts everything. It gives up when ctx ends.
func (p *posters) run(ctx context.Context) error {
	var all sync.WaitGroup
	failed := make(chan error, p.clients)
	for c := range p.clients {
		all.Go(func() {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: time.Minute}
			defer client.CloseIdleConnections()
			for n := 0; n < p.each; {
				many := min(1+(c+n)%3, p.each-n) // 1 to 3 in a request
				if err := p.post(ctx, client, c, n, many); err != nil {
					failed <- err
					return
				}
				n += many
			}
		})
	}
	all.Wait()
	close(failed)
	return <-failed
}

// post posts records of a client, from the n-th on, until that is answered.
func (p *posters) post(ctx context.Context, client *http.Client, c, n, many int) error {
	var lines []string
	for i := range many {
		lines = append(lines, fmt.Sprintf(`{"client":%d,"n":%d}`, c, n+i))
	}
	body, key := strings.Join(lines, "\n"), fmt.Sprintf("%d-%d", c, n)
	for wait := 2 * time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		life := p.life.Load()
		status, err := p.try(ctx, client, key, body)
		var dial *net.OpError
		switch {
		case status == http.StatusOK:
			p.answered.Add(int64(many))
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("client %d: record %d has no answer: %d %w", c, n, status, errors.Join(err, ctx.Err()))
		case status != 0 && status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests:
			return fmt.Errorf("client %d: record %d is answered %d", c, n, status)
		case status == 0 && !(errors.As(err, &dial) && dial.Op == "dial"):
			p.mu.Lock()
			if p.broken[key] == nil {
				p.broken[key] = map[int64]bool{}
			}
			p.broken[key][life] = true
			p.mu.Unlock()
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

func (p *posters) try(ctx context.Context, client *http.Client, key, body string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.GetBody = nil // so that nobody but post tries again
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Idempotency-Key", key)
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, err
	}
	p.statuses[resp.StatusCode].Add(1)
	return resp.StatusCode, nil
}

// through has the clients post while the daemon is ended by each of the signals in turn and started again.
func (p *posters) through(c *kafkatest.Cluster, signals ...syscall.Signal) {
	t := p.t
	t.Helper()
	dir, address, topic := t.TempDir(), "127.0.0.1:"+freePort(t), c.Topic(t, 4)
	file := filepath.Join(dir, "posts.yaml")
	text := fmt.Sprintf(`pipeline: posts
source:
  http: {listen: %s, idempotency: {file: keys.jsonl}}
sinks:
  - kafka: {topic: %s, brokers: ["%s"], key: client}
log: {format: json}
`, address, topic, strings.Join(c.Addrs(), ","))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.url, p.broken = "http://"+address+"/records", map[string]map[int64]bool{}
	ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.run(ctx) }()
	killed := map[int64]bool{}
	total := int64(p.clients * p.each)
	for i, signal := range append(signals, syscall.SIGTERM) {
		p.life.Add(1)
		d := startDaemon(t, file)
		read := make(chan struct{})
		go func() { defer close(read); d.follow("") }()
		if i < len(signals) {
			p.until(ctx, read, total*int64(i+1)/int64(len(signals)+1))
		} else if err := <-done; err != nil {
			t.Fatal(err)
		}
		killed[p.life.Load()] = signal == syscall.SIGKILL
		d.signal(signal)
		<-read
		if signal == syscall.SIGKILL {
			_ = d.command.Wait() // its last line may be torn
		} else if code := d.end(); code != exitDone {
			t.Fatalf("exit code %d after %v\n%s", code, signal, d.log.String())
		}
	}
	p.judge(c, topic, killed)
}

// until waits until so many records are answered, or the daemon has ended.
func (p *posters) until(ctx context.Context, ended <-chan struct{}, n int64) {
	for p.answered.Load() < n && ctx.Err() == nil {
		select {
		case <-ended:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// judge reads the topic: every record is there, those of a client in order, and once: but what had no answer when the process was killed
// may be there twice.
func (p *posters) judge(c *kafkatest.Cluster, topic string, killed map[int64]bool) {
	t := p.t
	next, seen, twice, doubtful := make([]int64, p.clients), map[string]int{}, 0, 0
	for _, r := range c.Consume(t, topic) {
		client, n := gjson.GetBytes(r.Value, "client").Int(), gjson.GetBytes(r.Value, "n").Int()
		id := fmt.Sprintf("%d-%d", client, n)
		if seen[id]++; seen[id] > 1 {
			twice++
			continue
		}
		if n != next[client] {
			t.Errorf("client %d: record %d came where %d was due", client, n, next[client])
		}
		next[client] = n + 1
	}
	for client, n := range next {
		if n != int64(p.each) {
			t.Errorf("client %d: the topic has %d records of %d that were answered", client, n, p.each)
		}
	}
	for c := range p.clients {
		for n := 0; n < p.each; {
			many := min(1+(c+n)%3, p.each-n)
			may := false
			for life := range p.broken[fmt.Sprintf("%d-%d", c, n)] {
				may = may || killed[life]
			}
			for i := range many {
				id := fmt.Sprintf("%d-%d", c, n+i)
				if may {
					doubtful++
				} else if seen[id] > 1 {
					t.Errorf("record %s is there %d times, and nobody killed the process while it had no answer", id, seen[id])
				}
			}
			n += many
		}
	}
	var answers []string
	for status := range p.statuses {
		if n := p.statuses[status].Load(); n > 0 {
			answers = append(answers, fmt.Sprintf("%d × %d", n, status))
		}
	}
	t.Logf("%d records, %d requests without an answer, %d records twice of %d that may be; answers: %s",
		p.clients*p.each, len(p.broken), twice, doubtful, strings.Join(answers, ", "))
}

// TestPostsWhileTheDaemonIsStopped: what was answered is in the topic, once, over stops; over a kill -9 what had no answer may come twice.
func TestPostsWhileTheDaemonIsStopped(t *testing.T) {
	p := &posters{t: t, clients: 50, each: 100}
	if testing.Short() {
		p.each = 40
	}
	p.through(kafkatest.Start(t), syscall.SIGTERM, syscall.SIGTERM, syscall.SIGKILL)
}
