package expr

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/expr-lang/expr/ast"
)

var hashFunctions = map[string]function{
	"md5":    {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: digest(func(b []byte) []byte { s := md5.Sum(b); return s[:] }), manual: hashManual("md5", "MD5", "not safe against an attacker", "900150983cd24fb0d6963f7d28e17f72")},
	"sha1":   {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: digest(func(b []byte) []byte { s := sha1.Sum(b); return s[:] }), manual: hashManual("sha1", "SHA-1", "not safe against an attacker", "a9993e364706816aba3e25717850c26c9cd0d89d")},
	"sha256": {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: digest(func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }), manual: hashManual("sha256", "SHA-256", "", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")},
	"sha384": {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: digest(func(b []byte) []byte { s := sha512.Sum384(b); return s[:] }), manual: hashManual("sha384", "SHA-384", "", "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7")},
	"sha512": {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: digest(func(b []byte) []byte { s := sha512.Sum512(b); return s[:] }), manual: hashManual("sha512", "SHA-512", "", "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f")},
	"xxhash": {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: digest(func(b []byte) []byte { return binary.BigEndian.AppendUint64(nil, xxhash.Sum64(b)) }), manual: manual{
		usage: "xxhash(text)",
		says:  "the 64-bit xxHash of a text, as 16 hexadecimal digits; fast, and not safe against an attacker",
		examples: []Example{
			{`xxhash("abc")`, `"44bc2cf5ad770999"`},
			{`parseInt(xxhash("user-17")[0:8], 16) % 16`, `1`},
		},
	}},
	"crc32": {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: digest(func(b []byte) []byte { return binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)) }), manual: manual{
		usage:    "crc32(text)",
		says:     "the CRC-32 (IEEE) of a text, as 8 hexadecimal digits",
		examples: []Example{{`crc32("abc")`, `"352441c2"`}},
	}},
	"hmac": {params: []mask{mString}, least: 2, most: 3, kinds: mString, bind: bindHMAC, manual: manual{
		usage: "hmac(text, key, hash?)",
		says:  "the HMAC of a text with a key, as hexadecimal digits, by sha256 or the constant md5, sha1, sha384 or sha512; in a pipeline file the key is a variable: hmac(mail, \"${file:/run/secrets/key}\")",
		fails: "hash is none of these",
		examples: []Example{
			{`hmac("what do ya want for nothing?", "Jefe")`, `"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"`},
			{`toBase64(fromHex(hmac("what do ya want for nothing?", "Jefe", "sha1")))`, `"7/zfauXrL6LSdBbV8YTfnCWafHk="`},
		},
	}},
}

func hashManual(name, called, note, ofABC string) manual {
	says := "the " + called + " hash of the bytes of a text, as hexadecimal digits"
	if note != "" {
		says += "; " + note
	}
	return manual{usage: name + "(text)", says: says, examples: []Example{{name + `("abc")`, `"` + ofABC + `"`}}}
}

// digest makes a function that gives a hash of a text's bytes in hexadecimal digits.
func digest(sum func([]byte) []byte) caller {
	return func(m *machine, args []value) (value, error) {
		text, err := m.text(args[0])
		if err != nil {
			return vNil, err
		}
		if err := m.step(len(text) / 16); err != nil {
			return vNil, err
		}
		return m.hex(sum(text))
	}
}

// hex gives bytes as hexadecimal digits.
func (m *machine) hex(b []byte) (value, error) {
	if err := m.grow(2 * len(b)); err != nil {
		return vNil, err
	}
	return value{kind: kString, form: clean, text: hex.AppendEncode(nil, b)}, nil
}

var hmacHashes = map[string]func() hash.Hash{
	"md5": md5.New, "sha1": sha1.New, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
}

func bindHMAC(c *compiler, name string, parts []code) caller {
	c.noteKeys(parts[1].at)
	algorithm := c.option(name, parts, 2, "sha256", "sha256", "md5", "sha1", "sha384", "sha512")
	return func(m *machine, args []value) (value, error) {
		text, key, err := texts(m, args[0], args[1])
		if err != nil {
			return vNil, err
		}
		if err := m.step((len(text)+len(key))/16 + 8); err != nil {
			return vNil, err
		}
		h := hmac.New(hmacHashes[algorithm], key)
		h.Write(text)
		return m.hex(h.Sum(nil))
	}
}

// noteKeys notes the strings in the key of an hmac, and in what let names, which may be one: no
// message quotes them.
func (c *compiler) noteKeys(key ast.Node) {
	found := &literals{names: map[ast.Node]bool{}}
	for _, n := range append(slices.Clone(c.letValues), key) {
		ast.Walk(&n, found)
	}
	for _, n := range found.strings {
		from := column(c.text, n.Location().From) - 1
		if found.names[n] || n.Value == "" || from >= len(c.text) || !strings.ContainsRune("\"'`", rune(c.text[from])) {
			continue
		}
		if end := quoted(c.text, from); end > from {
			c.keys, c.keyTexts = append(c.keys, n.Value), append(c.keyTexts, c.text[from:end])
		}
	}
}

// literals are the strings below a node, and those of them that are names of fields.
type literals struct {
	strings []*ast.StringNode
	names   map[ast.Node]bool
}

// Visit is called for each node, after those below it.
func (l *literals) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.StringNode:
		l.strings = append(l.strings, n)
	case *ast.MemberNode:
		l.names[n.Property] = true
	}
}
