package sql

import (
	"strings"
	"testing"
)

func TestCheckQuery(t *testing.T) {
	tests := []struct {
		driver, query string
		args          int
		want          string // part of the error; "": none
	}{
		{"sqlite", "SELECT 1", 0, ""},
		{"sqlite", "  -- note\n /* more */ select a from t where b = ? and c = ?;  -- end", 2, ""},
		{"sqlite", "WITH x AS (SELECT ?1) SELECT * FROM x WHERE y = ?1", 1, ""},
		{"sqlite", "(SELECT 1)", 0, ""},
		{"sqlite", "SELECT '?', \"?\", `?`, 'it''s ?' -- ?", 0, ""},
		{"sqlite", "SELECT a /* ? */ FROM t WHERE b = ?", 1, ""},
		{"sqlite", "SELECT 1 /* open", 0, ""},
		{"postgres", "SELECT $1, $2, $1", 2, ""},
		{"postgres", "SELECT '$1', \"$1\", $$ $1 ; $$, $tag$ $1 $$ $tag$", 0, ""},
		{"postgres", `SELECT E'it\'s $1 ;', $1`, 1, ""},
		{"postgres", `SELECT 'back\', $1`, 1, ""},
		{"postgres", "SELECT a$1 FROM t", 0, ""},
		{"postgres", "SELECT '{}'::jsonb, '{\"a\": 1}'::jsonb, '{1,2}'::int[]", 0, ""},
		{"postgres", "SELECT '{\"a\"}'::text[]", 0, ""},
		{"postgres", "SELECT '{a}'::text[]", 0, `where it is a value of the database's own, put quotes within it: {"a"}`},
		{"postgres", "SELECT /* a /* nested ; */ ; */ 1", 0, ""},
		{"postgres", "TABLE t", 0, ""},
		{"postgres", "SELECT a ? 'b' FROM t WHERE c = $1", 1, ""},

		{"mysql", "SELECT 'it\\'s ?', \"a\\\"?\", `a\\`, ? # ?", 1, ""},
		{"mysql", "SELECT 1--1 -- ?\n, ? --", 1, ""},
		{"mysql", "SELECT ?, @v := ?, @@sql_mode /* ? */", 2, ""},
		{"mysql", "SELECT /*+ MAX_EXECUTION_TIME(9) */ t.into FROM t WHERE a = ?", 1, ""},
		{"mysql", "SELECT a ->> '$.b' FROM t", 0, ""},

		{"mysql", "SELECT /*! ? */ 1", 1, "a comment that the server runs"},
		{"mysql", "SELECT /*M!100000 1 */", 0, "a comment that the server runs"},
		{"mysql", "SELECT a FROM t into outfile '/x'", 0, "must not have INTO"},
		{"mysql", "SELECT 1 /* open", 0, "not closed"},
		{"mysql", "SELECT 'a\\'", 0, "not closed"},
		{"mysql", "SELECT ?1", 2, "1 parameters and args has 2"},
		{"mysql", "SHOW TABLES", 0, "only reads"},
		{"sqlite", " ", 0, "the query is empty"},
		{"sqlite", "SELECT * FROM t WHERE a = '{origin}'", 0, "write ? in place of {origin}"},
		{"postgres", "SELECT * FROM t WHERE a = {origin}", 0, "write $1 in place of {origin}"},
		{"postgres", "SELECT * FROM {meta.topic}", 0, "{meta.topic}"},
		{"sqlite", "DELETE FROM t", 0, "only reads"},
		{"sqlite", "PRAGMA query_only(0)", 0, "only reads"},
		{"sqlite", "ATTACH 'x' AS y", 0, "only reads"},
		{"sqlite", "-- SELECT\nUPDATE t SET a = 1", 0, "not UPDATE"},
		{"sqlite", "SELECT 1; DELETE FROM t", 0, "more than one statement"},
		{"sqlite", "SELECT 1;;", 0, "more than one statement"},
		{"sqlite", "SELECT ?", 2, "1 parameters and args has 2"},
		{"sqlite", "SELECT :name", 1, "write ? in place of :name"},
		{"postgres", "SELECT $2", 1, "2 parameters and args has 1"},
		{"postgres", "SELECT $99999", 0, "out of range"},
		{"postgres", "SELECT 'open", 0, "not closed"},
		{"postgres", "SELECT $a$ open $b$", 0, "not closed"},
		{"postgres", "SELECT 1 /* open", 0, "not closed"},
	}
	for _, tt := range tests {
		err := checkQuery(tt.query, tt.driver, tt.args)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s %s: %v", tt.driver, tt.query, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s %s: %v, want %q", tt.driver, tt.query, err, tt.want)
		}
	}
}

func FuzzCheckQuery(f *testing.F) {
	f.Add("SELECT $1, $a$ x $a$ /* ? */ -- y", uint8(0))
	f.Add("SELECT '?', E'\\'' ; \"", uint8(1))
	f.Add("SELECT '\\'' # ?\n--", uint8(2))
	f.Fuzz(func(t *testing.T, query string, driver uint8) {
		_ = checkQuery(query, []string{"postgres", "sqlite", "mysql"}[driver%3], 1) // ends, and does not panic
	})
}
