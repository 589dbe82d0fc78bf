package expr

import (
	"errors"
	"regexp"
	"strings"
)

// hinted adds a suggestion to an error: how to write here what another language writes
// otherwise, or, with texts, that a text needs quotes of its own.
func hinted(text string, err error, texts bool) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	hint := joined(text)
	if hint == "" && e.Suggestion != "" && !isGeneric(e.Suggestion) {
		return err
	}
	if hint == "" {
		hint = foreign(text, e.Column)
	}
	if hint == "" && texts && e.Suggestion != pathHint && plainText.MatchString(text) && e.Column > 1 && e.Column <= len(text) {
		hint = `a text has quotes of its own, within those of YAML: '"` + text + `"'`
		if e.Suggestion == joinHint {
			hint += "; else " + joinHint
		}
	}
	if hint == "" {
		return err
	}
	return &Error{Column: e.Column, Message: e.Message, Suggestion: hint}
}

// foreign gives what to write in place of the syntax of another language at a column; "" when
// nothing is known.
func foreign(text string, column int) string {
	at := min(max(column-1, 0), len(text))
	before, rest := strings.TrimRight(text[:at], " "), text[at:]
	for _, op := range []struct{ here, there, hint string }{
		{"!=", "=", "write != to compare"},
		{"==", "=", "write == to compare"},
		{"<", ">", "write != to compare"},
		{"", "=~", "write matches"},
	} {
		if strings.HasSuffix(before, op.here) && strings.HasPrefix(rest, op.there) {
			return op.hint
		}
	}
	if strings.HasPrefix(rest, ".") && !strings.HasSuffix(before, ")") && (before == "" || strings.ContainsAny(before[len(before)-1:], "(!=<>+-*/%,|&[")) {
		if m := memberName.FindStringSubmatch(rest); m != nil {
			return "a field is its name alone: " + m[1]
		}
	}
	if wholeDot.MatchString(rest) && !wordEnd.MatchString(before) && !strings.HasSuffix(before, ")") {
		return "the whole value is $env"
	}
	if strings.HasPrefix(rest, "@") && !wordEnd.MatchString(before) {
		return "a field is its name alone, without @"
	}
	if singlePipe.MatchString(before) {
		return "write or; | hands a value on to a function"
	}
	return foreignOperator(before, rest)
}

var (
	wholeDot   = regexp.MustCompile(`^\.\s*([,)\]}|]|$)`)
	firstWord  = regexp.MustCompile(`^[A-Za-z]+`)
	wordEnd    = regexp.MustCompile(`\w$`)
	lastWord   = regexp.MustCompile(`[A-Za-z]+$`)
	singlePipe = regexp.MustCompile(`[^|]\|\s*[A-Za-z_][\w.]*$`)
	plainText  = regexp.MustCompile(`^[\p{L}\p{N}_ ,.:;!?/@#&+%-]+$`)
)

// foreignOperator gives what to write in place of an operator of SQL.
func foreignOperator(before, rest string) string {
	if lastWord.FindString(before) == "NOT" {
		return "write not"
	}
	switch word := firstWord.FindString(rest); strings.ToUpper(word) {
	case "AND", "OR", "IN":
		if word != strings.ToLower(word) {
			return "write " + strings.ToLower(word)
		}
	case "NOT":
		if word == "NOT" {
			return "write not"
		}
	case "IS":
		if strings.HasPrefix(strings.ToUpper(strings.TrimSpace(rest[len(word):])), "NOT") {
			return "write != nil"
		}
		return "write == nil"
	case "LIKE", "ILIKE":
		return "write contains, startsWith, endsWith or matches"
	case "BETWEEN":
		return "write two comparisons: delay >= 15 and delay <= 60"
	}
	return ""
}

// joined suggests, when text is a template, the expression that gives the same.
func joined(text string) string {
	if !strings.Contains(text, "{") || strings.ContainsAny(text, "\"'`") {
		return ""
	}
	clean := doubled.ReplaceAllString(text, "{$1}")
	clean = strings.NewReplacer("%{", "{", "${", "{").Replace(clean)
	s := scanner{text: clean}
	if s.scan() != nil || len(s.pieces) == 0 {
		return ""
	}
	var parts []string
	hasParts := false
	for _, p := range s.pieces {
		if p.part == nil {
			if comparison.MatchString(p.static) {
				return "a field is its name alone, without braces"
			}
			parts = append(parts, `"`+p.static+`"`)
			continue
		}
		hasParts = true
		switch e := p.part.String(); {
		case len(s.pieces) == 1:
			return "a field is its name alone: write " + strings.TrimSpace(e)
		default:
			parts = append(parts, "string("+strings.TrimSpace(e)+")")
		}
	}
	if !hasParts {
		return ""
	}
	return "an expression has no parts in braces: write '" + strings.Join(parts, " + ") + "'"
}

