package redact

import (
	"cmp"
	"encoding/base64"
	"html"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// This file looks for what was taken out of a record in what else is to go into its letter.
//
// A step may have written such a text in another form that is still the whole of it: with the escapes
// of JSON, of an address or of HTML, once or twice over, in Base64, or in other cases. So what is looked through is
// read in each of these ways, too. Reading the forms finds more than writing them: each has many
// spellings. It costs more; letters are rare.

// taken are the texts that were taken out of a record.
type taken struct {
	texts []string
	size  int
	most  int    // how many bytes of all of them are looked for; 0: maxBytes
	many  bool   // there are more, or longer ones, than are looked for
	mask  string // a text that hides nothing: it stands where others were; "": none

	names     []string        // of members in what was taken out, while it is not known what the letter shows
	truth     map[string]bool // true and false, which are none of the texts
	onlyNames map[string]bool // those of the texts that were the name of a member, and nothing else
	shown     map[string]bool // names that the letter shows anyway; nil: not known yet
}

const (
	maxTaken = 512     // texts
	maxBytes = 4 << 10 // of all of them
)

func (t *taken) add(text string) {
	delete(t.onlyNames, text)
	if text == "" || text == t.mask || t.many || slices.Contains(t.texts, text) {
		return
	}
	if t.size += len(text); len(t.texts) >= maxTaken || t.size > t.room() {
		t.many = true
		return
	}
	t.texts = append(t.texts, text)
}

// room is how many bytes there may be in all texts.
func (t *taken) room() int { return cmp.Or(t.most, maxBytes) }

// json adds what stands in a JSON text. True, false and null tell next to nothing, and stand
// everywhere.
func (t *taken) json(text []byte) {
	if len(text) > t.room() {
		t.many = true
		return
	}
	whole := scalars(text, 0, func(s string, name bool) bool {
		switch {
		case name:
			t.name(s)
		case s == "true", s == "false":
			if t.truth == nil {
				t.truth = map[string]bool{}
			}
			t.truth[s] = true
		default:
			t.add(s)
		}
		return !t.many
	})
	t.many = t.many || !whole
}

// name adds the name of a member, unless the letter shows it anyway.
func (t *taken) name(s string) {
	switch {
	case t.shown == nil:
		t.names = append(t.names, s)
	case !t.shown[s] && !slices.Contains(t.texts, s):
		t.add(s)
		if t.onlyNames == nil {
			t.onlyNames = map[string]bool{}
		}
		t.onlyNames[s] = true
	}
}

// shows notes the redacted value that the letter has, nil for none.
func (t *taken) shows(value []byte) {
	t.shown = map[string]bool{}
	if len(t.names) > 0 && value != nil {
		scalars(value[jsontext.Space(value, 0):], 0, func(s string, name bool) bool {
			if name {
				t.shown[s] = true
			}
			return true
		})
	}
	for _, s := range t.names {
		t.name(s)
	}
}

// in says whether one of the texts stands in a value, or may.
func (t *taken) in(value []byte) bool {
	if t.many {
		return true
	}
	if len(t.texts) == 0 {
		return false
	}
	w := newWanted(t.texts)
	if !jsontext.Valid(value) { // it is a text, or nobody can tell
		return jsontext.TooDeep(value) || w.stands(string(value))
	}
	if w.in(string(value)) {
		return true
	}
	return !scalars(value[jsontext.Space(value, 0):], 0, func(s string, _ bool) bool { return !w.stands(s) })
}

// scalars yields the strings, as their characters, and the other scalars of a JSON text, and the
// names of members, until yield returns false. It gives false then, and where the text is nested
// too deep to be gone through.
func scalars(text []byte, depth int, yield func(s string, name bool) bool) (more bool) {
	if depth > deepest {
		return false
	}
	more = true
	switch text[0] {
	case '{':
		jsontext.Members(text, func(name, value []byte) bool {
			more = yield(jsontext.Unquote(name), true) && scalars(value, depth+1, yield)
			return more
		})
	case '[':
		jsontext.Elements(text, func(element []byte) bool {
			more = scalars(element, depth+1, yield)
			return more
		})
	case 'n':
	default:
		more = yield(plain(text), false)
	}
	return more
}

// wanted are texts that are looked for.
type wanted struct {
	texts, lower []string // as they are, and in lower case
	whole        []string // that count only where nothing else stands beside them
}

func newWanted(texts []string) *wanted {
	w := &wanted{texts: texts}
	for _, text := range texts {
		w.lower = append(w.lower, strings.ToLower(text))
	}
	return w
}

// in says whether one of the texts stands in s as it is, or in other cases.
func (w *wanted) in(s string) bool {
	if slices.ContainsFunc(w.texts, func(text string) bool { return strings.Contains(s, text) }) {
		return true
	}
	if slices.ContainsFunc(w.whole, func(text string) bool { return strings.EqualFold(s, text) }) {
		return true
	}
	s = strings.ToLower(s)
	return slices.ContainsFunc(w.lower, func(text string) bool { return strings.Contains(s, text) })
}

const (
	formsDeep = 3  // how many forms are taken off a text, one after the other
	maxForms  = 32 // how many texts may come out of one by that
)

// stands says whether one of the texts stands in s, or in what it is a form of, or may.
func (w *wanted) stands(s string) bool {
	all, from := []string{s}, 0
	for range formsDeep {
		to := len(all)
		for _, is := range all[from:to] {
			for _, off := range [...]func(string) string{unescapeJSON, unescapeURL, unescapeQuery, html.UnescapeString, unBase64} {
				if of := off(is); !slices.Contains(all, of) {
					all = append(all, of)
				}
			}
			if len(all) > maxForms {
				return true
			}
		}
		from = to
	}
	return slices.ContainsFunc(all, w.in)
}

// unescapeJSON gives what a text stands for that has the escapes of a JSON string. What is no escape stays.
func unescapeJSON(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch j := strings.IndexByte(`bfnrt`, s[i]); {
		case j >= 0:
			b.WriteByte("\b\f\n\r\t"[j])
		case strings.IndexByte(`"\/`, s[i]) >= 0:
			b.WriteByte(s[i])
		default:
			r, is := unit(s[i:])
			if !is {
				b.WriteByte('\\')
				i--
				continue
			}
			i += 4
			if low, is := unit(strings.TrimPrefix(s[i+1:], `\`)); is && s[i+1] == '\\' {
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					r, i = pair, i+6
				}
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}

// unit gives the UTF-16 unit of a text that begins like u00e9.
func unit(s string) (rune, bool) {
	if len(s) < 5 || s[0] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[1:5], 16, 16)
	return rune(n), err == nil
}

// unescapeURL gives what a text stands for that has the escapes of an address. What is no escape stays.
func unescapeURL(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// unescapeQuery is unescapeURL of a query, where a plus is a space.
func unescapeQuery(s string) string {
	if !strings.Contains(s, "+") {
		return s // unescapeURL does it
	}
	return unescapeURL(strings.ReplaceAll(s, "+", " "))
}

// unBase64 gives what stands in a text that is Base64 as a whole, in quotes or not, and another text as it is.
func unBase64(s string) string {
	digits := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(strings.Trim(s, `"`), "="))
	if b, err := base64.RawStdEncoding.DecodeString(digits); err == nil && utf8.Valid(b) {
		return string(b)
	}
	return s
}
