package expr

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"math"
	"math/big"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestCodecsAgainstTheLibrary: what is written is what the standard library writes, and reads back
// as the same bytes, UTF-8 or not.
func TestCodecsAgainstTheLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		s := aText(r, 20, true)
		if r.IntN(3) == 0 {
			s += `&<>"'%+&amp;&nGt;&#x41;`
		}
		for call, want := range map[string]string{
			`toHex(s)`:                                   hex.EncodeToString([]byte(s)),
			`toBase64(s)`:                                base64.StdEncoding.EncodeToString([]byte(s)),
			`toBase64(s, "url")`:                         base64.URLEncoding.EncodeToString([]byte(s)),
			`toBase64(s, "raw")`:                         base64.RawStdEncoding.EncodeToString([]byte(s)),
			`toBase64(s, "rawurl")`:                      base64.RawURLEncoding.EncodeToString([]byte(s)),
			`urlEncode(s)`:                               strings.ReplaceAll(url.QueryEscape(s), "+", "%20"),
			`urlEncode(s, "form")`:                       url.QueryEscape(s),
			`htmlEscape(s)`:                              html.EscapeString(s),
			`htmlUnescape(s)`:                            html.UnescapeString(s),
			`fromHex(toHex(s))`:                          s,
			`fromHex(upper(toHex(s)))`:                   s,
			`fromBase64(toBase64(s))`:                    s,
			`fromBase64(toBase64(s, "url"), "url")`:      s,
			`fromBase64(toBase64(s, "raw"), "raw")`:      s,
			`fromBase64(toBase64(s, "rawurl"),"rawurl")`: s,
			`urlDecode(urlEncode(s))`:                    s,
			`urlDecode(urlEncode(s, "form"), "form")`:    s,
			`htmlUnescape(htmlEscape(s))`:                s,
			`repeat(s, 3)`:                               strings.Repeat(s, 3),
			`capitalize(lower("x" + s))`:                 "X" + string(toLower([]byte(s))),
		} {
			got, err := callOn(t, s, call)
			if err != nil || string(got.plainText()) != want {
				t.Fatalf("%s of %q = %q, %v; want %q", call, s, got.plainText(), err, want)
			}
		}
		if decoded, err := url.PathUnescape(s); true {
			got, err2 := callOn(t, s, `urlDecode(s)`)
			if (err == nil) != (err2 == nil) || err == nil && string(got.plainText()) != decoded {
				t.Fatalf("urlDecode(%q) = %q, %v; want %q, %v", s, got.plainText(), err2, decoded, err)
			}
		}
	}
}

// TestRoundingAgainstRationals: digits are counted as they are written, whatever the number.
func TestRoundingAgainstRationals(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	numbers := []float64{0, 0.5, 1.005, 2.675, 0.05, 0.15, 1e-7, 5e-324, 1e308, math.MaxFloat64, 9.995, 99.9999, 0.049999999999999996, 1e21, 123456789.125, 4503599627370497.5}
	for range 60 {
		numbers = append(numbers, math.Trunc(r.NormFloat64()*1e6)/math.Pow10(r.IntN(9)), r.NormFloat64()*math.Pow10(r.IntN(40)-20))
	}
	for _, f := range numbers {
		for _, f := range []float64{f, -f} {
			for _, places := range []int{0, 1, 2, 5, 10, 20, -1, -2, -5, -310, 330} {
				checkRounding(t, f, places)
			}
		}
	}
	for n, wants := range map[int64][3]int64{1250: {1300, 1200, 1300}, -1250: {-1300, -1300, -1200}, 49: {0, 0, 100}, 50: {100, 0, 100}, -50: {-100, -100, 0}, 0: {0, 0, 0}} {
		for i, name := range []string{"round", "floor", "ceil"} {
			got, err := mustCompile(t, name+"(n, -2)").JSON(record(fmt.Sprintf(`{"n":%d}`, n)))
			if err != nil || string(got) != strconv.FormatInt(wants[i], 10) {
				t.Errorf("%s(%d, -2) = %s, %v; want %d", name, n, got, err, wants[i])
			}
		}
	}
}

