package cli

import (
	"bytes"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The process tells what is wrong with a table before it reads a record, stores rows by their key, deletes
// those of tombstones, and has a dead letter for each row that the database refuses.
func TestRowsOfATable(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run := func(args ...string) (text string, code int) {
		t.Helper()
		var log bytes.Buffer
		c := exec.Command("penstock", args...)
		c.Stdout, c.Stderr = &log, &log
		_ = c.Run()
		return log.String(), c.ProcessState.ExitCode()
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "flights.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec := func(text string) {
		t.Helper()
		if _, err := db.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	file := write("p.yaml", `pipeline: p
source: {replay: {files: [in.jsonl]}}
sinks:
  - sql:
      driver: sqlite
      path: flights.db
      table: late
      columns: {id: meta.key, origin: origin, late: delay >= 15, seen: meta.time, raw: $env}
      mode: upsert
      key: [id]
      on_tombstone: delete
dead_letter: {file: {path: dead.jsonl}}
`)
	write("in.jsonl", `{"key":"1","payload_json":{"origin":"JFK","delay":3},"ts":1357034400000}
{"key":"2","payload_json":{"origin":"EWR","delay":20},"ts":1357034401000}
{"key":"3","payload_json":{"origin":"canary","delay":0},"ts":1357034402000}
{"key":"1","payload_json":{"origin":"JFK","delay":33},"ts":1357034403000}
{"key":"2","payload":null}
{"key":"4","payload_json":{"origin":"LGA","delay":"?"}}
{"key":"5","payload_json":{"origin":"LGA"}}
`)
	exec("CREATE TABLE other (i int)")
	if text, code := run("check", "--connect", file); code != 3 || !strings.Contains(text, `CREATE TABLE "late" ("id" text NOT NULL, "origin" text`) {
		t.Errorf("exit code %d without the table:\n%s", code, text)
	}
	exec("CREATE TABLE late (id text, origin text CHECK (origin <> 'canary'), late bool, seen int, raw text)")
	if text, code := run("check", "--connect", file); code != 3 || !strings.Contains(text, "CREATE UNIQUE INDEX late_key ON late (id)") {
		t.Errorf("exit code %d without the index:\n%s", code, text)
	}
	exec("CREATE UNIQUE INDEX late_key ON late (id)")
	if text, code := run("check", "--connect", file); code != 0 {
		t.Errorf("exit code %d with both:\n%s", code, text)
	}
	if text, code := run("run", file); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, text)
	}
	rows, err := db.Query("SELECT id || ' ' || origin || ' ' || coalesce(late, 'null') || ' ' || coalesce(seen, 'null') || ' ' || raw FROM late ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	if want := []string{`1 JFK 1 1357034403000 {"origin":"JFK","delay":33}`, `5 LGA 0 null {"origin":"LGA"}`}; !slices.Equal(got, want) {
		t.Errorf("stored\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	dead, err := os.ReadFile(filepath.Join(dir, "dead.jsonl"))
	if err != nil || strings.Count(string(dead), "\n") != 2 || !strings.Contains(string(dead), "the database refuses the row (a condition, CHECK, does not hold)") {
		t.Errorf("%v, dead letters:\n%s", err, dead)
	}
}
