package config

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

var (
	userInfo    = regexp.MustCompile(`(://[^/@:\s]*:)([^@/\s]+)(@)`)
	userOfHost  = regexp.MustCompile(`([A-Za-z0-9_.-]+:)([^@/:,\s"']+)(@[A-Za-z0-9_.-]+:[0-9])`)
	parameter   = regexp.MustCompile(`(?i)(\b(?:password|passwd|pwd|secret|token|api_?key)\s*=\s*)([^&\s;"'=][^&\s;"']*)()`)
	secretValue = regexp.MustCompile(`(?i)((?:password|passwd|secret|token|api_?key|dsn|authorization)["']?\s*:\s*)("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s,{}\[\]]+)()`)
	secretKey   = regexp.MustCompile(`(?i)((?:password|passwd|secret|token|api_?key|dsn|authorization)["']?\s*:\s*)(\S.*)()`)
	secretPlace = regexp.MustCompile(`(?i)(\b(?:auth|basic|bearer|proxy|sasl|secret_headers)["']?\s*:\s*)([^\s{].*)()`)
	noAnchor    = regexp.MustCompile(`\*\S+( names no anchor)`)
	quoteIt     = regexp.MustCompile(`(quote it: (?:[^'"]*: )?)'.*'`)
)

// secretTexts makes a list of texts to hide of those that are secrets: with the forms in which they stand
// between quotes and in templates, and the longer ones first, which may hold shorter ones.
func secretTexts(secrets []string) []string {
	var all []string
	for _, s := range secrets {
		all = append(all, s, escapeIn('"', s), escapeIn('\'', s), escapeIn('`', s), braces.Replace(s))
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return slices.DeleteFunc(slices.Compact(all), func(s string) bool { return s == "" })
}

// concealKnown takes secrets out of a text.
func concealKnown(text string, secrets []string) string {
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}

// conceal takes secrets out of a text: those that are known, and what looks like a
// password.
func conceal(text string, secrets []string) string {
	text = concealKnown(text, secrets)
	text = userInfo.ReplaceAllString(text, "${1}***${3}")
	return parameter.ReplaceAllString(text, "${1}***")
}

// concealAll takes secrets out of problems, and what is hidden out of their lines. The line that is shown keeps its length, so
// that the caret stays at its place. In a line that YAML could not read no value is known to be
// a secret: what stands behind a key like password is hidden there.
func (p Problems) concealAll(secrets, hidden []string) {
	for i := range p {
		q := &p[i]
		q.Text, q.Suggestion = conceal(q.Text, secrets), conceal(q.Suggestion, secrets)
		for j := range q.Notes {
			q.Notes[j] = conceal(q.Notes[j], secrets)
		}
		for _, secret := range slices.Concat(secrets, hidden) {
			q.Source = strings.ReplaceAll(q.Source, secret, stars(secret))
		}
		hide := []*regexp.Regexp{userInfo, userOfHost, parameter, secretValue}
		before := q.Source
		q.hideSpans()
		if strings.HasPrefix(q.Text, readingYAML) {
			hide = append(hide, secretKey, secretPlace)
			q.Suggestion = secretKey.ReplaceAllString(q.Suggestion, "${1}***")
			if q.Source != before || secretKey.MatchString(q.Source) || secretPlace.MatchString(q.Source) {
				q.Text = noAnchor.ReplaceAllString(q.Text, "***${1}")
				q.Suggestion = quoteIt.ReplaceAllString(q.Suggestion, "${1}'***'")
			}
		}
		for _, form := range hide {
			q.Source = replaceSecond(form, q.Source, func(column int) bool { return q.isCode(q.from + column) })
		}
	}
}

// concealQuery takes what the query of an address holds out of it.
func concealQuery(address string) string {
	before, query, ok := strings.Cut(address, "?")
	if !ok {
		return address
	}
	parts := strings.Split(query, "&")
	for i, part := range parts {
		if name, _, ok := strings.Cut(part, "="); ok {
			parts[i] = name + "=***"
		} else if part != "" {
			parts[i] = "***"
		}
	}
	return before + "?" + strings.Join(parts, "&")
}

func stars(s string) string { return strings.Repeat("*", utf8.RuneCountInString(s)) }

// replaceSecond puts stars in place of the second group of form. Code, which isCode finds by the
// column at which the group begins, stays; its texts and what form finds within it do not.
func replaceSecond(form *regexp.Regexp, s string, isCode func(column int) bool) string {
	var out strings.Builder
	done := 0
	for done < len(s) {
		m := form.FindStringSubmatchIndex(s[done:])
		if m == nil {
			break
		}
		from, to := done+m[4], done+m[5]
		out.WriteString(s[done:from])
		switch second := s[from:to]; {
		case isCode(utf8.RuneCountInString(s[:from]) + 1):
			out.WriteString(concealTexts(replaceSecond(form, second, never)))
		case strings.HasPrefix(strings.Trim(second, `"'`), "${"):
			out.WriteString(second)
		default:
			out.WriteString(stars(second))
		}
		out.WriteString(s[to : done+m[1]])
		done += m[1]
	}
	return out.String() + s[done:]
}

func never(int) bool { return false }

var textInCode = regexp.MustCompile("(\\\\?[\"'`])([^\"'`\\\\]+)(\\\\?[\"'`])")

// concealTexts puts stars in place of the texts of code as it stands in a line, with the quotes of
// YAML around it or without.
func concealTexts(code string) string {
	if n := len(code) - 1; n > 0 && (code[0] == '"' || code[0] == '\'') && code[n] == code[0] {
		return code[:1] + replaceSecond(textInCode, code[1:n], never) + code[n:]
	}
	return replaceSecond(textInCode, code, never)
}

// What looks like a password within the texts of an expression: patterns stand there too, which are
// no passwords.
var (
	userInfoInCode  = regexp.MustCompile(`(://[^/@:\s]*:)([^@/\s\[\](){}|\\^]*[A-Za-z0-9][^@/\s\[\](){}|\\^]*)(@)`)
	parameterInCode = regexp.MustCompile(`(?i)(\b(?:password|passwd|pwd|secret|token|api_?key)\s*=\s*)` +
		`([^&\s;"'=$\[\](){}|\\^]?[^&\s;"'=$\[\](){}|\\^A-Za-z0-9]*[A-Za-z0-9][^&\s;"'\[\](){}|\\^]*)()`)
)

// concealCode takes secrets out of an expression or a template. What looks like a password is one
// in its texts alone: the rest is code, and stays what it is.
func concealCode(code string, template bool, secrets []string) string {
	return inTexts(concealKnown(code, secrets), template, func(text string) string {
		return parameterInCode.ReplaceAllString(userInfoInCode.ReplaceAllString(text, "${1}***${3}"), "${1}***")
	})
}

// inTexts puts f of each text in place of it: the texts of an expression stand in quotes, and in a
// template around its parts too.
func inTexts(code string, template bool, f func(string) string) string {
	var out strings.Builder
	depth := 0 // of braces
	for i := 0; i < len(code); {
		rest := code[i:]
		switch c := code[i]; {
		case template && depth == 0:
			n := 0
			for n < len(rest) && (rest[n] != '{' || strings.HasPrefix(rest[n:], "{{")) {
				if rest[n] == '{' {
					n++
				}
				n++
			}
			out.WriteString(f(rest[:n]))
			if i += n; i < len(code) {
				out.WriteByte('{')
				i, depth = i+1, 1
			}
			continue
		case c == '"' || c == '\'' || c == '`':
			if n := textEnd(rest); n > 0 {
				out.WriteByte(c)
				out.WriteString(f(rest[1:n]))
				out.WriteByte(c)
				i += n + 1
				continue
			}
		case !template && strings.HasPrefix(rest, "//"), !template && strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest, map[byte]string{'/': "\n", '*': "*/"}[rest[1]])
			if n < 0 {
				n = len(rest)
			}
			out.WriteString(rest[:n])
			i += n
			continue
		case c == '{':
			depth++
		case c == '}' && depth > 0:
			depth--
		}
		out.WriteByte(code[i])
		i++
	}
	return out.String()
}

