//go:build browser && unix

package cli

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

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
	refusePosts(ada, grace)
	restartChat(c, ada, grace)
	sayHTML(t, ada, grace)
	keysAlone(t, grace)
	grace.readable("a room")
	narrowWindows(t, ada, grace)
	if *chatPicture {
		drawChat(t, b, c)
	}
	b.complained(ada, grace, linus)
	c.once(110)
	twiceInTheTopic(c, ada, grace)
	c.stop("post")
	c.stop("show") // while pages watch
}

// twiceInTheTopic: what a process that was killed has left in the topic twice is shown once.
func twiceInTheTopic(c *chatRoom, ada, grace *person) {
	for _, text := range []string{"left twice", "left twice", "left behind it"} {
		body := fmt.Sprintf(`{"id":%q,"room":"general","name":"Linus","text":%q}`, text, text)
		if r := c.ask("POST", c.post+"/messages", body, "Content-Type", "application/json"); r.StatusCode != http.StatusOK {
			c.t.Fatalf("posting: %s", r.Status)
		}
	}
	for _, p := range []*person{ada, grace} {
		p.sees("left behind it")
		if shown := p.shown(); !slices.Equal(shown[len(shown)-2:], []string{"left twice", "left behind it"}) || slices.Contains(shown[:len(shown)-2], "left twice") {
			c.t.Errorf("%s sees %q", p.name, shown[len(shown)-4:])
		}
	}
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

// refusePosts: what is refused for now is posted again, and what is refused for good is there to be looked at.
func refusePosts(ada, grace *person) {
	ada.isAnswered(`new Response('{}', { status: 429, headers: { 'Retry-After': '1' } })`)
	ada.say("held back")
	grace.sees("held back")

	for _, button := range []string{"Remove", "Try again"} {
		ada.isAnswered(`new Response('{"detail":"the body is wrong"}', { status: 400 })`)
		ada.say("refused")
		ada.waitFor(`document.querySelector('.failed .note')?.textContent.startsWith('Not sent: the body is wrong')`)
		ada.run(fmt.Sprintf(`[...document.querySelectorAll('.failed button')].find(b => b.textContent === '%s').click(); undefined`, button))
		ada.waitFor(`document.querySelector('.failed') === null`)
	}
	grace.sees("refused")
	ada.say("behind it")
	grace.sees("behind it")
	if shown := grace.shown(); !slices.Equal(shown[len(shown)-3:], []string{"held back", "refused", "behind it"}) {
		grace.t.Errorf("Grace sees %q", shown[len(shown)-4:])
	}
}

// restartChat: what is said while one of the processes is away is shown when it is back.
func restartChat(c *chatRoom, ada, grace *person) {
	c.stop("post")
	ada.say("said to nobody")
	ada.waitFor(`document.querySelector('.pending .note')?.textContent.startsWith('Not sent yet')`)
	ada.do(chromedp.Reload())
	ada.waitFor(`document.querySelector('#state.live') && document.querySelector('.pending .text')?.textContent === 'said to nobody'`)
	c.start("post")
	grace.sees("said to nobody")
	ada.sees("said to nobody")

	c.stop("show")
	ada.waitFor(`document.querySelector('#state.off') !== null`)
	ada.readable("without a connection")
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
