//go:build browser && unix

package cli

import (
	"bytes"
	"flag"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

var chatPicture = flag.Bool("chat.picture", false, "draw the chat into docs/examples/chat/chat.png")

// drawChat has three people talk in a room, and draws the pages of two of them beside each other.
func drawChat(t *testing.T, b *browser, c *chatRoom) {
	ada, grace, linus := b.person("Ada", c), b.person("Grace", c), b.person("Linus", c)
	people := []*person{ada, grace, linus}
	for _, p := range people {
		p.run(`location.hash = 'help'; location.hash = 'runway'; undefined`)
		p.waitFor(`document.getElementById('room').textContent === '#runway' && document.querySelector('#state.live') !== null`)
	}
	for _, said := range []struct {
		by   *person
		text string
	}{
		{ada, "The totals of Tuesday are off by one. Why?"},
		{linus, "A post came twice: its answer was lost."},
		{linus, "There is a key for that, https://example.org/keys"},
		{grace, "The page sends one now, so it is there once."},
		{ada, "Then Wednesday will be right. Thank you!"},
		{grace, "And it is in the same order for all of us."},
	} {
		said.by.say(said.text)
		for _, p := range people {
			p.sees(said.text)
		}
	}
	ada.types("See you in #help")
	var both []image.Image
	for i, p := range people[:2] {
		p.window(680, 524, []string{"light", "dark"}[i])
		p.waitFor(`log.scrollHeight - log.scrollTop - log.clientHeight < 2`)
		raw, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		one, err := png.Decode(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, one)
	}
	const gap = 16
	w, h := both[0].Bounds().Dx(), both[0].Bounds().Dy()
	all := image.NewNRGBA(image.Rect(0, 0, 2*w+gap, h))
	draw.Draw(all, image.Rect(0, 0, w, h), both[0], image.Point{}, draw.Src)
	draw.Draw(all, image.Rect(w+gap, 0, 2*w+gap, h), both[1], image.Point{}, draw.Src)
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, all); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(repo, "docs", "examples", "chat", "chat.png"), out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
