//go:build browser && unix

package cli

import (
	"slices"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
)

// tooFaint gives the texts whose contrast to what is behind them is below 4.5, as WCAG 2.2 asks for in 1.4.3.
const tooFaint = `(() => {
	const parts = color => {
		const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
		return { rgb: [r, g, b], a };
	};
	const light = rgb => rgb.map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
		.reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
	const behind = e => {
		for (; e; e = e.parentElement) {
			const back = parts(getComputedStyle(e).backgroundColor);
			if (back.a === 1) return back.rgb;
		}
		return [255, 255, 255];
	};
	const faint = [];
	const judge = (e, color, what) => {
		const [a, b] = [light(parts(color).rgb), light(behind(e))].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
		if (ratio < 4.5) faint.push(what + ' ' + ratio.toFixed(2));
	};
	for (const e of document.querySelectorAll('body *')) {
		const own = [...e.childNodes].filter(n => n.nodeType === Node.TEXT_NODE).map(n => n.textContent.trim()).join('');
		if (own && e.checkVisibility() && !['SCRIPT', 'STYLE'].includes(e.tagName)) judge(e, getComputedStyle(e).color, own.slice(0, 30));
	}
	const text = document.getElementById('text');
	if (text) judge(text, getComputedStyle(text, '::placeholder').color, 'placeholder');
	return faint;
})()`

// readable: every control has a name for those who do not see it, and every text enough contrast in both themes.
func (p *person) readable(what string) {
	p.t.Helper()
	tree, err := chromedp.Call(p.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		p.t.Fatal(err)
	}
	controls := 0
	for _, n := range tree.Nodes {
		if n.Ignored || n.Role == nil || !slices.Contains([]string{`"button"`, `"link"`, `"textbox"`, `"dialog"`, `"navigation"`, `"log"`}, string(n.Role.Value)) {
			continue
		}
		controls++
		if name := n.Name; name == nil || len(name.Value) <= len(`""`) {
			p.t.Errorf("%s: a %s has no name", what, n.Role.Value)
		}
	}
	if controls < 6 {
		p.t.Errorf("%s: %d controls are there for those who do not see", what, controls)
	}
	for _, theme := range []string{"light", "dark"} {
		p.window(900, 620, theme)
		for _, text := range value[[]string](p, tooFaint) {
			p.t.Errorf("%s, in the %s theme: too faint: %s", what, theme, text)
		}
	}
}

// keysAlone: with the key Tab one comes to each control.
func keysAlone(t *testing.T, p *person) {
	var passed []string
	for range 12 {
		p.types("\t")
		passed = append(passed, value[string](p, `document.activeElement.id || document.activeElement.textContent`))
	}
	for _, want := range []string{"#general", "#help", "×", "join", "change name", "log", "text", "send"} {
		if !slices.Contains(passed, want) {
			t.Errorf("the key Tab does not come to %s: %q", want, passed)
		}
	}
	p.do(chromedp.Focus(chromedp.CSS("#text")))
}