var (
	doubled    = regexp.MustCompile(`\{\{-?\s*\.?([^{}]+?)\s*-?\}\}`)
	comparison = regexp.MustCompile(`[=<>]|\b(and|or|in|not|contains|matches|AND|OR|IN|IS)\b|&&|\|\|`)
)

// foreignFunctions are functions of other languages, with what to write here.
var foreignFunctions = map[string]string{
	"exists": "write amount != nil", "has": "write amount != nil", "isset": "write amount != nil", "is_set": "write amount != nil",
	"isnull": "write amount == nil", "is_null": "write amount == nil", "is_nil": "write amount == nil", "empty": "write amount == nil, or len(items) == 0",
	"json": "a field is its name alone: delay, passenger.name", "content": "a field is its name alone: delay, passenger.name",
	"meta":     "write meta.topic, meta.key, meta.time or another of meta; a header is header(\"name\")",
	"coalesce": "write amount ?? 0", "ifnull": "write amount ?? 0", "nvl": "write amount ?? 0", "default": "write amount ?? 0",
	"if": "write late ? 1 : 0", "iif": "write late ? 1 : 0",
	"str": "write string(amount)", "to_string": "write string(amount)", "toString": "write string(amount)", "tostring": "write string(amount)",
	"to_int": "write int(amount)", "toInt": "write int(amount)", "number": "write int(amount) or float(amount)", "to_float": "write float(amount)",
	"length": "write len(name)", "size": "write len(name)", "strlen": "write len(name)",
	"deleted": "a field is taken out with remove of a map, and a record is left out with a filter",
	"omit":    `write without(order, "id")`, "del": `write without(order, "id")`, "delete": `write without(order, "id")`, "unset": `write without(order, "id")`, "set": `write with(order, "id", 1)`, "assign": `write merge(order, {"id": 1})`,
	"slice": "write items[1:3]", "push": "write append(items, 1)", "entries": "write toPairs(order)", "unique": "write uniq(items)", "distinct": "write uniq(items)",
	"includes": `write "a" in items`, "contains": `write "a" in items, or name contains "a"`, "pluck": "write map(items, .sku)", "collapse": "write flattenKeys(order)", "squash": "write merge(items)", "unnest": `write explode(order, "items")`, "enumerated": "write map(items, [#index, #])", "array": "write toArray(items)", "pop": "write items[0:-1]", "unflatten": "write nestKeys(order)",
	"uppercase": "write upper(name)", "lowercase": "write lower(name)", "substr": "write name[0:3]", "substring": "write name[0:3]",
	// Of Bento, of VRL, and of SQL.
	"re_match": "write name matches \"^A\"", "match": "write name matches \"^A\"", "re_find_all": "write findAll(name, \"[0-9]+\")", "re_find_object": "write capture(name, \"(?P<id>[0-9]+)\")", "parse_regex": "write capture(name, \"(?P<id>[0-9]+)\")", "regexp_extract": "write capture(name, \"(?P<id>[0-9]+)\")",
	"re_replace": "write replaceMatch(name, \"[0-9]\", \"*\")", "re_replace_all": "write replaceMatch(name, \"[0-9]\", \"*\")", "regexp_replace": "write replaceMatch(name, \"[0-9]\", \"*\")", "gsub": "write replaceMatch(name, \"[0-9]\", \"*\")", "replace_all": "write replace(name, \"a\", \"b\"), which replaces all",
	"uuid_v4": "write uuid()", "uuidv4": "write uuid()", "uuid_v7": "write uuid7()", "sha2": "write sha256(name)", "sha3": "write sha256(name)", "hash": "write sha256(name), xxhash(name) or hmac(name, key)", "seahash": "write xxhash(name)",
	"timestamp_unix": "write unix(now())", "to_unix_timestamp": "write unix(date(created))", "from_unix_timestamp": "write date(seconds * 1000)", "format_timestamp": "write formatTime(date(created), \"2006-01-02\")", "ts_format": "write formatTime(date(created), \"2006-01-02\")", "strftime": "write formatTime(date(created), \"2006-01-02\")", "parse_timestamp": "write date(created, \"2006-01-02\")", "ts_parse": "write date(created, \"2006-01-02\")", "date_trunc": "write truncateTime(date(created), \"day\")",
	"upcase": "write upper(name)", "downcase": "write lower(name)", "initcap": "write title(name)", "strip_whitespace": "write trim(name)", "lpad": "write padLeft(name, 8, \"0\")", "rpad": "write padRight(name, 8)", "parse_int": "write parseInt(name, 16)", "format_int": "write formatInt(amount, 16)", "format_number": "write formatNumber(amount, 2)", "random_int": "write random(6) + 1", "encode_percent": "write urlEncode(name)", "escape_url_query": "write urlEncode(name, \"form\")", "ip_cidr_contains": "write inCIDR(address, \"10.0.0.0/8\")",
}
