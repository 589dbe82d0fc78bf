//go:build unix

package cli

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline/kafka/kafkatest"
)

// A chatRoom is the example docs/examples/chat at a broker: two processes, of which one takes what is posted and the other shows it.
type chatRoom struct {
	t          *testing.T
	dir        string
	cluster    *kafkatest.Cluster
	topic      string
	post, live string // addresses
	log        *os.File
	running    map[string]*running
}

// openChat starts the example as it stands in docs, at ports of its own.
func openChat(t *testing.T) *chatRoom {
	t.Helper()
	c := &chatRoom{t: t, dir: t.TempDir(), cluster: kafkatest.Start(t), post: "127.0.0.1:" + freePort(t), live: "127.0.0.1:" + freePort(t), running: map[string]*running{}}
	c.topic = c.cluster.Topic(t, 4)
	var err error
	if c.log, err = os.Create(filepath.Join(c.dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(c.log.Name())
			for line := range strings.Lines(string(text)) {
				if level := gjson.Get(line, "level").String(); level != "info" {
					t.Log(line)
				}
			}
		}
		_ = c.log.Close()
	})
	for name, more := range map[string][]string{
		"post.yaml": {"topic: chat}", "topic: " + c.topic + "}"},
		"show.yaml": {"topics: [chat]", "topics: [" + c.topic + "]"},
		"chat.html": {"<title>Chat", "<title>Chat"},
	} {
		text, err := os.ReadFile(filepath.Join(repo, "docs", "examples", "chat", name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), more[0]) {
			t.Fatalf("%s does not have %q", name, more[0])
		}
		changed := strings.NewReplacer(more[0], more[1], "127.0.0.1:8090", c.post, "127.0.0.1:8089", c.live).Replace(string(text))
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("BROKERS", c.cluster.Addrs()[0])
	t.Setenv("COPY", c.cluster.Group(t))
	c.start("post")
	c.start("show")
	return c
}

// start runs one of the two, and waits until it answers.
func (c *chatRoom) start(name string) {
	c.t.Helper()
	address := map[string]string{"post": c.post, "show": c.live}[name]
	c.running[name] = startCommand(c.t, nil, c.log, "run", filepath.Join(c.dir, name+".yaml"), "--log-format", "json", "--log-level", "warn")
	for until := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		r, err := http.Get("http://" + address + "/")
		if err == nil {
			_ = r.Body.Close()
			return
		}
		if time.Now().After(until) {
			c.t.Fatalf("%s does not answer: %v", name, err)
		}
	}
}

// stop ends one of the two as an operator does.
func (c *chatRoom) stop(name string) {
	c.t.Helper()
	c.running[name].signal(syscall.SIGTERM)
	if code := c.running[name].end(); code != exitDone {
		c.t.Errorf("%s ended with %d", name, code)
	}
}

// ask asks one of the two as the page does. The body has to be closed.
func (c *chatRoom) ask(method, address, body string, header ...string) *http.Response {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, "http://"+address, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Origin", "http://"+c.live)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

// TestChatAsItsPageAsks does what the page of docs/examples/chat does, without a browser: it may post and watch, a message that is posted twice
// is shown once, and in its room alone.
func TestChatAsItsPageAsks(t *testing.T) {
	c := openChat(t)
	page := c.ask("GET", c.live+"/", "")
	policy := page.Header.Get("Content-Security-Policy")
	if text, err := io.ReadAll(page.Body); err != nil || !strings.Contains(string(text), `<meta name="post" content="http://`+c.post+`/messages">`) {
		t.Errorf("the page does not say where it posts to: %v", err)
	}
	for _, want := range []string{"http://" + c.post, "ws://" + c.live, "script-src 'sha256-", "style-src 'sha256-"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy of the page has no %s: %s", want, policy)
		}
	}
	may := c.ask("OPTIONS", c.post+"/messages", "", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type,idempotency-key")
	if may.Header.Get("Access-Control-Allow-Origin") != "http://"+c.live || !strings.Contains(strings.ToLower(may.Header.Get("Access-Control-Allow-Headers")), "idempotency-key") {
		t.Errorf("the page may not post: %d %v", may.StatusCode, may.Header)
	}

	live := c.ask("GET", c.live+"/live?last=50&filter="+url.QueryEscape(`room == "general"`), "", "Accept", "text/event-stream")
	lines := bufio.NewScanner(live.Body)
	posts := []string{"1 general first", "2 help other", "1 general first", "3 general last"}
	for _, p := range posts {
		var id, room, text string
		_, _ = fmt.Sscan(p, &id, &room, &text)
		body := fmt.Sprintf(`{"id":%q,"room":%q,"name":"Ada","text":%q}`, id, room, text)
		if r := c.ask("POST", c.post+"/messages", body, "Content-Type", "application/json", "Idempotency-Key", `"`+id+`"`); r.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(r.Body)
			t.Fatalf("posting %s: %d %s", p, r.StatusCode, text)
		}
	}
	var shown []string
	for len(shown) < 2 && lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			m := gjson.Parse(data)
			shown = append(shown, m.Get("text").String())
			if at := time.UnixMilli(m.Get("at").Int()); time.Since(at) > patience || at.After(time.Now().Add(time.Second)) {
				t.Errorf("the message is said to be of %v", at)
			}
		}
	}
	if len(shown) != 2 || shown[0] != "first" || shown[1] != "last" {
		t.Errorf("in general these are shown: %q, %v", shown, lines.Err())
	}
	_ = live.Body.Close()
	c.once(3)
	c.stop("post")
	c.stop("show")
}

// once looks into the topic: each message stands there once, whatever was tried again. There are so many at least.
func (c *chatRoom) once(messages int) {
	c.t.Helper()
	ids := map[string]int{}
	for _, r := range c.cluster.Consume(c.t, c.topic) {
		ids[gjson.GetBytes(r.Value, "id").String()]++
	}
	for id, n := range ids {
		if n != 1 {
			c.t.Errorf("message %s stands in the topic %d times", id, n)
		}
	}
	if len(ids) < messages {
		c.t.Errorf("%d messages are in the topic, and %d were sent", len(ids), messages)
	}
}
