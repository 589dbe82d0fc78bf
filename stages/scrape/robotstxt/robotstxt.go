// SPDX-License-Identifier: Apache-2.0

// Package robotstxt reads a robots.txt and says what it allows, by RFC 9309.
package robotstxt

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxBytes is how much of a file is read, which is what RFC 9309 asks for at least. What is behind
// that, a line that is cut through included, does not count.
const MaxBytes = 500 << 10

// Rules are what a file says to one crawler. The zero value allows everything. They are never
// changed, and may be used by several goroutines.
type Rules struct {
	rules []rule // the longest first, and of one length those that allow
	delay time.Duration
}

type rule struct {
	allow bool
	parts []string // what stands between the asterisks, as normal writes it
	end   bool     // the pattern ends with $
	size  int      // octets of the pattern: the more, the stronger
}

// Parse reads a file for the crawler whose product token is product: the name in front of the
// version in its User-Agent. Groups that name it are merged; when there is none, those for * are.
// It never fails: a line that cannot be understood is passed over.
func Parse(file []byte, product string) *Rules {
	p := parser{product: product}
	for line := range lines(cut(file)) {
		p.line(line)
	}
	r := p.all
	if p.named {
		r = p.own
	}
	slices.SortStableFunc(r.rules, func(a, b rule) int {
		if a.size == b.size && a.allow != b.allow {
			if a.allow {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.size, a.size)
	})
	return &r
}

// cut gives the part of a file that counts, without its byte order mark, or the beginning of one.
func cut(file []byte) []byte {
	if len(file) > MaxBytes {
		file = file[:MaxBytes]
		file = file[:bytes.LastIndexAny(file, "\r\n")+1]
	}
	for _, mark := range []byte("\ufeff") {
		if len(file) == 0 || file[0] != mark {
			break
		}
		file = file[1:]
	}
	return file
}

// lines parts a file at CR, LF and both together.
func lines(file []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(file) > 0 {
			i := bytes.IndexAny(file, "\r\n")
			if i < 0 {
				i = len(file)
			}
			if !yield(file[:i]) {
				return
			}
			file = file[min(i+1, len(file)):] // an LF behind a CR ends a line that is empty
		}
	}
}

// A parser goes through the lines of a file. A group is a run of user-agent lines, and the rules
// behind it.
type parser struct {
	product  string
	own, all Rules // of the groups that name product, and of those for *
	named    bool  // a group names product
	inOwn    bool  // the group at hand does
	inAll    bool  // the group at hand is for *
	ruled    bool  // the group at hand has a rule: a user-agent line begins another
}

func (p *parser) line(line []byte) {
	if i := bytes.IndexByte(line, '#'); i >= 0 {
		line = line[:i]
	}
	name, value, ok := strings.Cut(string(line), ":")
	if !ok { // a colon that was forgotten, as long as there is no doubt
		words := strings.Fields(name)
		if len(words) != 2 {
			return
		}
		name, value = words[0], words[1]
	}
	value = strings.Trim(value, " \t\v\f\x00")
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "user-agent", "useragent", "user agent":
		p.agent(value)
	case "allow":
		p.rule(value, true)
	case "disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw":
		p.rule(value, false)
	case "crawl-delay", "crawldelay":
		p.delay(value)
	}
	// What else there is, like Sitemap, neither begins a group nor ends one.
}

func (p *parser) agent(value string) {
	if p.ruled {
		p.inOwn, p.inAll, p.ruled = false, false, false
	}
	if value == "*" || strings.HasPrefix(value, "* ") || strings.HasPrefix(value, "*\t") {
		p.inAll = true
		return
	}
	// Only the token counts of a line that goes on: Bot/1.0, Bot (and why).
	if token := value[:tokenLength(value)]; token != "" && strings.EqualFold(token, p.product) {
		p.inOwn, p.named = true, true
	}
}

// tokenLength gives how long the product token at the beginning of s is.
func tokenLength(s string) int {
	for i, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '_') {
			return i
		}
	}
	return len(s)
}

