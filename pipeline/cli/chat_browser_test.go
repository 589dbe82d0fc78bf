//go:build browser && unix

package cli

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
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
		r, err := http.Get("http://" + address + "/") //nolint:noctx
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

// TestChat has people talk in docs/examples/chat, in a real browser.
func TestChat(t *testing.T) {
	c := openChat(t)
	b := openBrowser(t)
	ada, grace := b.person("Ada", c), b.person("Grace", c)

	measureChat(t, ada, grace)
	said := ada.shown()
	if len(said) != 100 {
		t.Errorf("%d messages are shown, and 100 were sent", len(said))
	}
	if other := grace.shown(); !slices.Equal(said, other) {
		t.Errorf("they see different things:\n%q\n%q", said, other)
	}
	linus := b.person("Linus", c)
	linus.sees(said[99])
	if got := linus.shown(); !slices.Equal(got, said[50:]) {
		t.Errorf("to who comes later the last 50 are shown, and these are:\n%q", got)
	}
	talkInRooms(t, ada, grace)
	loseAnswers(t, ada, grace)
	restartChat(c, ada, grace)
	sayHTML(t, ada, grace)
	narrowWindows(t, ada, grace)
	if *chatPicture {
		drawChat(t, b, c)
	}
	b.complained(ada, grace, linus)
	c.once()
}

// talkInRooms: what is said in a room is shown there alone.
func talkInRooms(t *testing.T, ada, grace *person) {
	grace.enter("help")
	ada.say("this is for general")
	grace.say("this is for help")
	grace.sees("this is for help")
	ada.sees("this is for general")
	if got := grace.shown(); !slices.Equal(got, []string{"this is for help"}) {
		t.Errorf("in help these are shown: %q", got)
	}
	grace.enter("general")
	grace.sees("this is for general")
	if slices.Contains(grace.shown(), "this is for help") {
		t.Error("in general a message of help is shown")
	}
}

// loseAnswers: what is posted again is there once.
func loseAnswers(t *testing.T, ada, grace *person) {
	ada.losesAnswers(2)
	ada.say("said once")
	grace.sees("said once")
	ada.waitFor(`lost === 2 && outboxIsEmpty()`)
	ada.sees("said once")
}

// restartChat: what is said while one of the processes is away is shown when it is back.
func restartChat(c *chatRoom, ada, grace *person) {
	c.stop("post")
	ada.say("said to nobody")
	ada.waitFor(`document.querySelector('.pending .note')?.textContent.startsWith('Not sent yet')`)
	c.start("post")
	grace.sees("said to nobody")
	ada.sees("said to nobody")

	c.stop("show")
	ada.waitFor(`document.querySelector('#state.off') !== null`)
	ada.say("said in the dark")
	ada.waitFor(`document.querySelector('.pending .note')?.textContent === 'Sent'`)
	c.start("show")
	ada.sees("said in the dark")
	grace.sees("said in the dark")
}

// sayHTML: what is said is text, whatever stands in it.
func sayHTML(t *testing.T, ada, grace *person) {
	text := `<img src=x onerror="document.title='run'"> & https://example.org/a?b=c&d.`
	grace.say(text)
	ada.sees(text)
	if n := ada.count(`document.querySelectorAll('#messages img').length`); n != 0 {
		t.Errorf("%d pictures were made of it", n)
	}
	if n := ada.count(`[...document.querySelectorAll('.text a')].filter(a => a.href === 'https://example.org/a?b=c&d').length`); n != 1 {
		t.Errorf("%d links to the address are shown", n)
	}
}

// narrowWindows: nothing is wider than its window, also with a long word.
func narrowWindows(t *testing.T, ada, grace *person) {
	word := strings.Repeat("Donaudampfschiff", 40)
	grace.say(word)
	ada.sees(word)
	for _, width := range []int64{900, 640, 360, 320} {
		ada.window(width, width*2/3, "light")
		if n := ada.count(`document.documentElement.scrollWidth - innerWidth`); n > 0 {
			t.Errorf("a window of %d is too narrow by %d", width, n)
		}
		if n := ada.count(`document.getElementById('log').scrollWidth - document.getElementById('log').clientWidth`); n > 0 {
			t.Errorf("in a window of %d, what is said is too wide by %d", width, n)
		}
		ada.waitFor(`log.scrollHeight - log.scrollTop - log.clientHeight < 2`) // the end is shown, as before
	}
}

// once looks into the topic: each message stands there once, whatever was tried again.
func (c *chatRoom) once() {
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
	if len(ids) < 107 {
		c.t.Errorf("%d messages are in the topic", len(ids))
	}
}

// measureChat has each of two say 50 things, and measures from the key to the other's screen.
func measureChat(t *testing.T, ada, grace *person) {
	for range 5 { // what runs for the first time is compiled
		ada.clockAgainst(grace)
	}
	both := map[string][]float64{}
	all := []float64{}
	for i := range 100 {
		from, to := ada, grace
		if i%2 == 1 {
			from, to = grace, ada
		}
		text := fmt.Sprintf("message %d", i)
		to.expect(text)
		from.say(text)
		took := to.seenAt(text) - from.saidAt()
		if took <= 0 {
			t.Errorf("message %d was seen %.1f ms before it was sent: the pages have different clocks", i, -took)
		}
		both[from.name] = append(both[from.name], took)
		all = append(all, took)
		from.sees(text)
	}
	for _, one := range [][]float64{all, both["Ada"], both["Grace"]} {
		slices.Sort(one)
	}
	median := func(s []float64) float64 { return (s[(len(s)-1)/2] + s[len(s)/2]) / 2 }
	t.Logf("from Enter in one page to the frame of the other: median %.1f ms of %d (Ada to Grace %.1f, Grace to Ada %.1f), p90 %.1f, most %.1f; the clocks of the pages differ by at most %.1f",
		median(all), len(all), median(both["Ada"]), median(both["Grace"]), all[89], all[99], ada.clockAgainst(grace))
	if m := median(all); m >= 100 {
		t.Errorf("the median is %.1f ms, and has to be below 100", m)
	}
}
