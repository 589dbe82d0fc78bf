package database

import (
	"net/url"
	"slices"
	"strings"
)

// urlIsClear says whether a dsn that is a URL can be read in one way. A password with a '/', '?', '#' or '@' in it that is not
// written as %2F, %3F, %23 or %40 ends the address there: what follows would be taken for the host, the database or a setting, which
// messages show.
func urlIsClear(text string) bool {
	_, rest, ok := strings.Cut(text, "://")
	if !ok || strings.ContainsAny(rest, "#") {
		return false
	}
	rest, query, _ := strings.Cut(rest, "?")
	_, path, _ := strings.Cut(rest, "/")
	if strings.ContainsAny(path, "@/") || strings.Count(rest, "@") > 1 {
		return false
	}
	for setting := range strings.SplitSeq(query, "&") {
		// A place for values that may have an '@'; elsewhere it is the end of a password.
		name, value, _ := strings.Cut(setting, "=")
		if strings.Contains(name, "@") || strings.Contains(value, "@") && !slices.Contains([]string{"user", "password", "application_name", "options"}, name) {
			return false
		}
	}
	_, err := url.Parse(text)
	return err == nil
}
