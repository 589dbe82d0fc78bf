package expr

import (
	"strings"
	"testing"

	"github.com/penstockio/penstock/pipeline"
)

// TestQuick: what is decided on a field's text is what the evaluation of its value
// gives. let keeps the latter from being quick.
func TestQuick(t *testing.T) {
	texts := []string{
		``, `null`, `true`, `15`, `14`, `16`, `-15`, `0`, `-0`, `15.0`, `1.5e1`, `15e0`, `999999999999999999`, `1000000000000000000`,
		`-9223372036854775808`, `9223372036854775808`, `99999999999999999999999`, `1e400`, `""`, `"a"`, `"b"`, `"\u0061"`, `"a\"b"`, `"a\\b"`, `"ü"`, `"\u00fc"`,
		`"a\n"`, `"15"`, `[]`, `["a"]`, `{}`, `{"a":"a"}`, ` 15 `, ` "a" `,
	}
	var pairs [][2]string
	for _, op := range []string{"<", "<=", ">", ">=", "==", "!="} {
		for _, k := range []string{"15", "-15", "0", "999999999999999999", "9223372036854775807", `"a"`, `"ü"`, `"a\"b"`, `""`, `"a\n"`, `"15"`} {
			pairs = append(pairs, [2]string{"f " + op + " " + k, "let v = f; v " + op + " " + k})
		}
	}
	for _, both := range []string{`F >= 15 and F < 16`, `F == "a" or F != "b"`, `F > 15 or g == "G"`, `g == "G" and F == "a"`, `g != "G" or F >= 0 and F <= 15`, `not (F == 15)`, `F >= 15 or missing == 1`} {
		pairs = append(pairs, [2]string{strings.ReplaceAll(both, "F", "f"), "let v = f; " + strings.ReplaceAll(both, "F", "v")})
	}
	for _, sum := range []string{`F + "-"`, `"x\"" + F`, `F + F`, `"" + (F + "a") + F`, `F + (F + 1)`, `g + F`, `F + g`, `g + "ü" + F`} {
		pairs = append(pairs, [2]string{strings.ReplaceAll(sum, "F", "f"), "let v = f; " + strings.ReplaceAll(sum, "F", "v")})
	}
	for _, p := range pairs {
		quick, slow := new(Expr), new(Expr)
		errQuick, errSlow := quick.UnmarshalText([]byte(p[0])), slow.UnmarshalText([]byte(p[1]))
		if errQuick != nil || errSlow != nil {
			t.Fatal(p, errQuick, errSlow)
		}
		for _, text := range texts {
			rec := record(`{"g":"G"}`)
			if text != "" {
				if err := rec.SetRaw("f", []byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			got, err := quick.JSON(rec)
			want, wantErr := slow.JSON(rec)
			if string(got) != string(want) || (err == nil) != (wantErr == nil) {
				t.Errorf("%s with %s is %s, %v; evaluated %s, %v", p[0], text, got, err, want, wantErr)
			}
			yes, err := quick.Condition(rec)
			wantYes, wantErr := slow.Condition(rec)
			if yes != wantYes || (err == nil) != (wantErr == nil) {
				t.Errorf("condition %s with %s is %v, %v; evaluated %v, %v", p[0], text, yes, err, wantYes, wantErr)
			}
		}
		for _, value := range []string{`[1]`, `{`, `{"f":`} { // the cause of the record's own
			_, err := quick.JSON(record(value))
			_, wantErr := slow.JSON(record(value))
			a, _ := pipeline.IsPermanent(err)
			b, _ := pipeline.IsPermanent(wantErr)
			if err == nil || a != b {
				t.Errorf("%s of %s: %v, evaluated %v", p[0], value, err, wantErr)
			}
		}
	}
}