func checkRounding(t *testing.T, f float64, places int) {
	t.Helper()
	text := strconv.FormatFloat(f, 'g', -1, 64)
	exact, _ := new(big.Rat).SetString(text)
	unit := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(places, -places))), nil))
	if places < 0 {
		unit.Inv(unit)
	}
	scaled := new(big.Rat).Mul(exact, unit)
	below := new(big.Int).Div(scaled.Num(), scaled.Denom()) // of big.Int.Div, which rounds down
	above := new(big.Int).Set(below)
	rest := new(big.Rat).Sub(scaled, new(big.Rat).SetInt(below))
	if rest.Sign() > 0 {
		above.Add(above, big.NewInt(1))
	}
	nearest := below
	if c := rest.Cmp(big.NewRat(1, 2)); c > 0 || c == 0 && f > 0 {
		nearest = above
	}
	for name, whole := range map[string]*big.Int{"round": nearest, "floor": below, "ceil": above} {
		want, _ := new(big.Rat).Quo(new(big.Rat).SetInt(whole), unit).Float64()
		got, err := mustCompile(t, fmt.Sprintf("%s(n, %d)", name, places)).JSON(record(`{"n":` + jsonFloat(f) + `}`))
		g, _ := strconv.ParseFloat(string(got), 64)
		if math.IsInf(want, 0) && err != nil {
			continue
		}
		if err != nil || g != want {
			t.Fatalf("%s(%s, %d) = %s, %v; want %v", name, text, places, got, err, want)
		}
	}
	if places >= 0 {
		want := new(big.Rat).Quo(new(big.Rat).SetInt(nearest), unit).FloatString(places)
		got, err := mustCompile(t, fmt.Sprintf("toFixed(n, %d)", places)).Bytes(record(`{"n":` + jsonFloat(f) + `}`))
		if err != nil || string(got) != want {
			t.Fatalf("toFixed(%s, %d) = %s, %v; want %s", text, places, got, err, want)
		}
	}
}

// jsonFloat writes a number so that it is read as a fraction.
func jsonFloat(f float64) string {
	text := strconv.FormatFloat(f, 'e', -1, 64)
	return text
}

// TestNumbersAtTheEdge: what is beyond 64 bits or float64 is an error, and never another number.
func TestNumbersAtTheEdge(t *testing.T) {
	for text, want := range map[string]string{
		`round(big, 2)`: `9223372036854775808`, `round(big, -2)`: `!beyond 64 bits`, `round(huge, 2)`: `!beyond float64`, `ceil(max, -2)`: `!does not fit 64 bits`, `floor(max, -2)`: `9223372036854775800`, `round(f, 401)`: `!digits are`, `round(f, big)`: `!digits are`, `round(f, missing)`: `!argument 2 is missing`,
		`toFixed(big, 2)`: `"9223372036854775808.00"`, `toFixed(huge, 2)`: `!beyond float64`, `toFixed(f, -1)`: `!digits are`, `toFixed(n, 0)`: `"7"`, `toFixed(-0.001, 2)`: `"0.00"`, `formatNumber(max, 0)`: `"9,223,372,036,854,775,807"`, `formatNumber(-123, 0)`: `"-123"`, `formatNumber(1000, 1, "", "_")`: `"1_0000"`, `formatNumber(n, 1, repeat("x", 101))`: `!longer than 100 bytes`,
		`pow(big, 2)`: `!beyond 64 bits`, `pow(10, 400)`: `~`, `pow(0, -1)`: `~`, `sqrt(neg)`: `!beyond float64`, `log(0)`: `~`, `log(neg)`: `!beyond float64`, `log(8, 2)`: `3`, `log(8, 1)`: `~`, `log(8, 0)`: `~`, `log(8, -2)`: `~`, `exp(1000)`: `~`, `mod(n, 0)`: `!division by zero`, `mod(f, 0.0)`: `!division by zero`, `mod(huge, 2)`: `!beyond float64`, `mod(big, 2)`: `!beyond 64 bits`, `mod(-max - 1, -1)`: `0`, `mod(-7.5, 2)`: `-1.5`,
		`sign(big)`: `1`, `sign(huge)`: `1`, `sign(0.0)`: `0`, `clamp(big, 0, 5)`: `5`, `clamp(price, 0, 5)`: `1.10`, `clamp(n, 5, 1)`: `!least is above`, `clamp(missing, 1, 5)`: `!argument 1 is missing`, `clamp(-1, 0.5, 5)`: `0.5`,
		`parseInt("9223372036854775808", 10)`: `~`, `parseInt("-8000000000000000", 16)`: `-9223372036854775808`, `parseInt("1_000")`: `~`, `parseInt("0x1F", 16)`: `~`, `parseInt(" 1")`: `~`, `parseInt("")`: `~`, `parseInt("1", 1)`: `~`, `parseInt("1", 37)`: `~`, `parseInt("z", 36)`: `35`, `parseInt(repeat("0", 101))`: `~`, `parseInt(s)`: `!no 64-bit integer`,
		`formatInt(big, 16)`: `!beyond 64 bits`, `formatInt(-max - 1, 2)`: `"-1` + strings.Repeat("0", 63) + `"`, `formatInt(n, big)`: `!a base is`,
		`random(big)`: `!beyond 64 bits`, `random(neg)`: `!at least 1`, `random(1)`: `0`, `random(max) >= 0`: `true`,
	} {
		checkValue(t, text, want, everything)
	}
}

