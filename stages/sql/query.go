package sql

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// part is what looks like the {EXPR} of a template, which people write who expect values to be put
// into the text. '{}' and '{"a": 1}' do not: they are an array and JSON of the database.
var part = regexp.MustCompile(`\{\s*[A-Za-z_$][^{},:"']*\}`)

// checkQuery refuses what is not one reading statement with as many parameters as
// there are args.
func checkQuery(query, driver string, args int) error {
	if strings.TrimSpace(query) == "" {
		return errors.New("the query is empty: write a SELECT")
	}
	if p := part.FindString(query); p != "" {
		mark := "?"
		if driver == "postgres" {
			mark = "$1"
		}
		return fmt.Errorf("values are never put into the text of a query: write %s in place of %s and the expression under args; where it is a value of the database's own, put quotes within it: {\"%s\"}", mark, p, strings.TrimSpace(strings.Trim(p, "{}")))
	}
	s, err := scan(query, driver)
	if err != nil {
		return err
	}
	switch s.first {
	case "SELECT", "WITH", "VALUES", "TABLE":
	default:
		return fmt.Errorf("a look-up only reads: the query must begin with SELECT or WITH, not %s", s.first)
	}
	if s.parameters != args {
		return fmt.Errorf("the query has %d parameters and args has %d values", s.parameters, args)
	}
	return nil
}

// A scanner finds a statement's first word, its end and its parameters, past quotes
// and comments. It does not understand SQL: the database does.
type scanner struct {
	text     string
	postgres bool
	mysql    bool

	first      string
	parameters int
	end        int // of the statement, without its semicolon and what follows

	places    []place         // of the parameters in text, in order
	outermost map[string]bool // words that stand in no parentheses, in capitals
	parens    bool            // the statement begins with one
	doubtful  bool            // it depends on the settings of the server how the text is read
	from      int             // where the outermost FROM begins, 0: there is none
	where     int             // where the outermost WHERE behind it begins, 0: there is none
	depth     int
}

// A place is where a parameter stands in the text, which it is, from 1, and in how many parentheses.
type place struct{ from, to, parameter, depth int }

// scan reads a query of one of the drivers.
func scan(query, driver string) (*scanner, error) {
	s := &scanner{text: query, postgres: driver == "postgres", mysql: driver == "mysql" || driver == "mariadb", outermost: map[string]bool{}}
	return s, s.scan()
}

func (s *scanner) scan() error {
	t, ended := s.text, false
	for i := 0; i < len(t); {
		n, meaning, err := s.token(i)
		if err != nil {
			return err
		}
		switch {
		case !meaning:
		case ended:
			return errors.New("the query holds more than one statement")
		case t[i] == ';':
			ended = true
		case s.first == "" && t[i] == '(':
			s.parens = true
		case s.first == "":
			s.first = strings.ToUpper(t[i : i+n])
		}
		if meaning && !ended {
			s.end = i + n
			if err := s.note(i, n); err != nil {
				return err
			}
		}
		i += n
	}
	return nil
}

