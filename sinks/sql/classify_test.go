package sqlsink

import (
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

// What an error is about decides whether a record is rejected, or all wait; no text quotes a value.
func TestWhatErrorsAreAbout(t *testing.T) {
	for code, want := range map[string]about{
		"22P02": aboutRow, "23505": aboutRow, "23502": aboutRow, "21000": aboutRow, "P0001": aboutRow, "44000": aboutRow, "54000": aboutRow, "MY001": aboutRow,
		"40001": aboutNow, "40P01": aboutNow, "53300": aboutNow, "53100": aboutNow, "57P01": aboutNow, "57014": aboutNow, "08006": aboutNow, "55P03": aboutNow, "XX000": aboutAny, "0A000": aboutAny, "42501": aboutAny, "42883": aboutAny,
		"HV000": aboutAny, "": aboutNow, "42601": aboutRow, "42602": aboutRow, "UX001": aboutRow,
		"42P01": aboutAny, "42703": aboutAny, "42P10": aboutTable, "28P01": aboutTable, "3D000": aboutTable, "25006": aboutTable,
	} {
		got, text, known := new(postgres).classify(&pgconn.PgError{Code: code, Message: "about it", Detail: "canary", ConstraintName: "c", Where: "canary"})
		if strings.Contains(text, "about it") {
			t.Errorf("%s: what a function says: %s", code, text)
		}
		if got != want || !known || strings.Contains(text, "canary") || want == aboutRow && strings.Contains(text, "about it") {
			t.Errorf("%s: %d, %s", code, got, text)
		}
	}
	for code, want := range map[string]about{
		"1062 23000": aboutRow, "1048 23000": aboutRow, "1264 22003": aboutRow, "1406 22001": aboutRow, "1265 01000": aboutRow, "1366 HY000": aboutRow, "1644 45000": aboutRow,
		"1644 XY123": aboutRow, "4025 23000": aboutRow, "3819 HY000": aboutRow, "1526 HY000": aboutRow, "1118 42000": aboutRow, "4078 HY000": aboutRow, "5000 HY000": aboutAny, "1370 42000": aboutAny, "1153 08S01": aboutRow,
		"1213 40001": aboutNow, "1205 HY000": aboutNow, "1040 08004": aboutNow, "1053 08S01": aboutNow, "1317 70100": aboutNow,
		"1146 42S02": aboutTable, "1054 42S22": aboutTable, "1142 42000": aboutTable, "1045 28000": aboutTable, "1290 HY000": aboutTable, "1364 HY000": aboutTable,
	} {
		e := &mysql.MySQLError{Message: "about it"}
		number, state, _ := strings.Cut(code, " ")
		for _, c := range number {
			e.Number = e.Number*10 + uint16(c-'0')
		}
		copy(e.SQLState[:], state)
		got, text, known := new(mySQL).classify(e)
		if got != want || !known || want == aboutRow && strings.Contains(text, "about it") {
			t.Errorf("%s: %d, %s", code, got, text)
		}
	}
}

// Keys are sure to be different only when no capital, space or dash makes them so, and no letter is beyond ASCII.
func TestFold(t *testing.T) {
	for text, want := range map[string]string{"a-B c": "abc", "{A0EE}": "a0ee", "": "", "é": "?"} {
		got, ok := fold(text, nil)
		if ok != (want != "?") || ok && string(got) != want {
			t.Errorf("%q: %q %v", text, got, ok)
		}
	}
}
