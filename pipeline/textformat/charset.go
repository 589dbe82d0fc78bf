package textformat

import (
	"io"
	"mime"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/transform"
)

// Charsets are the names of character sets to choose from. Each has others that FindCharset knows
// too, those that web pages may use: latin1 is windows-1252 there, as iso-8859-1 is.
var Charsets = []string{
	"utf-8", "utf-16le", "utf-16be", "us-ascii", "iso-8859-1", "iso-8859-2", "iso-8859-3", "iso-8859-4", "iso-8859-5", "iso-8859-6", "iso-8859-7", "iso-8859-8", "iso-8859-9",
	"iso-8859-10", "iso-8859-13", "iso-8859-14", "iso-8859-15", "iso-8859-16", "windows-874", "windows-1250", "windows-1251", "windows-1252", "windows-1253", "windows-1254", "windows-1255",
	"windows-1256", "windows-1257", "windows-1258", "ibm866", "koi8-r", "koi8-u", "macintosh", "x-mac-cyrillic", "gbk", "gb18030", "big5", "euc-jp", "iso-2022-jp", "shift_jis", "euc-kr",
}

// A Charset is a character set other than UTF-8, in which JSON is.
type Charset struct{ of encoding.Encoding }

var errCharset = whole("it is the name of no character set")

// FindCharset finds a character set by its name, in upper or lower case.
func FindCharset(name string) (Charset, error) {
	of, err := htmlindex.Get(name)
	if err != nil || of == encoding.Replacement { // that of names for which browsers refuse the page
		return Charset{}, errCharset
	}
	return Charset{of}, nil
}

// AppendDecoded appends the UTF-8 text that bytes in the character set stand for, at most three
// bytes for each. What stands for nothing becomes U+FFFD.
func (c Charset) AppendDecoded(dst, text []byte) ([]byte, error) {
	out, n, err := transform.Append(c.of.NewDecoder(), dst, text)
	if err != nil {
		return dst, at(n, "it is not in that character set")
	}
	return out, nil
}

// AppendEncoded appends UTF-8 text as bytes in the character set.
func (c Charset) AppendEncoded(dst, text []byte) ([]byte, error) {
	out, n, err := transform.Append(c.of.NewEncoder(), dst, text)
	if err != nil {
		return dst, at(min(n, len(text)-1), "the character set has no such character")
	}
	return out, nil
}

var words = mime.WordDecoder{CharsetReader: func(name string, r io.Reader) (io.Reader, error) {
	c, err := FindCharset(name)
	if err != nil {
		return nil, err
	}
	return transform.NewReader(r, c.of.NewDecoder()), nil
}}

// AppendFromMIME appends the text of a header of a mail, with its encoded words (RFC 2047), like
// =?utf-8?q?caf=C3=A9?=, as what they stand for, and what is none as it is.
func AppendFromMIME(dst, text []byte) ([]byte, error) {
	out, err := words.DecodeHeader(string(text))
	if err != nil {
		return dst, whole("an encoded word is in a character set that is not known")
	}
	return append(dst, out...), nil
}
