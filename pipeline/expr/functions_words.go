package expr

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

var wordFunctions = map[string]function{
	"capitalize": {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: onText(capitalize), manual: manual{
		usage: "capitalize(text)", says: "the text with a capital as its first letter, and the rest as it is",
		examples: []Example{{`capitalize("über Land")`, `"Über Land"`}},
	}},
	"title": {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: onText(title), manual: manual{
		usage: "title(text)", says: "the text with a capital as the first letter of each word, and the rest as it is",
		examples: []Example{{`title("new york's CITY")`, `"New York's CITY"`}},
	}},
	"camelCase":  {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: cased(camelCase), manual: caseManual("camelCase", "orderID2Name")},
	"pascalCase": {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: cased(pascalCase), manual: caseManual("pascalCase", "OrderID2Name")},
	"snakeCase":  {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: cased(snakeCase), manual: caseManual("snakeCase", "order_id2_name")},
	"kebabCase":  {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: cased(kebabCase), manual: caseManual("kebabCase", "order-id2-name")},
	"trimLeft": {params: []mask{mString}, least: 1, most: 2, kinds: mString, call: trimming(trimSpaceLeft, trimSetLeft), manual: manual{
		usage: "trimLeft(text, characters?)", says: "the text without white space, or without the given characters, at its beginning",
		examples: []Example{{`trimLeft("007", "0")`, `"7"`}, {`trimLeft("  a ")`, `"a "`}},
	}},
	"trimRight": {params: []mask{mString}, least: 1, most: 2, kinds: mString, call: trimming(trimSpaceRight, trimSetRight), manual: manual{
		usage: "trimRight(text, characters?)", says: "the text without white space, or without the given characters, at its end",
		examples: []Example{{`trimRight("a/b//", "/")`, `"a/b"`}, {`trimRight("  a ")`, `"  a"`}},
	}},
	"padLeft": {params: []mask{mString, mInt, mString}, least: 2, most: 3, kinds: mString, call: padding(true), manual: manual{
		usage: "padLeft(text, length, fill?)", says: "the text with spaces, or with fill over and over, before it, so that it has so many characters", fails: "fill is empty, or the result is longer than 1 MiB",
		examples: []Example{{`padLeft("7", 3, "0")`, `"007"`}},
	}},
	"padRight": {params: []mask{mString, mInt, mString}, least: 2, most: 3, kinds: mString, call: padding(false), manual: manual{
		usage: "padRight(text, length, fill?)", says: "the text with spaces, or with fill over and over, behind it, so that it has so many characters", fails: "fill is empty, or the result is longer than 1 MiB",
		examples: []Example{{`padRight("ü", 3) + "|"`, `"ü  |"`}},
	}},
	"repeat": {params: []mask{mString, mInt}, least: 2, most: 2, kinds: mString, call: repeat, manual: manual{
		usage: "repeat(text, times)", says: "the text so many times in a row; none of it for 0 and below", fails: "the result is longer than 1 MiB",
		examples: []Example{{`repeat("ab", 3)`, `"ababab"`}, {`repeat("ab", 1000000000)`, `error: more than 1 MiB`}},
	}},
	"reverseText": {params: []mask{mString}, least: 1, most: 1, kinds: mString, call: onText(reverseText), manual: manual{
		usage: "reverseText(text)", says: "the characters of a text from the last to the first",
		examples: []Example{{`reverseText("abü")`, `"üba"`}},
	}},
	"truncateText": {params: []mask{mString, mInt, mString}, least: 2, most: 3, kinds: mString, call: truncateText, manual: manual{
		usage: "truncateText(text, length, end?)", says: "at most so many characters of a text; where some are cut off, what is left has this end, which counts", fails: "length is below 0",
		examples: []Example{{`truncateText("a long story", 6)`, `"a long"`}, {`truncateText("a long story", 7, "…")`, `"a long…"`}, {`truncateText("short", 7, "…")`, `"short"`}},
	}},
	"lines": {params: []mask{mString}, least: 1, most: 1, kinds: 1 << kList, call: lines, manual: manual{
		usage: "lines(text)", says: "an array of the lines of a text, without their ends, which are \\n or \\r\\n; an end of the last line is not the beginning of another",
		examples: []Example{{`lines("a\r\nb\n")`, `["a","b"]`}, {`lines("")`, `[]`}},
	}},
	"words": {params: []mask{mString}, least: 1, most: 1, kinds: 1 << kList, call: wordsOf, manual: manual{
		usage: "words(text)", says: "an array of the parts of a text between white space",
		examples: []Example{{`words("  to be  or\tnot ")`, `["to","be","or","not"]`}},
	}},
	"occurrences": {params: []mask{mString}, least: 2, most: 2, kinds: 1 << kInt, call: occurrences, manual: manual{
		usage: "occurrences(text, part)", says: "how often a part stands in a text, without overlaps", fails: "the part is empty",
		examples: []Example{{`occurrences("a/b/c", "/")`, `2`}},
	}},
}