// checkValue evaluates text; a want that begins with ! is a part of the error, ~ one of compiling.
func checkValue(t *testing.T, text, want, rec string) {
	t.Helper()
	e := new(Expr)
	err := e.UnmarshalText([]byte(text))
	if want == "~" || err != nil {
		if (want == "~") != (err != nil) {
			t.Errorf("%s: compiling: %v", text, err)
		}
		return
	}
	got, err := e.JSON(record(rec))
	if part, fails := strings.CutPrefix(want, "!"); fails {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s = %s, %v; want an error with %q", text, got, err, part)
		}
	} else if err != nil || string(got) != want {
		t.Errorf("%s = %s, %v; want %s", text, got, err, want)
	}
}

// TestCodecsAtTheEdge has texts that are not what they are read as.
func TestCodecsAtTheEdge(t *testing.T) {
	for text, want := range map[string]string{
		`fromHex("abc")`: `~`, `fromHex("zz")`: `~`, `fromHex("")`: `""`, `fromHex(s)`: `!the last byte has one digit`, `toHex(n)`: `!argument 1 is a number`, `toHex(missing)`: `!argument 1 is missing`, `fromBase64("YQ", "raw")`: `"a"`, `fromBase64("YQ==", "raw")`: `~`, `fromBase64("-_-_", "standard")`: `~`, `toBase64(s, s)`: `~`, `toBase64(s, "URL")`: `~`, `urlEncode(s, "query")`: `~`,
		`urlDecode("%")`: `~`, `urlDecode("%4")`: `~`, `urlDecode("%4g")`: `~`, `urlDecode("%41%")`: `~`, `urlDecode("")`: `""`, `len(urlDecode("%FF"))`: `1`, `toHex(urlDecode("%ff"))`: `"ff"`,
		`hmac(s, "k", "sha3")`: `~`, `hmac(s, "k", s)`: `~`, `hmac(s, missing)`: `!argument 2 is missing`, `hmac(s, n)`: `!argument 2 is a number`, `len(hmac(s, ""))`: `64`, `len(hmac(s, s, "sha512"))`: `128`, `sha256(n)`: `!argument 1 is a number`, `sha256(missing)`: `!argument 1 is missing`, `md5("")`: `"d41d8cd98f00b204e9800998ecf8427e"`, `sha1(fromHex("ff"))`: `"85e53271e14006f0265921d02d4d736cdc580b0b"`, `xxhash("")`: `"ef46db3751d8e999"`, `crc32("")`: `"00000000"`, `sha384("")`: `"38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b"`,
		`inCIDR("::ffff:10.0.0.1", "10.0.0.0/8")`: `true`, `inCIDR("fe80::1%eth0", "fe80::/10")`: `~`, `inCIDR("1.2.3.4", "1.2.3.4")`: `~`, `inCIDR(s, "::/0")`: `!no IP address`,
		`isNumeric("")`: `false`, `isNumeric("-")`: `false`, `isNumeric("+1.5e-3")`: `true`, `isNumeric("1.")`: `false`, `isNumeric(".5")`: `false`, `isNumeric("1e")`: `false`, `isNumeric("NaN")`: `false`, `isNumeric("0x1")`: `false`, `isInteger("+")`: `false`, `isInteger("٣")`: `false`, `isAlpha("")`: `false`, `isAlpha(fromHex("ff"))`: `false`, `isUpper("1")`: `false`, `isLower("1a")`: `true`, `isBlank("")`: `true`, `isUUID("0190163d-8694-739b-aea5-966c26f8ad9g")`: `false`, `isUUID("0190163d.8694-739b-aea5-966c26f8ad91")`: `false`, `isIP(n)`: `!argument 1 is a number`, `isIPv6("::ffff:1.2.3.4")`: `true`, `isJSON("")`: `false`,
	} {
		checkValue(t, text, want, everything)
	}
}

