package textformat

import (
	"bytes"
	"strconv"
	"time"
)

// AppendAccessLog appends an object with the parts of a line of an access log, as Apache and nginx
// write it in the formats common and combined, with the virtual host before it or not: host, ident,
// user, timestamp (RFC 3339, in UTC), method, path, protocol, status and size (numbers), referrer,
// agent. What is written as - is left out. A request that has no method, path and protocol is in
// request as it was sent; what stands behind the agent is in extra as it is; the virtual host is
// in virtual_host. Quoted parts are without the escapes of either server.
func AppendAccessLog(dst, line []byte) ([]byte, error) {
	line = withoutLineEnd(line)
	o := begin(dst)
	i, err := accessClient(&o, line)
	if err != nil {
		return dst, err
	}
	request, end, err := accessQuoted(line, i, "the request")
	if err != nil {
		return dst, err
	}
	accessRequest(&o, request)
	if i, err = accessNumbers(&o, line, end); err != nil {
		return dst, err
	}
	if i == len(line) {
		return o.end(), nil
	}
	for _, name := range [...]string{"referrer", "agent"} {
		text, end, err := accessQuoted(line, i, name)
		if err != nil {
			return dst, err
		}
		if string(text) != "-" {
			o.text(name, text)
		}
		if i = end; i < len(line) && line[i] == ' ' {
			i++
		}
	}
	o.text("extra", bytes.TrimRight(line[i:], " "))
	return o.end(), nil
}

// accessClient reads up to the time, and gives where the request begins.
func accessClient(o *object, line []byte) (int, error) {
	open := bytes.Index(line, []byte(" ["))
	if open < 0 {
		return 0, whole("there is no time in brackets, as access logs have it")
	}
	head, from := line[:open], 0
	if first, rest, ok := bytes.Cut(head, []byte{' '}); ok && bytes.Count(rest, []byte{' '}) >= 2 && rest[0] != '-' && withPort(first) {
		o.text("virtual_host", first)
		head, from = rest, len(first)+1
	}
	host, rest, _ := bytes.Cut(head, []byte{' '})
	ident, user, ok := bytes.Cut(rest, []byte{' '})
	if !ok || len(host) == 0 {
		return 0, at(from, "before the time stand no host, ident and user")
	}
	for _, part := range [...]struct {
		name string
		text []byte
	}{{"host", host}, {"ident", ident}, {"user", user}} {
		if string(part.text) != "-" {
			o.text(part.name, part.text)
		}
	}
	end := bytes.IndexByte(line[open:], ']')
	if end < 0 {
		return 0, at(open+1, "the bracket of the time has no end")
	}
	t, ok := clfTime(line[open+2 : open+end])
	if !ok {
		return 0, at(open+2, "the time is none, like 10/Oct/2000:13:55:36 -0700")
	}
	o.known("timestamp")
	o.out = appendTime(o.out, t)
	if i := open + end + 1; i < len(line) && line[i] == ' ' {
		return i + 1, nil
	}
	return 0, at(open+end+1, "the request is missing")
}

// withPort says whether text ends with a colon and a port, as a virtual host does in a log.
func withPort(text []byte) bool {
	i := bytes.LastIndexByte(text, ':')
	if i <= 0 || i == len(text)-1 {
		return false
	}
	for _, c := range text[i+1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// accessQuoted gives what stands in quotes at i, without the escapes, and the end behind it.
func accessQuoted(line []byte, i int, what string) (text []byte, end int, err error) {
	if i >= len(line) || line[i] != '"' {
		return nil, 0, at(i, what+" stands in no quotes")
	}
	escapes := false
	for end = i + 1; end < len(line) && line[end] != '"'; end++ {
		if line[end] == '\\' {
			escapes = true
			end++
		}
	}
	if end >= len(line) {
		return nil, 0, at(i, "the quote of "+what+" has no end")
	}
	text = line[i+1 : end]
	if escapes {
		text = accessEscapes(text)
	}
	return text, end + 1, nil
}

// accessEscapes decodes \x2f, \" and the like.
func accessEscapes(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			out = append(out, text[i])
			continue
		}
		i++
		switch c := text[i]; {
		case c == 'x' && i+2 < len(text) && hexadecimal(text[i+1]) && hexadecimal(text[i+2]):
			out = append(out, digit(text[i+1])<<4|digit(text[i+2]))
			i += 2
		case c == 'n':
			out = append(out, '\n')
		case c == 't':
			out = append(out, '\t')
		case c == 'r':
			out = append(out, '\r')
		default:
			out = append(out, c)
		}
	}
	return out
}

// accessRequest takes a request apart, or leaves it whole: what attackers and broken clients
// send is in logs too.
func accessRequest(o *object, request []byte) {
	method, rest, _ := bytes.Cut(request, []byte{' '})
	last := bytes.LastIndexByte(rest, ' ')
	if last <= 0 || len(method) == 0 || !bytes.HasPrefix(rest[last+1:], []byte("HTTP/")) {
		if string(request) != "-" {
			o.text("request", request)
		}
		return
	}
	o.text("method", method)
	o.text("path", rest[:last])
	o.text("protocol", rest[last+1:])
}

// accessNumbers reads status and size, and gives where the next part begins.
func accessNumbers(o *object, line []byte, i int) (int, error) {
	for _, name := range [...]string{"status", "size"} {
		if i >= len(line) || line[i] != ' ' {
			return 0, at(min(i, len(line)), "the "+name+" is missing")
		}
		i++
		end := i
		for end < len(line) && line[end] != ' ' {
			end++
		}
		if part := line[i:end]; string(part) != "-" {
			n := int64(0)
			for _, c := range part {
				if c < '0' || c > '9' || len(part) > 18 {
					return 0, at(i, "the "+name+" is no number")
				}
				n = n*10 + int64(c-'0')
			}
			if len(part) == 0 || name == "status" && len(part) != 3 {
				return 0, at(i, "the "+name+" is no number, or has not three digits")
			}
			o.known(name)
			o.out = strconv.AppendInt(o.out, n, 10)
		}
		i = end
	}
	if i < len(line) {
		i++
	}
	return i, nil
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// clfTime reads 10/Oct/2000:13:55:36 -0700. It is at hand for every line, and package time takes
// several times as long for it.
func clfTime(text []byte) (time.Time, bool) {
	if len(text) != 26 || text[2] != '/' || text[6] != '/' || text[11] != ':' || text[14] != ':' || text[17] != ':' || text[20] != ' ' {
		return time.Time{}, false
	}
	two := func(i int) int {
		a, b := text[i]-'0', text[i+1]-'0'
		if a > 9 || b > 9 {
			return 1000
		}
		return int(a)*10 + int(b)
	}
	month := 0
	for month < 12 && months[3*month:3*month+3] != string(text[3:6]) {
		month++
	}
	day, year, hour, minute, second := two(0), two(7)*100+two(9), two(12), two(15), two(18)
	offset := two(22)*3600 + two(24)*60
	if month == 12 || year > 9999 || hour > 23 || minute > 59 || second > 60 || offset >= 24*3600 || text[21] != '+' && text[21] != '-' {
		return time.Time{}, false
	}
	if text[21] == '-' {
		offset = -offset
	}
	t := time.Date(year, time.Month(month+1), day, hour, minute, second, 0, time.UTC)
	if t.Day() != day && second < 60 || day < 1 || day > 31 {
		return time.Time{}, false
	}
	return t.Add(-time.Duration(offset) * time.Second), true
}