func caseManual(name, gives string) manual {
	return manual{
		usage: name + "(text)", says: "the words of a text, which end at what is no letter or digit, and before a capital behind a small letter or digit, written as " + gives,
		examples: []Example{{name + `("order ID2-name")`, `"` + gives + `"`}},
	}
}

// toUpper and toLower keep bytes that are not UTF-8, unlike those of package bytes.
func toUpper(s []byte) []byte { return eachRune(s, bytes.ToUpper, unicode.ToUpper) }
func toLower(s []byte) []byte { return eachRune(s, bytes.ToLower, unicode.ToLower) }

func eachRune(s []byte, valid func([]byte) []byte, f func(rune) rune) []byte {
	if utf8.Valid(s) {
		return valid(s)
	}
	out := make([]byte, 0, len(s))
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		if r == utf8.RuneError {
			out = append(out, s[:n]...)
		} else {
			out = utf8.AppendRune(out, f(r))
		}
		s = s[n:]
	}
	return out
}

func capitalize(s []byte) []byte {
	r, n := utf8.DecodeRune(s)
	if r == utf8.RuneError {
		return s
	}
	return append(utf8.AppendRune(nil, unicode.ToTitle(r)), s[n:]...)
}

// title keeps bytes that are not UTF-8, as capitalize does.
func title(s []byte) []byte {
	out := make([]byte, 0, len(s))
	within := false
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		letter := r == utf8.RuneError || unicode.IsLetter(r) || unicode.IsDigit(r) || r == '\'' || r == '’' || r == '_' || unicode.IsMark(r)
		if letter && !within && r != utf8.RuneError {
			out = utf8.AppendRune(out, unicode.ToTitle(r))
		} else {
			out = append(out, s[:n]...)
		}
		within, s = letter, s[n:]
	}
	return out
}

func reverseText(s []byte) []byte {
	out := make([]byte, 0, len(s))
	for len(s) > 0 {
		_, n := utf8.DecodeLastRune(s)
		out, s = append(out, s[len(s)-n:]...), s[:len(s)-n]
	}
	return out
}

// cased makes a function that writes each word of a text: join gets what is written already.
func cased(join func(out, word []byte) []byte) caller {
	return func(m *machine, args []value) (value, error) {
		s, err := m.text(args[0])
		if err != nil {
			return vNil, err
		}
		if err := m.grow(len(s)); err != nil {
			return vNil, err
		}
		out := make([]byte, 0, len(s))
		for len(s) > 0 {
			var word []byte
			if word, s = firstWordOf(s); len(word) > 0 {
				out = join(out, word)
			}
		}
		if len(out) > maxResult { // a mark before each character at the most
			return vNil, m.tooLarge()
		}
		return vText(out), m.step(len(out) / 8)
	}
}

// firstWordOf cuts the first word off s. It is empty when s begins with what belongs to none. A
// byte that is not UTF-8 counts as a letter.
func firstWordOf(s []byte) (word, rest []byte) {
	small := false // the last one is a small letter or a digit
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRune(s[i:])
		switch {
		case r != utf8.RuneError && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r):
			return s[:i], s[i+n:]
		case small && unicode.IsUpper(r):
			return s[:i], s[i:]
		}
		small = unicode.IsLower(r) || unicode.IsDigit(r)
		i += n
	}
	return s, nil
}

// allCapitals says whether a word of several letters has no small ones, as ID has.
func allCapitals(word []byte) bool {
	return utf8.RuneCount(word) > 1 && bytes.IndexFunc(word, unicode.IsLower) < 0
}

func camelCase(out, word []byte) []byte {
	if len(out) == 0 {
		return append(out, toLower(word)...)
	}
	return pascalCase(out, word)
}

func pascalCase(out, word []byte) []byte {
	if !allCapitals(word) {
		word = toLower(word)
	}
	return append(out, capitalize(word)...)
}

func snakeCase(out, word []byte) []byte { return withMark(out, word, '_') }
func kebabCase(out, word []byte) []byte { return withMark(out, word, '-') }

func withMark(out, word []byte, by byte) []byte {
	if len(out) > 0 {
		out = append(out, by)
	}
	return append(out, toLower(word)...)
}

func trimSpaceLeft(s []byte) []byte  { return bytes.TrimLeftFunc(s, unicode.IsSpace) }
func trimSpaceRight(s []byte) []byte { return bytes.TrimRightFunc(s, unicode.IsSpace) }

func trimSetLeft(m *machine, s, set []byte) (value, error) {
	if err := m.stepSet(s, set); err != nil {
		return vNil, err
	}
	return vText(bytes.TrimLeft(s, string(set))), nil
}