// TestWordsAtTheEdge has lengths that nothing can have, and texts without characters.
func TestWordsAtTheEdge(t *testing.T) {
	for text, want := range map[string]string{
		`repeat("ab", 0)`: `""`, `repeat("ab", -5)`: `""`, `repeat("", 9000000000000000000)`: `""`, `repeat(s, max)`: `!more than 1 MiB`, `repeat(s, big)`: `!beyond 64 bits`, `repeat(s, 2.5)`: `~`, `repeat(s, f)`: `!argument 2 needs an integer`, `len(repeat("x", 1048576))`: `1048576`, `repeat("x", 1048577)`: `~`,
		`padLeft(s, max)`: `!more than 1 MiB`, `padLeft(s, -1)`: `"abc"`, `padLeft(s, 3)`: `"abc"`, `padLeft(s, 8, "12")`: `"12121abc"`, `padRight(s, 6, "üö")`: `"abcüöü"`, `padLeft(s, 9, "")`: `!is empty`, `padLeft(s, big)`: `!beyond 64 bits`, `len(padLeft("ü", 5))`: `5`,
		`truncateText(s, -1)`: `!below 0`, `truncateText(s, 0)`: `""`, `truncateText(s, 2, "...")`: `".."`, `truncateText(s, 3, "...")`: `"abc"`, `truncateText("ab€d", 3)`: `"ab€"`, `truncateText(s, max)`: `"abc"`, `truncateText(s, big)`: `!beyond 64 bits`, `truncateText("abcd", 1, "")`: `"a"`,
		`capitalize("")`: `""`, `capitalize("ßa")`: `"ßa"`, `capitalize("ǆx")`: `"ǅx"`, `title("")`: `""`, `title("o'neil-smith jean_luc")`: `"O'neil-Smith Jean_luc"`, `toHex(title(fromHex("ff61")))`: `"ff61"`, `toHex(capitalize(fromHex("ff")))`: `"ff"`, `toHex(reverseText(fromHex("61ffc3bc")))`: `"c3bcff61"`, `reverseText("aü€")`: `"€üa"`, `toHex(upper(fromHex("61ffc3bc")))`: `"41ffc39c"`, `toHex(lower(fromHex("41ff")))`: `"61ff"`, `reverseText("")`: `""`,
		`snakeCase("HTTPServer userID")`: `"httpserver_user_id"`, `camelCase("USER_NAME")`: `"userNAME"`, `camelCase("--")`: `""`, `kebabCase("ÄpfelUndBirnen")`: `"äpfel-und-birnen"`, `pascalCase("a b2c")`: `"AB2c"`,
		`lines("\n")`: `[""]`, `lines("\n\na")`: `["","","a"]`, `lines("a\r")`: `["a"]`, `words("")`: `[]`, `words(" \t\n")`: `[]`, `occurrences(s, "")`: `!is empty`, `occurrences("aaa", "aa")`: `1`,
		`trimLeft("üüa", "ü")`: `"a"`, `trimRight("aéé", "é")`: `"a"`, `trimLeft(missing)`: `!argument 1 is missing`, `lines(n)`: `!argument 1 is a number`,
	} {
		checkValue(t, text, want, everything)
	}
}

