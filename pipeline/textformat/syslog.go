package textformat

import (
	"bytes"
	"strconv"
	"time"
)

// A Syslog reads messages of syslog: those of RFC 5424, and the older ones of RFC 3164, as daemons
// send them and as they stand in files, without the number in front.
type Syslog struct {
	Zone *time.Location // of the older ones, which name none; nil: UTC
}

// The names that RFC 5427 gives.
var (
	severities = [...]string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
	facilities = [...]string{"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit",
		"console", "cron2", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}
)

// AppendObject appends an object with the parts of a message that are there: facility, severity,
// version (a number, of RFC 5424 alone), timestamp, hostname, appname, procid, msgid,
// structured_data, message. The timestamp is one of RFC 3339, in UTC. One of RFC 3164 has no
// year: it is the one nearest to near; without near, the zero time, the timestamp stays as it is
// written. structured_data has an object for each element.
func (s Syslog) AppendObject(dst, text []byte, near time.Time) ([]byte, error) {
	text = bytes.TrimRight(text, "\r\n\x00")
	if len(text) == 0 {
		return dst, whole("it is empty, and no message of syslog")
	}
	o := begin(dst)
	i, err := syslogPriority(&o, text)
	if err == nil && i > 0 && i+1 < len(text) && text[i] >= '1' && text[i] <= '9' && text[i+1] == ' ' {
		o.known("version")
		o.out = append(o.out, text[i])
		err = syslog5424(&o, text, i+2)
	} else if err == nil {
		err = s.syslog3164(&o, text, i, near)
	}
	if err != nil {
		return dst, err
	}
	return o.end(), nil
}

// syslogPriority reads <34>, if it is there, and gives the end of it.
func syslogPriority(o *object, text []byte) (int, error) {
	if text[0] != '<' {
		return 0, nil
	}
	end := bytes.IndexByte(text[:min(len(text), 5)], '>')
	if end < 0 {
		return 0, at(0, "the priority is no number in < and >")
	}
	n, err := strconv.ParseUint(string(text[1:end]), 10, 8)
	if err != nil || n >= uint64(8*len(facilities)) {
		return 0, at(1, "the priority is no number up to 191")
	}
	o.text("facility", []byte(facilities[n/8]))
	o.text("severity", []byte(severities[n%8]))
	return end + 1, nil
}

func syslog5424(o *object, text []byte, i int) error {
	for _, name := range [...]string{"timestamp", "hostname", "appname", "procid", "msgid"} {
		end := i
		for end < len(text) && text[end] != ' ' {
			end++
		}
		part := text[i:end]
		if end == len(text) || len(part) == 0 {
			return at(i, "the "+name+" is missing, or ends the message")
		}
		switch {
		case string(part) == "-":
		case name == "timestamp":
			t, err := time.Parse(time.RFC3339, string(part))
			if err != nil {
				return at(i, "the timestamp is none of RFC 3339")
			}
			o.known(name)
			o.out = appendTime(o.out, t)
		default:
			o.text(name, part)
		}
		i = end + 1
	}
	i, err := structuredData(o, text, i)
	if err != nil {
		return err
	}
	if i < len(text) {
		if text[i] != ' ' {
			return at(i, "behind the structured data stands no space")
		}
		o.text("message", bytes.TrimPrefix(text[i+1:], []byte("\ufeff")))
	}
	return nil
}

// structuredData reads - or elements like [id name="value"], and gives the end of them.
func structuredData(o *object, text []byte, i int) (int, error) {
	if i < len(text) && text[i] == '-' {
		return i + 1, nil
	}
	if i >= len(text) || text[i] != '[' {
		return 0, at(i, "the structured data is neither - nor begins with [")
	}
	o.known("structured_data")
	data := begin(o.out)
	for i < len(text) && text[i] == '[' {
		id, end := sdName(text, i+1)
		if len(id) == 0 {
			return 0, at(i+1, "the element of structured data has no name")
		}
		data.name(id)
		if data.repeats && data.n <= len(data.names) {
			return 0, at(i+1, "the element of structured data stands there twice")
		}
		element := begin(data.out)
		i = end
		for i < len(text) && text[i] == ' ' {
			name, end := sdName(text, i+1)
			if len(name) == 0 && end < len(text) && text[end] == ']' { // a space before the bracket
				i = end
				break
			}
			if len(name) == 0 || end+1 >= len(text) || text[end] != '=' || text[end+1] != '"' {
				return 0, at(i+1, `a part of structured data is not written name="value"`)
			}
			value, behind := sdValue(text, end+2)
			if behind < 0 {
				return 0, at(end+1, "the quote that opens here has no end")
			}
			element.name(name)
			element.out = appendText(element.out, value)
			i = behind
		}
		if i >= len(text) || text[i] != ']' {
			return 0, at(i, "an element of structured data ends with ]")
		}
		data.out = element.end()
		i++
	}
	o.out = data.end()
	return i, nil
}

