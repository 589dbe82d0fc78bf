package expr

import (
	"bytes"
	"io"
	"regexp"
	"strconv"
	"unicode/utf8"

	"github.com/penstockio/penstock/pipeline/textformat"
)

// wrongPattern is when the functions that take a pattern fail.
const wrongPattern = "the pattern is not constant, is longer than 1,000 bytes or is none of RE2"

var regexFunctions = map[string]function{
	"capture": {params: []mask{mString}, least: 2, most: 2, kinds: 1<<kMap | mNil, bind: onPattern(capture), manual: manual{
		usage: "capture(text, pattern)",
		says:  "what the groups of the first match of a pattern match, as an object: a group under its name, or under its number when it has none, the whole match under \"0\"; nil for a group that took no part, and nil without a match",
		fails: wrongPattern,
		examples: []Example{
			{`capture("GET /a?b=1", "^(?P<method>[A-Z]+) (\\S+)")`, `{"0":"GET /a?b=1","method":"GET","2":"/a?b=1"}`},
			{`capture("order-17", "order-(?P<id>[0-9]+)").id`, `"17"`},
			{`capture("none", "[0-9]+")`, `null`},
		},
	}},
	"captureAll": {params: []mask{mString}, least: 2, most: 2, kinds: 1 << kList, bind: onPattern(captureAll), manual: manual{
		usage:    "captureAll(text, pattern)",
		says:     "an array with an object for each match of a pattern, as capture gives it for the first",
		fails:    wrongPattern,
		examples: []Example{{`captureAll("a=1 b=2", "(?P<name>\\w)=(?P<value>\\d)")`, `[{"0":"a=1","name":"a","value":"1"},{"0":"b=2","name":"b","value":"2"}]`}},
	}},
	"findAll": {params: []mask{mString}, least: 2, most: 2, kinds: 1 << kList, bind: onPattern(findAll), manual: manual{
		usage:    "findAll(text, pattern)",
		says:     "an array of all texts that a pattern matches",
		fails:    wrongPattern,
		examples: []Example{{`findAll("call 555-01 or 555-02", "[0-9]+-[0-9]+")`, `["555-01","555-02"]`}, {`findAll("none", "[0-9]")`, `[]`}},
	}},
	"replaceMatch": {params: []mask{mString}, least: 3, most: 3, kinds: mString, bind: bindReplacement, manual: manual{
		usage: "replaceMatch(text, pattern, by)",
		says:  "the text with each match of a pattern replaced: where by is constant, $1 and ${name} in it stand for groups and $$ for a dollar (in a pipeline file ${name} is written $${name}), else it is put in as it stands",
		fails: wrongPattern + ", or has no group that by names",
		examples: []Example{
			{`replaceMatch("2024-05-06", "(\\d+)-(\\d+)-(?P<day>\\d+)", "${day}.$2.$1")`, `"06.05.2024"`},
			{`replaceMatch("card 4111 1111", "[0-9]", "*")`, `"card **** ****"`},
		},
	}},
	"splitMatch": {params: []mask{mString}, least: 2, most: 2, kinds: 1 << kList, bind: onPattern(splitMatch), manual: manual{
		usage:    "splitMatch(text, pattern)",
		says:     "an array of the texts between the matches of a pattern",
		fails:    wrongPattern,
		examples: []Example{{`splitMatch("a, b;c", "[,;] *")`, `["a","b","c"]`}},
	}},
}

// A pattern is a regular expression with what counting its work needs.
type pattern struct {
	re     *regexp.Regexp
	within *regexp.Regexp // matches behind the first character of a text, as group 1
	states int
	names  []string // of the groups, in the object of a capture
}

// regex compiles the constant pattern of k, an argument or operand of what.
func (c *compiler) regex(k code, what string) (re *regexp.Regexp, states int) {
	if k.constant == nil || k.constant.kind != kString {
		c.fail(k.at, what+" needs a constant pattern", `write it in quotes: "^[A-Z]{3}$"`)
	}
	text := string(k.constant.text)
	re, wrong, instead := textformat.CompilePattern(text)
	if wrong != "" {
		c.fail(k.at, wrong, instead)
	}
	return re, patternSize(text)
}