// textEnd gives the index of the quote that ends the text of an expression that s begins with, or -1.
func textEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && s[0] != '`':
			i++
		case s[i] == s[0]:
			return i
		}
	}
	return -1
}

// A private is what a file uses as a secret: a secret itself, wherever else it stands.
type private struct {
	variables map[string]bool // by name
	given     map[*node]bool  // values of parameters
}

// takeText notes a secret. A short one stands in other texts too, and is hidden in the lines of
// problems alone, where its own may be shown. Of one with several lines, each is one.
func (d *decoder) takeText(secret string) {
	if len(secret) < leastKey {
		d.hidden = append(d.hidden, secret)
		return
	}
	d.secrets = append(d.secrets, secret)
	if strings.Contains(secret, "\n") {
		for line := range strings.SplitSeq(secret, "\n") {
			if line = strings.TrimSpace(line); len(line) >= leastKey {
				d.secrets = append(d.secrets, line)
			}
		}
	}
}

// takeSecret notes that n is a secret, and so is each variable and each parameter within it.
func (d *decoder) takeSecret(n *node) {
	for _, p := range n.pieces {
		d.takePiece(p)
	}
}

func (d *decoder) takePiece(p piece) {
	if d.private.given == nil {
		d.private = private{map[string]bool{}, map[*node]bool{}}
	}
	name, fallback, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(p.name, "${"), "}"), ":-")
	for _, text := range []string{p.text, fallback} {
		if len(text) >= leastKey {
			d.secrets = append(d.secrets, text)
		}
	}
	if p.given == nil {
		d.private.variables[name] = true
		return
	}
	d.private.given[p.given] = true
	d.takeSecret(p.given)
}