// TestTimesAgainstTheLibrary: parts and beginnings of dates in zones, in years with all kinds of
// changes of clocks.
func TestTimesAgainstTheLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/Havana", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "Atlantic/Azores", "Asia/Beirut", "Africa/Cairo", "Asia/Tehran"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, stretch := range []string{"day", "week", "month", "quarter", "year"} {
			e := mustCompile(t, `unixNano(truncateTime(date(n), "`+stretch+`", "`+name+`"))`)
			for range 120 {
				at := time.Unix(r.Int64N(6e9)-3e9, 0).In(zone)
				got, err := e.JSON(record(fmt.Sprintf(`{"n":%d}`, at.UnixMilli())))
				n, _ := strconv.ParseInt(string(got), 10, 64)
				begin := time.Unix(0, n).In(zone)
				if err != nil || !isBeginning(begin, at, stretch) {
					t.Fatalf("%s of %s: %s, %v", stretch, at, begin, err)
				}
			}
		}
		for part, of := range map[string]func(time.Time) int{"year": time.Time.Year, "day": time.Time.Day, "hour": time.Time.Hour, "minute": time.Time.Minute, "yearDay": time.Time.YearDay} {
			e := mustCompile(t, part+`(date(n), "`+name+`")`)
			for range 50 {
				at := time.Unix(r.Int64N(6e9)-3e9, 0).In(zone)
				if got, err := e.JSON(record(fmt.Sprintf(`{"n":%d}`, at.UnixMilli()))); err != nil || string(got) != strconv.Itoa(of(at)) {
					t.Fatalf("%s of %s = %s, %v", part, at, got, err)
				}
			}
		}
	}
}

// isBeginning says whether begin is the first moment of the stretch that at is in: the moment
// before is in another one.
func isBeginning(begin, at time.Time, stretch string) bool {
	label := func(t time.Time) string {
		y, w := t.ISOWeek()
		switch stretch {
		case "day":
			return t.Format(time.DateOnly)
		case "week":
			return fmt.Sprint(y, w)
		case "month":
			return t.Format("2006-01")
		case "quarter":
			return fmt.Sprint(t.Year(), (t.Month()-1)/3)
		}
		return t.Format("2006")
	}
	if begin.After(at) || label(begin) != label(at) {
		return false
	}
	// Where clocks went back over midnight, the stretch before comes twice: the first moment counts.
	for back := time.Duration(1); back < 3*time.Hour; back += 10 * time.Minute {
		if label(begin.Add(-back)) == label(at) {
			return false
		}
	}
	return true
}

