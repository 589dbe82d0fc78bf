package top

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"
)

// A style says what a cell means. How that looks is said once for a terminal and once for a picture.
type style uint8

const (
	plain style = iota
	faint
	strong
	good
	fair // worth a look
	bad
	accent
)

// codes are what a terminal takes for a style: with colour, and without. Its own 16 colours are used: they
// fit whatever its background is.
var codes = map[style][2]string{
	faint:  {"\x1b[2m", "\x1b[2m"},
	strong: {"\x1b[1m", "\x1b[1m"},
	good:   {"\x1b[32m", ""},
	fair:   {"\x1b[33m", "\x1b[1m"},
	bad:    {"\x1b[1;31m", "\x1b[1m"},
	accent: {"\x1b[36m", ""},
}

// A cell is a place of the screen. One that a wide character before it covers is empty.
type cell struct {
	text  string
	style style
}

// A Screen is what a terminal shows: places with a text and a style each. What is put on it is harmless.
type Screen struct {
	Width, Height int
	cells         []cell
}

func newScreen(width, height int) *Screen {
	s := &Screen{Width: max(width, 1), Height: max(height, 1)}
	s.cells = make([]cell, s.Width*s.Height)
	for i := range s.cells {
		s.cells[i].text = " "
	}
	return s
}

// put writes a text from x on, as far as end, and gives where the next one goes.
func (s *Screen) put(x, y, end int, st style, text string) int {
	if y < 0 || y >= s.Height || x < 0 {
		return x
	}
	end = min(end, s.Width)
	for part, width := range clusters(text) {
		if x+width > end {
			break
		}
		s.cells[y*s.Width+x] = cell{part, st}
		for i := 1; i < width; i++ {
			s.cells[y*s.Width+x+i] = cell{"", st}
		}
		x += width
	}
	return x
}

// longestCluster is how many bytes what takes one place may have: more is no character of a language.
const longestCluster = 32

// clusters goes through what of a text takes a place of its own each, and how many columns that is. What cannot be printed
// comes as an escape.
func clusters(text string) func(yield func(string, int) bool) {
	return func(yield func(string, int) bool) {
		for g := displaywidth.StringGraphemes(text); g.Next(); {
			part, width := g.Value(), g.Width()
			if len(part) == 1 && part[0] >= ' ' && part[0] < 0x7f {
				if !yield(part, 1) {
					return
				}
				continue
			}
			if width > 0 && len(part) <= longestCluster && printable(part) {
				if !yield(strings.Map(noSelector, part), width) {
					return
				}
				continue
			}
			if !yieldRunes(part, yield) {
				return
			}
		}
	}
}

// yieldRunes goes through what cannot be printed as a whole: each character that can be stands for itself, in place of others comes an escape.
// Accents that have no room with their letter are left out.
func yieldRunes(part string, yield func(string, int) bool) bool {
	for i, r := range part {
		one := part[i : i+utf8.RuneLen(r)]
		if r == utf8.RuneError && !strings.HasPrefix(part[i:], string(utf8.RuneError)) {
			one = part[i : i+1]
		}
		if printable(one) {
			if width := displaywidth.String(one); width > 0 && !yield(one, width) {
				return false
			}
			continue
		}
		quoted := strconv.QuoteToASCII(one)
		for _, c := range quoted[1 : len(quoted)-1] {
			if !yield(string(c), 1) {
				return false
			}
		}
	}
	return true
}

// noSelector drops what asks for another form of a character: terminals differ in how wide it is then.
func noSelector(r rune) rune {
	if r >= 0xfe00 && r <= 0xfe0f {
		return -1
	}
	return r
}

func printable(s string) bool {
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)) || !strconv.IsPrint(r) {
			return false
		}
	}
	return true
}

// widthOf is how many columns a text takes.
func widthOf(text string) int {
	if isASCII(text) {
		return len(text)
	}
	n := 0
	for _, w := range clusters(text) {
		n += w
	}
	return n
}

// cut makes a text at most width columns wide. What was longer ends with an ellipsis.
func cut(text string, width int) string {
	if width <= 0 {
		return ""
	}
	if len(text) <= width && isASCII(text) {
		return text
	}
	var short strings.Builder // with room for the ellipsis
	used := 0
	for part, w := range clusters(text) {
		if used += w; used > width {
			return short.String() + "…"
		}
		if used < width {
			short.WriteString(part)
		}
	}
	return text
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// plainGlyphs are what stands for the signs of the screen where a terminal has ASCII alone.
var plainGlyphs = strings.NewReplacer(
	"─", "-", "█", "#", "▌", "=", "░", ".", "●", "*", "○", "o", "▸", ">", "…", "~", "›", ">", "µ", "u", "·", "|", "↑", "^", "↓", "v",
	"▁", "_", "▂", ".", "▃", ":", "▄", "-", "▅", "=", "▆", "+", "▇", "*",
)

// Text gives the screen without styles, one line each, without spaces at their ends.
func (s *Screen) Text() string {
	var b strings.Builder
	for y := range s.Height {
		line := ""
		for x := range s.Width {
			line += s.cells[y*s.Width+x].text
		}
		b.WriteString(strings.TrimRight(line, " "))
		b.WriteByte('\n')
	}
	return b.String()
}

// Terminal gives the screen as a terminal takes it. Without color what a colour says is said by bold letters alone. With ascii it has
// no character beyond ASCII.
func (s *Screen) Terminal(color, ascii bool) string {
	which := 1
	if color {
		which = 0
	}
	var b strings.Builder
	for y := range s.Height {
		if y > 0 {
			b.WriteByte('\n')
		}
		now := plain
		for x := range s.Width {
			c := &s.cells[y*s.Width+x]
			if c.style != now && codes[c.style][which] != codes[now][which] {
				if codes[now][which] != "" {
					b.WriteString("\x1b[0m")
				}
				b.WriteString(codes[c.style][which])
			}
			now = c.style
			text := c.text
			if ascii && !isASCII(text) && text != "" {
				if text = plainGlyphs.Replace(text); !isASCII(text) {
					text = strings.Repeat("?", max(displaywidth.String(text), 1))
				}
			}
			b.WriteString(text)
		}
		if codes[now][which] != "" {
			b.WriteString("\x1b[0m")
		}
	}
	return b.String()
}