// pattern is regex with what finding all matches needs.
func (c *compiler) pattern(k code, what string) *pattern {
	re, states := c.regex(k, what)
	within, err := regexp.Compile(`(?s:\A.)(?s:.*?)(` + re.String() + `)`)
	if err != nil {
		c.fail(k.at, "a pattern that is too large", "split it into several")
	}
	names := re.SubexpNames()
	for i, name := range names {
		if name == "" {
			names[i] = strconv.Itoa(i)
		}
	}
	return &pattern{re: re, within: within, states: states, names: names}
}

// onPattern makes a function whose second argument is a constant pattern.
func onPattern(f func(m *machine, p *pattern, text []byte) (value, error)) binder {
	return func(c *compiler, name string, parts []code) caller {
		p := c.pattern(parts[1], name)
		return func(m *machine, args []value) (value, error) {
			text, err := m.text(args[0])
			if err != nil {
				return vNil, err
			}
			return f(m, p, text)
		}
	}
}

func capture(m *machine, p *pattern, text []byte) (value, error) {
	if err := m.step(len(text) * p.states / 64); err != nil {
		return vNil, err
	}
	at := p.re.FindSubmatchIndex(text)
	if at == nil {
		return vNil, nil
	}
	return p.groups(m, text, at)
}

// groups makes the object of one match.
func (p *pattern) groups(m *machine, text []byte, at []int) (value, error) {
	if err := m.grow(2 * valueBytes * len(p.names)); err != nil {
		return vNil, err
	}
	out := new(built)
	for i, name := range p.names {
		v := vNil
		if from, to := at[2*i], at[2*i+1]; from >= 0 {
			v = vText(text[from:to])
		}
		out.set(name, v)
	}
	return value{kind: kMap, built: out}, nil
}

func captureAll(m *machine, p *pattern, text []byte) (value, error) {
	var items []value
	err := p.each(m, text, func(at []int) error {
		v, err := p.groups(m, text, at)
		items = append(items, v)
		return err
	})
	return newList(items), err
}

func findAll(m *machine, p *pattern, text []byte) (value, error) {
	var items []value
	err := p.each(m, text, func(at []int) error {
		items = append(items, vText(text[at[0]:at[1]]))
		return m.grow(valueBytes + 24)
	})
	return newList(items), err
}

func splitMatch(m *machine, p *pattern, text []byte) (value, error) {
	var items []value
	from, end := 0, 0
	err := p.each(m, text, func(at []int) error {
		if end = at[0]; at[1] > 0 {
			items = append(items, vText(text[from:end]))
		}
		from = at[1]
		return m.grow(valueBytes + 24)
	})
	if end != len(text) || len(text) == 0 {
		items = append(items, vText(text[from:]))
	}
	return newList(items), err
}

// fewSteps is what finding all matches in a text may take at most when it is not counted as it
// goes, but afterwards: short texts are most texts, and counting is several times slower
// (BenchmarkFindAll).
const fewSteps = 4096

// each calls f for every match, in order, with the places of its groups. Matches are those of
// regexp.FindAllSubmatchIndex, which may read the rest of the text for each of them and so take
// quadratic time: in a text that is not short, what is read is counted.
func (p *pattern) each(m *machine, text []byte, f func(at []int) error) error {
	once := (len(text) + 1) * p.states / 64
	if once*(len(text)+1) > fewSteps {
		return p.eachCounted(m, text, f)
	}
	all := p.re.FindAllSubmatchIndex(text, -1)
	if err := m.step(once * (len(all) + 1)); err != nil {
		return err
	}
	for _, at := range all {
		if err := f(at); err != nil {
			return err
		}
	}
	return nil
}

func (p *pattern) eachCounted(m *machine, text []byte, f func(at []int) error) error {
	in := &counted{m: m, states: p.states}
	for pos, last := 0, -1; pos <= len(text); {
		at, err := p.next(in, text, pos)
		if err != nil || at == nil {
			return err
		}
		accept := true
		if at[1] == pos { // an empty match; one behind another match is none
			accept = at[0] != last
			_, width := utf8.DecodeRune(text[pos:])
			pos += max(width, 1)
		} else {
			pos = at[1]
		}
		last = at[1]
		if accept {
			if err := f(at); err != nil {
				return err
			}
		}
	}
	return nil
}

// next finds the first match from pos on; nil: there is none.
func (p *pattern) next(in *counted, text []byte, pos int) ([]int, error) {
	if pos == 0 {
		in.start(text)
		at := p.re.FindReaderSubmatchIndex(in)
		return at, in.err
	}
	_, width := utf8.DecodeLastRune(text[:pos]) // what stands before pos counts for ^ and \b
	in.start(text[pos-width:])
	at := p.within.FindReaderSubmatchIndex(in)
	if at == nil || in.err != nil {
		return nil, in.err
	}
	at = at[2:]
	for i := range at {
		if at[i] >= 0 {
			at[i] += pos - width
		}
	}
	return at, nil
}

