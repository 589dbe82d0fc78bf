//go:build real

package sql

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/client"
	"github.com/penstockio/penstock/pipeline/settings"
)

// typesSchema makes types of every kind that a database can have of its own.
func typesSchema(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	exec(t, conn, "CREATE EXTENSION IF NOT EXISTS hstore", "DROP SCHEMA IF EXISTS kinds CASCADE", "CREATE SCHEMA kinds",
		"CREATE TYPE kinds.mood AS ENUM ('sad', 'so \"so\"')", "CREATE DOMAIN kinds.positive AS int CHECK (VALUE > 0)",
		"CREATE DOMAIN kinds.list AS int[]", "CREATE TYPE kinds.pair AS (x numeric, y text)",
		"CREATE TYPE kinds.whole AS (a int, s text, i kinds.pair, l text[], t timestamptz, m kinds.mood, p kinds.positive)",
		"CREATE TYPE kinds.empty AS ()")
}

// Every type has the JSON form that says most: numbers, lists and objects are such, what
// JSON has no form for is the text that the server writes.
func TestPostgresForms(t *testing.T) {
	dsn, conn := server(t)
	typesSchema(t, conn)
	for value, want := range map[string]string{
		// numbers
		"'-9223372036854775808'::int8": `-9223372036854775808`, "32767::int2": `32767`, "4294967295::oid": `4294967295`,
		"'-Infinity'::numeric": `"-Infinity"`, "1.10::numeric": `1.10`, "1e-20::numeric": `0.00000000000000000001`,
		"'NaN'::float4": `"NaN"`, "'-Infinity'::float8": `"-Infinity"`, "1e300::float8": `1e+300`, "'-0'::float8": `-0.0`,
		"12.5::money": `"$12.50"`, "false": `false`,
		// texts
		"'<a b=\"c\">é</a>'::xml": `"<a b=\"c\">é</a>"`, "B'101'": `"101"`, "'101'::varbit": `"101"`, "'a'::\"char\"": `"a"`,
		"'n'::name": `"n"`, "'ab'::char(3)": `"ab "`, "'a b'::tsvector": `"'a' 'b'"`, "'(1,2)'::point": `"(1,2)"`,
		"'10.0.0.1/8'::inet": `"10.0.0.1/8"`, "'10.0.0.1'::inet": `"10.0.0.1"`, "'10.0.0.0/8'::cidr": `"10.0.0.0/8"`,
		"'08:00:2b:01:02:03'::macaddr": `"08:00:2b:01:02:03"`, "'so \"so\"'::kinds.mood": `"so \"so\""`, "''::text": `""`,
		"E'a\\u2028\\t\\\\'::text": `"a\u2028\t\\"`, "'pg_class'::regclass": `"pg_class"`, "''::bytea": `""`, "'\\x5cff'::bytea": `"XP8="`,
		"'[1,5)'::int4range": `"[1,5)"`, "'{[1,2),[5,6)}'::int4multirange": `"{[1,2),[5,6)}"`, "'empty'::numrange": `"empty"`,
		"'1 2'::int2vector": `"1 2"`, "ROW(1,'a b')": `"(1,\"a b\")"`,
		// times
		"'infinity'::date": `"infinity"`, "'-infinity'::timestamp": `"-infinity"`, "'03:04:05.5'::time": `"03:04:05.5"`,
		"'03:04:05+02'::timetz": `"03:04:05+02"`, "'1 year 2 days -03:04:05'::interval": `"1 year 2 days -03:04:05"`,
		"'0044-03-15 BC'::date": `"0044-03-15 BC"`, "'12026-01-02 03:04:05'::timestamp": `"12026-01-02 03:04:05"`,
		"'1900-01-01 00:00:00+00:19:32'::timestamptz": `"1899-12-31T23:40:28Z"`,
		// lists
		"'{1,2}'::int[]": `[1,2]`, "'{}'::int[]": `[]`, "'{{1,2},{3,NULL}}'::int[]": `[[1,2],[3,null]]`, "'[0:1]={1,2}'::int[]": `[1,2]`,
		`ARRAY['a,b', 'c"d\', NULL, 'NULL', '', '{}']`: `["a,b","c\"d\\",null,"NULL","","{}"]`,
		"ARRAY[1.10, 'NaN']::numeric[]":                `[1.10,"NaN"]`, "ARRAY[1, 'Infinity']::float8[]": `[1.0,"Infinity"]`,
		"ARRAY[true, NULL]": `[true,null]`, "ARRAY['\\x00ff'::bytea]": `["AP8="]`, "ARRAY['{\"a\": [1]}'::jsonb, 'null', '\"x\"']": `[{"a":[1]},null,"x"]`,
		"ARRAY['2026-01-02 03:04:05+02'::timestamptz]": `["2026-01-02T01:04:05Z"]`, "ARRAY['2026-01-02'::date]": `["2026-01-02"]`,
		"ARRAY['sad'::kinds.mood]": `["sad"]`, "ARRAY[1::kinds.positive]": `[1]`, "'{1,2}'::kinds.list": `[1,2]`, "ARRAY['{3}'::kinds.list]": `[[3]]`,
		"ARRAY['(1,1),(0,0)'::box, '(3,3),(2,2)']": `["(1,1),(0,0)","(3,3),(2,2)"]`, "ARRAY['<a/>'::xml]": `["<a/>"]`,
		// objects
		"ROW(1, 'a\"b', ROW(1.50, NULL), ARRAY['x', NULL], '2026-01-02 03:04:05+02', 'sad', 7)::kinds.whole": `{"a":1,"s":"a\"b","i":{"x":1.50,"y":null},"l":["x",null],"t":"2026-01-02T01:04:05Z","m":"sad","p":7}`,
		"ROW(1, '', NULL, NULL, NULL, NULL, NULL)::kinds.whole":                                              `{"a":1,"s":"","i":null,"l":null,"t":null,"m":null,"p":null}`,
		"ARRAY[ROW(1, 'a')::kinds.pair, NULL]":                                                               `[{"x":1,"y":"a"},null]`,
		"ROW()::kinds.empty":                                                                                 `{}`,
		`'a=>1, "b c"=>NULL, "q\""=>"x,y=>z"'::hstore`:                                                       `{"a":"1","q\"":"x,y=>z","b c":null}`,
		"''::hstore": `{}`, "ARRAY['a=>1'::hstore]": `[{"a":"1"}]`,
	} {
		for _, extra := range []string{"", "&TimeZone=Asia/Kolkata&DateStyle=German&IntervalStyle=iso_8601&bytea_output=escape", "&default_query_exec_mode=exec", "&default_query_exec_mode=simple_protocol"} {
			if extra != "" && strings.Contains(extra, "Style") && (strings.Contains(value, "interval") || strings.Contains(value, "timetz")) {
				continue // its text is what the file asks for
			}
			t.Run(value+extra, func(t *testing.T) { // a connection of its own, which ends with it
				got := field(t, pgStage(t, dsn+settings.Secret(extra), "SELECT "+value+" AS v", nil), `{}`)
				if got != `{"v":`+want+`}` || !json.Valid([]byte(got)) {
					t.Errorf("%s, want %s", got, want)
				}
			})
		}
	}
	for query, want := range map[string]string{
		"SELECT FROM pg_class LIMIT 1": `{}`, "SELECT 1": `{"?column?":1}`, "SELECT 1 WHERE false": `null`, "TABLE kinds.nothing": `null`,
	} {
		exec(t, conn, "CREATE TABLE IF NOT EXISTS kinds.nothing ()")
		if got := field(t, pgStage(t, dsn, query, nil), `{}`); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// What a result gives, the argument of another query takes.
func TestPostgresArguments(t *testing.T) {
	dsn, conn := server(t)
	typesSchema(t, conn)
	for cond, value := range map[string]string{
		"6 = ANY($1::int[])": `[5,6]`, "$1::int[] = '{}'": `[]`, "$1::int[] = '{{1,2},{3,4}}'": `[[1,2],[3,4]]`,
		"cardinality($1::int[]) = 2": `"{1,2}"`, "($1::text[])[1] = 'a\"b\\,' AND ($1::text[])[2] IS NULL AND ($1::text[])[3] = 'NULL'": `["a\"b\\,",null,"NULL"]`,
		"$1::int[] = '{5,6,7}'": `[5.0,6e0,0.7e1]`, "($1::jsonb[])[1] = '[1,2]'": `[[1,2],"x"]`, "$1::bool[] = ARRAY[true,false]": `[true,false]`,
		"cardinality($1::box[]) = 2": `["(1,1),(0,0)","(3,3),(2,2)"]`, "$1::kinds.mood[] = '{\"sad\"}'": `["sad"]`, "$1::kinds.list = '{1}'": `[1]`,
		"cardinality($1::text[]) = 2 AND ($1::text[])[2] = '[1]'": `[1,"[1]"]`,
		"5 = $1::int": `5.0`, "500 = $1::int8": `5e2`, "$1::int8 = 9223372036854775807": `9223372036854775807.0`, "$1::int2 = -3": `-30e-1`, "$1::oid = 4294967295": `4294967295`,
		"$1::kinds.positive = 7": `7.0`, "$1::int = 0": `0e999999999`, "$1::int = 12": `"12"`, "$1::numeric = 5": `5.0`, "$1::numeric = 'NaN'": `"NaN"`,
		"$1::float8 = 'Infinity'": `"Infinity"`, "$1::float4 = 1.5": `1.5`, "$1::bool": `true`, "$1::bool AND true": `"yes"`,
		"$1::jsonb = '\"x\"'": `"x"`, "$1::jsonb = '7'": `7`, "$1::json::text = '{\"a\":[1]}'": `{"a":[1]}`, "$1::jsonb = 'true'": `true`, "$1::jsonb IS NULL": `null`,
		"$1::bytea = '\\x00ff'": `"AP8="`, "$1::bytea = '\\x00ff'::bytea": `"\\x00ff"`, "$1::uuid = 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'": `"f81d4fae-7dec-11d0-a765-00a0c91e6bf6"`,
		"$1::timestamptz = '2026-01-02 03:04:05+02'": `"2026-01-02T01:04:05Z"`, "$1::date = 'infinity'": `"infinity"`, "$1::interval = '1 day'": `"1 day"`,
		"$1::inet = '10.0.0.1'": `"10.0.0.1"`, "$1::xml::text = '<a/>'": `"<a/>"`, "$1::int4range @> 3": `"[1,5)"`, "($1::kinds.pair).y = 'a'": `"(1,a)"`,
		"$1::hstore -> 'a' = '1'": `"a=>1"`, "$1::text = '[1]'": `[1]`, "$1::varchar = '{\"a\":1}'": `{"a":1}`, "$1::name = 'true'": `true`, "$1 = 'x'": `"x"`,
		"$1::int[] IS NULL": `null`, "$1::money = '$12.50'": `"$12.50"`, "$1::money = '12.5'::money": `12.5`, "$1::bit(3) = B'101'": `"101"`,
	} {
		t.Run(cond, func(t *testing.T) {
			st := pgStage(t, dsn, "SELECT 1 AS ok WHERE "+cond, nil, "v")
			rec := record(`{"v":` + value + `}`)
			if err := st.Process(t.Context(), rec); err != nil {
				t.Errorf("with %s: %v", value, err)
			} else if !strings.Contains(string(rec.Value()), `"got":{"ok":1}`) {
				t.Errorf("with %s: %s", value, rec.Value())
			}
		})
	}
}

// An error of an argument says which, what it is and what the query takes, and no value.
func TestPostgresArgumentErrors(t *testing.T) {
	dsn, conn := server(t)
	typesSchema(t, conn)
	for _, tt := range []struct{ typ, value, says string }{
		{"int", `5.25`, "argument 2 is a number with a fraction, and the query takes integer"},
		{"int", `5000000000`, "argument 2 is a number out of range, and the query takes integer"},
		{"int8", `1e30`, "argument 2 is a number out of range, and the query takes bigint"},
		{"int8", `1e999999999`, "argument 2 is a number out of range, and the query takes bigint"},
		{"oid", `-1`, "argument 2 is a number out of range, and the query takes oid"},
		{"int", `"canary"`, "argument 2 is a string that the query does not take as integer (SQLSTATE 22P02"},
		{"int", `true`, "argument 2 is a boolean, and the query takes integer"},
		{"int", `[1]`, "argument 2 is an array, and the query takes integer"},
		{"int", `{"canary":1}`, "argument 2 is an object, and the query takes integer"},
		{"int[]", `5`, "argument 2 is a number, and the query takes integer[]"},
		{"int[]", `{"canary":1}`, "argument 2 is an object, and the query takes integer[]"},
		{"int[]", `[1,"canary"]`, "argument 2 is an array that the query does not take as integer[] (SQLSTATE 22P02"},
		{"int[]", `[1,5.5]`, "argument 2 is an array with a number with a fraction in it, and the query takes integer[]"},
		{"int[]", `[1,[2]]`, "argument 2 is an array that the query does not take as integer[] (SQLSTATE 22P02"},
		{"int[]", `[[[[[[[[1]]]]]]]]`, "argument 2 is an array that is nested too deep, and the query takes integer[]"},
		{"timestamptz", `"canary"`, "argument 2 is a string that the query does not take as timestamp with time zone (SQLSTATE 22007"},
		{"date", `"2026-02-30"`, "argument 2 is a string that the query does not take as date (SQLSTATE 22008"},
		{"uuid", `7`, "argument 2 is a number that the query does not take as uuid (SQLSTATE 22P02"},
		{"uuid", `{}`, "argument 2 is an object, and the query takes uuid"},
		{"bytea", `"canary!"`, "argument 2 is a string that is neither base64 nor \\x and hexadecimal, and the query takes bytea"},
		{"kinds.mood", `"canary"`, "argument 2 is a string that the query does not take as kinds.mood (SQLSTATE 22P02"},
		{"kinds.positive", `-7`, "argument 2 is a number that the query does not take as kinds.positive (SQLSTATE 23514"},
		{"kinds.pair", `{"canary":1}`, "argument 2 is an object, and the query takes kinds.pair"},
		{"text", `"a\u0000canary"`, "argument 2 is a string that the query does not take as text (SQLSTATE 22021"},
		{"float8", `1e400`, "argument 2 is a number that the query does not take as double precision (SQLSTATE 22003"},
	} {
		st := pgStage(t, dsn, "SELECT $1::int AS a, $2::"+tt.typ+" AS b", nil, "one", "v")
		err := st.Process(t.Context(), record(`{"one":1,"v":`+tt.value+`}`))
		if reason, _ := pipeline.IsPermanent(err); reason != client.TypeSQL || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s of %s: %v, want %s", tt.value, tt.typ, err, tt.says)
		}
	}
	st := pgStage(t, dsn, "SELECT 1 / $1::int AS a", nil, "v")
	err := st.Process(t.Context(), record(`{"v":0}`))
	if err == nil || !strings.Contains(err.Error(), "the query cannot be run with these values (SQLSTATE 22012: division by zero)") {
		t.Errorf("%v", err)
	}
}

// A repeated name of a column is known before the first record.
func TestPostgresPingKnowsTheColumns(t *testing.T) {
	dsn, _ := server(t)
	for query, name := range map[string]string{
		"SELECT 1 AS a, 2 AS b, 3 AS a": `"a"`,
		"SELECT 1, 2":                   `"?column?"`,
		"SELECT * FROM (SELECT 1 AS id) x, (SELECT 2 AS id) y":       `"id"`,
		"SELECT 1 AS a, 2 AS a WHERE $1::int > 0 AND $2::text <> ''": `"a"`,
	} {
		args := []string{"a", "b"}[:strings.Count(query, "$")]
		st := pgStage(t, dsn, query, nil, args...)
		err := st.Ping(t.Context())
		var env *pipeline.EnvironmentError
		if !errors.As(err, &env) || !strings.Contains(err.Error(), "two columns have the name "+name+": give one another name with AS") ||
			strings.Contains(err.Error(), "credentials") {
			t.Errorf("%s: %v", query, err)
		}
	}
	if err := pgStage(t, dsn, `SELECT 1 AS a, 2 AS "A"`, nil).Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// A parameter or a type that changes under a running step rejects nothing that is right.
func TestPostgresTypesChange(t *testing.T) {
	dsn, conn := server(t)
	exec(t, conn, "DROP SCHEMA IF EXISTS changing CASCADE", "CREATE SCHEMA changing", "CREATE TYPE changing.pair AS (x int)",
		"CREATE TABLE changing.c (k int, p changing.pair, PRIMARY KEY (k))", "INSERT INTO changing.c VALUES (7, ROW(1))")
	st := pgStage(t, dsn, "SELECT p FROM changing.c WHERE k = $1", func(s *Settings) { s.MaxConns = 1 }, "k")
	eventually := func(value, want string) {
		t.Helper()
		for attempt := range 4 {
			rec := record(value)
			err := st.Process(t.Context(), rec)
			if _, permanent := pipeline.IsPermanent(err); permanent {
				t.Fatalf("attempt %d: %v", attempt, err)
			}
			if err == nil {
				if got, _ := rec.Field("got"); string(got) != want {
					t.Fatalf("%s, want %s", got, want)
				}
				return
			}
			t.Log(err)
		}
		t.Fatalf("%s has no answer", value)
	}
	eventually(`{"k":7}`, `{"p":{"x":1}}`)
	exec(t, conn, "ALTER TYPE changing.pair ADD ATTRIBUTE y text CASCADE")
	eventually(`{"k":7}`, `{"p":{"x":1,"y":null}}`)
	exec(t, conn, "ALTER TABLE changing.c ALTER COLUMN k TYPE text")
	eventually(`{"k":"7"}`, `{"p":{"x":1,"y":null}}`)
	eventually(`{"k":"seven"}`, `null`)
	exec(t, conn, "ALTER TABLE changing.c ALTER COLUMN k TYPE text[] USING ARRAY[k]")
	eventually(`{"k":["7"]}`, `{"p":{"x":1,"y":null}}`)
	// A connection that was ended while it was idle costs no record.
	exec(t, conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'penstock'")
	eventually(`{"k":["7"]}`, `{"p":{"x":1,"y":null}}`)
}

// Text is UTF-8 in both directions, whatever the database holds and the address asks for:
// records are.
func TestPostgresEncoding(t *testing.T) {
	dsn, conn := server(t)
	exec(t, conn, "DROP DATABASE IF EXISTS latin", "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
	latin := settings.Secret(strings.Replace(dsn.Reveal(), "/postgres?", "/latin?", 1))
	for _, extra := range []string{"", "&client_encoding=LATIN1", "&default_query_exec_mode=simple_protocol"} {
		st := pgStage(t, latin+settings.Secret(extra), "SELECT $1::text AS v, length($1) AS n, chr(233) AS e", nil, "v")
		if got, want := field(t, st, `{"v":"é"}`), `{"v":"é","n":1,"e":"é"}`; got != want {
			t.Errorf("%s: %s, want %s", extra, got, want)
		}
		err := st.Process(t.Context(), record(`{"v":"€"}`))
		if err == nil || !strings.Contains(err.Error(), "(SQLSTATE 22P05: text with a character that the database cannot hold)") {
			t.Errorf("%s: %v", extra, err)
		}
	}
}
