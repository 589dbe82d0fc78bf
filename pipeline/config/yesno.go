package config

import (
	"slices"
	"strings"
	"unicode"
)

// saysYesOrNo says whether the last name of a path is called like something that is
// true or false: is_late, cancelled, hasBags, vip; or stands among such: flags.beta.
func saysYesOrNo(path string) bool {
	path = strings.TrimSuffix(path, `"]`)
	at := strings.LastIndexAny(path, `."`)
	if at > 0 {
		of := nameWords(strings.TrimRight(path[strings.LastIndexAny(path[:at], `."`)+1:at], `[`))
		if len(of) > 0 && slices.Contains(switches, of[len(of)-1]) {
			return true
		}
	}
	words := nameWords(path[at+1:])
	if len(words) == 0 {
		return false
	}
	if len(words) > 1 && slices.Contains(asking, words[0]) {
		return true
	}
	last := words[len(words)-1]
	if slices.Contains(noStates, last) {
		return false
	}
	return slices.Contains(states, last) || len(last) > 4 && strings.HasSuffix(last, "ed") && !strings.HasSuffix(last, "eed") ||
		strings.HasSuffix(last, "able") || strings.HasSuffix(last, "ible") || strings.HasPrefix(last, "is") && len(last) > 2 && slices.Contains(states, last[2:])
}

// asking are the words that a question begins with.
var asking = strings.Fields(`is has have had was were are be can could should will would did do does may must
	allow allows need needs use uses enable disable in on no not non opt`)

// switches are objects whose fields are true or false.
var switches = strings.Fields(`flags features toggles switches permissions consents`)

// states are words for a state that something is in or not.
var states = strings.Fields(`active inactive valid invalid ok okay late early new old open closed live alive dead done ready
	online offline public private internal external local remote vip paid unpaid sent seen unseen hidden broken lost won
	known unknown empty full free fresh stale flag bool boolean true missing pending success successful fraud spam
	urgent critical severe overdue duplicate complete incomplete final manual automatic auto optional mandatory good bad
	correct wrong safe unsafe legal illegal gone taken chosen on off up down exists present absent member premium
	primary main default test dirty clean secure insecure admin staff adult matches passes fits
	consent consents newsletter debug beta preview trial demo bot guest student weekend holiday`)

// noStates have an ending like a state, and are none.
var noStates = strings.Fields(`table cable variable receivable payable timetable`)

// nameWords parts is_late, isLate and is-late.
func nameWords(name string) []string {
	var b strings.Builder
	before := rune(0)
	for _, r := range name {
		if unicode.IsUpper(r) && unicode.IsLower(before) {
			b.WriteByte(' ')
		}
		if r == '_' || r == '-' {
			r = ' '
		}
		b.WriteRune(unicode.ToLower(r))
		before = r
	}
	return strings.Fields(b.String())
}

// shareWord says whether two names have a word in common, as customer and customer_id.
func shareWord(a, b string) bool {
	words := nameWords(b)
	return slices.ContainsFunc(nameWords(a), func(w string) bool { return slices.Contains(words, w) })
}
