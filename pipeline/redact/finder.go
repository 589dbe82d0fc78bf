package redact

import (
	"strings"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// This file looks for what was taken out of a record in the rest of one that is looked at: less strictly in what the record
// came with than in what steps have made (seen.go).

// leastText is how many bytes a text has at least that is found within a text that the record came with.
const leastText = 4

// A finder knows what was taken out, and what the record came with.
type finder struct {
	many  bool            // there is more than is looked for
	every *wanted         // all of it, for what steps have made
	came  *wanted         // for texts that the record came with
	named *wanted         // for names of members that it came with: names that were taken out are not shown by them
	texts map[string]bool // the texts of the value that it came with, but for what was taken out
	names map[string]bool // and the names
	truth map[string]bool // true and false, where they were taken out: a key or header that is nothing else is not shown
}

// finder gives one for what was taken out. came is the value that the record came with, redacted; nil: there is none.
func (t *taken) finder(came []byte) *finder {
	f := &finder{many: t.many, every: newWanted(t.texts), texts: map[string]bool{}, names: map[string]bool{}, truth: t.truth}
	var long, short, longTexts []string
	for _, text := range t.texts {
		switch {
		case len(text) < leastText, isWord(text):
			short = append(short, text)
		case t.onlyNames[text]:
			long = append(long, text)
		default:
			long, longTexts = append(long, text), append(longTexts, text)
		}
	}
	f.came, f.named = newWanted(long), newWanted(longTexts)
	f.came.whole = short
	if t.many || f.none() || came == nil || !jsontext.Valid(came) {
		return f
	}
	scalars(came[jsontext.Space(came, 0):], 0, func(s string, name bool) bool {
		if name {
			f.names[s] = true
		} else {
			f.texts[s] = true
		}
		return true
	})
	return f
}

// none says whether nothing was taken out.
func (f *finder) none() bool { return len(f.every.texts) == 0 }

// of gives what is looked for in a text that the record came with, or that a step has made.
func (f *finder) of(came bool) *wanted {
	if came {
		return f.came
	}
	return f.every
}

// in says whether something that was taken out stands in a key, in a header or in its name, or may.
func (f *finder) in(b []byte, came bool) bool {
	switch {
	case f.many, f.truth[strings.ToLower(string(b))]:
		return true
	case f.none():
		return false
	}
	w := f.of(came)
	if w.stands(string(b)) {
		return true
	}
	if !jsontext.Valid(b) {
		return jsontext.TooDeep(b)
	}
	return !scalars(b[jsontext.Space(b, 0):], 0, func(s string, _ bool) bool { return !w.stands(s) })
}

// inText says whether something that was taken out stands in a text of the value, or may.
func (f *finder) inText(s string) bool { return !isWord(s) && f.of(f.texts[s]).stands(s) }

// isWord says whether a text is one of the words of JSON, which stand everywhere and tell next to nothing.
func isWord(s string) bool { return s == "true" || s == "false" || s == "null" }

// inName says it of the name of a member.
func (f *finder) inName(s string) bool {
	if f.names[s] {
		return f.named.stands(s)
	}
	return f.every.stands(s)
}

// inValue says whether something that was taken out still stands in a value whose texts are masked, or may. came: it is the one that the record came with.
func (f *finder) inValue(value []byte, came bool) bool {
	switch {
	case f.many:
		return true
	case f.none():
		return false
	case !jsontext.Valid(value): // it is a text, or nobody can tell
		return jsontext.TooDeep(value) || f.of(came).stands(string(value))
	case f.named.in(string(value)):
		return true
	}
	return !scalars(value[jsontext.Space(value, 0):], 0, func(s string, name bool) bool {
		if name {
			return !f.inName(s)
		}
		return !f.inText(s)
	})
}
