//go:build browser && unix

package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	keyboard "github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// A browser is a Chromium without a window.
type browser struct {
	t   *testing.T
	ctx context.Context
}

func openBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("tests with the tag browser need chromium: install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // it does not start as root with one
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) })
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, ctx: ctx}
}

// A person has the chat open, and a browser's storage of her own.
type person struct {
	t    *testing.T
	name string
	ctx  context.Context

	mu      sync.Mutex
	console []string
}

// watching is put into the page: when the keys were pressed that send, and when each text was in a frame.
const watching = `
var pressed = 0, seen = new Map(), lost = 0;
var outboxIsEmpty = () => sessionStorage.getItem('outbox') === '[]';
addEventListener('keydown', e => { if (e.key === 'Enter') pressed = performance.timeOrigin + e.timeStamp; }, true);
new MutationObserver(all => {
  for (const item of all.flatMap(m => [...m.addedNodes])) {
    const text = item.querySelector?.('.text')?.textContent;
    if (text === undefined || item.classList.contains('pending')) continue;
    requestAnimationFrame(() => setTimeout(() => seen.set(text, performance.timeOrigin + performance.now()))); // behind the frame
  }
}).observe(document.getElementById('messages'), { childList: true });
undefined`

// person opens the page, and gives a name.
func (b *browser) person(name string, c *chatRoom) *person {
	b.t.Helper()
	p := b.tab(name)
	p.window(900, 620, "light")
	p.do(chromedp.Navigate("http://" + c.live + "/"))
	p.waitFor(`document.getElementById('ask').open`)
	p.types(name)
	p.enterKey()
	p.waitFor(`document.querySelector('#state.live') !== null`)
	p.run(watching)
	return p
}

// tab opens a window with a storage of its own, in which nothing is shown yet.
func (b *browser) tab(name string) *person {
	b.t.Helper()
	p := &person{t: b.t, name: name}
	ctx, _ := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	p.ctx = ctx
	b.t.Cleanup(func() { _ = chromedp.Cancel(ctx) })
	if err := chromedp.Do(p.ctx); err != nil {
		b.t.Fatal(err)
	}
	messages := chromedp.Console(p.ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			p.mu.Lock()
			p.console = append(p.console, m.String())
			p.mu.Unlock()
		}
	}()
	return p
}

func (p *person) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// run evaluates a script in the page.
func (p *person) run(script string) {
	p.t.Helper()
	p.do(chromedp.Evaluate[chromedp.Void](script))
}

// value evaluates a script, and what it promises.
func value[T any](p *person, script string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %s: %v", p.name, script, err)
	}
	return v
}

func (p *person) count(script string) int { p.t.Helper(); return value[int](p, script) }

// waitFor waits until a script gives true.
func (p *person) waitFor(script string) {
	p.t.Helper()
	wait := `new Promise((done, failed) => {
		const from = performance.now(), look = () => {
			if (` + script + `) done(true);
			else if (performance.now() - from > 30000) done(false);
			else setTimeout(look, 10);
		};
		look();
	})`
	if !value[bool](p, wait) {
		p.t.Fatalf("%s waits in vain for %s; the page shows:\n%s", p.name, script, value[string](p, `document.body.innerText`))
	}
}

// types presses the keys of a text; a long one is put in at once, as by pasting.
func (p *person) types(text string) {
	p.t.Helper()
	if len(text) <= 20 {
		p.do(chromedp.KeyEvent(text))
		return
	}
	if _, err := chromedp.Call(p.ctx, keyboard.InsertText, keyboard.InsertTextParams{Text: text}); err != nil {
		p.t.Fatal(err)
	}
}

// enterKey presses Enter as a keyboard does: where the page takes the key, nothing is typed.
func (p *person) enterKey() {
	p.t.Helper()
	for _, kind := range []keyboard.DispatchKeyEventType{keyboard.DispatchKeyEventTypeKeyDown, keyboard.DispatchKeyEventTypeKeyUp} {
		key := keyboard.DispatchKeyEventParams{Type: kind, Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13}
		if kind == keyboard.DispatchKeyEventTypeKeyDown {
			key.Text = "\r"
		}
		if _, err := chromedp.Call(p.ctx, keyboard.DispatchKeyEvent, key); err != nil {
			p.t.Fatal(err)
		}
	}
}

// say types a message, and sends it.
func (p *person) say(text string) {
	p.t.Helper()
	p.types(text)
	p.enterKey()
}

// shown are the texts of the messages that have come.
func (p *person) shown() []string {
	p.t.Helper()
	return value[[]string](p, `[...document.querySelectorAll('.message:not(.pending) .text')].map(e => e.textContent)`)
}

// sees waits until a message is shown.
func (p *person) sees(text string) {
	p.t.Helper()
	p.waitFor(fmt.Sprintf(`[...document.querySelectorAll('.message:not(.pending) .text')].some(e => e.textContent === %q)`, text))
}

// expect has the page tell when a text is in a frame.
func (p *person) expect(text string) {
	p.t.Helper()
	p.run(fmt.Sprintf(`seen.delete(%q)`, text))
}

// seenAt waits until a text is in a frame, and gives when that was, in milliseconds.
func (p *person) seenAt(text string) float64 {
	p.t.Helper()
	p.waitFor(fmt.Sprintf(`seen.has(%q)`, text))
	return value[float64](p, fmt.Sprintf(`seen.get(%q)`, text))
}

// saidAt gives when the key was pressed that has sent the latest message.
func (p *person) saidAt() float64 { p.t.Helper(); return value[float64](p, `pressed`) }

// clockAgainst gives by how many milliseconds the clocks of two pages may differ at most.
func (p *person) clockAgainst(other *person) float64 {
	p.t.Helper()
	const now = `performance.timeOrigin + performance.now()`
	before, there, after := value[float64](p, now), value[float64](other, now), value[float64](p, now)
	return max(after-there, there-before)
}

// enter goes to a room.
func (p *person) enter(room string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(fmt.Sprintf(`#rooms a[href="#%s"]`, room))))
	p.waitFor(fmt.Sprintf(`document.getElementById('room').textContent === '#%s' && document.querySelector('#state.live') !== null`, room))
}

// losesAnswers has the next posts of the page arrive, and their answers not.
func (p *person) losesAnswers(n int) {
	p.t.Helper()
	p.run(fmt.Sprintf(`{
		const real = fetch;
		let left = %d;
		fetch = async (...of) => {
			const answer = await real(...of);
			if (left-- > 0) { lost++; throw new TypeError('the answer is lost'); }
			return answer;
		};
	} undefined`, n))
}

// isAnswered has the next post of the page answered in place of the server.
func (p *person) isAnswered(answer string) {
	p.t.Helper()
	p.run(`{
		const real = fetch;
		fetch = async () => {
			fetch = real;
			return ` + answer + `;
		};
	} undefined`)
}

// window gives the page a window of this size and theme.
func (p *person) window(width, height int64, theme string) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1})
	if err == nil {
		_, err = chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
		})
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// complained looks at what the browser has told of pages: beside calls that nobody answered, nothing.
func (b *browser) complained(people ...*person) {
	b.t.Helper()
	for _, p := range people {
		p.mu.Lock()
		for _, m := range p.console {
			if !strings.Contains(m, "ERR_CONNECTION_") && !strings.Contains(m, "WebSocket connection to") {
				b.t.Errorf("the browser says of the page of %s: %s", p.name, m)
			}
		}
		p.mu.Unlock()
	}
}
