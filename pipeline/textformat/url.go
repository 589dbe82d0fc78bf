package textformat

import (
	"bytes"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/penstockio/penstock/pipeline/jsontext"
)

// AppendURL appends an object with the parts of a URL that are there: scheme, user, password,
// host, port (a number), path, query (an object), fragment, decoded. A URL without scheme and
// host is taken too: the path and query of a request. One that has no slashes behind its scheme,
// like mailto:, has the rest as its path.
func AppendURL(dst, text []byte) ([]byte, error) {
	for i, c := range text {
		switch {
		case c <= ' ' || c == 0x7f:
			return dst, at(i, "a space or control character, which a URL cannot have")
		case c == '%' && !escape(text[i:]):
			return dst, at(i, "behind % stand no two hexadecimal digits")
		}
	}
	if len(text) == 0 {
		return dst, whole("it is empty, and no URL")
	}
	u, err := url.Parse(string(text))
	if err != nil { // which quotes it
		return dst, urlError(text)
	}
	o := begin(dst)
	o.text("scheme", []byte(u.Scheme))
	if u.User != nil {
		o.text("user", []byte(u.User.Username()))
		password, _ := u.User.Password()
		o.text("password", []byte(password))
	}
	o.text("host", []byte(u.Hostname()))
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return dst, at(bytes.Index(text, []byte(":"+port))+1, "the port is no number up to 65535")
		}
		o.known("port")
		o.out = strconv.AppendUint(o.out, n, 10)
	}
	if u.Opaque != "" {
		o.text("path", []byte(u.Opaque))
	} else {
		o.text("path", []byte(u.Path))
	}
	if strings.Trim(u.RawQuery, "&") != "" {
		o.known("query")
		if o.out, err = appendQuery(o.out, []byte(u.RawQuery), 0); err != nil {
			return dst, err
		}
	}
	o.text("fragment", []byte(u.Fragment))
	return o.end(), nil
}

// urlError says which part of a text is not that of a URL.
func urlError(text []byte) error {
	scheme, rest, slashes := bytes.Cut(text, []byte("//"))
	if colon := bytes.IndexByte(text, ':'); colon >= 0 && (!slashes || colon == len(scheme)-1) {
		for i, c := range text[:colon] {
			letter := c|0x20 >= 'a' && c|0x20 <= 'z'
			if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.')) {
				return at(i, "the scheme is none")
			}
		}
		if colon == 0 {
			return at(0, "the scheme is missing")
		}
	}
	if slashes {
		from := len(scheme) + 2
		if end := bytes.IndexAny(rest, "/?#"); end >= 0 {
			rest = rest[:end]
		}
		if user := bytes.LastIndexByte(rest, '@'); user >= 0 {
			from += user + 1
		}
		return at(from, "the user, host or port is none")
	}
	return whole("it is no URL")
}

// escape says whether text begins with % and two hexadecimal digits.
func escape(text []byte) bool {
	return len(text) >= 3 && hexadecimal(text[1]) && hexadecimal(text[2])
}

func hexadecimal(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }

func digit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// AppendQuery appends an object with a member for each pair of a query string, decoded: a + is a
// space. A ? before it is left out. A name without = has an empty value.
func AppendQuery(dst, text []byte) ([]byte, error) {
	if len(text) > 0 && text[0] == '?' {
		return appendQuery(dst, text, 1)
	}
	return appendQuery(dst, text, 0)
}

func appendQuery(dst, text []byte, i int) ([]byte, error) {
	o := begin(dst)
	for i < len(text) {
		end := len(text)
		if n := bytes.IndexByte(text[i:], '&'); n >= 0 {
			end = i + n
		}
		if end > i {
			name, value, _ := bytes.Cut(text[i:end], []byte{'='})
			is, err := decoded(name, i)
			if err != nil {
				return dst, err
			}
			o.name(is)
			if is, err = decoded(value, i+len(name)+1); err != nil {
				return dst, err
			}
			o.out = appendText(o.out, is)
		}
		i = end + 1
	}
	return o.end(), nil
}

// decoded gives a part of a query string without its escapes. from is where it begins, for errors.
func decoded(part []byte, from int) ([]byte, error) {
	if !bytes.ContainsAny(part, "%+") {
		return part, nil
	}
	return appendDecoded(make([]byte, 0, len(part)), part, true, from)
}