// note keeps what matters about the n bytes at i beyond their end.
func (s *scanner) note(i, n int) error {
	switch c := s.text[i]; {
	case c == '(':
		s.depth++
	case c == ')':
		s.depth--
	case c == '@':
		s.doubtful = true // a variable of the session
	case (c == '\'' || c == '"') && strings.Contains(s.text[i:i+n], `\`):
		s.doubtful = true // an escape, or not, by sql_mode
	case word(c) && (i == 0 || s.text[i-1] != '.'):
		w := strings.ToUpper(s.text[i : i+n])
		if w == "INTO" && s.mysql {
			return errors.New("a look-up only reads: the query must not have INTO")
		}
		if s.depth == 0 {
			s.outermost[w] = true
			if w == "FROM" && s.from == 0 {
				s.from = i
			} else if w == "WHERE" && s.where == 0 {
				s.where = i
			}
		}
	}
	return nil
}

// token gives the length of the token at i and whether it is more than white space
// or a comment. It counts parameters.
func (s *scanner) token(i int) (n int, meaning bool, err error) {
	t := s.text[i:]
	switch c := t[0]; {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v' && s.mysql:
		return 1, false, nil
	case c == '#' && s.mysql, strings.HasPrefix(t, "--") && (!s.mysql || len(t) == 2 || t[2] <= ' '):
		if end := strings.IndexByte(t, '\n'); end >= 0 {
			return end + 1, false, nil
		}
		return len(t), false, nil
	case s.mysql && (strings.HasPrefix(t, "/*!") || strings.HasPrefix(t, "/*M!")):
		return 0, true, errors.New("the query has a comment that the server runs: write what is in it without /*! and */")
	case strings.HasPrefix(t, "/*"):
		n, err = s.comment(t)
		return n, false, err
	case c == '\'' || c == '"' || c == '`' && !s.postgres:
		escapes := s.mysql && c != '`' || s.postgres && c == '\'' && i > 0 && (s.text[i-1] == 'E' || s.text[i-1] == 'e') && (i == 1 || !word(s.text[i-2]))
		n, err = quoted(t, c, escapes)
		return n, true, err
	case c == '$' && s.postgres:
		n, err = s.dollar(i)
		return n, true, err
	case c == '?' && !s.postgres:
		return s.question(i), true, nil
	case (c == ':' || c == '@' || c == '$') && !s.postgres && !s.mysql && len(t) > 1 && word(t[1]):
		return 0, true, fmt.Errorf("named parameters are not supported: write ? in place of %s", t[:1+wordLen(t[1:])])
	case word(c):
		return wordLen(t), true, nil
	}
	return 1, true, nil
}

func word(c byte) bool {
	return c == '_' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func wordLen(t string) int {
	n := 0
	for n < len(t) && (word(t[n]) || n > 0 && t[n] == '$') {
		n++
	}
	return n
}

// comment gives the length of a block comment; PostgreSQL's nest.
func (s *scanner) comment(t string) (int, error) {
	depth := 0
	for i := 0; i+1 < len(t); i++ {
		switch {
		case t[i:i+2] == "/*" && (depth == 0 || s.postgres):
			depth++
			i++
		case t[i:i+2] == "*/":
			i++
			if depth--; depth == 0 {
				return i + 1, nil
			}
		}
	}
	if !s.postgres && !s.mysql { // SQLite ends one with the text
		return len(t), nil
	}
	return 0, errors.New("a comment of the query is not closed")
}

func quoted(t string, quote byte, escapes bool) (int, error) {
	for i := 1; i < len(t); i++ {
		switch {
		case escapes && t[i] == '\\':
			i++
		case t[i] == quote && i+1 < len(t) && t[i+1] == quote:
			i++
		case t[i] == quote:
			return i + 1, nil
		}
	}
	return 0, errors.New("a quote of the query is not closed")
}

// dollar reads $1 and $tag$…$tag$.
func (s *scanner) dollar(i int) (int, error) {
	t, n := s.text[i:], 1
	for n < len(t) && '0' <= t[n] && t[n] <= '9' {
		n++
	}
	if n > 1 {
		p, err := strconv.Atoi(t[1:n])
		if err != nil || p < 1 || p > 65535 {
			return 0, fmt.Errorf("the parameter %s is out of range", t[:n])
		}
		s.parameters = max(s.parameters, p)
		s.places = append(s.places, place{i, i + n, p, s.depth})
		return n, nil
	}
	end := strings.IndexByte(t[1:], '$')
	if end < 0 || wordLen(t[1:1+end]) != end {
		return 1, nil
	}
	tag := t[:end+2]
	closing := strings.Index(t[len(tag):], tag)
	if closing < 0 {
		return 0, errors.New("a quote of the query is not closed")
	}
	return len(tag) + closing + len(tag), nil
}

// question reads ? and, of SQLite, ?3.
func (s *scanner) question(i int) int {
	t, n := s.text[i:], 1
	for n < len(t) && '0' <= t[n] && t[n] <= '9' && !s.mysql {
		n++
	}
	p, err := strconv.Atoi(t[1:n])
	if err != nil {
		p = s.parameters + 1
	}
	s.parameters = max(s.parameters, p)
	s.places = append(s.places, place{i, i + n, p, s.depth})
	return n
}