// isSecret says whether p is from ${file:…}, or is used as a secret.
func (d *decoder) isSecret(p piece) bool {
	if p.secret {
		return true
	}
	if p.given != nil {
		return d.private.given[p.given] || slices.ContainsFunc(p.given.pieces, d.isSecret)
	}
	name, _, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(p.name, "${"), "}"), ":")
	return d.private.variables[name]
}

// A shown is a value that errors quote, and what it is called.
type shown struct {
	n    *node
	what string
}

// noSecretNames reports secrets where they would be shown: in keys, in names, and in what errors quote.
func (d *decoder) noSecretNames(p *Pipeline) {
	report := func(n *node, what, suggestion string) {
		if i := slices.IndexFunc(n.pieces, d.isSecret); i >= 0 {
			d.errorAt(n, n.pieces[i].name+" is a secret, and "+what+" is shown", suggestion)
		}
	}
	refuse := func(n *node, what string) {
		if n != nil {
			report(n, what, "write it where a value stands")
		}
	}
	for _, key := range d.keys {
		refuse(key, "a key")
	}
	for _, s := range d.shown {
		s.n.eachScalar(func(n *node) {
			report(n, s.what, "errors and dead letters quote "+s.what+": compare with a secret in a filter")
		})
	}
	refuse(d.places["pipeline"], "a name")
	for i := range p.Stages {
		refuse(d.places[fmt.Sprintf("stages[%d].name", i)], "a name")
	}
	for i := range p.Sinks {
		refuse(d.places[fmt.Sprintf("sinks[%d].name", i)], "a name")
	}
}

// What secrets are called, for keys that nothing knows: a misspelt one holds one too.
var (
	secretNames = []string{"password", "passwd", "secret", "token", "api_key", "authorization", "credentials", "dsn"}
	secretName  = regexp.MustCompile(`(?i)passw|pwd|secret|token|api_?key|credential|authorization|private_?key|\bdsn\b|^auth$|^basic$|^proxy$|^sasl$|bearer`)
)

func looksSecret(key string) bool {
	return secretName.MatchString(key) || nearest(key, secretNames) != ""
}

// unknownValue takes the value of a key that is not known for a secret, as far as the key looks like
// one, or is near to a setting that is one.
func (r *reading) unknownValue(key, value *node, fields []field) {
	secret := looksSecret(key.text)
	if f := findField(fields, nearest(key.text, fieldNames(fields))); f != nil && hidesSecrets(f.typ, 0) {
		secret = true
	}
	r.misspelt(value, secret)
}

func (r *reading) misspelt(n *node, secret bool) {
	if secret && n.kind == scalarNode && !isBool(n.raw) {
		n.hide()
		if len(n.raw) >= leastKey {
			r.hidden = append(r.hidden, n.raw)
		}
	}
	for i, item := range n.items {
		r.misspelt(item, secret || n.kind == mappingNode && looksSecret(n.keys[i].text))
	}
}

// holdsSecrets says whether t is a secret, or a list or a mapping of some.
func holdsSecrets(t reflect.Type) bool {
	for t != secretType {
		elem, ok := isOrdered(t)
		switch {
		case ok:
			t = elem
		case t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map:
			t = t.Elem()
		default:
			return false
		}
	}
	return true
}
