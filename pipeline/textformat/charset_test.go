package textformat

import (
	"strings"
	"testing"

	"golang.org/x/text/encoding/htmlindex"
)

// TestCharsets: all that are offered are there, take ASCII as it is written in them and give it
// back, and the texts of their own.
func TestCharsets(t *testing.T) {
	own := map[string]string{
		"utf-8": "Zürich 東京 🙂", "utf-16le": "Zürich 東京 🙂", "utf-16be": "Zürich 東京 🙂", "iso-8859-1": "Zürich €", "iso-8859-2": "Łódź", "iso-8859-5": "Москва", "iso-8859-6": "القاهرة",
		"iso-8859-7": "Αθήνα", "iso-8859-8": "תל אביב", "iso-8859-15": "10 €", "windows-874": "กรุงเทพ", "windows-1251": "Київ", "windows-1252": "Zürich €", "ibm866": "Москва", "koi8-r": "Москва",
		"koi8-u": "Київ", "macintosh": "Zürich", "gbk": "北京", "gb18030": "北京 🙂", "big5": "臺北", "euc-jp": "東京", "iso-2022-jp": "東京", "shift_jis": "東京ﾃｽﾄ", "euc-kr": "안녕하세요",
	}
	for _, name := range Charsets {
		c, err := FindCharset(strings.ToUpper(name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text := "a b, 1-2: x" + own[name]
		packed, err := c.AppendEncoded([]byte("before"), []byte(text))
		if err != nil || !strings.HasPrefix(string(packed), "before") {
			t.Errorf("%s: %q, %v", name, packed, err)
			continue
		}
		if out, err := c.AppendDecoded([]byte("before"), packed[len("before"):]); err != nil || string(out) != "before"+text {
			t.Errorf("%s: %q came back as %q, %v", name, text, out, err)
		}
		delete(own, name)
	}
	if len(own) > 0 {
		t.Errorf("not among those that are offered: %v", own)
	}
	for _, name := range []string{"", "none", "iso-2022-kr", "replacement", "utf-7"} {
		if _, err := FindCharset(name); err == nil {
			t.Errorf("%q is a character set", name)
		}
	}
	if name, err := htmlindex.Name(must(FindCharset(" Latin1 ")).of); err != nil || name != "windows-1252" {
		t.Errorf("latin1 is %s, %v", name, err)
	}
}

func must(c Charset, err error) Charset {
	if err != nil {
		panic(err)
	}
	return c
}

func TestCharsetOutcomes(t *testing.T) {
	for _, c := range []struct{ set, text, want string }{
		{"euc-kr", "\xbe\xc8\xb3\xe7\xc7\xcf\xbc\xbc\xbf\xe4", "안녕하세요"}, {"iso-8859-15", "10 \xa4", "10 €"}, {"utf-16be", "\x00Z\x00\xfc", "Zü"}, {"shift_jis", "\x93\x8c\x8b\x9e", "東京"},
		{"us-ascii", "caf\xe9", "café"}, {"euc-kr", "a\xff", "a\ufffd"}, {"utf-16le", "a\x00b", "a\ufffd"}, {"utf-8", "a\xff", "a\ufffd"}, {"iso-8859-1", "", ""},
	} {
		if got := outcome(must(FindCharset(c.set)).AppendDecoded([]byte("before"), []byte(c.text))); got != c.want {
			t.Errorf("%q in %s: %s, want %s", c.text, c.set, got, c.want)
		}
	}
	for _, c := range []struct{ set, text, want string }{
		{"iso-8859-1", "Zürich", "Z\xfcrich"}, {"iso-8859-1", "Łódź", "!column 1: the character set has no such character"}, {"iso-8859-2", "Łódź 東", "!column 9: the character set has no such character"},
		{"euc-kr", "a🙂", "!column 2: the character set has no such character"}, {"utf-8", "a🙂", "a🙂"}, {"shift_jis", "", ""},
	} {
		if got := outcome(must(FindCharset(c.set)).AppendEncoded([]byte("before"), []byte(c.text))); got != c.want {
			t.Errorf("%q to %s: %q, want %q", c.text, c.set, got, c.want)
		}
	}
}

func TestMIME(t *testing.T) {
	for text, want := range map[string]string{
		"=?utf-8?q?Hello=2C_World=21?=": "Hello, World!", "plain <a@b.example>": "plain <a@b.example>", "=?ISO-8859-1?Q?Z=FCrich?= <=?utf-8?b?YWRh?=@example.org>": "Zürich <ada@example.org>",
		"=?utf-8?q?a?= =?utf-8?q?b?=": "ab", "=?koi8-r?B?7c/Tyw==?=": "Моск", "=?euc-kr?b?vsiz5w==?= x": "안녕 x", "=?utf-8?q?open": "=?utf-8?q?open", "=?utf-8?x?a?=": "=?utf-8?x?a?=", "=?utf-8?q?a=F?=": "=?utf-8?q?a=F?=",
		"=?x-none?q?a?=": "!an encoded word is in a character set that is not known", "": "", "=?us-ascii?q?=FF?=": "\ufffd",
	} {
		if got := outcome(AppendFromMIME([]byte("before"), []byte(text))); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
