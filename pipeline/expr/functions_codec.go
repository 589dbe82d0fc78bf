package expr

import (
	"encoding/base64"
	"html"
	"strings"

	"github.com/penstockio/penstock/pipeline/textformat"
)

var codecFunctions = map[string]function{
	"toHex": {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: toHex, manual: manual{
		usage: "toHex(text)", says: "the bytes of a text as hexadecimal digits",
		examples: []Example{{`toHex("Zü")`, `"5ac3bc"`}},
	}},
	"fromHex": {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: fromHex, manual: manual{
		usage: "fromHex(text)", says: "the bytes that hexadecimal digits, small or capital, stand for; a line end behind them does not count", fails: "the text has another character or an odd number of them",
		examples: []Example{{`fromHex("5AC3bc")`, `"Zü"`}, {`fromHex("abc")`, `error: column 3: the last byte has one digit`}},
	}},
	"toBase64": {params: []mask{mString}, least: 1, most: 2, kinds: mString, bind: withBase64(toBase64), manual: manual{
		usage: "toBase64(text, form?)", says: `the bytes of a text in base64, whose form is "standard", "url" with - and _ in place of + and /, or "raw" and "rawurl" without = at the end`,
		fails: "form is none of these constants",
		examples: []Example{
			{`toBase64("<<???>>")`, `"PDw/Pz8+Pg=="`}, {`toBase64("<<???>>", "rawurl")`, `"PDw_Pz8-Pg"`},
		},
	}},
	"fromBase64": {params: []mask{mString}, least: 1, most: 2, kinds: mString, bind: withBase64(fromBase64), manual: manual{
		usage: "fromBase64(text, form?)", says: "the bytes that a text in base64 stands for, in a form of toBase64",
		fails: "the text is not base64 of that form, or form is none of the constants",
		examples: []Example{
			{`fromBase64("YWJj")`, `"abc"`}, {`fromJSON(fromBase64(split("eyJhIjoxfQ.eyJzdWIiOiI3In0.x", ".")[1], "rawurl")).sub`, `"7"`}, {`fromBase64("YW")`, `error: not base64`},
		},
	}},
	"urlEncode": {params: []mask{mString}, least: 1, most: 2, kinds: mString, bind: bindURLEncode, manual: manual{
		usage: "urlEncode(text, form?)", says: `a text as it may stand anywhere in a URL: all but letters, digits and -._~ as % and two digits, and a space as + with the form "form"`,
		fails: "form is another",
		examples: []Example{
			{`urlEncode("a b/ü")`, `"a%20b%2F%C3%BC"`}, {`urlEncode("a b+c", "form")`, `"a+b%2Bc"`},
		},
	}},
	"urlDecode": {params: []mask{mString}, least: 1, most: 2, kinds: mString, bind: bindURLDecode, manual: manual{
		usage: "urlDecode(text, form?)", says: `the reverse of urlEncode: with the form "form" a + is a space`, fails: "a % has no two hexadecimal digits behind it, or form is another",
		examples: []Example{
			{`urlDecode("a%20b+c")`, `"a b+c"`}, {`urlDecode("a%20b+c", "form")`, `"a b c"`}, {`urlDecode("100%")`, `error: column 4: behind % stand no two hexadecimal digits`},
		},
	}},
	"htmlEscape": {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: htmlEscape, manual: manual{
		usage: "htmlEscape(text)", says: `a text with <, >, &, " and ' as HTML writes them`,
		examples: []Example{{`htmlEscape("<b>'1' & 2</b>")`, `"&lt;b&gt;&#39;1&#39; &amp; 2&lt;/b&gt;"`}},
	}},
	"htmlUnescape": {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: htmlUnescape, manual: manual{
		usage: "htmlUnescape(text)", says: "a text with the entities of HTML replaced by the characters that they stand for",
		examples: []Example{{`htmlUnescape("1 &lt; 2 &amp;&amp; &eacute;t&#233;")`, `"1 < 2 && été"`}},
	}},
}

func toHex(m *machine, args []value) (value, error) {
	text, err := m.text(args[0])
	if err != nil {
		return vNil, err
	}
	return m.hex(text)
}

func fromHex(m *machine, args []value) (value, error) {
	text, err := m.text(args[0])
	if err != nil {
		return vNil, err
	}
	if err := m.grow(len(text)); err != nil {
		return vNil, err
	}
	out, err := textformat.AppendFromHex(nil, text)
	if err != nil {
		return vNil, fault(err.Error())
	}
	return vText(out), nil
}

// withBase64 makes a function whose second argument is a form of base64.
func withBase64(f func(m *machine, form *base64.Encoding, text []byte) (value, error)) binder {
	return func(c *compiler, name string, parts []code) caller {
		form := textformat.Base64(c.option(name, parts, 1, "standard", "standard", "url", "raw", "rawurl"))
		return func(m *machine, args []value) (value, error) {
			text, err := m.text(args[0])
			if err != nil {
				return vNil, err
			}
			return f(m, form, text)
		}
	}
}

func toBase64(m *machine, form *base64.Encoding, text []byte) (value, error) {
	if err := m.grow(form.EncodedLen(len(text))); err != nil {
		return vNil, err
	}
	return vText(form.AppendEncode(nil, text)), nil
}

func fromBase64(m *machine, form *base64.Encoding, text []byte) (value, error) {
	if err := m.grow(len(text)); err != nil {
		return vNil, err
	}
	out, err := form.AppendDecode(nil, text)
	if err != nil {
		return vNil, fault("the text is not base64 of that form")
	}
	return vText(out), nil
}

func bindURLEncode(c *compiler, name string, parts []code) caller {
	form := c.option(name, parts, 1, "", "form") == "form"
	return func(m *machine, args []value) (value, error) {
		text, err := m.text(args[0])
		if err != nil {
			return vNil, err
		}
		size := len(text)
		for _, c := range text {
			if !unreserved(c) && !(form && c == ' ') {
				size += 2
			}
		}
		if err := m.grow(size); err != nil {
			return vNil, err
		}
		out := make([]byte, 0, size)
		for _, c := range text {
			switch {
			case unreserved(c):
				out = append(out, c)
			case form && c == ' ':
				out = append(out, '+')
			default:
				out = percent(out, c)
			}
		}
		return vText(out), nil
	}
}

func bindURLDecode(c *compiler, name string, parts []code) caller {
	form := c.option(name, parts, 1, "", "form") == "form"
	return func(m *machine, args []value) (value, error) {
		text, err := m.text(args[0])
		if err != nil {
			return vNil, err
		}
		if err := m.grow(len(text)); err != nil {
			return vNil, err
		}
		out, err := textformat.AppendURLDecoded(make([]byte, 0, len(text)), text, form)
		if err != nil {
			return vNil, fault(err.Error())
		}
		return vText(out), nil
	}
}

var htmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

func htmlEscape(m *machine, args []value) (value, error) {
	text, err := m.text(args[0])
	if err != nil {
		return vNil, err
	}
	size := len(text)
	for _, c := range text {
		switch c {
		case '&', '"', '\'':
			size += 4
		case '<', '>':
			size += 3
		}
	}
	if err := m.grow(size); err != nil {
		return vNil, err
	}
	return vString(htmlEscapes.Replace(string(text))), nil
}

// htmlUnescape counts the result too, which may be longer: &nGt; becomes six bytes.
func htmlUnescape(m *machine, args []value) (value, error) {
	text, err := m.text(args[0])
	if err != nil {
		return vNil, err
	}
	if err := m.grow(len(text)); err != nil {
		return vNil, err
	}
	out := html.UnescapeString(string(text))
	return vString(out), m.grow(len(out))
}