// sdName gives a name and its end.
func sdName(text []byte, i int) (name []byte, end int) {
	end = i
	for end < len(text) && text[end] != ' ' && text[end] != '=' && text[end] != ']' && text[end] != '"' {
		end++
	}
	return text[i:end], end
}

// sdValue gives the value whose characters begin at i, and the end behind its quote; -1: none.
func sdValue(text []byte, i int) (value []byte, end int) {
	from, escapes := i, false
	for ; i < len(text) && text[i] != '"'; i++ {
		if text[i] == '\\' && i+1 < len(text) && bytes.IndexByte([]byte(`"\]`), text[i+1]) >= 0 {
			escapes = true
			i++
		}
	}
	if i >= len(text) {
		return nil, -1
	}
	value = text[from:i]
	if escapes {
		out := make([]byte, 0, len(value))
		for j := 0; j < len(value); j++ {
			if value[j] == '\\' && j+1 < len(value) && bytes.IndexByte([]byte(`"\]`), value[j+1]) >= 0 {
				j++
			}
			out = append(out, value[j])
		}
		value = out
	}
	return value, i + 1
}

func (s Syslog) syslog3164(o *object, text []byte, i int, near time.Time) error {
	i, err := s.oldTimestamp(o, text, i, near)
	if err != nil {
		return err
	}
	// The host is missing where the next word is the tag already.
	end := i
	for end < len(text) && text[end] != ' ' {
		end++
	}
	if word := text[i:end]; end < len(text) && len(word) > 0 && word[len(word)-1] != ':' && bytes.IndexByte(word, '[') < 0 {
		o.text("hostname", word)
		i = end + 1
	}
	tag := i
	for tag < len(text) && text[tag] != ' ' && text[tag] != ':' && text[tag] != '[' {
		tag++
	}
	if rest := text[tag:]; tag > i && len(rest) > 0 && rest[0] != ' ' {
		name := text[i:tag]
		pid, behind := []byte(nil), rest
		ok := rest[0] == ':'
		if rest[0] == '[' {
			var closed bool
			pid, behind, closed = bytes.Cut(rest[1:], []byte{']'})
			ok = closed && bytes.IndexByte(pid, ' ') < 0
		}
		if ok {
			o.text("appname", name)
			o.text("procid", pid)
			behind = bytes.TrimPrefix(behind, []byte{':'})
			o.text("message", bytes.TrimPrefix(behind, []byte{' '}))
			return nil
		}
	}
	o.text("message", text[i:])
	return nil
}

// oldTimestamp reads Oct 11 22:14:15, or one of RFC 3339, which files have, and gives where the
// next word begins.
func (s Syslog) oldTimestamp(o *object, text []byte, i int, near time.Time) (int, error) {
	zone := s.Zone
	if zone == nil {
		zone = time.UTC
	}
	wrong := at(i, "the timestamp is neither like Oct 11 22:14:15 nor one of RFC 3339")
	if end := oldStamp(text, i); end > 0 {
		stamp := string(text[i:end])
		t, err := time.ParseInLocation("Jan _2 2006 15:04:05", stamp, zone) // as Cisco writes it
		ok := err == nil
		if !ok {
			if _, err := time.Parse("Jan _2 15:04:05", stamp); err != nil {
				return 0, wrong
			}
			t, ok = nearest("Jan _2 15:04:05", stamp, zone, near)
		}
		o.known("timestamp")
		switch {
		case err != nil && near.IsZero():
			o.out = appendText(o.out, text[i:end])
		case ok:
			o.out = appendTime(o.out, t)
		default: // the 29th of February, and no leap year is near
			return 0, wrong
		}
		return end + 1, nil
	}
	word, _, ok := bytes.Cut(text[i:], []byte{' '})
	t, err := time.Parse(time.RFC3339, string(word[:min(len(word), 40)]))
	if !ok || err != nil {
		return 0, wrong
	}
	o.known("timestamp")
	o.out = appendTime(o.out, t)
	return i + len(word) + 1, nil
}

// oldStamp gives the end of what may be a timestamp like Oct 11 22:14:15 at i, with a year before
// the hours and a fraction behind the seconds, or without; 0: it is none.
func oldStamp(text []byte, i int) int {
	for _, clock := range [...]int{len("Oct 11 "), len("Oct 11 2003 ")} {
		end := i + clock + len("22:14:15")
		if end >= len(text) || text[end-6] != ':' || text[end-3] != ':' {
			continue
		}
		if text[end] == '.' {
			for end++; end < len(text) && text[end] >= '0' && text[end] <= '9'; end++ {
			}
		}
		if end < len(text) && text[end] == ' ' {
			return end
		}
	}
	return 0
}
