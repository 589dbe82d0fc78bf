package expr

import (
	"errors"

	"github.com/penstockio/penstock/pipeline/textformat"
)

// compressionFunctions are codes that make a text shorter.
var compressionFunctions = map[string]function{
	"fromGzip": {params: []mask{mString}, least: 1, most: 1, kinds: mString, bind: decompressing((*textformat.Compression).AppendFromGzip), manual: manual{
		usage: "fromGzip(bytes)", says: "what is compressed with gzip, at most 1 MiB", fails: "the bytes are no gzip, or hold more", examples: []Example{
			{`fromGzip(fromBase64("H4sIAAAAAAACA0ssSgQAvzLokQMAAAA="))`, `"ara"`}, {`fromGzip("x")`, `error: column 1: it does not begin as gzip does`},
		}}},
	"toGzip": {params: []mask{mString}, least: 1, most: 1, kinds: mString, bind: compressing((*textformat.Compression).AppendGzip), manual: manual{
		usage: "toGzip(text)", says: "the bytes of the text, compressed with gzip", examples: []Example{{`fromGzip(toGzip("any text"))`, `"any text"`}}}},
	"fromZstd": {params: []mask{mString}, least: 1, most: 1, kinds: mString, bind: decompressing((*textformat.Compression).AppendFromZstd), manual: manual{
		usage: "fromZstd(bytes)", says: "what is compressed with zstd, at most 1 MiB", fails: "the bytes are no zstd, or hold more", examples: []Example{
			{`fromZstd(fromBase64("KLUv/QQAGQAAYXJhaLJ3fA=="))`, `"ara"`}, {`fromZstd("x")`, `error: column 1: it does not begin as zstd does`},
		}}},
	"toZstd": {params: []mask{mString}, least: 1, most: 1, kinds: mString, bind: compressing((*textformat.Compression).AppendZstd), manual: manual{
		usage: "toZstd(text)", says: "the bytes of the text, compressed with zstd", examples: []Example{{`fromZstd(toZstd("any text"))`, `"any text"`}}}},
	"fromLZ4": {params: []mask{mString}, least: 1, most: 2, kinds: mString, bind: bindFromLZ4, manual: manual{
		usage: "fromLZ4(bytes, form?)", says: `what is compressed with LZ4, at most 1 MiB; form is "frame", or "block" for one that stands in no frame`, fails: "the bytes are no LZ4 of that form, or hold more", examples: []Example{
			{`fromLZ4(fromBase64("BCJNGGRApwMAAIBhcmEAAAAAWz4puA=="))`, `"ara"`}, {`fromLZ4(fromHex("146101001062"), "block")`, `"aaaaaaaaab"`}, {`fromLZ4("x")`, `error: column 1: it does not begin as lz4 does`},
		}}},
	"toLZ4": {params: []mask{mString}, least: 1, most: 2, kinds: mString, bind: bindToLZ4, manual: manual{
		usage: "toLZ4(text, form?)", says: `the bytes of the text, compressed with LZ4, in a form of fromLZ4 ("frame")`, fails: "form is another", examples: []Example{
			{`fromLZ4(toLZ4("any text"))`, `"any text"`}, {`toHex(toLZ4("any text", "block"))`, `"80616e792074657874"`}, {`toLZ4("x", "none")`, `error: toLZ4 does not know this`},
		}}},
}

// A decompression appends what is compressed, at most that many bytes.
type decompression = func(c *textformat.Compression, dst, text []byte, most int) ([]byte, error)

type compression = func(c *textformat.Compression, dst, data []byte) ([]byte, error)

// decompressing makes a function that undoes a compression. Each place where it is called has its
// own Compression, which may hold channels: with them it must not move between the bubbles of
// testing/synctest.
func decompressing(f decompression) binder {
	return func(*compiler, string, []code) caller {
		own := new(textformat.Compression)
		return func(m *machine, args []value) (value, error) {
			text, err := m.text(args[0])
			if err != nil {
				return vNil, err
			}
			if err := m.step(len(text) / 8); err != nil {
				return vNil, err
			}
			out, err := f(own, nil, text, maxResult)
			if err != nil {
				return vNil, m.failedWork(err)
			}
			if err := m.grow(len(out)); err != nil {
				return vNil, err
			}
			return vText(out), m.step(len(out) / 8)
		}
	}
}

// failedWork gives err, with which reading what is compressed has failed, as a fault. Unless that was
// at its first byte, as much may have been made of it as is allowed, and counts: try goes on behind it.
func (m *machine) failedWork(err error) error {
	if textformat.IsTooLarge(err) {
		return m.limit(err.Error())
	}
	var at *textformat.Error
	if !errors.As(err, &at) || at.Column != 1 {
		if err := m.step(maxResult / 8); err != nil {
			return err
		}
	}
	return fault(err.Error())
}

// compressing makes a function that compresses.
func compressing(f compression) binder {
	return func(*compiler, string, []code) caller {
		own := new(textformat.Compression)
		return func(m *machine, args []value) (value, error) {
			text, err := m.text(args[0])
			if err != nil {
				return vNil, err
			}
			if err := m.step(len(text) / 4); err != nil {
				return vNil, err
			}
			out, err := f(own, nil, text)
			if err != nil {
				return vNil, fault(err.Error())
			}
			return vText(out), m.grow(len(out))
		}
	}
}

func bindFromLZ4(c *compiler, name string, parts []code) caller {
	f := (*textformat.Compression).AppendFromLZ4
	if c.option(name, parts, 1, "frame", "frame", "block") == "block" {
		f = func(_ *textformat.Compression, dst, text []byte, most int) ([]byte, error) {
			return textformat.AppendFromLZ4Block(dst, text, most)
		}
	}
	return decompressing(f)(c, name, parts)
}

func bindToLZ4(c *compiler, name string, parts []code) caller {
	f := (*textformat.Compression).AppendLZ4
	if c.option(name, parts, 1, "frame", "frame", "block") == "block" {
		f = func(_ *textformat.Compression, dst, data []byte) ([]byte, error) {
			return textformat.AppendLZ4Block(dst, data)
		}
	}
	return compressing(f)(c, name, parts)
}
