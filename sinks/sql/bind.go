package sqlsink

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/penstockio/penstock/pipeline/database"
)

// appendKey appends a value of a key, so that different values do not give the same key.
func appendKey(key []byte, value any) []byte {
	var text string
	switch v := value.(type) {
	case string:
		text = v
	case []byte:
		text = string(v)
	case int64:
		text = strconv.FormatInt(v, 10)
	default:
		text = fmt.Sprint(v)
	}
	key = binary.AppendUvarint(key, uint64(len(text)))
	return append(key, text...)
}

// fold appends the letters and digits of a text alone, in small letters: whatever capitals, spaces and dashes are
// to a collation or to a type, texts of which this is different are different. ok is false when the text has
// letters beyond ASCII, which are left to the database.
func fold(text string, to []byte) (_ []byte, ok bool) {
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 0x80:
			return to, false
		case c >= 'A' && c <= 'Z':
			to = append(to, c+'a'-'A')
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			to = append(to, c)
		}
	}
	return to, true
}

// moment reads milliseconds since 1970, which is what meta.time gives. ok is false for any other number,
// and for times of which the year has not four digits.
func moment(raw string) (t time.Time, ok bool) {
	ms, whole, fits := database.WholeOf(raw)
	if !whole || !fits {
		return t, false
	}
	t = time.UnixMilli(ms).UTC()
	return t, t.Year() > 0 && t.Year() < 10_000
}

const (
	noMoment = "a number that is no time in milliseconds since 1970"
	noWhole  = "a string that is no whole number"
	noBase64 = "a string that is not base64"
	hasNUL   = "a text with a NUL character"
)

// wholeText gives the text of a whole number as the database writes it.
func wholeText(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return strconv.FormatInt(n, 10), true
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return strconv.FormatUint(n, 10), err == nil
}

// describeKind names the JSON type of a value.
func describeKind(v gjson.Result) string { return database.KindOf([]byte(v.Raw)) }
