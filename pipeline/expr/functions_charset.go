package expr

import (
	"github.com/penstockio/penstock/pipeline/textformat"
)

// charsetFunctions are about text that is not UTF-8.
var charsetFunctions = map[string]function{
	"decodeText": {params: []mask{mString}, least: 2, most: 2, kinds: mString, bind: onCharset(textformat.Charset.AppendDecoded), manual: manual{
		usage: `decodeText(bytes, charset)`,
		says: `the text of which the argument holds the bytes in a constant character set, like "iso-8859-1", "windows-1252", "utf-16le", "shift_jis", "gbk" or "euc-kr": one that web pages may be in, ` +
			`where iso-8859-1 is windows-1252; bytes that stand for nothing there become U+FFFD`,
		fails: "there is no such character set",
		examples: []Example{
			{`decodeText(fromHex("5afc72696368"), "iso-8859-1")`, `"Zürich"`}, {`decodeText(fromBase64("vsiz58fPvLy/5A=="), "euc-kr")`, `"안녕하세요"`}, {`decodeText(order.id, "euc-rk")`, `error: an unknown character set`},
		},
	}},
	"encodeText": {params: []mask{mString}, least: 2, most: 2, kinds: mString, bind: onCharset(textformat.Charset.AppendEncoded), manual: manual{
		usage: `encodeText(text, charset)`, says: "the bytes of a text in a character set of decodeText",
		fails: "there is no such character set, or it does not have one of the characters",
		examples: []Example{
			{`toHex(encodeText("Zürich", "iso-8859-1"))`, `"5afc72696368"`}, {`encodeText("a東", "iso-8859-1")`, `error: column 2: the character set has no such character`},
		},
	}},
	"mimeDecode": {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: mimeDecode, manual: manual{
		usage: "mimeDecode(text)", says: "a header of a mail with its encoded words (RFC 2047) as the text that they stand for; what is none stays as it is",
		fails:    "a word is in a character set that is not known",
		examples: []Example{{`mimeDecode("=?iso-8859-1?q?Z=FCrich?= <=?utf-8?b?YWRh?=@example.org>")`, `"Zürich <ada@example.org>"`}, {`mimeDecode("=?x-none?q?a?=")`, `error: an encoded word is in a character set that is not known`}},
	}},
}

// onCharset makes a function whose second argument names a character set.
func onCharset(f func(c textformat.Charset, dst, text []byte) ([]byte, error)) binder {
	return func(c *compiler, name string, parts []code) caller {
		k := parts[1].constant
		if k == nil || k.kind != kString {
			c.fail(parts[1].at, "the character set of "+name+" must be constant", `write it in quotes: "windows-1252"`)
		}
		set, err := textformat.FindCharset(string(k.text))
		if err != nil {
			instead := `use a name like "iso-8859-1", "windows-1252", "utf-16le", "shift_jis", "gbk" or "euc-kr"`
			if near := Nearest(string(k.text), textformat.Charsets); near != "" {
				instead = `did you mean "` + near + `"?`
			}
			c.fail(parts[1].at, "an unknown character set", instead)
		}
		return transcoding(func(dst, text []byte) ([]byte, error) { return f(set, dst, text) })
	}
}

// transcoding makes a function of a text that gives another of about its length.
func transcoding(f func(dst, text []byte) ([]byte, error)) caller {
	return func(m *machine, args []value) (value, error) {
		text, err := m.text(args[0])
		if err != nil {
			return vNil, err
		}
		if err := m.step(len(text) / 8); err != nil {
			return vNil, err
		}
		out, err := f(nil, text)
		if err != nil {
			return vNil, fault(err.Error())
		}
		return vText(out), m.grow(len(out))
	}
}

func mimeDecode(m *machine, args []value) (value, error) {
	return transcoding(textformat.AppendFromMIME)(m, args)
}
