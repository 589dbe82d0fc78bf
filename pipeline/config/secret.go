package config

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

var (
	userInfo    = regexp.MustCompile(`(://[^/@:\s]*:)([^@/\s]+)(@)`)
	userOfHost  = regexp.MustCompile(`([A-Za-z0-9_.-]+:)([^@/:,\s"']+)(@[A-Za-z0-9_.-]+:[0-9])`)
	parameter   = regexp.MustCompile(`(?i)(\b(?:password|passwd|pwd|secret|token|api_?key)\s*=\s*)([^&\s;"']+)()`)
	secretValue = regexp.MustCompile(`(?i)((?:password|passwd|secret|token|api_?key|dsn|authorization)["']?\s*:\s*)("[^"]*"|'[^']*'|[^\s,{}\[\]]+)()`)
	secretKey   = regexp.MustCompile(`(?i)((?:password|passwd|secret|token|api_?key|dsn|authorization)["']?\s*:\s*)(\S.*)()`)
)

// conceal takes secrets out of a text: those that are known, and what looks like a
// password.
func conceal(text string, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	text = userInfo.ReplaceAllString(text, "${1}***${3}")
	return parameter.ReplaceAllString(text, "${1}***")
}

// concealAll takes secrets out of problems. The line that is shown keeps its length, so
// that the caret stays at its place. In a line that YAML could not read no value is known to be
// a secret: what stands behind a key like password is hidden there.
func (p Problems) concealAll(secrets []string) {
	for i := range p {
		q := &p[i]
		q.Text, q.Suggestion = conceal(q.Text, secrets), conceal(q.Suggestion, secrets)
		for j := range q.Notes {
			q.Notes[j] = conceal(q.Notes[j], secrets)
		}
		for _, secret := range secrets {
			if secret != "" {
				q.Source = strings.ReplaceAll(q.Source, secret, stars(secret))
			}
		}
		hide := []*regexp.Regexp{userInfo, userOfHost, parameter, secretValue}
		if strings.HasPrefix(q.Text, readingYAML) {
			hide = append(hide, secretKey)
			q.Suggestion = secretKey.ReplaceAllString(q.Suggestion, "${1}***")
		}
		for _, form := range hide {
			q.Source = replaceSecond(form, q.Source)
		}
	}
}

func stars(s string) string { return strings.Repeat("*", utf8.RuneCountInString(s)) }

// replaceSecond puts stars in place of the second group of form.
func replaceSecond(form *regexp.Regexp, s string) string {
	return form.ReplaceAllStringFunc(s, func(m string) string {
		g := form.FindStringSubmatch(m)
		if strings.HasPrefix(strings.Trim(g[2], `"'`), "${") {
			return m
		}
		return g[1] + stars(g[2]) + g[3]
	})
}