func TestTimesAtTheEdge(t *testing.T) {
	for text, want := range map[string]string{
		`unix(date("1969-12-31T23:59:59.5Z"))`: `-1`, `unixMilli(date("1969-12-31T23:59:59.9995Z"))`: `-1`, `unixNano(date("1969-12-31T23:59:59.999999999Z"))`: `-1`, `nanosecond(date("1969-12-31T23:59:59.25Z"))`: `250000000`, `second(date("1969-12-31T23:59:59.25Z"))`: `59`, `year(date("1678-01-01"))`: `1678`, `weekday(date("2024-05-05"))`: `7`, `weekday(date("1969-12-31"))`: `3`, `week(date("2021-01-01"))`: `53`, `quarter(date("2024-12-31T23:59:59Z"))`: `4`, `month(date("2024-12-31T23:30:00Z"), "Europe/Berlin")`: `1`,
		`truncateTime(date("1969-12-31T23:59:59Z"), "1h")`: `"1969-12-31T23:00:00Z"`, `truncateTime(date("1970-01-01"), "7ns")`: `"1970-01-01T00:00:00Z"`, `year(date("1677-09-22"))`: `~`, `truncateTime(date("1678-01-02"), "800000h")`: `~`, `truncateTime(date(n), "0s")`: `~`, `truncateTime(date(n), "-1h")`: `~`, `truncateTime(date(n), "fortnight")`: `~`, `truncateTime(date(n), s)`: `~`, `truncateTime(date(n), "1h", "Europe/Berlin")`: `~`, `truncateTime(date("2024-05-06T07:38:09Z"), duration("1m"))`: `"2024-05-06T07:38:00Z"`, `truncateTime(n, "1h")`: `~`, `truncateTime(date(n), "day", "Mars/Base")`: `~`, `truncateTime(date("2018-11-04T12:00:00Z"), "day", "America/Sao_Paulo")`: `"2018-11-04T03:00:00Z"`, `truncateTime(date("2023-11-05T12:00:00Z"), "day", "America/Havana")`: `"2023-11-05T04:00:00Z"`,
		`formatTime(date(n), s)`: `~`, `formatTime(date(n), "yyyy-MM-dd")`: `~`, `formatTime(date(n), "%Y-%m-%d")`: `~`, `formatTime(date(n), "")`: `~`, `formatTime(date(n), "2006-MM-02")`: `~`, `formatTime(date(n), "at noon")`: `~`, `formatTime(date(n), "2006", "Local")`: `~`, `formatTime(date(n), "2006", s)`: `~`, `formatTime(date("2024-10-27T00:30:00Z"), "15:04 MST -0700", "Europe/Berlin")`: `"02:30 CEST +0200"`, `formatTime(date("2024-10-27T01:30:00Z"), "15:04 MST -0700", "Europe/Berlin")`: `"02:30 CET +0100"`, `formatTime(missing, "2006")`: `~`, `year([date(n)][0])`: `1970`, `year([n][0])`: `!argument 1 is a number, not a date`, `year([missing][0])`: `!argument 1 is missing`, `formatTime(date("1955-05-05"), "RFC1123")`: `"Thu, 05 May 1955 00:00:00 UTC"`, `zone(date("1900-01-01"), "Europe/Amsterdam")`: `"1900-01-01T00:19:32+00:19"`, `zone(date("2024-05-06"), "UTC")`: `"2024-05-06T00:00:00Z"`, `zone(date(n), "")`: `~`,
		`date("Mon, 06 May 2024 07:08:09 GMT", "RFC1123")`: `"2024-05-06T07:08:09Z"`, `date("2024-05-06 07:08:09", "DateTime", "Europe/Berlin")`: `"2024-05-06T05:08:09Z"`, `date("7:08AM", "Kitchen")`: `~`,
		`addDate(date("2024-02-29"), 1, 0, 0)`: `"2025-02-28T00:00:00Z"`, `addDate(date("2024-03-31"), 0, -1, 0)`: `"2024-02-29T00:00:00Z"`, `addDate(date("2024-01-31"), 0, -13, 1)`: `"2023-01-01T00:00:00Z"`, `addDate(date("1970-01-01"), 0, 0, -1)`: `"1969-12-31T00:00:00Z"`, `addDate(date(n), 300, 0, 0)`: `!before 1678 or after 2261`, `addDate(date(n), max, 0, 0)`: `!before 1678`, `addDate(date(n), 0, big, 0)`: `!beyond 64 bits`, `addDate(date(n), 0, f, 0)`: `!argument 3`, `addDate(date("2024-03-30T01:30:00Z"), 0, 0, 1, "Europe/Berlin")`: `"2024-03-31T01:30:00Z"`,
	} {
		checkValue(t, text, want, everything)
	}
}

// TestFunctionsKeepBytes: what is cut out of a text or joined to it keeps bytes that are not
// UTF-8.
func TestFunctionsKeepBytes(t *testing.T) {
	raw := "a\xffb \xe2\x82\n\xc3"
	for call, want := range map[string]string{
		`words(s)[0]`: "a\xffb", `lines(s)[1]`: "\xc3", `padRight(s, 9, "-")`: raw + "-", `truncateText(s, 2)`: "a\xff", `title(s)`: "A\xffb \xe2\x82\n\xc3", `findAll(s, "(?s).")[1]`: "\xff", `splitMatch(s, " ")[1]`: "\xe2\x82\n\xc3", `replaceMatch(s, "a", "x")`: "x\xffb \xe2\x82\n\xc3", `snakeCase(s)`: "a\xffb_\xe2\x82_\xc3", `capture(s, "^.(.)")["1"]`: "\xff",
	} {
		got, err := callOn(t, raw, call)
		if err != nil || string(got.plainText()) != want {
			t.Errorf("%s = %q, %v; want %q", call, got.plainText(), err, want)
		}
	}
	if utf8.ValidString(raw) || !json.Valid([]byte(`""`)) {
		t.Error("the text is no test")
	}
}