// Product gives the product token of a User-Agent: the letters, hyphens and underscores that it
// begins with. "": there is none.
func Product(agent string) string { return agent[:tokenLength(agent)] }

func (p *parser) rule(pattern string, allow bool) {
	if !p.inOwn && !p.inAll {
		return
	}
	p.ruled = true
	if pattern == "" {
		return // it says nothing: of Disallow, that everything is allowed
	}
	r := newRule(pattern, allow)
	if p.inOwn {
		p.own.rules = append(p.own.rules, r)
	}
	if p.inAll {
		p.all.rules = append(p.all.rules, r)
	}
}

// delay takes Crawl-delay, which is no part of the standard and is in seconds. Of several that are
// for the same crawler the longest counts.
func (p *parser) delay(value string) {
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || !(seconds > 0) {
		return
	}
	d := time.Duration(min(seconds, maxDelay.Seconds()) * float64(time.Second))
	if p.inOwn {
		p.own.delay = max(p.own.delay, d)
	}
	if p.inAll {
		p.all.delay = max(p.all.delay, d)
	}
}

// maxDelay keeps what a file says within the range of a duration.
const maxDelay = 365 * 24 * time.Hour

func newRule(pattern string, allow bool) rule {
	r := rule{allow: allow}
	if strings.HasSuffix(pattern, "$") {
		r.end, pattern = true, pattern[:len(pattern)-1]
		r.size++
	}
	r.parts = strings.Split(pattern, "*")
	for i, part := range r.parts {
		r.parts[i] = normal(part)
		r.size += len(r.parts[i])
	}
	r.size += len(r.parts) - 1
	return r
}

// matches says whether the pattern fits the beginning of a path, or, with $, all of it. To take the
// first place where a part stands is enough, because an asterisk reaches anywhere from there.
func (r *rule) matches(path string) bool {
	rest, ok := strings.CutPrefix(path, r.parts[0])
	if !ok {
		return false
	}
	if len(r.parts) == 1 {
		return !r.end || rest == ""
	}
	last := len(r.parts) - 1
	for _, part := range r.parts[1:last] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	if r.end {
		return strings.HasSuffix(rest, r.parts[last])
	}
	return strings.Contains(rest, r.parts[last])
}

// Allowed says whether a page may be fetched. path is what stands in its address behind the host:
// path and query. The longest rule that fits decides, and of two that are as long the one that allows.
func (r *Rules) Allowed(path string) bool {
	if path == "" || path[0] != '/' {
		path = "/" + path
	}
	if path == "/robots.txt" {
		return true
	}
	path = normal(path)
	for i := range r.rules {
		if r.rules[i].matches(path) {
			return r.rules[i].allow
		}
	}
	return true
}

// Delay gives how far apart the file wants calls to be. 0: it says nothing of that.
func (r *Rules) Delay() time.Duration { return r.delay }

// Bytes gives about how much memory the rules take.
func (r *Rules) Bytes() int {
	n := 64
	for i := range r.rules {
		n += 64 + 16*len(r.rules[i].parts) + r.rules[i].size
	}
	return n
}

// normal writes a path, or a part of a pattern, as it is compared: octets that stand for themselves
// in any address are written plainly, all others in percent form, whichever way they came. An
// asterisk and a dollar sign are in percent form too, which is how a pattern means the sign itself.
func normal(s string) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] > ' ' && s[i] < 0x7f && s[i] != '%' && s[i] != '*' && s[i] != '$'
	}
	if plain {
		return s
	}
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+16)
	for i := 0; i < len(s); i++ {
		c, coded := s[i], false
		if c == '%' && i+2 < len(s) && hex(s[i+1]) >= 0 && hex(s[i+2]) >= 0 {
			c, coded = byte(hex(s[i+1])<<4|hex(s[i+2])), true
			i += 2
		}
		if unreserved(c) || !coded && c > ' ' && c < 0x7f && c != '*' && c != '$' {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(b)
}

func hex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// unreserved says whether an octet means the same in percent form and without, by RFC 3986.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
