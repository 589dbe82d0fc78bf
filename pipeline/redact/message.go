package redact

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// This file masks what was taken out of a record in a message about it. Messages quote no values, but
// name hosts, and a host may come out of a field: as it is, as the host of an address, or in lower
// case. A name with other letters than those of ASCII stands in a form of its own, which begins with xn--: a
// message that has one is left out where a text with such letters was taken out.

// leftOut stands in place of a message that cannot be looked through.
const leftOut = "the message is left out: what is redacted in this record may stand in it"

// masked gives the message with each text that was taken out masked, in upper or lower case.
func (t *taken) masked(message string) string {
	if message == "" || !t.many && len(t.texts) == 0 {
		return message
	}
	if t.many || strings.Contains(strings.ToLower(message), "xn--") && slices.ContainsFunc(t.texts, otherLetters) {
		return leftOut
	}
	hidden := make([]bool, len(message))
	for _, text := range t.texts {
		for _, form := range hostForms(text) {
			for i := 0; i+len(form) <= len(message); i++ {
				if !strings.EqualFold(message[i:i+len(form)], form) {
					continue
				}
				for j := range form {
					hidden[i+j] = true
				}
			}
		}
	}
	if !slices.Contains(hidden, true) {
		return message
	}
	var b strings.Builder
	for i := range len(message) {
		switch {
		case !hidden[i]:
			b.WriteByte(message[i])
		case i == 0 || !hidden[i-1]:
			b.WriteString("***")
		}
	}
	return b.String()
}

// hostForms gives a text and the hosts that may be named when it is used in an address.
func hostForms(text string) []string {
	forms := []string{text}
	for _, address := range [...]string{text, "//" + text} { // a whole one, or one whose scheme the file writes
		if u, err := url.Parse(address); err == nil && u.Hostname() != "" {
			forms = append(forms, u.Hostname())
		}
	}
	if host, _, err := net.SplitHostPort(text); err == nil && host != "" {
		forms = append(forms, host)
	}
	return forms
}

// otherLetters says whether a text has letters that are not of ASCII.
func otherLetters(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}