// counted is a text that counts what is read of it, and ends when that is too much.
type counted struct {
	m      *machine
	states int // steps for 64 characters
	owed   int // 64ths of a step
	text   []byte
	err    error
}

func (r *counted) start(text []byte) {
	r.text = text
	r.owed += r.states
}

func (r *counted) ReadRune() (rune, int, error) {
	r.owed += r.states
	if r.owed >= 64 {
		if r.err = r.m.step(r.owed/64 - 1); r.err != nil {
			return 0, 0, io.EOF
		}
		r.owed %= 64
	}
	if len(r.text) == 0 {
		return 0, 0, io.EOF
	}
	c, width := utf8.DecodeRune(r.text)
	r.text = r.text[width:]
	return c, width, nil
}

// A replacement is a text with groups of a match: literal, and the group behind it (-1: none).
type replacement struct {
	literal []byte
	group   int
}

// bindReplacement compiles the pattern and the text of replaceMatch.
func bindReplacement(c *compiler, name string, parts []code) caller {
	p := c.pattern(parts[1], name)
	var fixed []replacement
	if k := parts[2].constant; k != nil && k.kind == kString {
		fixed = c.replacement(p, parts[2])
	}
	return func(m *machine, args []value) (value, error) {
		text, by, err := texts(m, args[0], args[2])
		if err != nil {
			return vNil, err
		}
		pieces := fixed
		if pieces == nil {
			pieces = []replacement{{by, -1}}
		}
		return replaceMatch(m, p, text, pieces)
	}
}

// replacement takes a text with $1, ${name} and $$ apart.
func (c *compiler) replacement(p *pattern, k code) []replacement {
	var out []replacement
	text := k.constant.text
	for {
		i := bytes.IndexByte(text, '$')
		if i < 0 || i+1 == len(text) {
			return append(out, replacement{text, -1})
		}
		literal, rest := text[:i], text[i+1:]
		name := rest[:wordEndIn(rest)]
		switch {
		case rest[0] == '$':
			out, text = append(out, replacement{text[:i+1], -1}), rest[1:]
			continue
		case rest[0] == '{':
			end := bytes.IndexByte(rest, '}')
			if end < 0 {
				c.fail(k.at, "a ${ without its }", "write $$ for a dollar")
			}
			name, rest = rest[1:end], rest[end+1:]
		case len(name) == 0:
			out, text = append(out, replacement{text[:i+1], -1}), rest
			continue
		default:
			rest = rest[len(name):]
		}
		group := p.group(string(name))
		if group < 0 {
			c.fail(k.at, "the pattern has no such group as the text names", "write ${1}0 for group 1 and a 0 behind it, and $$ for a dollar")
		}
		out, text = append(out, replacement{literal, group}), rest
	}
}

// wordEndIn gives how many letters, digits and _ text begins with.
func wordEndIn(text []byte) int {
	i := 0
	for i < len(text) && (text[i] == '_' || text[i] >= '0' && text[i] <= '9' || text[i]|0x20 >= 'a' && text[i]|0x20 <= 'z') {
		i++
	}
	return i
}

// group gives the number of a group, by its name or number; -1: there is none.
func (p *pattern) group(name string) int {
	if i := p.re.SubexpIndex(name); i >= 0 {
		return i
	}
	if i, err := strconv.Atoi(name); err == nil && i >= 0 && i <= p.re.NumSubexp() {
		return i
	}
	return -1
}

func replaceMatch(m *machine, p *pattern, text []byte, by []replacement) (value, error) {
	var out []byte
	from := 0
	add := func(b []byte) error {
		if len(out)+len(b) > maxResult {
			return m.tooLarge()
		}
		out = append(out, b...)
		return m.grow(len(b))
	}
	err := p.each(m, text, func(at []int) error {
		err := add(text[from:at[0]])
		from = at[1]
		for _, piece := range by {
			if err == nil {
				err = add(piece.literal)
			}
			if err == nil && piece.group >= 0 && at[2*piece.group] >= 0 {
				err = add(text[at[2*piece.group]:at[2*piece.group+1]])
			}
		}
		return err
	})
	if err == nil {
		err = add(text[from:])
	}
	return vText(out), err
}