// AppendURLDecoded appends text without the escapes of a URL: % and two hexadecimal digits stand for
// a byte, and, with form, a + for a space.
func AppendURLDecoded(dst, text []byte, form bool) ([]byte, error) {
	return appendDecoded(dst, text, form, 0)
}

func appendDecoded(dst, part []byte, form bool, from int) ([]byte, error) {
	out := dst
	for i := 0; i < len(part); i++ {
		switch c := part[i]; {
		case c == '+' && form:
			out = append(out, ' ')
		case c != '%':
			out = append(out, c)
		case escape(part[i:]):
			out = append(out, digit(part[i+1])<<4|digit(part[i+2]))
			i += 2
		default:
			return dst, at(from+i, "behind % stand no two hexadecimal digits")
		}
	}
	return out, nil
}

// AppendQueryString appends an object as a query string without a ?. A value is a string, a
// number, true or false, or an array of these: a pair for each. One that is null is left out.
func AppendQueryString(dst, value []byte) ([]byte, error) {
	out := dst
	pair := func(name, v []byte) {
		if len(out) > len(dst) {
			out = append(out, '&')
		}
		out = append(append(append(out, url.QueryEscape(string(name))...), '='), url.QueryEscape(string(plain(v)))...)
	}
	err := members(value, func(i int, name, v []byte) (err error) {
		switch v[0] {
		case 'n':
		case '{':
			err = whole(fmt.Sprintf("member %d is an object, which a query string cannot have", i))
		case '[':
			jsontext.Elements(v, func(e []byte) bool {
				if e[0] == '{' || e[0] == '[' {
					err = whole(fmt.Sprintf("member %d has an array or object within its array", i))
				} else if e[0] != 'n' {
					pair(name, e)
				}
				return err == nil
			})
		default:
			pair(name, v)
		}
		return err
	})
	if err != nil {
		return dst, err
	}
	return out, nil
}

// AppendURLText appends an object with the parts that AppendURL gives as a URL.
func AppendURLText(dst, value []byte) ([]byte, error) {
	parts := map[string]string{}
	query := ""
	err := members(value, func(i int, name, v []byte) error {
		switch part := string(name); {
		case v[0] == 'n':
		case part == "query" && v[0] == '{':
			text, err := AppendQueryString(nil, v)
			query = string(text)
			return err
		case strings.Contains(" scheme user password host port path query fragment ", " "+part+" ") && v[0] != '{' && v[0] != '[':
			parts[part] = string(plain(v))
		default:
			return whole(fmt.Sprintf("member %d is no part of a URL: there are scheme, user, password, host, port, path, query, fragment", i))
		}
		return nil
	})
	if err != nil {
		return dst, err
	}
	return appendParts(dst, parts, query)
}

func appendParts(dst []byte, parts map[string]string, query string) ([]byte, error) {
	u := url.URL{Scheme: parts["scheme"], Host: parts["host"], Path: parts["path"], RawQuery: query, Fragment: parts["fragment"]}
	if text := parts["query"]; text != "" {
		u.RawQuery = text
	}
	if strings.Contains(u.Host, ":") {
		u.Host = "[" + u.Host + "]"
	}
	if port := parts["port"]; port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || u.Host == "" {
			return dst, whole("the port is no number up to 65535, or there is no host")
		}
		u.Host += ":" + strconv.FormatUint(n, 10)
	}
	user, password := parts["user"], parts["password"]
	switch {
	case user == "" && password == "":
	case u.Host == "":
		return dst, whole("there is a user, and no host")
	case password == "":
		u.User = url.User(user)
	default:
		u.User = url.UserPassword(user, password)
	}
	switch {
	case u.Scheme != "" && u.Host == "" && u.Path != "" && u.Path[0] != '/':
		u.Opaque, u.Path = u.Path, ""
	case u.Host != "" && u.Path != "" && u.Path[0] != '/':
		return dst, whole("the path behind a host begins with /")
	}
	text := u.String()
	u.Scheme = strings.ToLower(u.Scheme)
	again, err := url.Parse(text)
	if _, wrong := AppendURL(nil, []byte(text)); wrong != nil || err != nil || again.Scheme != u.Scheme || again.Host != u.Host || again.Opaque != u.Opaque ||
		again.Path != u.Path || again.RawQuery != u.RawQuery || again.Fragment != u.Fragment || again.User.String() != u.User.String() {
		return dst, whole("the parts make no URL that reads as them")
	}
	return append(dst, text...), nil
}
