package config

import "strings"

// An insertion puts variables into the text of an expression or a template. What stands within the
// quotes of a string there is a part of the string, whatever characters it has: it is escaped. What
// stands outside of them is a piece of the expression.
type insertion struct {
	out      strings.Builder
	template bool
	alone    bool     // the text is one variable and nothing else
	hidden   []string // secrets as they stand in out, where that is not their own text

	part   bool // within an expression: always, but in a template
	depth  int  // of its braces
	quote  byte // of the string that is open; / or * for a comment; 0: none
	escape bool // a backslash stands before
	last   byte // of the expression
}

// expressionText gives the text of n for an expression, with variables put in, and secrets as they
// stand in it.
func (n *node) expressionText(template bool) (text string, hidden []string) {
	if len(n.pieces) == 0 {
		return n.text, nil
	}
	if v := n.given(); v != nil { // whose variables are put in where they were written
		return v.expressionText(template)
	}
	p := &insertion{template: template, part: !template, alone: len(n.pieces) == 1 && n.pieces[0].name == n.raw}
	pieces := n.pieces
	for i := 0; i < len(n.raw); {
		switch rest := n.raw[i:]; {
		case strings.HasPrefix(rest, "$${"):
			p.code("${")
			i += 3
		case len(pieces) > 0 && strings.HasPrefix(rest, pieces[0].name):
			p.put(pieces[0])
			i += len(pieces[0].name)
			pieces = pieces[1:]
		default:
			p.code(rest[:1])
			i++
		}
	}
	text = p.out.String()
	if n.style == literalStyle || n.style == foldedStyle {
		text = strings.TrimSuffix(text, "\n")
	}
	return text, p.hidden
}

// put adds what a variable gave.
func (p *insertion) put(v piece) {
	text := v.text
	if !p.part && p.last == '{' {
		p.begin()
	}
	if v.given != nil && p.part && p.quote == 0 {
		var hidden []string
		text, hidden = v.given.expressionText(false)
		p.hidden = append(p.hidden, hidden...)
	}
	switch {
	case !p.part && (v.secret || !p.alone):
		text = braces.Replace(text)
		p.out.WriteString(text)
		p.last = 0
	case p.quote == 0:
		p.code(text)
	case p.quote == '/' || p.quote == '*':
		return
	default:
		if p.escape { // else it would go with the first character of the text
			p.out.WriteByte('\\')
			p.escape = false
		}
		text = escapeIn(p.quote, text)
		p.out.WriteString(text)
	}
	if v.secret && text != v.text {
		p.hidden = append(p.hidden, text)
	}
}

// escapeIn writes text as it stands between quotes.
func escapeIn(quote byte, text string) string {
	if quote == '`' {
		return strings.ReplaceAll(text, "`", "``")
	}
	return strings.NewReplacer(`\`, `\\`, string(quote), `\`+string(quote), "\n", `\n`, "\r", `\r`).Replace(text)
}

// code adds text as it stands, and follows what it opens and closes.
func (p *insertion) code(text string) {
	p.out.WriteString(text)
	for i := range len(text) {
		p.follow(text[i])
	}
}

func (p *insertion) follow(c byte) {
	last := p.last
	p.last = c
	switch {
	case !p.part && c == '{' && last == '{': // two stand for the character
		p.last = 0
	case !p.part && last == '{':
		p.begin()
		p.follow(c)
	case !p.part:
	case p.quote == '/' && c == '\n', p.quote == '*' && last == '*' && c == '/':
		p.quote, p.last = 0, 0
	case p.quote == '/' || p.quote == '*':
	case p.escape:
		p.escape = false
	case p.quote != 0 && p.quote != '`' && c == '\\':
		p.escape = true
	case p.quote != 0 && c == p.quote:
		p.quote = 0
	case p.quote != 0:
	case c == '"' || c == '\'' || c == '`':
		p.quote = c
	case !p.template && last == '/' && (c == '/' || c == '*'):
		p.quote, p.last = c, 0
	case p.template && c == '{':
		p.depth++
	case p.template && c == '}' && p.depth > 0:
		p.depth--
	case p.template && c == '}':
		p.part, p.last = false, 0
	}
}

// begin enters a part of a template.
func (p *insertion) begin() { p.part, p.depth, p.last = true, 0, 0 }