func trimSetRight(m *machine, s, set []byte) (value, error) {
	if err := m.stepSet(s, set); err != nil {
		return vNil, err
	}
	return vText(bytes.TrimRight(s, string(set))), nil
}

func padding(left bool) caller {
	return func(m *machine, args []value) (value, error) {
		s, err := m.text(args[0])
		if err != nil {
			return vNil, err
		}
		by := []byte(" ")
		if len(args) > 2 {
			if by, err = m.text(args[2]); err != nil {
				return vNil, err
			}
		}
		switch {
		case args[1].kind != kInt:
			return vNil, errBig
		case len(by) == 0:
			return vNil, fault("the text to fill with is empty")
		case args[1].num > maxResult:
			return vNil, m.tooLarge()
		}
		missing := int(max(args[1].num, 0)) - utf8.RuneCount(s)
		if err := m.step(len(s) / 16); err != nil || missing <= 0 {
			return args[0], err
		}
		characters := utf8.RuneCount(by)
		fill := missing / characters * len(by)
		rest := firstRunes(by, missing%characters)
		if err := m.grow(len(s) + fill + len(rest)); err != nil {
			return vNil, err
		}
		out := make([]byte, 0, len(s)+fill+len(rest))
		if !left {
			out = append(out, s...)
		}
		for range missing / characters {
			out = append(out, by...)
		}
		out = append(out, rest...)
		if left {
			out = append(out, s...)
		}
		return vText(out), m.step(len(out)/16 + len(by)/16)
	}
}

// firstRunes gives the first n characters of s.
func firstRunes(s []byte, n int) []byte {
	i := 0
	for ; n > 0 && i < len(s); n-- {
		_, width := utf8.DecodeRune(s[i:])
		i += width
	}
	return s[:i]
}

func repeat(m *machine, args []value) (value, error) {
	s, err := m.text(args[0])
	if err != nil {
		return vNil, err
	}
	if args[1].kind != kInt {
		return vNil, errBig
	}
	n := max(args[1].num, 0)
	if len(s) == 0 || n == 0 {
		return vText(nil), nil
	}
	if n > int64(maxResult/len(s)) {
		return vNil, m.tooLarge()
	}
	if err := m.grow(len(s) * int(n)); err != nil {
		return vNil, err
	}
	return vText(bytes.Repeat(s, int(n))), nil
}

func truncateText(m *machine, args []value) (value, error) {
	s, err := m.text(args[0])
	if err != nil {
		return vNil, err
	}
	var end []byte
	if len(args) > 2 {
		if end, err = m.text(args[2]); err != nil {
			return vNil, err
		}
	}
	if args[1].kind != kInt {
		return vNil, errBig
	}
	if args[1].num < 0 {
		return vNil, fault("the length is below 0")
	}
	if err := m.step((len(s) + len(end)) / 16); err != nil {
		return vNil, err
	}
	if int64(utf8.RuneCount(s)) <= args[1].num {
		return args[0], nil
	}
	most := int(args[1].num)
	left := firstRunes(s, most-utf8.RuneCount(end))
	end = firstRunes(end, most)
	if len(end) == 0 {
		return vText(left), nil
	}
	if err := m.grow(len(left) + len(end)); err != nil {
		return vNil, err
	}
	return vText(append(append(make([]byte, 0, len(left)+len(end)), left...), end...)), nil
}

func lines(m *machine, args []value) (value, error) {
	s, err := m.text(args[0])
	if err != nil {
		return vNil, err
	}
	var items []value
	for len(s) > 0 {
		line, rest, _ := bytes.Cut(s, []byte("\n"))
		if err := m.grow(valueBytes); err != nil {
			return vNil, err
		}
		items, s = append(items, vText(bytes.TrimSuffix(line, []byte("\r")))), rest
	}
	return newList(items), m.step(len(args[0].text) / 16)
}

func wordsOf(m *machine, args []value) (value, error) {
	s, err := m.text(args[0])
	if err != nil {
		return vNil, err
	}
	if err := m.step(len(s) / 8); err != nil {
		return vNil, err
	}
	var items []value
	for s = trimSpaceLeft(s); len(s) > 0; s = trimSpaceLeft(s) {
		end := bytes.IndexFunc(s, unicode.IsSpace)
		if end < 0 {
			end = len(s)
		}
		if err := m.grow(valueBytes); err != nil {
			return vNil, err
		}
		items, s = append(items, vText(s[:end])), s[end:]
	}
	return newList(items), nil
}

func occurrences(m *machine, args []value) (value, error) {
	s, part, err := texts(m, args[0], args[1])
	if err != nil {
		return vNil, err
	}
	if len(part) == 0 {
		return vNil, fault("the part is empty")
	}
	return vInt(int64(bytes.Count(s, part))), m.step(len(s) / 16)
}
